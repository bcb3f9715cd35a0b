"""From what is stored to what is shown."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Literal, NamedTuple, TypeVar
from uuid import UUID

import cbor2

from exchange.cases.agenda import AGENDA, Agenda, KeptAgenda, addresses_of
from exchange.cases.calls import Calls
from exchange.cases.threads import send_statuses
from exchange.context.desk_context import DeskContext
from exchange.store.agenda import DerivedRow
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, Quarantined
from exchange.views import CasePage, CaseRow, Direction, InboxRow, QuarantineRow, SendStatus
from keys.starting import without_collections
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import NotFoundError

T = TypeVar("T")

# After all that have time left.
_PASSED = 1 << 60
# More than so many changed threads are put into their places all at once.
_ONE_BY_ONE = 512

DerivedNews = tuple[Sequence[Sequence[Any]], Sequence[Sequence[Any]]]
"""Rows of the agenda and of how cases stand (:class:`DerivedRow`), in the order of their numbers."""
_SETTLED = frozenset(
    {"answered", "closed", "refused", "withdrawn", "impossible", "supplement_due", "preserved", "called_off"}
)


def inbox_row(store: DeskStore, sequence: int, head: Head, opened_at: datetime | None) -> InboxRow:
    """A message as a list shows it; of a sent one, also where it stands."""
    return inbox_rows(store, ((sequence, head, opened_at),))[0]


def inbox_rows(store: DeskStore, heads: Sequence[tuple[int, Head, datetime | None]]) -> list[InboxRow]:
    """As :func:`inbox_row`, of a list: what stands beside each message is looked up once for all of them."""
    statuses = send_statuses(store, [head.id for _, head, _ in heads if head.direction is Direction.SENT])
    entries = store.calls.of_those({head.thread for _, head, _ in heads})
    suspected = {thread for thread, values in entries.items() if Calls.of(values).suspected}
    return [_inbox_row(*row, statuses.get(row[1].id), suspected=row[1].thread in suspected) for row in heads]


def _inbox_row(
    sequence: int, head: Head, opened_at: datetime | None, status: SendStatus | None, *, suspected: bool
) -> InboxRow:
    return InboxRow(
        id=head.id,
        thread=head.thread,
        in_reply_to=head.in_reply_to,
        direction=head.direction,
        type=head.type,
        urgency=head.urgency,
        sender=head.sender,
        recipients=head.recipients,
        own_reference=head.own_reference,
        sent_at=head.sent_at,
        stored_at=head.stored_at,
        expires_at=head.expires_at,
        opened_at=opened_at,
        status=status,
        sequence=sequence,
        suspected=suspected,
    )


def emergencies_first(rows: Sequence[InboxRow], pinned: Sequence[InboxRow] = ()) -> list[InboxRow]:
    """Rows of a list with ``pinned`` ones and emergencies before the others; each part keeps its order."""
    seen = {row.id for row in pinned}
    rest = [row for row in rows if row.id not in seen]
    return [*pinned, *sorted(rest, key=lambda row: row.urgency != "emergency")]


def pressing_rows(store: DeskStore, agenda: Agenda, direction: Direction, *, unopened: bool) -> list[InboxRow]:
    """The requests of the emergencies that wait for something, by the time that is left, however old they are."""
    heads = []
    for thread in agenda.pressing():
        with suppress(NotFoundError):
            row = store.messages.head(thread)
            heads += [row] if row.head.direction is direction and not (unopened and row.opened_at) else []
    return inbox_rows(store, heads)


STANDING: Literal["standing"] = "standing"
_TAUGHT_AT_ONCE = 2_000


def read_ahead(store: DeskStore, now: datetime) -> dict[str, Any]:
    """What lists of this database begin with (:attr:`DeskContext.derived`), of what was derived until now."""
    kept = {AGENDA: KeptAgenda(), STANDING: KeptStandings()}
    with without_collections():
        take_derived(kept, (store.agenda.since(AGENDA, 0), store.agenda.since(STANDING, 0)), now)
    return kept


def seqs_of(kept: Mapping[str, Any]) -> tuple[int, int]:
    """The last rows of the agenda and of how cases stand that were taken into what lists begin with."""
    return kept[AGENDA].seq, kept[STANDING].seq


def derived_since(store: DeskStore, seqs: tuple[int, int]) -> DerivedNews:
    """What was derived after these rows, the first thousands of each."""
    agenda, standing = seqs
    return (
        store.agenda.since(AGENDA, agenda, _TAUGHT_AT_ONCE),
        store.agenda.since(STANDING, standing, _TAUGHT_AT_ONCE),
    )


def last_of(news: DerivedNews, seqs: tuple[int, int]) -> tuple[int, int]:
    """The last rows of ``news``; where it has none, as before."""
    (agenda, standing), (due, cases) = news, seqs
    return int(agenda[-1][0]) if agenda else due, int(standing[-1][0]) if standing else cases


def take_derived(kept: Mapping[str, Any], news: DerivedNews, now: datetime) -> None:
    """Bring what lists begin with up to date, as far as ``news`` says."""
    agenda, standing = news
    kept[AGENDA].look([DerivedRow(*row) for row in agenda], now)
    kept[AGENDA].plan()  # once, and not in each process that begins with it
    kept[STANDING].take([DerivedRow(*row) for row in standing])


class Listing:
    """The cases of a desk as a list shows them, of what :mod:`exchange.cases._derived` kept: no message is opened.

    The rows that were read are kept; the next look reads what was derived since. Blocking; runs in the desk's thread.
    """

    def __init__(self, context: DeskContext, agenda: Agenda) -> None:
        self._store = context.store
        self._agenda = agenda
        self._standings: KeptStandings = context.derived.setdefault(STANDING, KeptStandings())

    def cases(self, now: datetime, wanted: CaseFilter, limit: int | None = None, after: int = 0) -> CasePage:
        """The cases that fit, ``limit`` at most: open emergencies first, by the time that is left; then the newest.

        ``after``: without the first so many. Without a filter nothing is read of the others but their number.
        """
        self._agenda.items(most=0)
        kept, at = self._standings, to_ms(now)
        kept.take(self._store.agenda.since(STANDING, kept.seq))
        places = self._places(at)
        if wanted == ANY_CASE:
            last = None if limit is None else after + limit
            shown = [self._row(*one, at) for one in islice(places, after, last)]
            return CasePage(shown, max(0, len(kept.newest) - after - len(shown)))
        before = to_ms(wanted.due_before) if wanted.due_before is not None else None
        fits = wanted.fitting(at)
        found = [one for one in places if fits(kept.brief(*one)) and self._is_due(one[0], at, before)]
        shown = [self._row(*one, at) for one in found[after:][:limit]]
        return CasePage(shown, max(0, len(found) - after - len(shown)))

    def of_threads(self, now: datetime, threads: Iterable[UUID]) -> dict[UUID, CaseRow]:
        """The cases of these threads, as a list shows them."""
        self._agenda.items(most=0)
        kept, at = self._standings, to_ms(now)
        kept.take(self._store.agenda.since(STANDING, kept.seq))
        names = self._store.names_of_threads(threads)
        rows = [self._row(name, part, at) for name in names for part in kept.parts(name)]
        return {row.thread: row for row in rows}

    def may_be_owned(self, officer: str) -> list[bytes]:
        """The threads (by their blinded ids) that an officer may work on: of those that the office noted something of,
        all but those that are somebody else's for sure.
        """
        self._agenda.items(most=0)
        kept = self._standings
        kept.take(self._store.agenda.since(STANDING, kept.seq))
        noted = self._store.case_notes.threads()
        changed = self._store.agenda.marks_of(noted)
        return [one for one in noted if one in changed or kept.may_be_owned(one, officer.encode())]

    def _places(self, at: int) -> Iterator[tuple[bytes, int]]:
        """(thread, part) of all cases, in the order of the list."""
        pressing = [place[2:] for place in self._pressing(at)]
        yield from pressing
        first = set(pressing)
        for _, thread, part in self._standings.newest:
            if (thread, part) not in first:
                yield thread, part

    def _pressing(self, at: int) -> list[tuple[int, int, bytes, int]]:
        """(time left, age, thread, part) of the open emergencies, the one with the least time left first."""
        found = []
        for thread, part in self._standings.emergencies:
            standing = self._standings.part(thread, part)
            due = self._agenda.next_due_at(thread, at)
            if standing.harm_at is None or due is None or standing.state_at(at) in _SETTLED:
                continue
            left = standing.harm_at - at
            found.append((left if left >= 0 else _PASSED - left, -standing.opened_at, thread, part))
        return sorted(found)

    def _is_due(self, thread: bytes, at: int, before: int | None) -> bool:
        if before is None:
            return True
        due = self._agenda.next_due_at(thread, at)
        return due is not None and due < before

    def _row(self, thread: bytes, part: int, at: int) -> CaseRow:
        return _row(self._standings.part(thread, part), self._agenda.next_due(thread, at), at)


class KeptStandings:
    """How each case stands, and the order of their beginnings, kept from look to look."""

    def __init__(self) -> None:
        self.seq = 0
        self._rows: dict[bytes, bytes] = {}
        self._briefs: dict[bytes, tuple[_Brief, ...]] = {}  # by thread, of each part of it what lists filter by
        self._same: dict[object, Any] = {}  # the same few nations, officers and labels recur in all of them
        self.newest: list[tuple[int, bytes, int]] = []
        self.emergencies: set[tuple[bytes, int]] = set()

    def take(self, rows: Sequence[DerivedRow]) -> None:
        """Take what was derived since the last look."""
        one_by_one = len(rows) <= _ONE_BY_ONE
        added: list[tuple[int, bytes, int]] = []
        gone: set[bytes] = set()
        for derived in rows:
            self.seq = derived.seq
            thread = derived.thread
            for part, brief in enumerate(self._briefs.pop(thread, ())):
                self.emergencies.discard((thread, part))
                gone.add(thread)
                if one_by_one:
                    del self.newest[bisect_left(self.newest, (-brief.opened_at, thread, part))]
            self._rows.pop(thread, None)
            if derived.value:
                self._rows[thread] = derived.value
                parts = _read(derived.value)
                self._briefs[thread] = tuple(self._brief_of(standing) for standing in parts)
                places = [(-standing.opened_at, thread, part) for part, standing in enumerate(parts)]
                self.emergencies.update((thread, n) for n, one in enumerate(parts) if one.harm_at is not None)
                added += places
                if one_by_one:
                    for place in places:
                        insort(self.newest, place)
        if not one_by_one:
            self.newest = sorted([*(place for place in self.newest if place[1] not in gone), *added])

    def part(self, thread: bytes, part: int) -> _Standing:
        """One case of a thread."""
        return _read(self._rows[thread])[part]

    def brief(self, thread: bytes, part: int) -> _Brief:
        """What lists filter one case of a thread by."""
        return self._briefs[thread][part]

    def may_be_owned(self, thread: bytes, officer: bytes) -> bool:
        """Whether this officer's name stands in the row of a thread, or nothing is known of it."""
        return thread not in self._rows or officer in self._rows[thread]

    def parts(self, thread: bytes) -> range:
        """The numbers of a thread's cases."""
        return range(len(self._briefs.get(thread, ())))

    def _brief_of(self, standing: _Standing) -> _Brief:
        nations = frozenset(peer.rpartition("@")[2] for peer in standing.peers)
        references = (_folded(standing.own_reference), _folded(standing.peer_reference))
        return _Brief(
            ours=standing.ours,
            nations=self._shared(nations),
            owner=self._shared(standing.owner or ""),
            labels=self._shared(tuple(standing.labels)),
            opened_at=standing.opened_at,
            times=tuple(standing.times),
            states=self._shared(tuple(standing.states)),
            references=tuple(one for one in references if one),
            offence=self._shared(_folded(standing.offence)),
        )

    def _shared(self, value: T) -> T:
        shared: T = self._same.setdefault(value, value)
        return shared


def _read(value: bytes) -> list[_Standing]:
    return [_Standing(*part) for part in cbor2.loads(value)]


class _Standing(NamedTuple):
    """How one case stands, as :mod:`exchange.cases._derived` wrote it."""

    thread: bytes
    type: str
    urgency: str
    ours: bool
    peers: Sequence[str]
    own_reference: str | None
    peer_reference: str | None
    offence: str | None
    opened_at: int
    owner: str | None
    times: Sequence[int]
    states: Sequence[str]
    harm_at: int | None
    suspected: bool
    proved: bool
    labels: Sequence[str] = ()

    def state_at(self, at: int) -> str:
        """The state at a moment."""
        return self.states[max(0, bisect_right(self.times, at) - 1)]


class _Brief(NamedTuple):
    """What lists filter a case by; texts are folded."""

    ours: bool
    nations: frozenset[str]
    owner: str
    labels: tuple[str, ...]
    opened_at: int
    times: tuple[int, ...]
    states: tuple[str, ...]
    references: tuple[str, ...]
    offence: str

    def state_at(self, at: int) -> str:
        """The state at a moment."""
        return self.states[max(0, bisect_right(self.times, at) - 1)]


def _folded(text: str | None) -> str:
    return "" if text is None else text.casefold()


def _row(standing: _Standing, due: tuple[int, str] | None, at: int) -> CaseRow:
    peers = addresses_of(tuple(standing.peers))
    return CaseRow(
        thread=UUID(bytes=standing.thread),
        type=standing.type,
        urgency=standing.urgency,
        state=standing.state_at(at),
        ours=standing.ours,
        peers=peers,
        nation=", ".join(sorted({peer.node for peer in peers})),
        own_reference=standing.own_reference,
        peer_reference=standing.peer_reference,
        offence=standing.offence,
        opened_at=from_ms(standing.opened_at),
        owner=standing.owner,
        due=from_ms(due[0]) if due is not None else None,
        due_what=due[1] if due is not None else None,
        harm_at=from_ms(standing.harm_at) if standing.harm_at is not None else None,
        suspected=standing.suspected,
        proved=standing.proved,
        labels=tuple(standing.labels),
    )


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases are wanted; None and empty: any. ``text`` is looked for in references and the offence.

    ``owner`` empty: those that nobody works on. ``label`` is one as officers write it, such as TLP:AMBER or H1. Cases
    that were ``opened_before`` an instant are those that began earlier than it.
    """

    nation: str | None = None
    state: str | None = None
    owner: str | None = None
    ours: bool | None = None
    text: str | None = None
    due_before: datetime | None = None
    offence: str | None = None
    reference: str | None = None
    label: str | None = None
    opened_from: datetime | None = None
    opened_before: datetime | None = None

    def fitting(self, at: int) -> Callable[[_Brief], bool]:
        """What says whether a case is wanted, but for when it is due."""
        tests: list[Callable[[_Brief], bool]] = []
        nation, label = (self.nation or "").lower(), (self.label or "").upper()
        text, offence, reference = _folded(self.text), _folded(self.offence), _folded(self.reference)
        since = to_ms(self.opened_from) if self.opened_from is not None else 0
        until = to_ms(self.opened_before) if self.opened_before is not None else 0
        if self.ours is not None:
            tests.append(lambda one: one.ours is self.ours)
        if self.owner is not None:
            tests.append(lambda one: one.owner == self.owner)
        if self.nation is not None:
            tests.append(lambda one: nation in one.nations)
        if self.state is not None:
            tests.append(lambda one: one.state_at(at) == self.state)
        if self.label is not None:
            tests.append(lambda one: label in one.labels)
        if self.opened_from is not None:
            tests.append(lambda one: one.opened_at >= since)
        if self.opened_before is not None:
            tests.append(lambda one: one.opened_at < until)
        if self.reference is not None:
            tests.append(lambda one: _is_in(reference, one.references))
        if self.offence is not None:
            tests.append(lambda one: _is_in(offence, (one.offence,)))
        if self.text is not None:
            tests.append(lambda one: _is_in(text, (*one.references, one.offence)))
        return lambda one: all(test(one) for test in tests)


def _is_in(wanted: str, texts: Iterable[str]) -> bool:
    return any(wanted in text for text in texts if text)


ANY_CASE = CaseFilter()


def quarantine_row(sequence: int, refused: Quarantined) -> QuarantineRow:
    """A refused message as a list shows it."""
    return QuarantineRow(
        digest=refused.digest,
        code=refused.code,
        detail=refused.detail,
        at=refused.at,
        claimed_id=refused.claimed_id,
        claimed_sender=refused.claimed_sender,
        sequence=sequence,
    )
