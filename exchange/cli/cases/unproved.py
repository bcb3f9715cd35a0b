"""``comity register`` and ``comity unproved``: what came by Interpol, mail or telephone, and its confirmation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    code_in,
    instant,
    run,
    with_desk,
)
from exchange.cli.cases.calls import NumberOption, SpokeToOption
from exchange.cli.output import line, print_json, safe
from exchange.i18n import _, labelled
from exchange.text.labels import code_label

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.store.rows import UnprovedEntry

app = typer.Typer(no_args_is_help=True)
EntryArgument = Annotated[str, typer.Argument(help=_("The id of the entry, or its first or last characters."))]


def register(
    text: Annotated[str, typer.Argument(help=_("What was asked or said, in words."))],
    channel: Annotated[
        str,
        typer.Option(
            "--channel",
            callback=code_in("request_channel"),
            help=_("A code of the list request_channel, such as interpol."),
        ),
    ],
    contact: Annotated[str, typer.Option("--contact", help=_("The contact point that can confirm it."))],
    sender: Annotated[str, typer.Option("--sender", help=_("Who it says it is from."))],
    kind: Annotated[
        str, typer.Option("--type", callback=code_in("message_type"), help=_("A code of the list message_type."))
    ] = "assistance.request",
    reference: Annotated[str | None, typer.Option("--reference", help=_("The reference that it names."))] = None,
    urgency: Annotated[
        str, typer.Option("--urgency", callback=code_in("urgency"), help=_("routine, urgent or emergency."))
    ] = "routine",
    received_at: Annotated[
        str | None, typer.Option("--received-at", help=_("When it came: date and time with time zone. Now."))
    ] = None,
    needed_by: Annotated[
        str | None, typer.Option("--needed-by", help=_("Until when the answer is of use (with time zone)."))
    ] = None,
    confirm_by: Annotated[
        str | None, typer.Option("--confirm-by", help=_("Until when the proved message should come (with time zone)."))
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help=_("Register it although the same is registered, or proved, already."))
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Register what is not proved."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import register as registered
        from protocol.address import Address

        entry = await registered(
            desk,
            text,
            channel=channel,
            contact=Address.parse(contact),
            sender=sender,
            kind=kind,
            reference=reference,
            urgency=urgency,
            received_at=instant(received_at),
            needed_by=instant(needed_by),
            confirm_by=instant(confirm_by),
            again=again,
        )
        _report(entry, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("list", help=_("List what was registered.\n\nExample: comity unproved list"))
def list_entries(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """List what was registered."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import list_unproved

        found = await list_unproved(desk)
        if as_json:
            print_json(found)
            return
        for entry in found["unproved"]:
            for told in _lines(entry)[:2]:
                line(told)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Show one, and whom to call about it.\n\nExample: comity unproved show 7f3a"))
def show(
    entry_id: EntryArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was registered."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import find_unproved, unproved_object
        from exchange.cli.cases.calls import reach_lines

        entry, card = await desk.cases.registered_entry(await find_unproved(desk, entry_id))
        if as_json:
            print_json(unproved_object(entry, card))
            return
        for told in _lines(entry):
            line(told)
        for told in reach_lines(card) if card is not None else ():
            line(f"  {told}")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Record a call about one, on a number of the directory.\n\n"
        "Example: comity unproved call 7f3a --outcome verified --spoke-to 'Claire Martin'"
    )
)
def call(
    entry_id: EntryArgument,
    outcome: Annotated[
        str,
        typer.Option("--outcome", callback=code_in("call_outcome"), help=_("verified, nobody_answered or not_theirs.")),
    ],
    spoke_to: SpokeToOption = None,
    number: NumberOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Record a call."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import find_unproved

        entry = await find_unproved(desk, entry_id)
        _report(await desk.cases.call_about(entry, outcome, number=number, spoke_to=spoke_to), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Say which message proves it.\n\nExample: comity unproved link 7f3a 9c2e"))
def link(
    entry_id: EntryArgument,
    message_id: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Link it to the proved message."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import find_unproved

        entry, message = await find_unproved(desk, entry_id), await desk.messages.resolve(message_id)
        _report(await desk.cases.link_registered(entry, message), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Say why no proved message is waited for.\n\nExample: comity unproved drop 7f3a 'Taken back.'"))
def drop(
    entry_id: EntryArgument,
    reason: Annotated[str, typer.Argument(help=_("The reason."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop it."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import find_unproved

        _report(await desk.cases.drop_registered(await find_unproved(desk, entry_id), reason), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Erase one that was confirmed or dropped.\n\nExample: comity unproved erase 7f3a"))
def erase(
    entry_id: EntryArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase it."""

    async def work(desk: Desk) -> None:
        from exchange.acts.calls import erase_unproved, find_unproved

        erased = await erase_unproved(desk, await find_unproved(desk, entry_id))
        if as_json:
            print_json(erased)
        else:
            line(_("It is erased."))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


# --- Inside ---


def _report(entry: UnprovedEntry, *, as_json: bool) -> None:
    if as_json:
        print_json(entry)
        return
    for told in _lines(entry):
        line(told)


def _lines(entry: UnprovedEntry) -> list[str]:
    """One entry: that it is not proved stands first."""
    from exchange.cli.cases.calls import warning_of_forgery
    from exchange.text.due import instant_text

    mark = _("CONFIRMED BY {case}").format(case=str(entry.thread)[-SHORT_ID:]) if entry.thread else _("NOT PROVED")
    kind, channel = code_label("message_type", entry.type), code_label("request_channel", entry.channel)
    lines = [f"[{mark}] {str(entry.id)[-SHORT_ID:]} {kind}"]
    text = _("  by {channel}, {at}, from {sender} ({contact})")
    lines.append(
        text.format(
            channel=channel, at=instant_text(entry.received_at), sender=safe(entry.sender), contact=entry.contact
        )
    )
    if entry.outcome == "not_theirs":
        lines.append(warning_of_forgery())
    lines.append(labelled(_("  reference"), safe(entry.reference)))
    lines.append(f"  {safe(entry.text)}")
    if entry.is_open:
        lines.append(_("  formal confirmation due {at}").format(at=instant_text(entry.confirm_by)))
    if entry.dropped is not None:
        lines.append(labelled(_("  dropped"), safe(entry.dropped)))
    for one in entry.calls:
        outcome = code_label("call_outcome", one.outcome)
        text = _("  {at} {by} called {number}: {outcome}")
        lines.append(text.format(at=instant_text(one.at), by=safe(one.by), number=safe(one.number), outcome=outcome))
    return lines
