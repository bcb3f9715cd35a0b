"""From what is stored to what is shown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import cbor2

from exchange.cases.agenda import Agenda, addresses_of
from exchange.cases.calls import Calls
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, Quarantined
from exchange.views import CaseRow, Direction, InboxRow, QuarantineRow, SendStatus
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import NotFoundError

# After all that have time left.
_PASSED = 1 << 60
_SETTLED = frozenset({"answered", "closed", "refused", "withdrawn", "impossible", "supplement_due", "preserved"})


def inbox_row(store: DeskStore, sequence: int, head: Head, opened_at: datetime | None) -> InboxRow:
    """A message as a list shows it; of a sent one, also where it stands."""
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
        status=send_status(store, head) if head.direction is Direction.SENT else None,
        sequence=sequence,
        suspected=Calls.of(store.calls.of(head.thread)).suspected,
    )


def send_status(store: DeskStore, head: Head) -> SendStatus:
    """Where a sent message stands at its first hop."""
    if store.outbox.is_held(head.id):
        return SendStatus.SCHEDULED
    if store.outbox.has(head.id):
        return SendStatus.QUEUED
    return SendStatus.REFUSED if store.refusals.of(head.id) else SendStatus.SUBMITTED


def emergencies_first(rows: Sequence[InboxRow], pinned: Sequence[InboxRow] = ()) -> list[InboxRow]:
    """Rows of a list with ``pinned`` ones and emergencies before the others; each part keeps its order."""
    seen = {row.id for row in pinned}
    rest = [row for row in rows if row.id not in seen]
    return [*pinned, *sorted(rest, key=lambda row: row.urgency != "emergency")]


def pressing_rows(store: DeskStore, agenda: Agenda, direction: Direction, *, unopened: bool) -> list[InboxRow]:
    """The requests of the emergencies that wait for something, by the time that is left, however old they are."""
    found = []
    for thread in agenda.pressing():
        with suppress(NotFoundError):
            row = inbox_row(store, *store.messages.head(thread))
            found += [row] if row.direction is direction and not (unopened and row.opened_at) else []
    return found


class Listing:
    """The cases of a desk as a list shows them, of what :mod:`exchange.cases._derived` kept: no message is opened.

    The rows that were read are kept; the next look reads what was derived since. Blocking; runs in the desk's thread.
    """

    def __init__(self, store: DeskStore, agenda: Agenda) -> None:
        self._store = store
        self._agenda = agenda
        self._seq = 0
        self._rows: dict[bytes, bytes] = {}

    def cases(self, now: datetime, wanted: CaseFilter, limit: int | None = None) -> list[CaseRow]:
        """The cases that fit, ``limit`` at most: open emergencies first, by the time that is left; then the newest."""
        self._agenda.items(most=0)
        self._take_new()
        at, before = to_ms(now), to_ms(wanted.due_before) if wanted.due_before is not None else None
        found: list[tuple[tuple[bool, int, int], bytes, int]] = []
        for thread, value in self._rows.items():
            due = self._agenda.next_due_at(thread, at)
            if before is not None and (due is None or due >= before):
                continue
            for part, standing in enumerate(_read(value)):
                if wanted.fits(standing, at):
                    found.append((_place(standing, due is not None, at), thread, part))
        found.sort()
        return [self._row(thread, part, at) for _, thread, part in found[:limit]]

    def _row(self, thread: bytes, part: int, at: int) -> CaseRow:
        return _row(_read(self._rows[thread])[part], self._agenda.next_due(thread, at), at)

    def _take_new(self) -> None:
        for derived in self._store.agenda.since("standing", self._seq):
            self._seq = derived.seq
            if derived.value:
                self._rows[derived.thread] = derived.value
            else:
                self._rows.pop(derived.thread, None)


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

    def state_at(self, at: int) -> str:
        """The state at a moment."""
        return self.states[max(0, bisect_right(self.times, at) - 1)]


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
    )


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """Which cases are wanted; None and empty: any. ``text`` is looked for in references and the offence."""

    nation: str | None = None
    state: str | None = None
    owner: str | None = None
    ours: bool | None = None
    text: str | None = None
    due_before: datetime | None = None

    def fits(self, standing: _Standing, at: int) -> bool:
        """Whether a case is wanted, but for when it is due."""
        return (
            (self.ours is None or self.ours is standing.ours)
            and (self.owner is None or (standing.owner or "") == self.owner)
            and (self.nation is None or self._is_with(standing.peers))
            and (self.state is None or self.state == standing.state_at(at))
            and (self.text is None or self._is_in(standing))
        )

    def _is_with(self, peers: Sequence[str]) -> bool:
        return any(peer.rpartition("@")[2] == (self.nation or "").lower() for peer in peers)

    def _is_in(self, standing: _Standing) -> bool:
        texts = (standing.own_reference, standing.peer_reference, standing.offence)
        return any((self.text or "").casefold() in text.casefold() for text in texts if text)


def _place(standing: _Standing, has_due: bool, at: int) -> tuple[bool, int, int]:
    pressing = standing.harm_at is not None and has_due and standing.state_at(at) not in _SETTLED
    left = standing.harm_at - at if pressing and standing.harm_at is not None else 0
    return not pressing, left if left >= 0 else _PASSED - left, -standing.opened_at


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
