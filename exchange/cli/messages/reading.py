"""An officer reads: messages, what is proved of them, where their cases stand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    DisclosureOption,
    EvidenceFilesOption,
    HomeOption,
    IdArgument,
    JsonOption,
    LimitOption,
    PassphraseOption,
    TsaRootsOption,
    WaitOption,
    run,
    with_desk,
)
from exchange.cli.messages.files import files_in_folders, read_disclosure, read_roots
from exchange.cli.messages.printing import (
    print_cautions,
    print_duplicates,
    print_receipts,
    print_targets,
    sent_cell,
)
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, progress, safe, table, told
from exchange.i18n import _, labelled, ngettext
from exchange.text.labels import code_label, how_far_label, marked, short_label, state_until
from exchange.text.objects import plain, tracking_object
from exchange.text.typed import read_otherwise
from keys.local.given_files import FileKind, read_given, reading_as
from keys.local.terminal import UNCHECKED, UNVERIFIED, at_once
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.cases.duplicates import Duplicate
    from exchange.desk.desk import Desk
    from exchange.text.rendering import ReadLine
    from exchange.views import CaseRow, HowFar, InboxRow, ShownMessage, VerificationReport

OfflineOption = Annotated[bool, typer.Option("--offline", help=_("Do not contact the node."))]


def search(
    words: Annotated[list[str], typer.Argument(help=_("Words that all stand in the message."))],
    limit: LimitOption = 50,
    everything: Annotated[
        bool, typer.Option("--all", help=_("Look into all messages, however long it takes to index them first."))
    ] = False,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search messages."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, sync=sync)
        with progress(_("indexed"), as_json=as_json) as moved:
            found = await desk.cases.search(
                " ".join(words),
                limit=limit,
                everything=everything,
                progress=moved,
            )
        otherwise = read_otherwise(" ".join(words))
        if as_json:
            print_json({**plain(found), "read_otherwise": [plain(one) for one in otherwise], **reached.members()})
            return
        reached.say()
        for one in otherwise:
            line(_("Looked for as {read}; typed was {typed}.").format(read=safe(one.read), typed=safe(one.typed)))
        table(
            _("Found"),
            [_("Id"), _("Type"), _("From"), _("To"), _("Sent at"), _("Case")],
            [
                (
                    _short(row.id),
                    marked(code_label("message_type", row.type), suspected=row.suspected),
                    row.sender,
                    ", ".join(map(str, row.recipients)),
                    sent_cell(row),
                    _short(row.thread),
                )
                for row in found.messages
            ],
        )
        for parent in found.parents:
            text = _("Asked of several nations ({nations}): {parent} {reference}")
            nations = ", ".join(parent.nations)
            line(text.format(nations=nations, parent=parent.id, reference=safe(parent.own_reference or "")))
        if found.more:
            line(_("More messages fit: give --limit, or more words."))
        if found.not_searched:
            line(
                ngettext(
                    "{count} message not searched: it is not indexed yet. A watch does it in quiet moments;"
                    " comity search --all does it now.",
                    "{count} messages not searched: they are not indexed yet. A watch does it in quiet moments;"
                    " comity search --all does it now.",
                    found.not_searched,
                ).format(count=found.not_searched)
            )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def inbox(
    sent: Annotated[bool, typer.Option("--sent", help=_("Show what this desk sent."))] = False,
    unopened: Annotated[bool, typer.Option("--unopened", help=_("Only what nobody here has opened."))] = False,
    unread: Annotated[bool, typer.Option("--unread", help=_("Only what the acting officer has not read."))] = False,
    refused: Annotated[bool, typer.Option("--refused", help=_("Show instead what was refused, and why."))] = False,
    limit: LimitOption = 50,
    wait: WaitOption = 0,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, wait, sync=sync)
        if refused:
            kept = await desk.messages.quarantine(limit=limit + 1)
            more = len(kept) > limit
            if as_json:
                print_json({"refused": kept[:limit], "more": more, **reached.members()})
                return
            reached.say()
            rows = [(row.at, row.code, row.claimed_sender, told(row.detail)) for row in kept[:limit]]
            table(_("Refused"), [_("At"), _("Code"), _("Claimed sender"), _("Why")], rows)
            _say_more(more)
            return
        page = await desk.messages.inbox_page(sent=sent, unopened=unopened, limit=limit)
        messages = page.messages
        if unread:
            left = await desk.messages.unread([row.id for row in messages])
            messages = [row for row in messages if row.id in left]
        far = await desk.cases.how_far_sent(messages)
        if as_json:
            print_json({"messages": messages, "more": page.more, "how_far": far, **reached.members()})
            return
        reached.say()
        cases = await desk.cases.of_threads({row.thread for row in messages})
        table(
            _("Sent") if sent else _("Inbox"),
            [
                _("Id"), _("Type"), _("Urgency"), _("With"), _("Case"), _("Our reference"), _("Their reference"),
                _("Subject"), _("Sent at"), _("Opened at"), _("Status"),
            ],
            [_inbox_cells(row, cases.get(row.thread), far.get(str(row.id), ()), sent=sent) for row in messages],
        )  # fmt: skip
        if unread and page.more:
            text = _("Only the newest messages were looked at ({count}): give --limit.")
            line(text.format(count=limit))
        else:
            _say_more(page.more)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _say_more(more: bool) -> None:
    if more:
        line(_("There are older ones: give --limit."))


def _inbox_cells(row: InboxRow, case: CaseRow | None, far: Sequence[HowFar], *, sent: bool) -> tuple[object, ...]:
    """A message with its case: both references, and what it is about."""
    return (
        str(row.id)[-SHORT_ID:],
        marked(code_label("message_type", row.type), suspected=row.suspected),
        short_label("urgency", row.urgency),
        ", ".join(map(str, row.recipients)) if sent else row.sender,
        str(row.thread)[-SHORT_ID:],
        case.own_reference if case is not None else row.own_reference if sent else None,
        case.peer_reference if case is not None else None if sent else row.own_reference,
        case.offence if case is not None else None,
        sent_cell(row),
        row.opened_at,
        how_far_label(far) if far else None,
    )


def show(
    message_id: IdArgument,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a message."""

    async def work(desk: Desk) -> None:
        from exchange.acts.messages import message_object

        # Its sender may have taken it back, or corrected it, since the desk last asked.
        reached = await synced(desk, sync=sync)
        reached.say()
        known = await desk.messages.resolve(message_id)
        shown = await desk.messages.read(known)
        duplicates, not_searched = await desk.cases.duplicates(shown.message), await desk.cases.not_searched()
        far = (await desk.cases.how_far([known]))[known]
        # Rendered as a whole, then written: its sender is told that it was opened when it was, and not before.
        with at_once():
            if as_json:
                print_json({**message_object(shown, duplicates, not_searched), **reached.members()})
            else:
                _print_shown(shown, far, duplicates, not_searched)
        await desk.messages.opened(known)
        # The sender is told at once; if the node is away, the next synchronisation tells.
        if reached.done:
            (await synced(desk)).say()

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print_shown(
    shown: ShownMessage, far: Sequence[HowFar], duplicates: Sequence[Duplicate], not_searched: int
) -> None:
    from exchange.custody.reading import with_states
    from exchange.letters.fingerprint import fingerprint_of
    from exchange.text.rendering import read_message

    if far:
        line(labelled(_("How far it is"), how_far_label(far)))
    for note in shown.notes:
        line(safe(_(note)))
    print_cautions(shown.cautions)
    for reader, at in shown.readers:
        line(_("Read by: {officer}, {at}").format(officer=safe(reader), at=safe(at)))
    print_duplicates(duplicates, not_searched)
    line(labelled(_("Fingerprint"), fingerprint_of(shown.digest)))
    print_reading(with_states(read_message(shown.message, shown.original), shown))


def track(
    message_id: IdArgument,
    wait: WaitOption = 0,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Track a message."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, wait, sync=sync)
        message = await desk.messages.resolve(message_id)
        tracking, files = await desk.messages.track(message), await desk.files.tracking(message, ask=reached.done)
        if as_json:
            print_json({**tracking_object(tracking, files), **reached.members()})
            return
        reached.say()
        what = code_label("message_type", tracking.row.type)
        text = _("{what} {message}: {state} [{code}]")
        state = state_until(tracking.state, tracking.row.sent_at)
        line(text.format(what=what, message=tracking.row.id, state=state, code=tracking.state))
        if tracking.how_far:
            line(labelled(_("How far it is"), how_far_label(tracking.how_far)))
        for recipient in tracking.recipients:
            print_receipts(_("Proved for {recipient}").format(recipient=recipient.recipient), recipient.receipts)
        print_targets(tracking.targets)
        if files is not None:
            from exchange.cli.evidence.files import print_hops

            print_hops(files)
        clocks = tracking.clocks
        still_due = {deadline.what for deadline in clocks.deadlines}
        if "acknowledgement" in still_due:
            text = (
                _("Acknowledgement due: {at} (overdue)")
                if clocks.acknowledgement_overdue
                else _("Acknowledgement due: {at}")
            )
            line(text.format(at=safe(clocks.acknowledgement_due)))
        if clocks.answer_eta is not None and "next_update" in still_due:
            line(labelled(_("Answer expected"), safe(clocks.answer_eta)))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def verify(
    what: Annotated[str, typer.Argument(help=_("A message's id, or an evidence bag."))],
    offline: OfflineOption = False,
    disclosure: DisclosureOption = None,
    tsa_roots: TsaRootsOption = None,
    files: EvidenceFilesOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify a message."""

    async def work(desk: Desk) -> int | None:
        file, reached = Path(what), None
        if file.is_file():
            beside = files_in_folders(files or ())
            report = await _verify_bag(desk, file, (disclosure, tsa_roots), beside, offline=offline)
        elif disclosure is not None or tsa_roots is not None or files:
            raise UsageError(_("give --disclosure, --tsa-roots and --files with an evidence bag: this is no file"))
        else:
            reached = await synced(desk, sync=not offline)
            report = await desk.evidence.verify(await desk.messages.resolve(what), online=not offline)
        if reached is not None and not as_json:
            reached.say()
        if as_json:
            from exchange.acts.evidence import verification_object

            known = reached.members() if reached is not None else {}
            print_json({**verification_object(report), **known})
        else:
            line(safe(report.sentence))
            rows = [(check.name, check.ok, check.error or told(check.detail)) for check in report.checks]
            for item in report.receipts:
                name = f"{item.receipt.event} {item.receipt.node} #{item.receipt.index}"
                rows.append((labelled(name, _("in the log")), item.inclusion.ok, item.inclusion.error or ""))
                found = item.consistency
                text = told(found.detail) if found.ok is False else found.error or ""
                rows.append((labelled(name, _("log still consistent")), found.ok, text))
                seen = item.witnesses
                rows.append(
                    (labelled(name, _("cosigned by enough witnesses")), seen.ok, seen.error or told(seen.detail))
                )
            words = {True: _("holds"), False: _("FAILS"), None: _("not checked")}
            table(_("Verification"), [_("Check"), _("Result"), ""], [(n, words[ok], text) for n, ok, text in rows])
            if report.unchecked:
                line(_("NOT CHECKED, and so no success: {checks}").format(checks=safe(", ".join(report.unchecked))))
        if not report.ok:
            return UNVERIFIED
        return None if report.complete else UNCHECKED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


async def _verify_bag(
    desk: Desk, file: Path, given: tuple[Path | None, Path | None], beside: Sequence[Path], *, offline: bool
) -> VerificationReport:
    from exchange.evidence.bag_reader import MAX_BAG_BYTES, read_bag

    content = read_given(file, FileKind.EVIDENCE, max_bytes=MAX_BAG_BYTES)
    opened, roots = read_disclosure(given[0]), read_roots(given[1])
    with reading_as(file, content, FileKind.EVIDENCE):
        read = read_bag(content)
        return await desk.evidence.verify_bag(
            read, online=not offline, disclosure=opened, tsa_roots=roots, beside=beside
        )


def _short(message_id: UUID) -> str:
    return str(message_id)[-SHORT_ID:]


def print_reading(lines: Iterable[ReadLine]) -> None:
    """A message in the reader's language."""
    from exchange.cli._wrapping import columns, wrapped

    for read in lines:
        name = safe(read.label)
        if read.written_in:
            name = _("{name} ({language})").format(name=name, language=safe(read.written_in))
        indent = "  " * read.depth
        # Prose keeps its lines; each is shown as one, so that no text draws what is not its own.
        first, *others = (read.text or "").expandtabs(4).split("\n")
        text = _("{name}:").format(name=name) if read.text is None else labelled(name, safe(first))
        for one in (text, *(f"  {safe(other)}" for other in others)):
            line("\n".join(wrapped(indent + one, columns(), len(indent) + 4)))
