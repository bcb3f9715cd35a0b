"""An officer's commands: write, send, read, acknowledge, answer, track, verify."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from rich.progress import Progress

from exchange.cli.files import read_document, read_file, write_out
from exchange.cli.laws import print_hints
from exchange.cli.options import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    PassphraseOption,
    run,
    with_desk,
)
from exchange.cli.output import EXIT_UNVERIFIED, err, line, plain, print_json, safe, table
from exchange.i18n import _
from exchange.labels import code_label, state_label
from keys.files import PRIVATE_MODE
from protocol.errors import DuplicateRequestError, InvalidMessageError, LawsDifferError, UnavailableError, UsageError

if TYPE_CHECKING:
    from exchange.comparison import Hint
    from exchange.desk import Desk
    from exchange.duplicates import Duplicate
    from exchange.reading import ReadLine
    from exchange.views import ReceiptRow, SentMessage, TargetRow, Tracking, VerificationReport

IdArgument = Annotated[str, typer.Argument(help=_("The message's id, or its first or last characters."))]
SHORT_ID = 8  # the end of an id: its beginning is a time, alike in neighbours
WaitOption = Annotated[float, typer.Option("--wait", min=0, max=30, help=_("Seconds to wait for something new."))]
OfflineOption = Annotated[bool, typer.Option("--offline", help=_("Do not contact the node."))]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command(
        help=_(
            "Write a draft to fill in.\n\nExample: comity new --template preservation-ip --set port=51544 --out r.json"
        )
    )(new)
    app.command(help=_("Check, seal and send a draft.\n\nExample: comity send request.json"))(send)
    app.command(help=_("Fetch and list messages.\n\nExample: comity inbox --wait 20"))(inbox)
    app.command(help=_("Find messages by words in them.\n\nExample: comity search Roubaix mailbox"))(search)
    app.command(help=_("Show a message; its sender learns that it was opened.\n\nExample: comity show 7f3a"))(show)
    app.command(help=_("Acknowledge a request.\n\nExample: comity acknowledge 7f3a --eta 2026-11-23T09:00:00+01:00"))(
        acknowledge
    )
    app.command(help=_("Tell the sender why a message is out of order.\n\nExample: comity explain 7f3a"))(explain)
    app.command(help=_("Answer a request for its targets.\n\nExample: comity answer 7f3a answer.json"))(answer)
    app.command(
        name="accept-conditions",
        help=_("Accept the conditions under which something was given.\n\nExample: comity accept-conditions 7f3a"),
    )(accept_conditions)
    app.command(help=_("What is proved of a message, and where its case stands.\n\nExample: comity track 7f3a"))(track)
    app.command(help=_("Verify a message, or an exported file, again.\n\nExample: comity verify 7f3a"))(verify)
    app.command(help=_("Write a message with its proofs to a file.\n\nExample: comity export 7f3a evidence.cbor"))(
        export
    )


# --- Writing and sending ---


def new(
    message_type: Annotated[str | None, typer.Argument(help=_("Such as preservation.request."))] = None,
    out: Annotated[Path | None, typer.Option("--out", help=_("The file to write; else standard output."))] = None,
    reply_to: Annotated[
        str | None, typer.Option("--reply-to", help=_("The message that it answers: addressed, in its thread."))
    ] = None,
    template: Annotated[str | None, typer.Option("--template", help=_("The template to begin with."))] = None,
    case: Annotated[Path | None, typer.Option("--from", help=_("Fields to begin with, JSON or YAML."))] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", help=_("NAME=VALUE for a placeholder of the template; repeat it."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a draft."""

    async def start() -> None:
        write({})

    async def reply(desk: Desk) -> None:
        begun, _missing = begin()
        write(plain(await desk.reply_draft(await desk.resolve(reply_to or ""), begun["type"])))

    def begin() -> tuple[dict[str, Any], Mapping[str, str]]:
        """What template and case file give, with the type, and the placeholders without a value."""
        from exchange.settings import Home
        from exchange.templates import fill, find_template

        given = read_document(case) if case is not None else {}
        if template is None:
            if values:
                raise UsageError(_("--set is for the placeholders of a --template"))
            return {"type": message_type or "preservation.request", **given}, {}
        found = find_template(Home(home.expanduser()).templates, template)
        filled = fill(found, _placeholder_values(values or []), given)
        return filled.draft, filled.missing

    def write(known: dict[str, Any]) -> None:
        from exchange.drafts import empty_draft
        from exchange.templates import merge
        from protocol.messages import check_outgoing

        begun, missing = begin()
        wanted = message_type or begun["type"]
        if begun["type"] != wanted:
            raise UsageError(_("the template or file is of another type: {type}").format(type=safe(str(begun["type"]))))
        draft = merge(merge(empty_draft(wanted), known), begun)
        text = json.dumps(draft, ensure_ascii=False, indent=2) + "\n"
        if out is None:
            print(text, end="")
            return
        try:
            with out.open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as problem:
            raise UsageError(f"cannot write {out}: {problem.strerror}") from problem
        guide = check_outgoing(draft)
        if as_json:
            fields = [{"field": f, "rule": r, "text": t} for f, r, t in guide]
            print_json({"file": str(out), "fields": fields, "placeholders": dict(missing)})
            return
        if missing:
            table(_("Placeholders without a value"), [_("Name"), _("Meaning")], list(missing.items()))
        table(_("Fields to fill in"), [_("Field"), _("Rule"), _("Meaning")], [(f, _(r), _(t)) for f, r, t in guide])

    run(start if reply_to is None else with_desk(home, passphrase_file, reply), as_json=as_json)


def send(
    file: Annotated[Path, typer.Argument(help=_("The draft."))],
    check: Annotated[bool, typer.Option("--check", help=_("Only check the draft; send nothing."))] = False,
    unless_duplicate: Annotated[
        bool, typer.Option("--unless-duplicate", help=_("Send nothing when another case is about the same target."))
    ] = False,
    unless_warned: Annotated[
        bool, typer.Option("--unless-warned", help=_("Send nothing when the laws of both nations warn of something."))
    ] = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a draft."""

    async def work(desk: Desk) -> int | None:
        draft = _complete(file)
        duplicates = await desk.duplicates_of_draft(draft)
        if duplicates and unless_duplicate:
            named = sorted({str(duplicate.thread) for duplicate in duplicates})
            raise DuplicateRequestError(f"other cases are about the same targets: {', '.join(named)}")
        hints = await desk.compare(draft)
        warnings = sorted({hint.code for hint in hints if hint.warns})
        if warnings and unless_warned:
            raise LawsDifferError(f"the comparison of both nations' laws warns: {', '.join(warnings)}")
        sent = await desk.send(draft)
        return report_sent(sent, as_json=as_json, duplicates=duplicates, hints=hints)

    async def check_only() -> None:
        _complete(file)
        if as_json:
            print_json({"ok": True})
        else:
            line(_("The draft is complete."))

    run(check_only if check else with_desk(home, passphrase_file, work), as_json=as_json)


def _complete(file: Path) -> dict[str, Any]:
    """The draft in ``file``; raises :class:`InvalidMessageError` with all that it lacks."""
    from protocol.messages import check_outgoing

    draft = read_document(file)
    if problems := check_outgoing(draft):
        raise InvalidMessageError(_("the draft is not complete"), tuple(problems))
    return draft


def acknowledge(
    message_id: IdArgument,
    will_answer: Annotated[str, typer.Option("--will-answer", help=_("yes, no or unknown."))] = "yes",
    form: Annotated[str, typer.Option("--form", help=_("The form of the answer."))] = "message",
    eta: Annotated[str | None, typer.Option("--eta", help=_("When the answer is expected (with offset)."))] = None,
    next_update_by: Annotated[
        str | None, typer.Option("--next-update-by", help=_("Or: when the sender hears again (with offset)."))
    ] = None,
    remark: Annotated[str | None, typer.Option("--remark", help=_("A remark for the sender."))] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Acknowledge a request."""

    async def work(desk: Desk) -> int | None:
        sent = await desk.acknowledge(
            await desk.resolve(message_id),
            will_answer=will_answer,
            form=form,
            eta=instant(eta),
            next_update_by=instant(next_update_by),
            remark=remark,
        )
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def answer(
    message_id: IdArgument,
    file: Annotated[Path, typer.Argument(help=_('A JSON object with "targets": what became of each.'))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a request."""

    async def work(desk: Desk) -> int | None:
        given = read_document(file)
        targets = given.get("targets")
        unknown = set(given) - {"targets", "own_reference"}
        if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets) or unknown:
            raise UsageError(_('the answer file holds "targets", a list of objects, and perhaps "own_reference"'))
        sent = await desk.answer(await desk.resolve(message_id), targets, own_reference=given.get("own_reference"))
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def explain(
    message_id: IdArgument,
    remark: Annotated[str | None, typer.Option("--remark", help=_("A remark for the sender."))] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain what is out of order."""

    async def work(desk: Desk) -> int | None:
        return report_sent(await desk.explain(await desk.resolve(message_id), remark=remark), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def accept_conditions(
    message_id: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Accept conditions."""

    async def work(desk: Desk) -> int | None:
        return report_sent(await desk.accept_conditions(await desk.resolve(message_id)), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


# --- Reading ---


def search(
    words: Annotated[list[str], typer.Argument(help=_("Words that all stand in the message."))],
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search messages."""

    async def work(desk: Desk) -> None:
        with Progress(console=err, transient=True, disable=as_json) as shown:
            task = shown.add_task(_("indexed"), total=None)
            messages = await desk.search(
                " ".join(words),
                limit=limit,
                progress=lambda done, total: shown.update(task, completed=done, total=total),
            )
        if as_json:
            print_json({"messages": messages})
            return
        table(
            _("Found"),
            [_("Id"), _("Type"), _("From"), _("To"), _("Sent at"), _("Case")],
            [
                (
                    _short(row.id),
                    code_label("message_type", row.type),
                    row.sender,
                    ", ".join(map(str, row.recipients)),
                    row.sent_at,
                    row.thread,
                )
                for row in messages
            ],
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def inbox(
    sent: Annotated[bool, typer.Option("--sent", help=_("What this desk sent."))] = False,
    unopened: Annotated[bool, typer.Option("--unopened", help=_("Only what nobody here has opened."))] = False,
    unread: Annotated[bool, typer.Option("--unread", help=_("Only what the acting officer has not read."))] = False,
    refused: Annotated[bool, typer.Option("--refused", help=_("What was refused and why, instead."))] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
    wait: WaitOption = 0,
    offline: OfflineOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages."""

    async def work(desk: Desk) -> None:
        reached = await _sync(desk, wait, offline=offline)
        if refused:
            kept = await desk.quarantine(limit=limit)
            if as_json:
                print_json({"refused": kept, "synchronised": reached})
                return
            rows = [(row.at, row.code, row.claimed_sender, row.detail) for row in kept]
            table(_("Refused"), [_("At"), _("Code"), _("Claimed sender"), _("Why")], rows)
            return
        messages = await desk.inbox(sent=sent, unopened=unopened, limit=limit)
        if unread:
            left = await desk.run(desk.office.unread, [row.id for row in messages])
            messages = [row for row in messages if row.id in left]
        if as_json:
            print_json({"messages": messages, "synchronised": reached})
            return
        if not reached and not offline:
            line(_("The node cannot be reached; this is what is here."))
        table(
            _("Sent") if sent else _("Inbox"),
            [_("Id"), _("Type"), _("Urgency"), _("With"), _("Sent at"), _("Opened at"), _("Status")],
            [
                (
                    str(row.id)[-SHORT_ID:],
                    code_label("message_type", row.type),
                    row.urgency,
                    ", ".join(map(str, row.recipients)) if sent else row.sender,
                    row.sent_at,
                    row.opened_at,
                    row.status,
                )
                for row in messages
            ],
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def show(
    message_id: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a message."""

    async def work(desk: Desk) -> None:
        from exchange.reading import read_message

        shown = await desk.show(await desk.resolve(message_id))
        # The sender is told at once; if the node is away, the next synchronisation tells.
        await _sync(desk, 0, offline=False)
        content = json.loads(shown.content)
        duplicates = await desk.duplicates(shown.message)
        if as_json:
            print_json(
                {
                    "message": content,
                    "direction": shown.row.direction,
                    "stored_at": shown.row.stored_at,
                    "notes": shown.notes,
                    "receipts": shown.receipts,
                    "readers": [{"officer": officer, "at": at} for officer, at in shown.readers],
                    "duplicates": duplicates,
                    "reading": read_message(shown.message),
                }
            )
            return
        for note in shown.notes:
            line(safe(_(note)))
        for reader, at in shown.readers:
            line(f"{_('Read by')}: {safe(reader)}, {safe(at)}")
        _print_duplicates(duplicates)
        print_reading(read_message(shown.message))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def track(
    message_id: IdArgument,
    wait: WaitOption = 0,
    offline: OfflineOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Track a message."""

    async def work(desk: Desk) -> None:
        reached = await _sync(desk, wait, offline=offline)
        tracking = await desk.track(await desk.resolve(message_id))
        if as_json:
            print_json({**tracking_object(tracking), "synchronised": reached})
            return
        what = code_label("message_type", tracking.row.type)
        line(f"{what} {tracking.row.id}: {state_label(tracking.state)} [{tracking.state}]")
        for recipient in tracking.recipients:
            _print_receipts(f"{_('Proved for')} {recipient.recipient}", recipient.receipts)
        table(
            _("Targets"),
            [_("Target"), _("State"), _("Expires at"), _("Ground")],
            [target_cells(row) for row in tracking.targets],
        )
        clocks = tracking.clocks
        still_due = {deadline.what for deadline in clocks.deadlines}
        if "acknowledgement" in still_due:
            overdue = f" ({_('overdue')})" if clocks.acknowledgement_overdue else ""
            line(f"{_('Acknowledgement due')}: {safe(clocks.acknowledgement_due)}{overdue}")
        if clocks.answer_eta is not None and "next_update" in still_due:
            line(f"{_('Answer expected')}: {safe(clocks.answer_eta)}")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


# --- Proving ---


def verify(
    what: Annotated[str, typer.Argument(help=_("A message's id, or an exported file."))],
    offline: OfflineOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a message."""

    async def work(desk: Desk) -> int | None:
        file = Path(what)
        if file.is_file():
            report = await _verify_file(desk, read_file(file), offline=offline)
        else:
            report = await desk.proving.verify(await desk.resolve(what), online=not offline)
        if as_json:
            flags = {"ok": report.ok, "complete": report.complete, "witnessed": report.witnessed}
            print_json({**plain(report), **flags})
        else:
            rows = [(check.name, check.ok, check.error or check.detail) for check in report.checks]
            for item in report.receipts:
                name = f"{item.receipt.event} {item.receipt.node} #{item.receipt.index}"
                rows.append((f"{name}: {_('in the log')}", item.inclusion.ok, item.inclusion.error or ""))
                found = item.consistency
                text = safe(found.detail) if found.ok is False else found.error or ""
                rows.append((f"{name}: {_('log still consistent')}", found.ok, text))
                seen = item.witnesses
                rows.append((f"{name}: {_('cosigned by enough witnesses')}", seen.ok, seen.error or seen.detail))
            words = {True: _("holds"), False: _("FAILS"), None: _("not checked")}
            table(_("Verification"), [_("Check"), _("Result"), ""], [(n, words[ok], text) for n, ok, text in rows])
        return None if report.ok else EXIT_UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def export(
    message_id: IdArgument,
    out: Annotated[Path, typer.Argument(help=_("The file to write; it holds the content."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export a message."""

    async def work(desk: Desk) -> None:
        evidence = await desk.proving.export(await desk.resolve(message_id))
        write_out(out, evidence, PRIVATE_MODE)
        if as_json:
            print_json({"file": str(out), "size_bytes": len(evidence)})
        else:
            line(f"{out} ({len(evidence)} B)")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


# --- Inside ---


def receipt_object(row: ReceiptRow) -> dict[str, Any]:
    """A receipt as programs get it."""
    return {
        "event": row.event,
        "node": row.node,
        "index": row.index,
        "at": row.at,
        "recipient": row.recipient,
        "peer": row.peer,
        "reasons": row.reasons,
        "verified": row.verified,
        "error": row.error,
    }


def tracking_object(tracking: Tracking) -> dict[str, Any]:
    """A tracking as programs get it."""
    return {
        "id": tracking.row.id,
        "thread": tracking.row.thread,
        "type": tracking.row.type,
        "from": tracking.row.sender,
        "to": tracking.row.recipients,
        "state": tracking.state,
        "recipients": [
            {
                "recipient": item.recipient,
                "reached": item.reached,
                "failed": item.failed,
                "receipts": [receipt_object(row) for row in item.receipts],
            }
            for item in tracking.recipients
        ],
        "targets": tracking.targets,
        "clocks": tracking.clocks,
    }


def _placeholder_values(given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` texts as values; a value that is JSON is taken as such, so that a number is one."""
    values: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or name in values:
            raise UsageError(_("write each --set once, as NAME=VALUE"))
        try:
            values[name] = json.loads(value)
        except ValueError:
            values[name] = value
    return values


def _short(message_id: UUID) -> str:
    return str(message_id)[-SHORT_ID:]


async def _verify_file(desk: Desk, file: bytes, *, offline: bool) -> VerificationReport:
    from exchange.evidence import verify_evidence

    now = datetime.now(UTC)
    if offline:
        return verify_evidence(file, desk.directory, now)
    return await desk.proving.verify_file(file)


async def _sync(desk: Desk, wait: float, *, offline: bool) -> bool:
    """Whether the node was reached; what is already here is shown in any case."""
    if offline:
        return False
    try:
        await desk.sync(wait)
    except UnavailableError:
        return False
    return True


def report_sent(
    sent: SentMessage, *, as_json: bool, duplicates: Sequence[Duplicate] = (), hints: Sequence[Hint] = ()
) -> int | None:
    if as_json:
        print_json(
            {
                "id": sent.id,
                "thread": sent.thread,
                "digest": sent.digest,
                "status": sent.status,
                "error": sent.error,
                "receipts": [receipt_object(row) for row in sent.receipts],
                "duplicates": duplicates,
                "hints": hints,
            }
        )
    else:
        line(f"{sent.id}: {sent.status}" + (f" ({sent.error})" if sent.error else ""))
        _print_duplicates(duplicates)
        if warnings := [hint for hint in hints if hint.warns]:
            print_hints(warnings)
        if sent.status == "proposed":
            line(_("Another officer releases it: comity draft list"))
        else:
            _print_receipts(_("Receipts"), sent.receipts)
    return 1 if sent.status == "refused" else None


def _print_duplicates(duplicates: Sequence[Duplicate]) -> None:
    if duplicates:
        table(
            _("Other cases are about the same targets"),
            [_("Target"), _("Case"), _("Its target"), _("From"), _("To"), _("Sent at")],
            [
                (row.target, row.thread, row.other_target, row.sender, ", ".join(map(str, row.recipients)), row.sent_at)
                for row in duplicates
            ],
        )


def target_cells(row: TargetRow) -> tuple[object, ...]:
    """A target's name, state, expiry and ground for a table."""
    ground = code_label("refusal_ground", row.refusal_ground) if row.refusal_ground else None
    return row.target, state_label(row.state), row.expires_at, ground


def _print_receipts(title: str, receipts: tuple[ReceiptRow, ...]) -> None:
    table(
        title,
        [_("Event"), _("Meaning"), _("Log of"), _("Entry"), _("At"), _("Verified"), _("Reasons")],
        [
            (
                row.event,
                code_label("receipt_event", row.event),
                row.node,
                row.index,
                row.at,
                row.error or _("yes"),
                ", ".join(row.reasons) or None,
            )
            for row in receipts
        ],
    )


def print_reading(lines: Iterable[ReadLine]) -> None:
    """A message in the reader's language."""
    for read in lines:
        written_in = f" ({read.written_in})" if read.written_in else ""
        text = "" if read.text is None else f" {safe(read.text)}"
        line(f"{'  ' * read.depth}{safe(read.label)}{written_in}:{text}")


def print_fields(path: str, value: Any) -> None:
    """What a draft says, by the names of its fields."""
    if isinstance(value, dict):
        for name, item in value.items():
            print_fields(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            print_fields(f"{path}.{number}", item)
    else:
        line(f"{path}: {safe(value)}")


def instant(text: str | None) -> datetime | None:
    """The instant that a person wrote, with its offset; raises :class:`UsageError`."""
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(_("write an instant as 2026-11-23T09:00:00+01:00")) from None
    if instant.tzinfo is None:
        raise UsageError(_("an instant needs its offset, such as +01:00 or Z"))
    return instant
