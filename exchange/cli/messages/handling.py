"""Passing on what another office gave, and the originator's consent to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    code_in,
    instant,
    run,
    with_desk,
)
from exchange.cli.messages.printing import report_sent
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _
from protocol.address import Address

if TYPE_CHECKING:
    from exchange.desk.desk import Desk

app = typer.Typer(no_args_is_help=True)
ActionOption = Annotated[
    str,
    typer.Option(
        "--for", callback=code_in("handling_action"), help=_("What is to be done with it: forward or proceedings.")
    ),
]
ToOption = Annotated[list[str] | None, typer.Option("--to", help=_("To whom it would be passed on; repeat it."))]


def forward(
    message_id: IdArgument,
    to: Annotated[list[str], typer.Option("--to", help=_("To whom it is passed on; repeat it."))],
    reason: Annotated[str, typer.Option("--reason", help=_("Reason, shown to the recipient."))],
    files: Annotated[
        bool, typer.Option("--files/--without-files", help=_("With the files of the message, or without."))
    ] = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pass a message on."""

    async def work(desk: Desk) -> int | None:
        recipients = [Address.parse(text) for text in to]
        sent = await desk.messages.forward(await desk.messages.resolve(message_id), recipients, reason, files=files)
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def handling(
    message_id: IdArgument,
    action: ActionOption = "forward",
    to: ToOption = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what labels forbid."""

    async def work(desk: Desk) -> None:
        from exchange.acts.replies import action_for
        from exchange.acts.replies import handling as asked
        from exchange.messaging.handling import text_of

        recipients = _addresses(to)
        action_for(action, recipients)
        reached = await synced(desk, sync=sync)
        shown = await asked(desk, await desk.messages.resolve(message_id), action=action, to=recipients)
        found = shown["objections"]
        if as_json:
            print_json({**shown, **reached.members()})
            return
        reached.say()
        if not found:
            line(_("No label or condition forbids it."))
        else:
            table(_("Forbidden by"), [_("Code"), _("Why")], [(o.code, safe(text_of(o))) for o in found])

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "ask",
    help=_(
        "Ask the originator for consent.\n\n"
        "Example: comity consent ask 7f3a --for forward --to 24-7@gh --purpose 'Their investigation 12/26'"
    ),
)
def ask(
    message_id: IdArgument,
    purpose: Annotated[str, typer.Option("--purpose", help=_("What for, in words."))],
    action: ActionOption = "forward",
    to: ToOption = None,
    answer_by: Annotated[
        str | None, typer.Option("--answer-by", help=_("When the answer is needed (date and time with time zone)."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask for consent."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import ask_consent

        message, by = await desk.messages.resolve(message_id), instant(answer_by)
        sent = await ask_consent(desk, message, purpose, action=action, to=_addresses(to), answer_by=by)
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "give", help=_("Consent to what was asked.\n\nExample: comity consent give 7f3a --until 2027-06-30T00:00:00Z")
)
def give(
    message_id: IdArgument,
    until: Annotated[
        str | None, typer.Option("--until", help=_("Until when it holds (date and time with time zone)."))
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option("--condition", help=_("A condition in words; repeat it."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give consent."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import give_consent

        message = await desk.messages.resolve(message_id)
        sent = await give_consent(desk, message, until=instant(until), conditions=condition or ())
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "refuse", help=_("Refuse what was asked.\n\nExample: comity consent refuse 7f3a 'A trial is pending here.'")
)
def refuse(
    message_id: IdArgument,
    reason: Annotated[str, typer.Argument(help=_("Reason, shown to the office that asked."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse consent."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import refuse_consent

        sent = await refuse_consent(desk, await desk.messages.resolve(message_id), reason)
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _addresses(to: list[str] | None) -> list[Address]:
    return [Address.parse(address) for address in to or []]
