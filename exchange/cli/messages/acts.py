"""An officer mends what was said, adds a note, consults, confirms a follow-up, answers a correction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    TargetsOption,
    code_in,
    given_instant,
    instant,
    run,
    with_desk,
)
from exchange.cli.messages.files import read_document
from exchange.cli.messages.printing import report_sent
from exchange.cli.output import line, print_json
from exchange.i18n import _, labelled
from exchange.text.labels import state_until
from keys.local.given_files import FileKind
from keys.local.terminal import REFUSED
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk

app = typer.Typer(no_args_is_help=True)
ReasonOption = Annotated[str, typer.Option("--reason", help=_("What was wrong, in words."))]


def correct(
    message_id: IdArgument,
    file: Annotated[Path, typer.Argument(help=_("The fields as they should have been; null takes one out."))],
    reason: ReasonOption,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Correct an own message."""

    async def work(desk: Desk) -> int | None:
        changes = read_document(file, FileKind.FIELDS)
        known = await desk.messages.resolve(message_id)
        return report_sent(await desk.replies.correct(known, changes, reason=reason), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def retract(
    message_id: IdArgument,
    why: Annotated[
        str,
        typer.Option("--why", callback=code_in("retraction_reason"), help=_("A code of the list retraction_reason.")),
    ],
    reason: ReasonOption,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take an own message back."""

    async def work(desk: Desk) -> int | None:
        known = await desk.messages.resolve(message_id)
        return report_sent(await desk.replies.retract(known, why=why, reason=reason), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def call_off(
    what: Annotated[
        str, typer.Argument(help=_("The message's id, or what was asked of several nations: its id or your reference."))
    ],
    reason: Annotated[str | None, typer.Option("--reason", help=_("Why; it stands in the processing log."))] = None,
    nations: Annotated[
        list[str] | None,
        typer.Option("--nation", help=_("Of what was asked of several nations: only this one; repeat it.")),
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Call a message off that waits for its time."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.cases import call_off_parent

        parent = await desk.parents.resolve(what)
        if parent is None:
            if nations:
                raise UsageError(_("--nation is for what was asked of several nations"))
            row = await desk.messages.call_off(await desk.messages.resolve(what), reason)
            if as_json:
                print_json(row)
            else:
                line(_("{id}: called off; it never left this desk, and nobody learns of it").format(id=row.id))
            return None
        shown = await call_off_parent(desk, parent, reason=reason, nations=nations or None)
        left = [child for child in shown["children"] if child.status not in {"called_off", "scheduled"}]
        if as_json:
            print_json(shown)
        else:
            for child in shown["children"]:
                line(labelled(child.nation, state_until(child.state, child.sent_at)))
            for child in left:
                text = _("{nation} has it, or may have it. Withdraw it: comity case say {parent} --nation {nation}")
                line(text.format(nation=child.nation, parent=str(parent)[-SHORT_ID:]))
        return REFUSED if any(not nations or child.nation in nations for child in left) else None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def note(
    about: Annotated[str, typer.Argument(help=_("A message of the case; with --service, who gets the note."))],
    text: Annotated[str, typer.Argument(help=_("The text of the note."))],
    asks: Annotated[bool, typer.Option("--asks", help=_("A note in return is expected."))] = False,
    service: Annotated[
        str | None,
        typer.Option(
            "--service",
            callback=code_in("service_matter"),
            help=_("Without a case: a code of the list service_matter."),
        ),
    ] = None,
    as_note: Annotated[
        bool, typer.Option("--as-note", help=_("Send it as a note, although another message type would have effect."))
    ] = False,
    language: Annotated[str, typer.Option("--language", help=_("The language of a service note."))] = "en",
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a note."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import send_note

        if service is not None:
            from protocol.address import Address

            sent = await desk.replies.service_note(Address.parse(about), service, text, asks=asks, language=language)
            return report_sent(sent, as_json=as_json)
        known = await desk.messages.resolve(about)
        return report_sent(await send_note(desk, known, text, asks=asks, as_note=as_note), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "open",
    help=_(
        "Ask the other side before you refuse, postpone or set conditions (Budapest Convention Art. 27.6).\n\n"
        "Example: comity consult open 7f3a --intends refuse --question 'Would the headers be enough?' "
        "--by '2026-11-25 18:00+01:00'"
    ),
)
def consult_open(
    message_id: IdArgument,
    question: Annotated[str, typer.Option("--question", help=_("What the other side is asked."))],
    answer_by: Annotated[str, typer.Option("--by", help=_("When you need the answer (with time zone)."))],
    intends: Annotated[
        str,
        typer.Option(
            "--intends",
            callback=code_in("consultation_intent"),
            help=_("What you would do otherwise: refuse, postpone, conditions; or ask."),
        ),
    ] = "ask",
    targets: TargetsOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a consultation."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import open_consultation

        known = await desk.messages.resolve(message_id)
        sent = await open_consultation(
            desk, known, question, given_instant(answer_by), intends=intends, targets=targets
        )
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "close",
    help=_(
        "Say what a consultation came to; the decision follows in these words.\n\n"
        "Example: comity consult close 7f3a --outcome in_part --text 'The headers alone.'"
    ),
)
def consult_close(
    message_id: IdArgument,
    outcome: Annotated[
        str,
        typer.Option(
            "--outcome", callback=code_in("consultation_outcome"), help=_("A code of the list consultation_outcome.")
        ),
    ],
    text: Annotated[str, typer.Option("--text", help=_("The outcome in words."))],
    targets: TargetsOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a consultation."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import close_consultation

        known = await desk.messages.resolve(message_id)
        sent = await close_consultation(desk, known, outcome, text, targets=targets)
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def confirm_follow_up(
    message_id: IdArgument,
    authority: Annotated[str, typer.Option("--authority", help=_("The authority that received the request."))],
    file_number: Annotated[str, typer.Option("--file-number", help=_("The file number that it gave."))],
    received_at: Annotated[str, typer.Option("--received-at", help=_("When it arrived there (with time zone)."))],
    targets: TargetsOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Confirm a follow-up."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import confirm_follow_up as confirm

        known, at = await desk.messages.resolve(message_id), given_instant(received_at)
        return report_sent(await confirm(desk, known, authority, file_number, at, targets=targets), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def dp_notice(
    message_id: IdArgument,
    action: Annotated[
        str,
        typer.Option(
            "--action", callback=code_in("data_protection_action"), help=_("rectified, erased, restricted or kept.")
        ),
    ],
    because: Annotated[str | None, typer.Option("--kept-because", help=_("Why the data were not erased."))] = None,
    done_at: Annotated[str | None, typer.Option("--at", help=_("When it was done (with time zone); else now."))] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a data protection notice."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.replies import notify_data_protection

        known = await desk.messages.resolve(message_id)
        sent = await notify_data_protection(desk, known, action, because=because, at=instant(done_at))
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)
