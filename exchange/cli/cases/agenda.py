"""``comity agenda`` and ``comity watch``: what is due, and being told of it in time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    PassphraseOption,
    run,
    until_signalled,
    with_desk,
)
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, print_json_line, safe, told
from exchange.i18n import _, labelled
from exchange.text.labels import code_label, deadline_label, marked
from exchange.text.objects import plain
from protocol.errors import ComityError

if TYPE_CHECKING:
    from exchange.cases.agenda import Notice
    from exchange.desk.desk import Desk
    from exchange.desk.notify import Channel
    from exchange.desk.watch import Seen
    from exchange.views import AgendaItem
    from keys.directory.cards import ContactPointCard
    from protocol.address import Address


def agenda(
    ours: Annotated[bool, typer.Option("--ours", help=_("Only what this desk must do."))] = False,
    pressing: Annotated[bool, typer.Option("--pressing", help=_("Only what is near or overdue."))] = False,
    lane: Annotated[
        str | None,
        typer.Option("--lane", help=_("One of emergencies, ours, theirs, not_delivered, own_authorities.")),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help=_("At most so many of each lane."))] = 50,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is due."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import due_object, numbers_of, require_lane, wants_call
        from exchange.cases.agenda import AgendaFilter, lanes
        from exchange.desk.desk import utc_now
        from exchange.text.due import item_lines, lane_label
        from exchange.views import Lane

        require_lane(lane)
        reached = await synced(desk, sync=sync)
        wanted = AgendaFilter(ours=ours, pressing=pressing, lane=Lane(lane) if lane is not None else None)
        page = await desk.cases.agenda_page(wanted, limit=limit)
        calls = await numbers_of(desk, page.items)
        if as_json:
            shown = [due_object(item, calls) for item in page.items]
            print_json({"synced": reached.done, **reached.members(), "items": shown, "more": page.more})
            return
        reached.say()
        if not page.items:
            others = wanted != AgendaFilter() and (await desk.cases.agenda_page(limit=1)).items
            line(_("Nothing of this is due. Other things are: comity agenda") if others else _("Nothing is due."))
            return
        now = utc_now()
        for heading, found in lanes(page.items):
            line(lane_label(heading).upper())
            for item in found:
                number = calls.get(item.peers[0]) if item.peers and wants_call(item) else None
                for text in item_lines(item, now, number):
                    line(f"  {text}")
            if heading in page.more:
                line(_("  There are more: give --limit, or --lane."))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def watch(
    once: Annotated[bool, typer.Option("--once", help=_("Look once, tell what is new, and end."))] = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep watch."""

    async def work(desk: Desk) -> int | None:
        from exchange.desk.notify import channels_of

        channels = channels_of(desk.settings)
        if once:
            await look_once(desk, channels)
            return None
        return await until_signalled(keep_on(desk, channels))

    async def keep_on(desk: Desk, channels: Sequence[Channel]) -> None:
        from exchange.desk.desk import utc_now
        from exchange.desk.watch import watch as keep_watch

        async with aclosing(keep_watch(desk, channels, utc_now)) as watching:
            async for seen in watching:
                await _say(desk, seen, as_json=as_json)

    async def look_once(desk: Desk, channels: Sequence[Channel]) -> None:
        reached, told = await synced(desk), False
        reached.say()
        async with aclosing(_looked_at_once(desk, channels)) as looking:
            async for seen in looking:
                told = True
                await _say(desk, seen, as_json=as_json)
        if as_json and not told:
            # Nothing at all would be no JSON.
            print_json_line({"event": "nothing", **reached.members()})

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def item_object(item: AgendaItem) -> dict[str, Any]:
    """An item as programs get it."""
    fields: dict[str, Any] = plain(item)
    return fields


# --- Inside ---


async def _looked_at_once(desk: Desk, channels: Sequence[Channel]) -> AsyncGenerator[Seen, None]:
    """What one look finds: each notice counts as told when the next one is asked for."""
    from exchange.desk.notify import CHANNEL
    from exchange.desk.watch import TryFailed, compare_log, tell, told_here

    found = await compare_log(desk)
    if found is not None:
        yield found
    async with aclosing(told_here(desk)) as notices:
        async for notice in notices:
            yield notice
    for channel in channels:
        failure = await tell(desk, channel)
        if failure is not None:
            yield failure
    await desk.webhooks.queue()
    for problem in (await desk.webhooks.deliver()).failed:
        yield TryFailed(CHANNEL, problem)


async def _say(desk: Desk, seen: Seen, *, as_json: bool) -> None:
    from exchange.cases.agenda import Notice
    from exchange.desk.watch import Interrupted, LogContradicted, LogStale
    from exchange.views import SyncResult

    if isinstance(seen, SyncResult):
        if as_json:
            print_json_line(
                {"event": "arrived", "received": [row.id for row in seen.received], "receipts": seen.receipts}
            )
        for row in () if as_json else seen.received:
            what = marked(code_label("message_type", row.type), suspected=row.suspected)
            text = _("{at} arrived: {what} {message} from {sender}")
            line(text.format(at=safe(row.stored_at), what=what, message=row.id, sender=row.sender))
    elif isinstance(seen, Notice):
        contacts = await _whom_to_call(desk, seen)
        if as_json:
            print_json_line({"event": "due", **item_object(seen.item), "call": contacts})
        else:
            line(_told(seen.item, contacts))
    elif isinstance(seen, LogContradicted):
        text = _("ALARM: the log of this desk's node contradicts itself")
        _say_of_log("log-contradicted", text, seen.detail, as_json=as_json)
    elif isinstance(seen, LogStale):
        text = _("WARNING: the log of this desk's node does not show its present state")
        _say_of_log("log-stale", text, seen.detail, as_json=as_json)
    elif isinstance(seen, Interrupted):
        text = _("The watch cannot see everything now, and tries again")
        _say_of_failure({"event": "interrupted", "error": seen.error.code}, text, seen.error, as_json=as_json)
    else:
        text = _("Nobody could be notified through the channel {channel}").format(channel=seen.channel)
        values = {"event": "channel-failed", "channel": seen.channel, "error": seen.error.code}
        _say_of_failure(values, text, seen.error, as_json=as_json)


def _say_of_failure(values: dict[str, str], text: str, error: ComityError, *, as_json: bool) -> None:
    if as_json:
        print_json_line(values)
    else:
        line(labelled(text, safe(_(error.detail))))


def _say_of_log(event: str, text: str, detail: str, *, as_json: bool) -> None:
    if as_json:
        print_json_line({"event": event, "detail": detail})
    else:
        line(labelled(text, told(detail)))


def _told(item: AgendaItem, contacts: Sequence[str]) -> str:
    from exchange.cli.cases.calls import warning_of_forgery
    from exchange.text.due import item_lines

    if item.suspected:
        return warning_of_forgery() + f" {item.thread}"
    if item.delivery is not None:
        from exchange.desk.desk import utc_now

        told = " ".join(text.strip() for text in item_lines(item, utc_now()))
        return f"[{item.level}] {told}" + (f" {labelled(_('Call'), ', '.join(contacts))}" if contacts else "")
    if item.overdue and not item.late:
        text = (
            _("[{level}] {what}, {target}, target passed {due}: {thread}")
            if item.target
            else _("[{level}] {what}, target passed {due}: {thread}")
        )
    elif item.target:
        text = (
            _("[{level}] {what}, {target}, overdue since {due}: {thread}")
            if item.overdue
            else _("[{level}] {what}, {target}, not later than {due}: {thread}")
        )
    else:
        text = (
            _("[{level}] {what}, overdue since {due}: {thread}")
            if item.overdue
            else _("[{level}] {what}, not later than {due}: {thread}")
        )
    told = text.format(
        level=item.level,
        what=deadline_label(item.what),
        target=safe(item.target),
        due=safe(item.due),
        thread=item.thread,
    )
    if not contacts:
        return told
    return f"{told} {labelled(_('Call'), ', '.join(safe(contact) for contact in contacts))}"


async def _whom_to_call(desk: Desk, notice: Notice) -> list[str]:
    """The deputy, then the escalation contact, of the side that did not act; all numbers of who was not reached."""
    from exchange.acts.cases import wants_call
    from protocol.lifecycle.warnings import DEPUTY, ESCALATION

    if wants_call(notice.item):
        cards = await desk.cases.phone_cards(set(notice.item.peers))
        return [f"{contact} {number}" for contact, card in cards.items() for number in card.numbers]
    if notice.item.level not in {DEPUTY, ESCALATION}:
        return []
    found = []
    for address in (desk.address,) if notice.item.ours else notice.item.peers:
        with suppress(ComityError):
            card = await _card(desk, address)
            if notice.item.level == DEPUTY and card.deputy is not None:
                found.append(" ".join((str(card.deputy), *(await _card(desk, card.deputy)).phones)))
            elif card.escalation_contact is not None:
                found.append(card.escalation_contact)
    return found


async def _card(desk: Desk, address: Address) -> ContactPointCard:
    return await desk.judged(lambda directory: directory.contact_point(address))
