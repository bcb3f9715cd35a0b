"""``comity contact-test``: is somebody there, at any hour, and how soon."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._acting import given_key
from exchange.cli._options import (
    DEFAULT_HOME,
    CountryOption,
    HomeOption,
    JsonOption,
    PassphraseOption,
    RemarkOption,
    WaitOption,
    required_code,
    run,
    with_desk,
)
from exchange.cli.messages.printing import code_of, status_line
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _
from exchange.text.objects import plain
from keys.local.terminal import REFUSED
from protocol.address import Address
from protocol.errors import UnavailableError, UsageError

if TYPE_CHECKING:
    from exchange.cases.contact_tests import ContactStanding, ContactTestResult
    from exchange.desk.desk import Desk
    from exchange.views import SentMessage

app = typer.Typer(no_args_is_help=True)

ContactsArgument = Annotated[list[str] | None, typer.Argument(help=_("The contact points, such as 24-7@fr."))]
AllOption = Annotated[bool, typer.Option("--all", help=_("Every contact point of the directory."))]


@app.command(help=_("Send tests.\n\nExample: comity contact-test send 24-7@fr 24-7@br"))
def send(
    contacts: ContactsArgument = None,
    all_: AllOption = False,
    country: CountryOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a round of tests."""

    async def work(desk: Desk) -> int | None:
        with suppress(UnavailableError):  # the tests wait then, and their exit code says so
            await desk.messages.sync()
        round_ = await desk.cases.test_contacts(await _chosen(desk, contacts, country, all_=all_, needed=True))
        if as_json:
            print_json({"tests": [{**plain(item), **_waiting(item.sent)} for item in round_]})
        else:
            _say_what_waits([item.sent for item in round_ if item.sent])
            rows = [(item.contact, item.sent.status if item.sent else None, item.error) for item in round_]
            table(_("Contact tests sent"), [_("Contact point"), _("Status"), _("Why not")], rows)
        return code_of([item.sent for item in round_ if item.sent]) or (
            REFUSED if any(i.error for i in round_) else None
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Reply to the contact tests that this desk received.\n\nExample: comity contact-test reply"))
def reply(
    message_id: Annotated[str | None, typer.Argument(help=_("One test; else all that were not replied to."))] = None,
    remark: RemarkOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reply to tests."""

    async def work(desk: Desk) -> int | None:
        from exchange.messaging.once import under_key

        key = given_key()
        with suppress(UnavailableError):  # what was received can be replied to; the reply waits
            await desk.messages.sync()
        if message_id is not None:
            tests = [await desk.messages.resolve(message_id)]
        else:
            tests = [row.id for row in await desk.cases.unanswered_contact_tests()]
        replies = []
        for test in tests:
            await desk.messages.show(test)  # a person replies: the test is opened
            # Each reply is an act of its own.
            with under_key(sha256(f"{key}/{test}".encode()).hexdigest() if key is not None else None):
                replies.append(await desk.replies.answer_contact_test(test, remark=remark))
        with suppress(UnavailableError):
            await desk.messages.sync()
        if as_json:
            print_json({"replies": [{**plain(sent), **_waiting(sent)} for sent in replies]})
        else:
            _say_what_waits(replies)
            line(_("Contact tests replied to: {count}").format(count=len(replies)))
        return code_of(replies)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Show what the tests found.\n\nExample: comity contact-test results --all"))
def results(
    contacts: ContactsArgument = None,
    all_: AllOption = False,
    country: CountryOption = None,
    wait: WaitOption = 0,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show results."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, wait, sync=sync)
        standings = await desk.cases.contact_standings(await _chosen(desk, contacts, country, all_=all_, needed=False))
        shown = standings if contacts or all_ else [entry for entry in standings if entry.latest is not None]
        if as_json:
            print_json({"contact_points": [standing_object(entry) for entry in shown], **reached.members()})
            return
        reached.say()
        table(
            _("Contact tests"),
            [_("Contact point"), _("Standing"), _("Tested at"), _("Handed over after"), _("Replied after")],
            [_row(entry) for entry in shown],
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _say_what_waits(sent: Sequence[SentMessage]) -> None:
    for one in sent:
        if one.status == "queued":
            line(status_line(one))


def _waiting(sent: SentMessage | None) -> dict[str, object]:
    return {"queued": sent is not None and sent.status == "queued", "reason": sent.reason if sent is not None else None}


def standing_text(entry: ContactStanding) -> str:
    """The standing in one word or two, for a person."""
    words = {
        "replies": _("replies"),
        "waiting": _("waiting for a reply"),
        "late": _("replies late"),
        "stale": _("last reply is old"),
        "silent": _("SILENT"),
        "untested": _("not tested"),
    }
    return words[entry.standing.value]


def standing_object(entry: ContactStanding) -> dict[str, object]:
    """The standing as JSON: the latest test, and the latest that was replied to, with the measured seconds."""
    return {
        "contact": entry.contact,
        "standing": entry.standing,
        "latest": _result_object(entry.latest),
        "replied": _result_object(entry.replied),
    }


def _result_object(result: ContactTestResult | None) -> dict[str, object] | None:
    if result is None:
        return None
    return {
        "id": result.id,
        "sent_at": result.sent_at,
        "submitted_at": result.submitted_at,
        "handed_over_at": result.handed_over_at,
        "opened_at": result.opened_at,
        "replied_at": result.replied_at,
        "reply_id": result.reply_id,
        "handover_s": result.handover_s,
        "reply_s": result.reply_s,
        "failed": result.failed,
    }


def _row(entry: ContactStanding) -> tuple[object, ...]:
    latest = entry.latest
    if latest is None:
        return (entry.contact, standing_text(entry), None, None, None)
    handover = ", ".join(latest.failed) if latest.failed else span_text(latest.handover_s)
    return (entry.contact, standing_text(entry), latest.sent_at, handover, span_text(latest.reply_s))


def span_text(seconds: float | None) -> str:
    """A measured span for a person: seconds, then minutes, then hours and minutes."""
    if seconds is None:
        return "-"
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


async def _chosen(
    desk: Desk, contacts: list[str] | None, country: str | None, *, all_: bool, needed: bool
) -> list[Address]:
    from keys.directory.cards import Function
    from keys.directory.search import Wanted, find

    if contacts:
        return list(dict.fromkeys(Address.parse(contact) for contact in contacts))
    if needed and not all_ and country is None:
        raise UsageError(_("name contact points, a --country, or --all"))
    everything = await desk.refresh_directory(everything=True)
    wanted = Wanted(country=required_code("country", country), functions=(Function.EXCHANGE,))
    cards = find(everything, wanted, datetime.now(UTC))
    found = [card.address for card in cards if card.address != desk.address]
    if not found:
        raise UsageError(_("no other contact point of the directory fits {what}").format(what=safe(country or "--all")))
    return found
