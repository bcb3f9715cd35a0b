"""An officer mends what was said, adds a note, consults, confirms a follow-up, answers a correction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    TargetsOption,
    code_in,
    instant,
    run,
    with_desk,
)
from exchange.cli.messages.files import read_document
from exchange.cli.messages.printing import report_sent
from exchange.i18n import _
from exchange.text.labels import code_label
from keys.local.given_files import FileKind
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
        if service is not None:
            from protocol.address import Address

            sent = await desk.replies.service_note(Address.parse(about), service, text, asks=asks, language=language)
            return report_sent(sent, as_json=as_json)
        known = await desk.messages.resolve(about)
        if not as_note and (formal := await desk.replies.formal_type(known, text, asks=asks)) is not None:
            raise UsageError(
                _(
                    "this reads like another message type, which has effect: {type} [{code}]. Write it with comity new "
                    "{code} --reply-to {id}, or send it as a note all the same with --as-note"
                ).format(type=code_label("message_type", formal), code=formal, id=about)
            )
        return report_sent(await desk.replies.note(known, text, asks=asks), as_json=as_json)

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
    fields = {"question": question, "answer_by": instant(answer_by), "intends": intends, **_named(targets)}
    _reply(message_id, "consultation.open", fields, home, passphrase_file, as_json=as_json)


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
    fields = {"outcome": outcome, "text": text, **_named(targets)}
    _reply(message_id, "consultation.close", fields, home, passphrase_file, as_json=as_json)


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
        sent = await desk.replies.confirm_follow_up(
            await desk.messages.resolve(message_id),
            authority={"organisation": authority, "role": "central_authority"},
            file_number=file_number,
            received_at=instant(received_at),
            **_named(targets),
        )
        return report_sent(sent, as_json=as_json)

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
        said: dict[str, Any] = {"action": action, "at": instant(done_at), "because": because}
        said = {name: value for name, value in said.items() if value is not None}
        known = await desk.messages.resolve(message_id)
        return report_sent(await desk.replies.notify_data_protection(known, **said), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _reply(
    message_id: str,
    message_type: str,
    fields: dict[str, Any],
    home: Path,
    passphrase_file: Path | None,
    *,
    as_json: bool,
) -> None:
    async def work(desk: Desk) -> int | None:
        known = await desk.messages.resolve(message_id)
        return report_sent(await desk.replies.reply(known, message_type, **fields), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _named(targets: Sequence[str] | None) -> dict[str, Any]:
    return {"targets": list(targets)} if targets else {}
