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
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import cbor2

from exchange.cases._derived import SHORT_ID, ThreadDerivation
from exchange.context.desk_context import DeskContext
from exchange.store.agenda import DerivedRow
from exchange.views import AgendaItem, Lane, Undelivered
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms

if TYPE_CHECKING:
    from exchange.store.desk_store import DeskStore


# So many threads are derived in one transaction.
_AT_ONCE = 256
_LANES = tuple(Lane)
_RANK = {lane: rank for rank, lane in enumerate(Lane)}
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Notice:
    """An item of the agenda whose level nobody was told of yet."""

    item: AgendaItem
    name: bytes  # of this level of this deadline, for one channel


class Agenda:
    """The agenda of one desk. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext) -> None:
        self._store = context.store
        self._clock = context.clock
        self._derivation = ThreadDerivation(context)
        self._shown = _Shown(context.store)

    def items(self, at: datetime | None = None) -> list[AgendaItem]:
        """All that is due, as it stands now or would stand ``at``, emergencies first; what stands still comes last."""
        self.derive()
        if at is not None:
            return self._shown.as_of(at)
        return self._shown.now(self._clock())

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

    def notices(self, channel: str) -> list[Notice]:
        """The items with a level that was not told over ``channel`` yet, in the order of the agenda."""
        found = [Notice(item, _name(item, channel)) for item in self.items() if item.level is not None]
        given = self._store.agenda.given_notices([notice.name for notice in found])
        return [notice for notice in found if notice.name not in given]

    def note_given(self, notices: Sequence[Notice]) -> None:
        """These are not told again."""
        self._store.agenda.note_given(notice.name for notice in notices)

    def next_change(self) -> datetime | None:
        """When the next level is reached, or an item appears, if no message comes before."""
        self.items()
        return self._shown.next_change()


class _Shown:
    """The items of the derived rows at one moment, kept from look to look: what changed is made again.

    A row is a few hundred bytes; an item is made of it when its level changes, or when the thread was derived anew.
    """

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._seq = 0
        self._rows: dict[bytes, _Row] = {}
        self._items: dict[bytes, list[AgendaItem]] = {}
        self._changes: list[tuple[datetime, bytes]] = []
        self._sorted: list[AgendaItem] | None = None
        self._as_of = _NEVER

    def now(self, now: datetime) -> list[AgendaItem]:
        """The items at ``now``, in order."""
        changed = self._take_new()
        if now < self._as_of:  # the first look, or a clock that was set back
            changed = set(self._rows)
            self._items, self._changes = {}, []
        self._as_of = now
        while self._changes and self._changes[0][0] <= now:
            changed.add(heapq.heappop(self._changes)[1])
        for thread in changed:
            self._make(thread, now)
        if changed or self._sorted is None:
            self._sorted = _in_order([item for items in self._items.values() for item in items], now)
        return list(self._sorted)

    def as_of(self, at: datetime) -> list[AgendaItem]:
        """The items as they would stand at another moment, in order."""
        self._take_new()
        self._as_of = _NEVER  # what is kept is made again at the next look
        return _in_order([item for row in self._rows.values() for item in row.items(at)], at)

    def next_change(self) -> datetime | None:
        """When the first item changes after the last look."""
        return self._changes[0][0] if self._changes else None

    def _take_new(self) -> set[bytes]:
        changed = set()
        for derived in self._store.agenda.since("agenda", self._seq):
            self._seq = derived.seq
            changed.add(derived.thread)
            if derived.value:
                self._rows[derived.thread] = _Row.of(derived)
            else:
                self._rows.pop(derived.thread, None)
        return changed

    def _make(self, thread: bytes, now: datetime) -> None:
        row = self._rows.get(thread)
        if row is None:
            self._items.pop(thread, None)
            return
        self._items[thread] = row.items(now)
        change = row.next_change(now)
        if change is not None:
            heapq.heappush(self._changes, (change, thread))


class _Row:
    """What is due in one thread, as :class:`ThreadDerivation` wrote it."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, derived: DerivedRow) -> _Row:
        """The row of a derived value: this desk wrote it, and its seal proves that."""
        return cls(cbor2.loads(derived.value))

    def items(self, now: datetime) -> list[AgendaItem]:
        """What is due at ``now``; what only counts later is not in it."""
        at = to_ms(now)
        return [
            self._item(head, fields, at)
            for head, items in self._parts
            for fields in items
            if fields[1] is None or fields[1] <= at
        ]

    def next_change(self, now: datetime) -> datetime | None:
        """When anything of it changes next."""
        at = to_ms(now)
        found = (_next_of(fields, head[6], at) for head, items in self._parts for fields in items)
        changes = [change for change in found if change is not None]
        return from_ms(min(changes)) if changes else None

    def _item(self, head: Sequence[Any], fields: Sequence[Any], at: int) -> AgendaItem:
        thread, type_, urgency, reference, needed_by, suspected, harm_at = head
        what, _, lane, ours, peers, target, due, kind, source, confidence, since, command, times, levels, extra = fields
        reached = bisect_right(times, at)
        delivery = _delivery(extra["delivery"]) if "delivery" in extra else None
        if delivery is not None and at >= to_ms(delivery.expires_at):
            command = f"comity resend {str(delivery.message)[-SHORT_ID:]}"
        change = _next_of(fields, harm_at, at)
        return AgendaItem(
            thread=UUID(bytes=thread),
            type=type_,
            urgency=urgency,
            peers=_addresses(tuple(peers)),
            what=what,
            target=target,
            ours=ours,
            due=_instant(due),
            overdue=due is not None and at >= due,
            level=levels[reached - 1] if reached else None,
            changes_at=_instant(change),
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


_addresses = _parsing()


def _in_order(items: Sequence[AgendaItem], now: datetime) -> list[AgendaItem]:
    """By lane; emergencies by the time that is left until harm is done, those whose time has passed after the others.

    One whose time passed a week ago must not stand before one that has half an hour.
    """
    return sorted(items, key=lambda item: _place(item, now))


def _place(item: AgendaItem, now: datetime) -> tuple[Any, ...]:
    harm, due = item.harm_at or _NEVER, item.due
    rest = (due is None, due or _NEVER, item.thread.int, item.what, item.target)
    if item.lane is not Lane.EMERGENCIES:
        return (_RANK[item.lane], False, 0.0, *rest)
    left = (harm - now).total_seconds()
    return (0, left <= 0, abs(left), *rest)


def urgent_first(urgency: str) -> bool:
    """The key by which any list puts emergencies first and keeps its own order within."""
    return urgency != "emergency"


def _name(item: AgendaItem, channel: str) -> bytes:
    due = to_ms(item.due) if item.due else None
    name = [channel, item.thread.bytes, item.what, item.target, due, item.level]
    return cbor.encode(name if item.delivery is None else [*name, item.delivery.message.bytes])


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
