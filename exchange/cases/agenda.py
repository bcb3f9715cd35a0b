"""What is due in all cases of the desk, and which notices of it were not given yet.

The agenda is derived: each thread is folded again when its messages or receipts changed, and what is due is kept, so
that looking at it costs what changed and not all cases. A nation's own clocks count as they are when that is done:
what it changes later does not move what was due before. Levels and lapses are functions of the time alone, and
every deadline of a case is in the agenda until the case says that it is met: nothing runs out unseen.

The order is that of the lanes: emergencies come first, by the time that is left until harm is done; then what this
desk owes, what others owe, what was not delivered, and what own authorities are waited for.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import cbor2

from exchange.cases._derived import SHORT_ID, ReadNotes, ThreadDerivation, split_index
from exchange.context.desk_context import DeskContext
from exchange.views import AgendaItem, AgendaPage, Lane, Undelivered, Unopened
from keys.starting import without_collections
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms

if TYPE_CHECKING:
    from exchange.store.agenda import DerivedRow
    from exchange.store.desk_store import DeskStore


# So many threads are derived in one transaction.
_AT_ONCE = 256
# So many are derived before a list that only begins with emergencies.
_AT_A_LOOK = 16
# Before a list that does not wait: so many that this program changed last, and so many others.
_CHANGED_AT_A_LOOK, _OTHERS_AT_A_LOOK = 64, 4
# Of so many threads what is due is told before others use the desk.
TOLD_AT_ONCE = 256
_PINNED = 500
_LANES = tuple(Lane)
_EMERGENCIES = _LANES.index(Lane.EMERGENCIES)
_LATER = 1 << 62
# More than so many changed threads are put into their places all at once.
_ONE_BY_ONE = 512


@dataclass(frozen=True, slots=True)
class Notice:
    """An item of the agenda whose level nobody was told of yet."""

    item: AgendaItem
    name: bytes  # of this level of this deadline, for one channel


@dataclass(frozen=True, slots=True)
class AgendaFilter:
    """What of an agenda is wanted: what this desk must do, what is near or overdue, one lane."""

    ours: bool = False
    pressing: bool = False
    lane: Lane | None = None

    def may_be_in(self, lane: Lane) -> bool:
        """Whether anything of a lane may be wanted."""
        return self.lane in {None, lane} and not (self.ours and lane is Lane.THEIRS)

    def fits(self, item: AgendaItem) -> bool:
        """Whether an item is wanted."""
        return (item.ours or not self.ours) and (item.level is not None or not self.pressing)


@dataclass(frozen=True, slots=True)
class DueBetween:
    """The first items that are due in a time; when all of them are (Unix milliseconds, in order); and how much was
    due ``before`` it and still is.
    """

    items: list[AgendaItem]
    times: Sequence[int]
    before: int

    @property
    def more(self) -> int:
        """How many there are besides."""
        return len(self.times) - len(self.items)


AGENDA: Literal["agenda"] = "agenda"


class Agenda:
    """The agenda of one desk. Blocking; runs in the desk's thread.

    ``read_notes`` reads what the office noted of a case for itself. With ``waits`` all that is due
    is given, however much is to be derived before; without, it is given as far as it is derived, with what changed
    last, and somebody else derives the others meanwhile.
    """

    def __init__(self, context: DeskContext, read_notes: ReadNotes, *, waits: bool = True) -> None:
        self._store = context.store
        self._waits = waits
        self._clock = context.clock
        self._derivation = ThreadDerivation(context, read_notes)
        self._shown: KeptAgenda = context.derived.setdefault(AGENDA, KeptAgenda())

    def items(self, at: datetime | None = None, most: int | None = None) -> list[AgendaItem]:
        """All that is due, as it stands now or would stand ``at``, emergencies first; what stands still comes last.

        ``most``: the first so many of each lane, as it stands now.
        """
        self._look()
        if at is not None:
            return self._shown.as_of(self._store, at)
        return self._shown.now(self._store, self._clock(), most)

    def page(self, wanted: AgendaFilter, limit: int) -> AgendaPage:
        """What is due now and wanted, the first so many of each lane, and in which lanes there is more."""
        self._look()
        return self._shown.page(self._store, self._clock(), wanted, limit)

    def lane_counts(self) -> dict[Lane, int]:
        """How many items each lane has now; of emergencies how many threads."""
        self._look()
        return self._shown.counts(self._store, self._clock())

    def due_between(self, begins: datetime, ends: datetime, most: int) -> DueBetween:
        """What is due from ``begins`` up to ``ends``, in the order of time."""
        self._look()
        return self._shown.due_between(self._store, self._clock(), (to_ms(begins), to_ms(ends)), most)

    def next_due_at(self, thread: bytes, at: int) -> int | None:
        """When (Unix milliseconds) something is due next in the thread of this blinded id, as of the last look."""
        row = self._shown.row(thread)
        return row.next_due_at(at) if row is not None else None

    def next_due(self, thread: bytes, at: int) -> tuple[int, str] | None:
        """As :meth:`next_due_at`, and what it is."""
        row = self._shown.row(thread)
        return row.next_due(at) if row is not None else None

    def pressing(self) -> list[UUID]:
        """The threads of the emergencies that wait for something, in the order of the agenda.

        A little that is still to be derived is, so that what just came is where it belongs. Of more than that, as after
        an upgrade, only what this program changed is: a list which begins with these costs as little then.
        """
        stale = self._store.agenda.stale(_AT_A_LOOK + 1)
        self.derive_those(stale if len(stale) <= _AT_A_LOOK else self._store.agenda.changed_here(_AT_A_LOOK))
        items = self._shown.emergencies(self._store, self._clock(), _PINNED)
        return list(dict.fromkeys(item.thread for item in items))

    def known_emergencies(self) -> frozenset[UUID]:
        """The threads of emergencies in which this desk has something to do, as far as it is derived already."""
        items = self._shown.emergencies(self._store, self._clock(), None)
        return frozenset(item.thread for item in items if item.ours)

    def derive(self, most: int | None = None) -> int:
        """Derive anew what changed, ``most`` threads or all; how many are left. Done when things arrive, a few at once.

        Another program of this desk may do the same: what it derived is read.
        """
        done = 0
        while most is None or done < most:
            stale = self._store.agenda.stale(_AT_ONCE if most is None else min(_AT_ONCE, most - done))
            if not stale:
                return 0
            self._store.agenda.put({row: self._derivation.of(row) for row in stale}, stale)
            done += len(stale)
        return self._store.agenda.stale_count()

    def of_thread(self, thread: UUID) -> list[AgendaItem]:
        """What is due in one thread now; it is derived first, whatever else is to be."""
        names, now = self._store.names_of_threads([thread]), self._clock()
        self.derive_those(names)
        self._shown.look(_derived_since(self._store, self._shown.seq), now)
        return [item for name in names for _, item in self._shown.placed(name, now)]

    def derive_those(self, threads: Iterable[bytes]) -> None:
        """Derive anew those of the threads (by their blinded ids) that changed."""
        stale = self._store.agenda.marks_of(threads)
        if stale:
            self._store.agenda.put({row: self._derivation.of(row) for row in stale}, stale)

    def _look(self) -> None:
        if self._waits:
            self.derive()
            return
        self.derive_those(self._store.agenda.changed_here(_CHANGED_AT_A_LOOK))
        self.derive(_OTHERS_AT_A_LOOK)

    def notices(self, channel: str, most: int | None = None) -> list[Notice]:
        """The items with a level that was not told over ``channel`` yet, in the order of the agenda.

        ``most``: of so many threads that changed since they were looked at for it; ask again for those of others.
        """
        self._look()
        now = self._clock()
        self._shown.look(_derived_since(self._store, self._shown.seq), now)
        wanted = self._shown.to_tell(channel, most)
        found = [
            (place, thread, Notice(item, _name(item, channel)))
            for thread in wanted
            for place, item in self._shown.placed(thread, now)
            if item.level is not None
        ]
        given = self._store.agenda.given_notices([notice.name for _, _, notice in found])
        untold = [one for one in found if one[2].name not in given]
        self._shown.told(channel, set(wanted) - {thread for _, thread, _ in untold})
        return [notice for _, _, notice in sorted(untold, key=lambda one: one[0])]

    def is_untold(self, channel: str) -> bool:
        """Whether threads changed since :meth:`notices` looked at them for a channel, or it gave something of them."""
        return self._shown.is_untold(channel)

    def note_given(self, notices: Sequence[Notice]) -> None:
        """These are not told again."""
        self._store.agenda.note_given(notice.name for notice in notices)

    def next_change(self) -> datetime | None:
        """When the next level is reached, or an item appears, if no message comes before."""
        self.items(most=0)
        return self._shown.next_change()


class KeptAgenda:
    """What is due at one moment, in order, kept from look to look: what changed is made again.

    Of each thread the derived row is kept, some hundred bytes. The order is that of plain numbers; an item is made of
    its row when somebody wants to see it.
    """

    def __init__(self) -> None:
        self.seq = 0
        self._rows: dict[bytes, _Row] = {}
        self._changes: list[tuple[int, bytes]] | None = None  # None: not planned yet
        self._pressing: list[_Entry] = []
        self._others: list[_Entry] = []
        self._placed: dict[bytes, tuple[tuple[Any, ...], ...]] = {}  # by thread, the places in ``_others``
        self._dues: list[tuple[int, bytes, int]] = []  # when what is due, in order: thread, which of its items
        self._due_of: dict[bytes, tuple[tuple[int, bytes, int], ...]] = {}  # by thread, the places in ``_dues``
        self._to_tell: dict[str, set[bytes]] = {}  # by channel, the threads that changed since they were told of
        self._as_of: int | None = None  # None: nothing of what is kept is of use

    def now(self, store: DeskStore, now: datetime, most: int | None = None) -> list[AgendaItem]:
        """The items at ``now``, in order; ``most``: the first so many of each lane."""
        at = self.look(_derived_since(store, self.seq), now)
        if most is None:
            return [row.item(part, at) for _, row, part in (*self._pressing, *self._others)]
        # A list of many thousands is not walked through for the first few of each lane.
        found = chain.from_iterable(islice(self._lane(lane), most) for lane in Lane)
        return [row.item(part, at) for _, row, part in found]

    def page(self, store: DeskStore, now: datetime, wanted: AgendaFilter, limit: int) -> AgendaPage:
        """The first so many of each lane that are wanted, and the lanes that have more of them."""
        at = self.look(_derived_since(store, self.seq), now)
        items: list[AgendaItem] = []
        more: list[Lane] = []
        for lane in (one for one in Lane if wanted.may_be_in(one)):
            there = (entry for entry in self._lane(lane) if not wanted.pressing or entry[1].has_level(entry[2], at))
            fitting = (item for _, row, part in there if wanted.fits(item := row.item(part, at)))
            found = list(islice(fitting, limit + 1))
            items += found[:limit]
            more += [lane] if len(found) > limit else []
        return AgendaPage(items, tuple(more))

    def counts(self, store: DeskStore, now: datetime) -> dict[Lane, int]:
        """How many items each lane has at ``now``, of emergencies how many threads; none of them is made."""
        self.look(_derived_since(store, self.seq), now)
        ends = [bisect_left(self._others, (number,), key=_first) for number in range(len(_LANES) + 1)]
        found = {lane: ends[number + 1] - ends[number] for number, lane in enumerate(_LANES)}
        return {**found, Lane.EMERGENCIES: len({row.thread for _, row, _ in self._pressing})}

    def _lane(self, lane: Lane) -> Iterator[_Entry]:
        """The entries of one lane, in order; nothing behind the last that is asked for is touched."""
        if lane is Lane.EMERGENCIES:
            yield from self._pressing
            return
        number = _LANES.index(lane)
        for place in range(bisect_left(self._others, (number,), key=_first), len(self._others)):
            if self._others[place][0][0] != number:
                return
            yield self._others[place]

    def due_between(self, store: DeskStore, now: datetime, between: tuple[int, int], most: int) -> DueBetween:
        """What is due between two moments (Unix milliseconds), in the order of time; only the first are decoded."""
        at = self.look(_derived_since(store, self.seq), now)
        before, until = (bisect_left(self._dues, (moment,)) for moment in between)
        found = self._dues[before:until]
        items = [self._rows[thread].item(part, at) for _, thread, part in found[:most]]
        return DueBetween(items, [when for when, _, _ in found], before)

    def emergencies(self, store: DeskStore, now: datetime, most: int | None) -> list[AgendaItem]:
        """The items of the first lane alone, the first so many or all."""
        at = self.look(_derived_since(store, self.seq), now)
        return [row.item(part, at) for _, row, part in self._pressing[:most]]

    def look(self, derived: Sequence[DerivedRow], now: datetime) -> int:
        """Bring what is kept up to date, with what was derived since the last look; the moment (Unix milliseconds)."""
        with without_collections():
            return self._look(derived, now)

    def _look(self, derived: Sequence[DerivedRow], now: datetime) -> int:
        at = to_ms(now)
        changed = self._take(derived)
        if self._as_of is None or at < self._as_of:  # the first look, or a clock that was set back
            changed = set(self._rows)
            self._pressing, self._others, self._changes, self._placed = [], [], None, {}
            self._dues, self._due_of = [], {}
        else:
            self.plan()
        self._as_of = at
        while self._changes and self._changes[0][0] <= at:
            changed.add(heapq.heappop(self._changes)[1])
        if changed:
            self._place(changed, at)
        return at

    def plan(self) -> None:
        """Find out when each thread changes next. A program that looks once does without."""
        if self._changes is None and self._as_of is not None:
            at = self._as_of
            changes = ((row.next_change(at), thread) for thread, row in self._rows.items())
            self._changes = [(change, thread) for change, thread in changes if change is not None]
            heapq.heapify(self._changes)

    def as_of(self, store: DeskStore, at: datetime) -> list[AgendaItem]:
        """The items as they would stand at another moment, in order; what is kept stays as it is."""
        moment = to_ms(at)
        if self._take(_derived_since(store, self.seq)):
            self._as_of = None
        entries = [entry for row in self._rows.values() for entry in row.entries(moment)]
        return [row.item(part, moment, kept=False) for _, row, part in sorted(entries, key=_first)]

    def next_change(self) -> datetime | None:
        """When the first item changes after the last look."""
        self.plan()
        return from_ms(self._changes[0][0]) if self._changes else None

    def row(self, thread: bytes) -> _Row | None:
        """The row of a thread's blinded id."""
        return self._rows.get(thread)

    def to_tell(self, channel: str, most: int | None) -> list[bytes]:
        """The threads of which something may be to be told over ``channel``, emergencies first; ``most`` of them."""
        wanted = self._to_tell.setdefault(channel, set(self._rows))
        first = dict.fromkeys(row.thread for _, row, _ in self._pressing if row.thread in wanted)
        others = (thread for thread in wanted if thread not in first)
        return list(islice(chain(first, others), most))

    def told(self, channel: str, threads: Iterable[bytes]) -> None:
        """Nothing of these threads is to be told over ``channel``, until they change."""
        self._to_tell.setdefault(channel, set(self._rows)).difference_update(threads)

    def is_untold(self, channel: str) -> bool:
        """Whether something may be to be told over ``channel``."""
        return bool(self._to_tell.get(channel, self._rows))

    def placed(self, thread: bytes, now: datetime) -> Iterator[tuple[tuple[Any, ...], AgendaItem]]:
        """(place, item) of what is due in a thread at ``now``, which is the moment of the last look."""
        row, at = self._rows.get(thread), to_ms(now)
        for place, one, part in row.entries(at) if row is not None else ():
            yield place, one.item(part, at)

    def _place(self, changed: set[bytes], at: int) -> None:
        """Put what is due in the changed threads into its place.

        A few are taken out and put in one by one: a command of a running desk shares what is kept with the process that
        it is a copy of, as long as it touches little of it.
        """
        for untold in self._to_tell.values():
            untold.update(changed)
        one_by_one = len(changed) <= _ONE_BY_ONE
        if one_by_one:
            for place in (place for thread in changed for place in self._placed.get(thread, ())):
                del self._others[bisect_left(self._others, place, key=_first)]
            for due in (due for thread in changed for due in self._due_of.get(thread, ())):
                del self._dues[bisect_left(self._dues, due)]
        else:
            self._others = [entry for entry in self._others if entry[1].thread not in changed]
            self._dues = [due for due in self._dues if due[1] not in changed]
        pressing = [entry for entry in self._pressing if entry[1].thread not in changed]
        added: list[_Entry] = []
        dues: list[tuple[int, bytes, int]] = []
        for thread in changed:
            self._placed.pop(thread, None)
            self._due_of.pop(thread, None)
            row = self._rows.get(thread)
            if row is None:
                continue
            row.forget()
            entries = row.entries(at)
            pressing += [entry for entry in entries if entry[0][0] == _EMERGENCIES]
            others = [entry for entry in entries if entry[0][0] != _EMERGENCIES]
            self._placed[thread] = tuple(map(_first, others))
            added += others
            self._due_of[thread] = own = tuple((one[3], thread, part) for one, _, part in entries if one[3] != _LATER)
            dues += own
            change = row.next_change(at) if self._changes is not None else None
            if self._changes is not None and change is not None:
                heapq.heappush(self._changes, (change, thread))
        # The time that is left of an emergency changes; the others are almost in order already.
        self._pressing = sorted((_again(entry, at) for entry in pressing), key=_first)
        if one_by_one:
            for entry in added:
                insort(self._others, entry, key=_first)
            for due in dues:
                insort(self._dues, due)
        else:
            self._others = sorted([*self._others, *added], key=_first)
            self._dues = sorted([*self._dues, *dues])

    def _take(self, rows: Sequence[DerivedRow]) -> set[bytes]:
        changed = set()
        for derived in rows:
            self.seq = derived.seq
            changed.add(derived.thread)
            if derived.value:
                self._rows[derived.thread] = _Row(derived.thread, derived.value)
            else:
                self._rows.pop(derived.thread, None)
        return changed


def _derived_since(store: DeskStore, seq: int) -> list[DerivedRow]:
    return store.agenda.since(AGENDA, seq)


class _Row:
    """What is due in one thread, as :class:`ThreadDerivation` wrote it: this desk did, and the seal proves that.

    Its places are read from the index alone; what it says is decoded when it is shown.
    """

    __slots__ = ("_body", "_index", "_made", "_parts", "thread")

    def __init__(self, thread: bytes, value: bytes) -> None:
        self.thread = thread
        self._index, self._body = split_index(value)
        self._parts: list[tuple[Sequence[Any], Sequence[Any]]] | None = None
        self._made: dict[int, AgendaItem] | None = None

    def forget(self) -> None:
        """Make the items anew when they are wanted again."""
        self._made = None

    def entries(self, at: int) -> list[_Entry]:
        """The places of what is due at ``at``; what only counts later is not in it."""
        index, found, place, part = self._index, list[_Entry](), 0, 0
        while place < len(index):  # one pass: there are a hundred thousand of these
            if index[place + 1] <= at:
                found.append((self._key(place, part, at), self, part))
            place, part = place + 5 + index[place + 4], part + 1
        return found

    def key(self, part: int, at: int) -> tuple[Any, ...]:
        """The place of one item at another moment."""
        return next(self._key(place, number, at) for number, place in self._places() if number == part)

    def next_change(self, at: int) -> int | None:
        """When anything of it changes next: an item appears, reaches a level, is due, or its harm is done."""
        index, found = self._index, _LATER
        for _, place in self._places():
            ahead = [one for one in index[place + 1 : place + 4] if one > at]
            times = [one for one in index[place + 5 : place + 5 + index[place + 4]] if one > at]
            found = min(found, *ahead, *times, _LATER)
        return None if found == _LATER else found

    def next_due_at(self, at: int) -> int | None:
        """When something of it is due next."""
        dues = [self._index[place + 2] for _, place in self._places() if self._index[place + 1] <= at]
        return min((due for due in dues if due >= 0), default=None)

    def next_due(self, at: int) -> tuple[int, str] | None:
        """(when, what) is due next in it."""
        shown = (fields for _, fields in self._all() if fields[1] is None or fields[1] <= at)
        return min(((fields[6], fields[0]) for fields in shown if fields[6] is not None), default=None)

    def has_level(self, part: int, at: int) -> bool:
        """Whether one item reached a level by ``at``: it is near, or overdue."""
        place = next(place for number, place in self._places() if number == part)
        times = self._index[place + 5 : place + 5 + self._index[place + 4]]
        return bool(times) and times[0] <= at

    def item(self, part: int, at: int, *, kept: bool = True) -> AgendaItem:
        """One item at ``at``; ``kept``: until it changes."""
        if not kept:
            return _item(*self._all()[part], at)
        if self._made is None:
            self._made = {}
        if part not in self._made:
            self._made[part] = _item(*self._all()[part], at)
        return self._made[part]

    def _all(self) -> list[tuple[Sequence[Any], Sequence[Any]]]:
        if self._parts is None:
            self._parts = [(head, fields) for head, items in cbor2.loads(self._body) for fields in items]
        return self._parts

    def _places(self) -> Iterator[tuple[int, int]]:
        """(number of the item, where its part of the index begins)."""
        place = number = 0
        while place < len(self._index):
            yield number, place
            place += 5 + self._index[place + 4]
            number += 1

    def _key(self, place: int, part: int, at: int) -> tuple[Any, ...]:
        """The place of an item: its lane, in an emergency the time that is left until harm is done, when it is due.

        An emergency whose time passed a week ago does not stand before one that has half an hour.
        """
        lane, _, due, harm_at = self._index[place : place + 4]
        due = _LATER if due < 0 else due
        if lane != _EMERGENCIES:
            return lane, False, 0, due, self.thread, part
        left = (_LATER if harm_at < 0 else harm_at) - at
        return lane, left <= 0, abs(left), due, self.thread, part


_Entry = tuple[tuple[Any, ...], _Row, int]
"""(place, row, which of its items)"""


def _first(entry: _Entry) -> tuple[Any, ...]:
    return entry[0]


def _again(entry: _Entry, at: int) -> _Entry:
    _, row, part = entry
    return row.key(part, at), row, part


def _item(head: Sequence[Any], fields: Sequence[Any], at: int) -> AgendaItem:
    thread, type_, urgency, reference, needed_by, suspected, harm_at = head
    what, _, lane, ours, peers, target, due, kind, source, confidence, since, command, times, levels, extra = fields
    reached = bisect_right(times, at)
    delivery = _delivery(extra["delivery"]) if "delivery" in extra else None
    if delivery is not None and at >= to_ms(delivery.expires_at):
        command = f"comity resend {str(delivery.message)[-SHORT_ID:]}"
    return AgendaItem(
        thread=UUID(bytes=thread),
        type=type_,
        urgency=urgency,
        peers=addresses_of(tuple(peers)),
        what=what,
        target=target,
        ours=ours,
        due=_instant(due),
        overdue=due is not None and at >= due,
        level=levels[reached - 1] if reached else None,
        changes_at=_instant(_next_of(fields, harm_at, at)),
        source=source,
        confidence=confidence,
        kind=kind,
        lane=_LANES[lane],
        owes=extra.get("owes", ""),
        next=command,
        needed_by=_instant(needed_by),
        harm_at=_instant(harm_at),
        since=_instant(since),
        reference=reference,
        suspected=suspected,
        delivery=delivery,
        proved=extra.get("proved", True),
        unopened=_unopened(extra["unopened"]) if "unopened" in extra else None,
    )


def _next_of(fields: Sequence[Any], harm_at: int | None, at: int) -> int | None:
    """When an item appears, reaches its next level, or its place among the emergencies changes."""
    appears, due, times = fields[1], fields[6], fields[12]
    ahead = times[bisect_right(times, at)] if times and times[-1] > at else None
    return min((one for one in (ahead, appears, due, harm_at) if one is not None and one > at), default=None)


def _delivery(value: Sequence[Any]) -> Undelivered:
    message, type_, state, reasons, reached, sent_at, expires_at, hangs, hangs_at = value
    return Undelivered(
        message=UUID(bytes=message),
        type=type_,
        state=state,
        reasons=tuple(reasons),
        reached=reached,
        sent_at=from_ms(sent_at),
        expires_at=from_ms(expires_at),
        hangs=hangs,
        hangs_at=_instant(hangs_at),
    )


def _unopened(value: Sequence[Any]) -> Unopened:
    message, type_, since, others = value
    return Unopened(UUID(bytes=message), type_, from_ms(since), others)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)


def _parsing() -> Callable[[tuple[str, ...]], tuple[Address, ...]]:
    """Parses addresses; the same few recur in all items."""
    known: dict[tuple[str, ...], tuple[Address, ...]] = {}

    def parse(texts: tuple[str, ...]) -> tuple[Address, ...]:
        if texts not in known:
            if len(known) > 4096:
                known.clear()
            known[texts] = tuple(Address.parse(text) for text in texts)
        return known[texts]

    return parse


addresses_of = _parsing()


def _name(item: AgendaItem, channel: str) -> bytes:
    due = to_ms(item.due) if item.due else None
    name = [channel, item.thread.bytes, item.what, item.target, due, item.level]
    about = item.delivery or (item.unopened if item.what == "unopened" else None)
    return cbor.encode(name if about is None else [*name, about.message.bytes])


def counts(items: Sequence[AgendaItem]) -> Mapping[str, int]:
    """How many items are overdue and how many are coming up: all that may be told without content."""
    return {
        "overdue": sum(item.overdue for item in items),
        "due": sum(item.level is not None and not item.overdue for item in items),
        "ours": sum(item.ours and item.level is not None for item in items),
    }


def lanes(items: Sequence[AgendaItem]) -> Iterator[tuple[Lane, list[AgendaItem]]]:
    """The items lane by lane, in the order of the agenda; lanes that have none are left out."""
    for lane in Lane:
        found = [item for item in items if item.lane is lane]
        if found:
            yield lane, found
