"""What is due in all cases of the desk, and which notices of it were not given yet.

The agenda is derived: each thread is folded again when its messages or receipts changed, and what is due is kept, so
that looking at it costs the open cases and not all of them. A nation's own clocks count as they are when that is done:
what it changes later does not move what was due before. Levels and lapses are functions of the time alone, and
every deadline of a case is in the agenda until the case says that it is met: nothing runs out unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.threads import thread_messages_of
from exchange.context.desk_context import DeskContext
from exchange.views import AgendaItem
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms

if TYPE_CHECKING:
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.profiles import NationalClocks


# So many threads are derived in one transaction.
_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Notice:
    """An item of the agenda whose level nobody was told of yet."""

    item: AgendaItem
    name: bytes  # of this level of this deadline, for one channel


class Agenda:
    """The agenda of one desk. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext) -> None:
        self._store = context.store
        self._parsed = context.parsed
        self._directory = context.current
        self._address = context.address
        self._clock = context.clock

    def items(self, at: datetime | None = None) -> list[AgendaItem]:
        """All that is due, as it stands now or would stand ``at``, the earliest first; what stands still comes last."""
        self._derive()
        now = at or self._clock()
        items = [item for value in self._store.agenda.all() for item in _items(value, self._address, now)]
        return sorted(items, key=lambda item: (item.due is None, item.due or now, item.thread, item.what, item.target))

    def notices(self, channel: str) -> list[Notice]:
        """The items with a level that was not told over ``channel`` yet."""
        found = [Notice(item, _name(item, channel)) for item in self.items() if item.level is not None]
        given = self._store.agenda.given_notices([notice.name for notice in found])
        return [notice for notice in found if notice.name not in given]

    def note_given(self, notices: Sequence[Notice]) -> None:
        """These are not told again."""
        self._store.agenda.note_given(notice.name for notice in notices)

    def next_change(self) -> datetime | None:
        """When the next level is reached, if no message comes before."""
        now = self._clock()
        changes = (item.changes_at for item in self.items())
        return min((change for change in changes if change is not None and change > now), default=None)

    def _derive(self) -> None:
        from exchange.cases.legal_comparison import clocks_of
        from protocol.lifecycle.projection import own_cases

        while stale := self._store.agenda.stale(_AT_ONCE):
            derived: dict[bytes, bytes | None] = {}
            for row in stale:
                thread = thread_messages_of(self._store, self._parsed, row)
                cases = own_cases(thread, str(self._address)).values()
                derived[row] = _to_bytes([(case, clocks_of(self._directory(), case)) for case in cases])
            self._store.agenda.put(derived, stale)


def _to_bytes(cases: Sequence[tuple[AnyCase, NationalClocks]]) -> bytes | None:
    """What is due in the cases of one thread, each with the nation's own clocks; None if nothing is."""
    due = [part for case, national in cases if (part := _due_in(case, national)) is not None]
    return cbor.encode(due) if due else None


def _due_in(case: AnyCase, national: NationalClocks) -> list[Any] | None:
    from protocol.lifecycle.deadlines import deadlines

    opening, due = case.opening, deadlines(case, national)
    if opening is None or not due:
        return None
    rows = [
        [d.what, d.side.value, to_ms(d.due) if d.due else None, d.source, d.confidence, d.target, d.kind.value]
        for d in due
    ]
    head = [opening.thread.bytes, opening.kind, opening.by, list(opening.requested), opening.urgency]
    return [head, rows]


def _items(value: bytes, own: Address, now: datetime) -> list[AgendaItem]:
    return [item for part in cbor.decode(value) for item in _items_of_case(part, own, now)]


def _items_of_case(value: list[Any], own: Address, now: datetime) -> list[AgendaItem]:
    from protocol.lifecycle.deadlines import Deadline, DueKind
    from protocol.lifecycle.rules import Side
    from protocol.lifecycle.warnings import level_at, next_change

    (thread, kind, requester, requested, urgency), rows = value
    side = Side.REQUESTER if requester == str(own) else Side.REQUESTED
    peers = tuple(Address.parse(text) for text in (requested if side is Side.REQUESTER else [requester]))
    items = []
    for what, by, due, source, confidence, target, kind_of_date in rows:
        at = from_ms(due) if due is not None else None
        deadline = Deadline(what, Side(by), at, source, confidence, target, DueKind(kind_of_date))
        level = level_at(deadline, urgency, now)
        items.append(
            AgendaItem(
                thread=UUID(bytes=thread),
                type=kind,
                urgency=urgency,
                peers=peers,
                what=what,
                target=target,
                ours=deadline.side is side,
                due=deadline.due,
                overdue=deadline.due is not None and now >= deadline.due,
                level=level,
                changes_at=next_change(deadline, urgency, now),
                source=source,
                confidence=confidence,
            )
        )
    return items


def _name(item: AgendaItem, channel: str) -> bytes:
    due = to_ms(item.due) if item.due else None
    return cbor.encode([channel, item.thread.bytes, item.what, item.target, due, item.level])


def counts(items: Sequence[AgendaItem]) -> Mapping[str, int]:
    """How many items are overdue and how many are coming up: all that may be told without content."""
    return {
        "overdue": sum(item.overdue for item in items),
        "due": sum(item.level is not None and not item.overdue for item in items),
        "ours": sum(item.ours and item.level is not None for item in items),
    }
