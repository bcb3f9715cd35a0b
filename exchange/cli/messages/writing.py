"""An officer writes and sends: drafts, acknowledgements, answers, acceptances."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import uuid4

import typer

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
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _, ngettext
from exchange.text.labels import code_label
from exchange.text.objects import plain
from keys.local.given_files import FileKind
from protocol.encoding.phrase import phrase
from protocol.errors import DuplicateRequestError, InvalidMessageError, LawsDifferError, UsageError

if TYPE_CHECKING:
    from exchange.cases.duplicates import Duplicate
    from exchange.cases.legal_comparison import Hint
    from exchange.desk.desk import Desk
    from exchange.messaging.drafting.cleaning import Removed
    from exchange.views import Caution


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
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a draft."""
    if _is_to_ask(ask, given=bool(out or template or case or values or as_json), wanted=plain_lines or bool(saved)):
        _ask_for_it(message_type, reply_to, saved, home, passphrase_file, plain=plain_lines)

    async def start() -> None:
        write({})

    async def reply(desk: Desk) -> None:
        begun, _missing = begin()
        own = {"language": language} if language is not None else {}
        write(plain(await desk.replies.draft(await desk.messages.resolve(reply_to or ""), begun["type"], **own)))

    def begin() -> tuple[dict[str, Any], Mapping[str, str]]:
        """What template and case file give, with the type, and the placeholders without a value."""
        from exchange.messaging.drafting.templates import fill, find_template
        from exchange.settings import Home

        given = read_document(case, FileKind.FIELDS) if case is not None else {}
        if template is None:
            if values:
                raise UsageError(_("--set is for the placeholders of a --template"))
            return {"type": message_type or "preservation.request", **given}, {}
        found = find_template(Home(home.expanduser()).templates, template)
        filled = fill(found, _placeholder_values(values or []), given)
        as_text = fill(found, _placeholder_texts(values or []), given)
        return _texts_where_wanted(filled.draft, as_text.draft), filled.missing

    def write(known: dict[str, Any]) -> None:
        from exchange.cli.setup.settings import own_block
        from exchange.messaging.drafting.drafts import empty_draft
        from exchange.messaging.drafting.own_block import filled
        from exchange.messaging.drafting.templates import merge
        from exchange.office.draft_ids import DRAFT_ID, without_draft_id

        begun, missing = begin()
        wanted = message_type or begun["type"]
        if begun["type"] != wanted:
            raise UsageError(_("the template or file is of another type: {type}").format(type=safe(str(begun["type"]))))
        draft = merge(merge(empty_draft(wanted), known), without_draft_id(begun))
        draft = filled(draft, own_block(home))
        if out is not None:  # from now on it is that draft, however often it is changed and sent
            draft = {"type": draft["type"], DRAFT_ID: str(uuid4()), **draft}
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

    run(start if reply_to is None else with_desk(home, passphrase_file, reply), as_json=as_json)


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
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a draft."""
    if (file is None) == (saved is None):
        raise UsageError(_("name a file, or a saved draft with --draft"))
    checks = _Checks(unless_duplicate, unless_warned, at_once)

    async def work(desk: Desk) -> int | None:
        if saved is not None and not check and (sent := await desk.messages.sent_as(saved)):
            return report_sent_many(sent, as_json=as_json) if split else report_sent(sent[0], as_json=as_json)
        drafts, removed = _complete(await desk.messages.filled(await given(desk)), split=split, clean=clean)
        if check:
            say(drafts, removed)
            return None
        if leave_out:
            drafts = [{**draft, "leave_out": leave_out} for draft in drafts]
        if len(drafts) > 1:
            return await _send_several(desk, drafts, checks, removed, as_json=as_json)
        return await _send_one(desk, drafts[0], checks, removed, as_json=as_json)

    async def given(desk: Desk) -> dict[str, Any]:
        return await desk.messages.export_draft(saved or "") if file is None else read_document(file)

    async def check_file() -> None:
        from exchange.cli.setup.settings import own_block
        from exchange.messaging.drafting.own_block import filled

        say(*_complete(filled(read_document(file or Path()), own_block(home)), split=split, clean=clean))

    def say(parts: list[dict[str, Any]], removed: tuple[Removed, ...] | None) -> None:
        if as_json:
            said: dict[str, Any] = {"messages": len(parts)} if split else {}
            said["can_be_passed_on"] = all(map(_can_be_passed_on, parts))
            print_json({"ok": True, **said, **({"removed": removed} if clean else {})})
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


class _Checks(NamedTuple):
    """What keeps a draft from being sent, or apart from its siblings, because the officer said so."""

    unless_duplicate: bool
    unless_warned: bool
    at_once: bool


async def _send_one(
    desk: Desk, draft: dict[str, Any], checks: _Checks, removed: Sequence[Removed] | None, *, as_json: bool
) -> int | None:
    if await desk.messages.sent_before([draft]):
        return report_sent(await desk.messages.send(draft), as_json=as_json, removed=removed)
    # An officer who wants none sent waits until all is indexed; one who only wants to be told does not.
    duplicates = await desk.cases.duplicates_of_draft(draft, everything=checks.unless_duplicate)
    not_searched = await desk.cases.not_searched()
    if checks.unless_duplicate:
        _require_no_duplicate(duplicates)
    hints = await desk.cases.compare_laws(draft)
    if checks.unless_warned:
        _require_no_warning(hints, await desk.cases.cautions_of_draft(draft))
    if not as_json:
        _say_what_cannot_be_passed_on([draft])
    sent = await desk.messages.send(draft, unless_duplicate=checks.unless_duplicate, at_once=checks.at_once)
    return report_sent(
        sent, as_json=as_json, duplicates=duplicates, not_searched=not_searched, hints=hints, removed=removed
    )


def _complete(
    draft: dict[str, Any], *, split: bool, clean: bool
) -> tuple[list[dict[str, Any]], tuple[Removed, ...] | None]:
    """The draft, in parts if ``split``, and what was removed from it if ``clean``.

    Raises :class:`InvalidMessageError` with all that it lacks.
    """
    from exchange.messaging.drafting.cleaning import cleaned
    from exchange.messaging.drafting.splitting import split_request
    from protocol.messages.parse import check_outgoing

    removed = None
    if clean:
        draft, removed = cleaned(draft)
    parts = split_request(draft) if split else [draft]
    problems: list[tuple[str, str, str]] = []
    before = 0
    for part in parts:
        problems += [(_of_whole(field, before), rule, text) for field, rule, text in check_outgoing(part)]
        before += len(part["targets"]) if len(parts) > 1 else 0
    if problems:
        raise InvalidMessageError(_("the draft is not complete"), tuple(dict.fromkeys(problems)))
    return parts, removed


def _of_whole(field: str, before: int) -> str:
    """The field of a part as it is called in the draft, in which ``before`` targets stand before the part's own."""
    found = re.match(r"targets\.([0-9]+)(?=\.|$)", field)
    return f"targets.{int(found[1]) + before}{field[found.end() :]}" if found else field


async def _send_several(
    desk: Desk, drafts: list[dict[str, Any]], checks: _Checks, removed: Sequence[Removed] | None, *, as_json: bool
) -> int | None:
    """Send the parts of one request: all of them are checked before the first is sent; the exit code."""
    if await desk.messages.sent_before(drafts):
        return report_sent_many(await desk.messages.send_many(drafts), as_json=as_json, removed=removed)
    everything = checks.unless_duplicate
    found = [await desk.cases.duplicates_of_draft(part, everything=everything) for part in drafts]
    duplicates = [duplicate for part in found for duplicate in part]
    if checks.unless_duplicate:
        _require_no_duplicate(duplicates)
    if not as_json:
        _say_what_cannot_be_passed_on(drafts)
    hints = await desk.cases.compare_laws(drafts[0])  # all that the laws speak of is the same in each part
    if checks.unless_warned:
        cautions = [caution for part in drafts for caution in await desk.cases.cautions_of_draft(part)]
        _require_no_warning(hints, cautions)
    sent = await desk.messages.send_many(drafts, unless_duplicate=checks.unless_duplicate, at_once=checks.at_once)
    return report_sent_many(
        sent,
        as_json=as_json,
        duplicates=duplicates,
        not_searched=await desk.cases.not_searched(),
        hints=hints,
        removed=removed,
    )


def _can_be_passed_on(draft: dict[str, Any]) -> bool:
    from protocol.messages.types.forward import Forward, can_be_passed_on

    content, to = json.dumps(draft, ensure_ascii=False, separators=(",", ":")).encode(), draft.get("to")
    return draft.get("type") == Forward.TYPE or can_be_passed_on(content, len(to) if isinstance(to, list) else 1)


def _say_what_cannot_be_passed_on(drafts: Sequence[dict[str, Any]]) -> None:
    if not all(map(_can_be_passed_on, drafts)):
        line(
            _(
                "The recipient cannot pass this message on to another office: with its proofs it is too long (some 400 "
                "KB can be passed on). If they may need to, send it in parts: comity send --split."
            )
        )


def _require_no_duplicate(duplicates: Sequence[Duplicate]) -> None:
    if duplicates:
        named = sorted({str(duplicate.thread) for duplicate in duplicates})
        raise DuplicateRequestError(phrase("other cases are about the same targets: {names}", names=", ".join(named)))


def _require_no_warning(hints: Sequence[Hint], cautions: Sequence[Caution]) -> None:
    if warnings := sorted({hint.code for hint in hints if hint.warns}):
        raise LawsDifferError(phrase("the comparison of both nations' laws warns: {names}", names=", ".join(warnings)))
    if cautions:
        problems = tuple((one.field, "caution", code_label(one.codes, one.code)) for one in cautions)
        raise InvalidMessageError(_("the draft has something to look at again"), problems)


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


def _texts_where_wanted(draft: dict[str, Any], as_text: Mapping[str, Any]) -> dict[str, Any]:
    """``draft`` with a value as text where its field is one: an account may be called 12345, or true.

    ``as_text`` is the same draft with every value that was given as the text that was written.
    """
    from protocol.messages.parse import check_outgoing

    for field, _rule, _text in check_outgoing(draft):
        holder: Any = draft
        written: Any = as_text
        *way, last = (int(step) if step.isdigit() else step for step in field.split("."))
        with suppress(LookupError, TypeError):
            for step in way:
                holder, written = holder[step], written[step]
            if isinstance(written[last], str) and not isinstance(holder[last], str):
                holder[last] = written[last]
    return draft


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
