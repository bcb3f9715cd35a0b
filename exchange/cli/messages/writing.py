"""An officer writes and sends: drafts, acknowledgements, answers, acceptances."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from exchange.cli._attaching import (
    AttachOption,
    HashOption,
    check_files,
    file_progress,
    forget_files,
    names_attached,
    say_renamed,
    wanted_files,
)
from exchange.cli._options import (
    DEFAULT_HOME,
    AtOnceOption,
    CleanOption,
    HomeOption,
    IdArgument,
    JsonOption,
    LanguageOption,
    OutOrPrintOption,
    PassphraseOption,
    RemarkOption,
    code_in,
    instant,
    run,
    with_desk,
)
from exchange.cli.messages.files import read_document
from exchange.cli.messages.printing import print_removed, report_sent, report_sent_many
from exchange.cli.output import line, print_json, table
from exchange.i18n import _, ngettext
from exchange.text.objects import plain
from keys.local.given_files import FileKind
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.acts.sending import SentDrafts
    from exchange.desk.desk import Desk
    from exchange.messaging.drafting.cleaning import Removed


def new(
    message_type: Annotated[
        str | None, typer.Argument(callback=code_in("message_type"), help=_("Such as preservation.request."))
    ] = None,
    out: OutOrPrintOption = None,
    reply_to: Annotated[
        str | None,
        typer.Option("--reply-to", help=_("The message you answer. The draft takes its recipient and thread.")),
    ] = None,
    language: LanguageOption = None,
    template: Annotated[str | None, typer.Option("--template", help=_("The template to begin with."))] = None,
    case: Annotated[Path | None, typer.Option("--from", help=_("Fields to begin with, JSON or YAML."))] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help=_("NAME=VALUE for a placeholder of the template; repeat it."))
    ] = None,
    saved: Annotated[str | None, typer.Option("--draft", help=_("Go on asking for a draft that was kept."))] = None,
    ask: Annotated[
        bool | None,
        typer.Option("--ask/--empty", help=_("Ask for each part, or write an empty draft; at a terminal it asks.")),
    ] = None,
    plain_lines: Annotated[
        bool, typer.Option("--plain", help=_("Ask without editing of lines, as for a screen reader."))
    ] = False,
    attach: AttachOption = None,
    hashes: HashOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a draft."""
    if _is_to_ask(ask, given=bool(out or template or case or values or as_json), wanted=plain_lines or bool(saved)):
        _ask_for_it(message_type, reply_to, saved, home, passphrase_file, plain=plain_lines)

    async def start() -> None:
        write({})

    async def on_desk(desk: Desk) -> None:
        known: dict[str, Any] = {}
        if reply_to is not None:
            begun, _missing = begin()
            own = {"language": language} if language is not None else {}
            replied = await desk.messages.resolve(reply_to)
            known = plain(await desk.replies.draft(replied, begun["type"], **own))
        write(await _with_files(desk, known, begin()[0], as_json=as_json))

    def begin() -> tuple[dict[str, Any], Mapping[str, str]]:
        """What template and case file give, with the type, and the placeholders without a value."""
        from exchange.acts.drafting import beginning
        from exchange.settings import Home

        given = read_document(case, FileKind.FIELDS) if case is not None else {}
        filled, as_text = _placeholder_values(values or []), _placeholder_texts(values or [])
        return beginning(Home(home.expanduser()).templates, message_type, template, filled, as_text, given)

    def write(known: dict[str, Any]) -> None:
        from exchange.acts.drafting import put_together
        from exchange.cli.setup.settings import own_block
        from exchange.messaging.drafting.own_block import filled
        from exchange.office.draft_ids import DRAFT_ID, without_draft_id

        begun, missing = begin()
        draft = put_together(message_type, begun, known)
        if known.get("attachments"):
            draft["attachments"] = known["attachments"]
        draft = filled(draft, own_block(home))
        if out is not None:  # from now on it is that draft, however often it is changed and sent
            draft = {"type": draft["type"], DRAFT_ID: known.get(DRAFT_ID) or str(uuid4()), **without_draft_id(draft)}
        text = json.dumps(draft, ensure_ascii=False, indent=2) + "\n"
        if out is None:
            print(text, end="")
            return
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as problem:
            raise UsageError(phrase("cannot write {path}: {error}", path=out, error=problem.strerror)) from problem
        _print_what_is_left(out, draft, missing, as_json=as_json)

    run(start if reply_to is None and not attach else with_desk(home, passphrase_file, on_desk), as_json=as_json)


async def _with_files(desk: Desk, known: dict[str, Any], begun: dict[str, Any], *, as_json: bool) -> dict[str, Any]:
    """What is known of a draft, with its files: sealed for the draft's own id, and named without their keys."""
    files = wanted_files()
    forget_files()
    if not files:
        return known
    say_renamed(files)
    with file_progress(as_json=as_json) as told:
        return dict(await desk.files.attach({**known, **begun, "draft_id": str(uuid4())}, files, told))


def _print_what_is_left(out: Path, draft: dict[str, Any], missing: Mapping[str, str], *, as_json: bool) -> None:
    """What a person still fills in, in the file of a draft."""
    from protocol.messages.parse import check_outgoing

    guide = check_outgoing(draft)
    if as_json:
        fields = [{"field": f, "rule": r, "text": t} for f, r, t in guide]
        print_json({"file": str(out), "fields": fields, "placeholders": dict(missing)})
        return
    if missing:
        table(_("Placeholders without a value"), [_("Name"), _("Meaning")], list(missing.items()))
    table(_("Fields to fill in"), [_("Field"), _("Rule"), _("Meaning")], [(f, _(r), _(t)) for f, r, t in guide])


def _is_to_ask(ask: bool | None, *, given: bool, wanted: bool) -> bool:
    """Whether the parts are asked for: where that is said, or at a terminal where nothing else is."""
    if (ask or wanted) and given:
        raise UsageError(_("--out, --template, --from, --set and --json write a draft without asking"))
    at_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return wanted or (at_terminal and not given if ask is None else ask)


def _ask_for_it(
    message_type: str | None,
    reply_to: str | None,
    saved: str | None,
    home: Path,
    passphrase_file: Path | None,
    *,
    plain: bool,
) -> None:
    async def asked(desk: Desk) -> int | None:
        from exchange.cli.messages.wizard import ask_for_message

        replied = await desk.messages.resolve(reply_to) if reply_to is not None else None
        return await ask_for_message(desk, message_type, reply_to=replied, saved=saved, plain=plain)

    run(with_desk(home, passphrase_file, asked), as_json=False)


def send(
    file: Annotated[Path | None, typer.Argument(help=_("The draft."))] = None,
    saved: Annotated[
        str | None, typer.Option("--draft", help=_("Or: a saved draft, by its id or its first or last characters."))
    ] = None,
    check: Annotated[bool, typer.Option("--check", help=_("Only check the draft; send nothing."))] = False,
    unless_duplicate: Annotated[
        bool, typer.Option("--unless-duplicate", help=_("Send nothing when another case is about the same target."))
    ] = False,
    unless_warned: Annotated[
        bool,
        typer.Option("--unless-warned", help=_("Send nothing when the laws or the draft give a warning.")),
    ] = False,
    split: Annotated[
        bool, typer.Option("--split", help=_("Send several requests when the targets are too many for one message."))
    ] = False,
    clean: CleanOption = False,
    at_once: AtOnceOption = False,
    leave_out: Annotated[
        list[str] | None,
        typer.Option(
            "--leave-out",
            help=_(
                "Leave this field out for recipients whose desk is too old for it (all: every such field); may be"
                " repeated."
            ),
        ),
    ] = None,
    attach: AttachOption = None,
    hashes: HashOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a draft."""
    if (file is None) == (saved is None):
        raise UsageError(_("name a file, or a saved draft with --draft"))

    async def work(desk: Desk) -> int | None:
        from exchange.acts.sending import SendingChecks, complete, send_checked

        if saved is not None and not check and (sent := await desk.messages.sent_as(saved)):
            return report_sent_many(sent, as_json=as_json) if split else report_sent(sent[0], as_json=as_json)
        filled_in = await desk.messages.filled(await given(desk))
        drafts, removed = complete(filled_in, split=split, clean=clean, files=names_attached())
        if check:
            check_files()
            say(drafts, removed)
            return None
        if leave_out:
            drafts = [{**draft, "leave_out": leave_out} for draft in drafts]
        if not as_json and not await desk.messages.sent_before(drafts):
            _say_what_cannot_be_passed_on(drafts)
        done = await send_checked(desk, drafts, SendingChecks(unless_duplicate, unless_warned, at_once))
        return _report_drafts(done, removed, several=len(drafts) > 1, as_json=as_json)

    async def given(desk: Desk) -> dict[str, Any]:
        return await desk.messages.export_draft(saved or "") if file is None else read_document(file)

    async def check_file() -> None:
        from exchange.acts.sending import complete
        from exchange.cli.setup.settings import own_block
        from exchange.messaging.drafting.own_block import filled

        check_files()
        written = filled(read_document(file or Path()), own_block(home))
        say(*complete(written, split=split, clean=clean, files=names_attached()))

    def say(parts: list[dict[str, Any]], removed: tuple[Removed, ...] | None) -> None:
        if as_json:
            from exchange.acts.sending import checked_object

            print_json(checked_object(parts, removed, split=split))
            return
        print_removed(removed or ())
        _say_what_cannot_be_passed_on(parts)
        if len(parts) > 1:
            text = ngettext(
                "The draft is complete: it goes as {count} message.",
                "The draft is complete: it goes as {count} messages.",
                len(parts),
            )
            line(text.format(count=len(parts)))
        else:
            line(_("The draft is complete."))

    on_desk = with_desk(home, passphrase_file, work)
    run(check_file if check and file is not None else on_desk, as_json=as_json)


def _report_drafts(done: SentDrafts, removed: Sequence[Removed] | None, *, several: bool, as_json: bool) -> int | None:
    """What became of a draft, or of its parts; the exit code."""
    compared: dict[str, Any] = {
        "duplicates": done.duplicates,
        "not_searched": done.not_searched,
        "hints": done.hints,
        "removed": removed,
    }
    if several:
        return report_sent_many(done.sent, as_json=as_json, **compared)
    return report_sent(done.sent[0], as_json=as_json, **compared)


def _say_what_cannot_be_passed_on(drafts: Sequence[dict[str, Any]]) -> None:
    from exchange.acts.sending import may_be_passed_on

    if not all(map(may_be_passed_on, drafts)):
        line(
            _(
                "The recipient cannot pass this message on to another office: with its proofs it is too long (some 400 "
                "KB can be passed on). If they may need to, send it in parts: comity send --split."
            )
        )


def acknowledge(
    message_id: IdArgument,
    will_answer: Annotated[
        str, typer.Option("--will-answer", callback=code_in("will_answer"), help=_("yes, no or unknown."))
    ] = "yes",
    form: Annotated[
        str, typer.Option("--form", callback=code_in("answer_form"), help=_("The form of the answer."))
    ] = "message",
    eta: Annotated[
        str | None, typer.Option("--eta", help=_("When the answer is expected (date and time with time zone)."))
    ] = None,
    next_update_by: Annotated[
        str | None, typer.Option("--next-update-by", help=_("Or: when the sender will get an update (with time zone)."))
    ] = None,
    remark: RemarkOption = None,
    language: LanguageOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge a request."""

    async def work(desk: Desk) -> int | None:
        sent = await desk.replies.acknowledge(
            await desk.messages.resolve(message_id),
            will_answer=will_answer,
            form=form,
            eta=instant(eta),
            next_update_by=instant(next_update_by),
            remark=remark,
            language=language,
        )
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def answer(
    message_id: IdArgument,
    file: Annotated[Path, typer.Argument(help=_('A JSON object with "targets": what became of each.'))],
    language: LanguageOption = None,
    attach: AttachOption = None,
    hashes: HashOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a request."""

    async def work(desk: Desk) -> int | None:
        given = read_document(file, FileKind.ANSWER)
        targets = given.get("targets")
        unknown = set(given) - {"targets", "own_reference"}
        if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets) or unknown:
            raise UsageError(_('the answer file holds "targets", a list of objects, and perhaps "own_reference"'))
        sent = await desk.replies.answer(
            await desk.messages.resolve(message_id),
            targets,
            own_reference=given.get("own_reference"),
            language=language,
        )
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def explain(
    message_id: IdArgument,
    remark: RemarkOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what is out of order."""

    async def work(desk: Desk) -> int | None:
        return report_sent(
            await desk.replies.explain(await desk.messages.resolve(message_id), remark=remark), as_json=as_json
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def accept_conditions(
    message_id: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept conditions."""

    async def work(desk: Desk) -> int | None:
        return report_sent(
            await desk.replies.accept_conditions(await desk.messages.resolve(message_id)), as_json=as_json
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def offer(
    file: Annotated[Path, typer.Argument(help=_("The draft of an answer, or of information, JSON or YAML."))],
    attach: AttachOption = None,
    hashes: HashOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Offer what a draft gives."""

    async def work(desk: Desk) -> int | None:
        return report_sent(await desk.messages.offer(read_document(file)), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def give(
    message_id: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send what was offered."""

    async def work(desk: Desk) -> int | None:
        return report_sent(await desk.messages.give(await desk.messages.resolve(message_id)), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _placeholder_values(given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as values; a value that is JSON is taken as such, so that a number is one."""
    values: dict[str, Any] = dict(_placeholder_texts(given))
    for name, value in values.items():
        with suppress(ValueError, RecursionError):
            values[name] = json.loads(value)
    return values


def _placeholder_texts(given: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts by name; raises :class:`UsageError`."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in values:
            raise UsageError(_("write each --set once, as NAME=VALUE"))
        values[name] = value
    return values
