"""Cases as programs get them: one, the list, what is due, and what the office notes about a case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict
from uuid import UUID

from exchange.cases.agenda import AgendaFilter
from exchange.cases.calls import CallEntry, Calls
from exchange.cases.listing import CaseFilter
from exchange.cases.parents import ChildView, ParentView
from exchange.cases.threads import rows_of, shared_state, state_shown
from exchange.desk.desk import Desk, utc_now
from exchange.i18n import _
from exchange.messaging.drafting.closing import Loss
from exchange.office.case_notes import CaseEntry, Casework, EntryKind
from exchange.store.rows import UnprovedEntry
from exchange.text.code_words import code_of
from exchange.text.objects import plain
from exchange.views import AgendaItem, CaseRow, InboxRow, Lane, SentMessage, TargetRow
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.deadlines import Deadline


class OutOfOrderShown(TypedDict):
    """What no rule allowed, and why."""

    message: UUID
    target: str | None
    reason: str
    rule: str


class HistoryNote(TypedDict):
    """What a reader of the history is told beside a fact: a code of the list step_note."""

    message: UUID
    fact: str
    target: str | None
    note: str


class StandingShown(TypedDict):
    """How a message stands that was corrected or taken back."""

    message: UUID
    state: str
    by: UUID | None
    relied_on: list[str]


class CaseShown(TypedDict):
    """A case with all that is said in it, and what the office notes for itself."""

    thread: UUID
    state: str
    nations: dict[str, str]
    assigned_to: str | None
    waiting_until: datetime | None
    targets: Sequence[TargetRow]
    deadlines: list[Deadline]
    out_of_order: list[OutOfOrderShown]
    without_effect: list[IdleMessage]
    history_notes: list[HistoryNote]
    standings: list[StandingShown]
    messages: list[InboxRow]
    notes: Sequence[CaseEntry]
    suspected: bool
    calls: Sequence[CallEntry]
    unproved: list[UnprovedEntry]


class ParentShown(TypedDict):
    """What was asked of several nations, and the case with each."""

    parent: UUID
    type: str
    own_reference: str | None
    made_at: datetime
    state: str
    children: Sequence[ChildView]


class ParentsShown(TypedDict):
    """All that was asked of several nations."""

    parents: list[ParentShown]


class CasesShown(TypedDict):
    """The first cases that fit, and how many more do."""

    cases: list[CaseRow]
    more: int


class NoteKept(TypedDict):
    """What was noted about a case."""

    thread: UUID
    entry: CaseEntry


class CaseClosed(TypedDict):
    """What closing a case lost, and what was sent for it."""

    lost: Sequence[Loss]
    sent: list[SentMessage]


class AgendaShown(TypedDict):
    """What is due, the first of each lane, and the lanes that have more."""

    items: list[dict[str, Any]]
    more: Sequence[Lane]


class IdleMessage(TypedDict):
    """A message that does nothing in its case, and why; ``counts``: it crossed with what was taken back, and counts."""

    message: UUID
    rule: str
    reason: str
    counts: bool


class NumberToCall(TypedDict):
    """The directory's first number of an office."""

    contact: Address
    number: str | None


@dataclass(frozen=True, slots=True)
class CaseParts:
    """All that is told of a case, as it stands at ``now``; ``unsent`` is its state if its first message never left."""

    thread: UUID
    now: datetime
    cases: Mapping[str, AnyCase]
    rows: list[InboxRow]
    noted: Casework
    due: list[Deadline]
    calls: Calls
    idle: list[dict[str, Any]]
    before: list[UnprovedEntry]
    unsent: str | None = None

    @classmethod
    async def of(cls, desk: Desk, thread: UUID) -> CaseParts:
        """Of a thread; raises as :meth:`DeskCases.by_nation`."""
        # The lifecycle loads every type of message: what is due is shown without.
        from exchange.cases.legal_comparison import clocks_of
        from protocol.lifecycle.deadlines import deadlines

        cases, rows = await desk.cases.by_nation(thread), await desk.cases.thread(thread)
        unsent = await desk.cases.unsent(thread)
        due = [item for case in cases.values() for item in deadlines(case, clocks_of(desk.directory, case))]
        due = due if unsent is None else []  # nobody owes anything of what nobody has
        noted, calls = await desk.cases.notes(thread), await desk.cases.calls(thread)
        idle = await desk.cases.without_effect(thread)
        before = await desk.cases.registered_before(thread)
        return cls(thread, utc_now(), cases, rows, noted, due, calls, idle, before, unsent)


async def show_case(desk: Desk, thread: UUID) -> CaseShown:
    """The case of a thread; raises as :meth:`DeskCases.by_nation`."""
    return case_object(await CaseParts.of(desk, thread))


def case_object(parts: CaseParts) -> CaseShown:
    """A case as programs get it."""
    now, cases, several = parts.now, parts.cases, tuple(parts.cases.values())
    return {
        "thread": parts.thread,
        "state": shared_state(cases, now, parts.unsent),
        "nations": {
            nation: state_shown(str(case.state_at(now)), parts.unsent) for nation, case in cases.items() if nation
        },
        "assigned_to": parts.noted.assigned_to,
        "waiting_until": parts.noted.waiting_until(now),
        "targets": rows_of(cases, now, parts.unsent),
        "deadlines": parts.due,
        "out_of_order": [
            {
                "message": entry.fact.message_id,
                "target": entry.target,
                "reason": str(entry.reason),
                "rule": entry.reason.code,
            }
            for case in several
            for entry in case.out_of_order
        ],
        "without_effect": idle_messages(parts.idle),
        "history_notes": history_notes(several),
        "standings": standings(several),
        "messages": parts.rows,
        "notes": parts.noted.entries,
        "suspected": parts.calls.suspected,
        "calls": parts.calls.entries,
        "unproved": parts.before,
    }


def idle_messages(found: Sequence[Mapping[str, Any]]) -> list[IdleMessage]:
    """The messages that do nothing in their case."""
    return [
        {"message": one["message"], "rule": one["rule"], "reason": one["reason"], "counts": one["counts"]}
        for one in found
    ]


def history_notes(cases: Sequence[AnyCase]) -> list[HistoryNote]:
    """The notes of the history."""
    return [
        {"message": step.fact.message_id, "fact": step.fact.NAME, "target": step.target, "note": note}
        for case in cases
        for step in case.history
        for note in step.notes
    ]


def standings(cases: Sequence[AnyCase]) -> list[StandingShown]:
    """How messages stand that were corrected or taken back."""
    return [
        {"message": message, "state": found.state.value, "by": found.by, "relied_on": list(found.relied)}
        for case in cases
        for message, found in case.standings.items()
    ]


async def list_cases(
    desk: Desk,
    *,
    nation: str | None = None,
    state: str | None = None,
    owner: str | None = None,
    ours: bool | None = None,
    text: str | None = None,
    offence: str | None = None,
    reference: str | None = None,
    label: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 50,
    after: int = 0,
) -> CasesShown:
    """The cases that fit; ``nation`` is a code of the list country, perhaps in words. Raises :class:`UsageError`.

    ``since`` and ``until`` are when they began, ``after`` leaves out the first so many.
    """
    country = code_of("country", nation, "nation") if nation else None
    wanted = CaseFilter(
        nation=country.lower() if country else None,
        state=state,
        owner=owner,
        ours=ours,
        text=text,
        offence=offence,
        reference=reference,
        label=label,
        opened_from=since,
        opened_before=until,
    )
    page = await desk.cases.listing(wanted, limit=limit, after=after)
    return {"cases": page.cases, "more": page.more}


async def list_parents(desk: Desk) -> ParentsShown:
    """All that was asked of several nations."""
    return parents_object(await desk.parents.all())


def parents_object(views: Sequence[ParentView]) -> ParentsShown:
    """All parents as programs get them."""
    return {"parents": [parent_object(view) for view in views]}


async def show_parent(desk: Desk, parent_id: UUID) -> ParentShown:
    """How the case with each nation stands; raises :class:`NotFoundError`."""
    return parent_object(await desk.parents.view(parent_id))


def parent_object(view: ParentView) -> ParentShown:
    """A parent as programs get it."""
    return {
        "parent": view.id,
        "type": view.type,
        "own_reference": view.own_reference,
        "made_at": view.made_at,
        "state": view.state,
        "children": view.children,
    }


async def find_parent(desk: Desk, text: str) -> UUID:
    """What was asked of several nations, by its id or the own reference; raises :class:`NotFoundError`."""
    found = await desk.parents.resolve(text)
    if found is None:
        raise NotFoundError(
            phrase("nothing that was asked of several nations has the id or reference {text}", text=text)
        )
    return found


async def say_to_all(
    desk: Desk,
    parent_id: UUID,
    draft: Mapping[str, Any],
    *,
    nations: Sequence[str] | None = None,
    everybody: bool = False,
    at_once: bool = False,
) -> list[SentMessage]:
    """Say the same in the case with each nation, or with ``nations``; raises as :meth:`DeskParents.say`."""
    if everybody is (nations is not None):
        raise UsageError(_("say in which cases: --all, or --nation for each"))
    fields = dict(draft)
    return await desk.parents.say(parent_id, str(fields.pop("type", "")), fields, nations=nations, at_once=at_once)


async def call_off_parent(
    desk: Desk, parent_id: UUID, *, reason: str | None = None, nations: Sequence[str] | None = None
) -> ParentShown:
    """Call off what is asked of several nations and has not left; raises as :meth:`DeskParents.call_off`."""
    return parent_object(await desk.parents.call_off(parent_id, reason, nations=nations))


# --- Notes of the office ---


async def note_case(desk: Desk, thread: UUID, text: str, *, by: str | None = None) -> NoteKept:
    """Note something about a case; raises as :meth:`DeskCases.add_note`."""
    if not text.strip():
        raise UsageError(_("the note is empty")).at("text")
    return {"thread": thread, "entry": await desk.cases.add_note(thread, EntryKind.NOTE, text, by=by)}


async def assign_case(desk: Desk, thread: UUID, officer: str, *, by: str | None = None) -> NoteKept:
    """Say who works on a case; empty: nobody. Raises as :meth:`DeskCases.add_note`."""
    return {"thread": thread, "entry": await desk.cases.add_note(thread, EntryKind.ASSIGNED, officer.strip(), by=by)}


async def let_case_wait(
    desk: Desk, thread: UUID, *, until: datetime | None = None, reason: str = "", by: str | None = None
) -> NoteKept:
    """Say until when a case waits, and for what; without ``until`` it waits no longer."""
    entry = await desk.cases.add_note(thread, EntryKind.WAITING, reason, until=until, by=by)
    return {"thread": thread, "entry": entry}


async def await_authority(desk: Desk, thread: UUID, whom: str, *, until: datetime | None = None) -> NoteKept:
    """Note that one of our own authorities must decide first; raises as :meth:`DeskCases.await_authority`."""
    return {"thread": thread, "entry": await desk.cases.await_authority(thread, whom, until=until)}


async def end_authority(desk: Desk, thread: UUID) -> NoteKept:
    """Note that it has decided, or is waited for no more; raises as :meth:`DeskCases.end_authority`."""
    return {"thread": thread, "entry": await desk.cases.end_authority(thread)}


async def close_case(
    desk: Desk, thread: UUID, reason: str, *, text: str | None = None, lapse: bool = False
) -> CaseClosed:
    """Close a case; raises as :meth:`DeskCases.close`: where something is lost, unless ``lapse`` agrees to it."""
    lost = await desk.cases.closing_loses(thread)
    return {"lost": lost, "sent": await desk.cases.close(thread, reason, text=text, lapse=lapse or not lost)}


# --- Due ---


def require_lane(lane: str | None) -> None:
    """Return where there is such a lane, or none is named; raises :class:`UsageError`."""
    if lane is not None and lane not in list(Lane):
        # Shown as an empty lane, a misspelt one would say that nothing is due.
        raise UsageError(_("there is no such lane; known: {names}").format(names=", ".join(Lane)))


def wants_call(item: AgendaItem) -> bool:
    """Whether the number to call belongs to the item: something did not arrive or was not opened, or is confirmed."""
    return item.delivery is not None or item.what in {"call_back", "unopened"}


async def numbers_of(desk: Desk, items: Sequence[AgendaItem]) -> dict[Address, str]:
    """The directory's first number of each office that is to be called; the sheet of a call says all of them."""
    contacts = {peer for item in items if wants_call(item) for peer in item.peers}
    cards = await desk.cases.phone_cards(contacts) if contacts else {}
    return {contact: card.numbers[0] for contact, card in cards.items() if card.numbers}


def due_object(item: AgendaItem, numbers: Mapping[Address, str]) -> dict[str, Any]:
    """An item as programs get it, with whom to call where that belongs to it."""
    fields: dict[str, Any] = plain(item)
    if wants_call(item):
        call: list[NumberToCall] = [{"contact": peer, "number": numbers.get(peer)} for peer in item.peers]
        fields["call"] = call
    return fields


async def agenda(
    desk: Desk, *, ours: bool = False, pressing: bool = False, lane: str | None = None, limit: int = 50
) -> AgendaShown:
    """What is due in all cases, at most ``limit`` of each lane; the items as :func:`due_object`."""
    require_lane(lane)
    wanted = AgendaFilter(ours=ours, pressing=pressing, lane=Lane(lane) if lane is not None else None)
    page = await desk.cases.agenda_page(wanted, limit=limit)
    numbers = await numbers_of(desk, page.items)
    return {"items": [due_object(item, numbers) for item in page.items], "more": page.more}
