"""``comity case``: one case with all that is said in it, and what the office notes for itself about it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
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
    required_code,
    run,
    with_desk,
)
from exchange.cli.cases._course import course_lines
from exchange.cli.cases.case_list import case_list
from exchange.cli.cases.parents import add_parent_commands, show_parent
from exchange.cli.messages.printing import print_targets, report_sent, sent_cell
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _, labelled
from exchange.text.labels import (
    code_label,
    deadline_label,
    due_kind_label,
    entry_label,
    fact_label,
    reason_label,
    side_label,
    source_label,
    state_label,
    state_until,
)
from keys.local.terminal import ask
from protocol.errors import ClosingLosesError, UsageError

if TYPE_CHECKING:
    from uuid import UUID

    from exchange.acts.cases import NoteKept
    from exchange.desk.desk import Desk
    from exchange.office.case_notes import CaseEntry
    from exchange.store.rows import UnprovedEntry
    from protocol.lifecycle.deadlines import Deadline

app = typer.Typer(no_args_is_help=True)
app.command("list", help=_("List the cases, emergencies first, then the newest.\n\nExample: comity case list --ours"))(
    case_list
)
add_parent_commands(app)
ByOption = Annotated[str | None, typer.Option("--by", help=_("The officer who notes it, if not that of the settings."))]


@app.command(
    help=_(
        "Show a case: state, messages, what is due, notes. Asked of several nations: the case with each.\n\n"
        "Example: comity case show 7f3a"
    )
)
def show(
    message_id: IdArgument,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a case."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import CaseParts, case_object
        from exchange.cases.threads import rows_of, shared_state, state_shown

        reached = await synced(desk, sync=sync)
        if (parent := await desk.parents.resolve(message_id)) is not None:
            await show_parent(desk, parent, reached, as_json=as_json)
            return
        thread = await _thread(desk, message_id)
        parts = await CaseParts.of(desk, thread)
        if as_json:
            print_json({**case_object(parts), **reached.members()})
            return
        now, cases, rows, noted, due = parts.now, parts.cases, parts.rows, parts.noted, parts.due
        calls, idle = parts.calls, parts.idle
        state, targets = shared_state(cases, now, parts.unsent), rows_of(cases, now, parts.unsent)
        out_of_order = [entry for case in cases.values() for entry in case.out_of_order]
        reached.say()
        if calls.suspected:
            from exchange.cli.cases.calls import warning_of_forgery

            line(warning_of_forgery())
        shown = state_until(state, rows[0].sent_at if rows else None)
        line(_("Case {thread}: {state} [{code}]").format(thread=thread, state=shown, code=state))
        if len(cases) > 1:
            for nation, case in cases.items():
                line(labelled(safe(nation), state_label(state_shown(str(case.state_at(now)), parts.unsent))))
        for registered in parts.before:
            line(_before_text(registered))
        line(labelled(_("Works on it"), safe(noted.assigned_to or "-")))
        waits = noted.waiting_until(now)
        if waits is not None:
            line(labelled(_("Waits until"), safe(waits)))
        table(
            _("Messages"),
            [_("Id"), _("Type"), _("From"), _("Sent at"), _("Opened at")],
            [
                (
                    str(row.id)[-SHORT_ID:],
                    code_label("message_type", row.type),
                    row.sender,
                    sent_cell(row),
                    row.opened_at,
                )
                for row in rows
            ],
        )
        if targets:
            print_targets(targets)
        _print_due(due, now)
        for entry in out_of_order:
            text = _("Out of order: {what} {target}: {why}")
            what, why = fact_label(type(entry.fact)), reason_label(entry.reason)
            line(text.format(what=what, target=safe(entry.target), why=why))
        types = {row.id: row.type for row in rows}
        for one in idle:
            crossed, void = _("Counts all the same: {what} {message}: {why}"), _("No effect: {what} {message}: {why}")
            text = crossed if one["counts"] else void
            what = code_label("message_type", types[one["message"]])
            line(text.format(what=what, message=str(one["message"])[-SHORT_ID:], why=safe(_(one["reason"]))))
        for text in course_lines(tuple(cases.values()), targets):
            line(text)
        if noted.entries:
            table(
                _("Notes"),
                [_("At"), _("Written by"), _("What"), _("Text")],
                [(entry.at, entry.by, entry_label(entry.kind), _text_of(entry)) for entry in noted.entries],
            )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print_due(due: Sequence[Deadline], now: datetime) -> None:
    if due:
        table(
            _("Due"),
            [_("What"), _("Side"), _("Target"), _("Due"), _("Kind"), _("Rule")],
            [
                (
                    deadline_label(item.what),
                    side_label(item.side),
                    item.target,
                    _when(item, now),
                    due_kind_label(item.kind),
                    source_label(item.source),
                )
                for item in due
            ],
        )


def _when(item: Deadline, now: datetime) -> str:
    """When it is due; late is said of law, declarations and promises only."""
    if item.due is None:
        return _("paused")
    if item.is_late(now):
        return _("late since {at}").format(at=safe(item.due))
    if item.has_passed(now):
        return _("target passed {at}").format(at=safe(item.due))
    return safe(item.due)


@app.command(
    help=_("Note something; it never leaves the desk.\n\nExample: comity case note 7f3a 'Called Paris at 4:10.'")
)
def note(
    message_id: IdArgument,
    text: Annotated[str, typer.Argument(help=_("The note."))],
    by: ByOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Note something."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import note_case

        _say_noted(await note_case(desk, await _thread(desk, message_id), text, by=by), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Say who works on a case.\n\nExample: comity case assign 7f3a 'Suzuki Ren'"))
def assign(
    message_id: IdArgument,
    officer: Annotated[str, typer.Argument(help=_("The officer; empty: nobody."))],
    by: ByOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Assign a case."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import assign_case

        _say_noted(await assign_case(desk, await _thread(desk, message_id), officer, by=by), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Say until when a case waits.\n\nExample: comity case wait 7f3a 2026-12-01T09:00:00+09:00"))
def wait(
    message_id: IdArgument,
    until: Annotated[
        str | None, typer.Argument(help=_("Date and time with time zone. Leave empty to stop waiting."))
    ] = None,
    reason: Annotated[str, typer.Option("--for", help=_("What it waits for."))] = "",
    by: ByOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a case wait."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import let_case_wait

        thread = await _thread(desk, message_id)
        _say_noted(await let_case_wait(desk, thread, until=instant(until), reason=reason, by=by), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Note that one of our own authorities must decide first, such as a magistrate.\n\n"
        "Example: comity case authority 7f3a 'Investigating judge, Paris' --until 2026-12-01T09:00:00+01:00"
    )
)
def authority(
    message_id: IdArgument,
    whom: Annotated[str, typer.Argument(help=_("The authority; it is told to nobody."))] = "",
    until: Annotated[
        str | None, typer.Option("--until", help=_("When it should decide: date and time with time zone."))
    ] = None,
    tell: Annotated[
        str | None, typer.Option("--tell", help=_("Tell the asking office too, with this reason; give --until."))
    ] = None,
    done: Annotated[bool, typer.Option("--done", help=_("It has decided, or is waited for no more."))] = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait for an own authority."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.cases import await_authority, end_authority

        thread, expected = await _thread(desk, message_id), instant(until)
        if done is bool(whom) or (done and (tell or until)):
            raise UsageError(_("name the authority that is waited for, or give --done alone"))
        if tell is not None and expected is None:
            raise UsageError(_("give --until: the asking office is told how long it takes"))
        if done:
            noted = await end_authority(desk, thread)
        else:
            noted = await await_authority(desk, thread, whom, until=expected)
        if tell is not None and expected is not None:
            sent = await desk.cases.report_authority(thread, tell, expected)
            return report_sent(sent, as_json=as_json)
        _say_noted(noted, as_json=as_json)
        return None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Close a case; what lapses or is still owed is said first, and asked.\n\n"
        "Example: comity case close 7f3a --reason answered"
    )
)
def close(
    message_id: IdArgument,
    reason: Annotated[
        str, typer.Option("--reason", callback=code_in("closure_reason"), help=_("A code of the list closure_reason."))
    ],
    text: Annotated[str | None, typer.Option("--text", help=_("The reason in words."))] = None,
    lapse: Annotated[
        bool, typer.Option("--lapse", help=_("Close it though something lapses or is owed; do not ask."))
    ] = False,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close a case."""

    async def work(desk: Desk) -> int | None:
        # A wrong word is refused before the desk says what lapses: that is no answer to it.
        required_code("closure_reason", reason)
        reached = await synced(desk, sync=sync)  # what was answered meanwhile is owed no more
        if not as_json:
            reached.say()
        thread = await _thread(desk, message_id)
        lost = await desk.cases.closing_loses(thread)
        agreed = lapse or not lost
        if not as_json:
            for loss in lost:
                line(str(loss))
        if not agreed and not as_json and sys.stdin.isatty():
            agreed = ask(_("Close it all the same (yes or no)?")).strip().lower() in {"yes", _("yes")}
        if not agreed and not as_json:  # what it would lose stands above
            raise ClosingLosesError(_("the case stays open, and nothing was sent"))
        sent = await desk.cases.close(thread, reason, text=text, lapse=agreed)
        if as_json:
            print_json({"lost": lost, "sent": sent, **reached.members()})
            return None
        return report_sent(sent[-1], as_json=False)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


# --- Inside ---


def _before_text(entry: UnprovedEntry) -> str:
    """That a case was registered before it was proved, and where that stands."""
    text = _("Registered before, not proved, by {channel}, {at}: comity unproved show {entry}")
    channel = code_label("request_channel", entry.channel)
    return text.format(channel=channel, at=safe(entry.received_at), entry=str(entry.id)[-SHORT_ID:])


async def _thread(desk: Desk, text: str) -> UUID:
    return (await desk.messages.row(await desk.messages.resolve(text))).thread


def _say_noted(noted: NoteKept, *, as_json: bool) -> None:
    if as_json:
        print_json(noted)
        return
    entry = noted["entry"]
    line(labelled(str(noted["thread"]), labelled(entry_label(entry.kind), safe(_text_of(entry)))))


def _text_of(entry: CaseEntry) -> str:
    """What an entry says; of one that ends what was noted before, that it does."""
    if entry.until is not None:
        return f"{entry.text} ({safe(entry.until)})".strip()
    ended = {"assigned": _("nobody"), "waiting": _("no longer"), "authority": _("no longer")}
    return entry.text or ended.get(entry.kind, "-")
