"""From what is stored to what is shown."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import cbor2

from exchange.cases.agenda import Agenda
from exchange.cases.calls import Calls
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, Quarantined
from exchange.views import AgendaItem, CaseRow, Direction, InboxRow, QuarantineRow, SendStatus
from protocol.address import Address
from protocol.encoding.instants import from_ms, to_ms

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


class Listing:
    """The cases of a desk as a list shows them, of what :mod:`exchange.cases._derived` kept: no message is opened.

    The rows that were read are kept; the next look reads what was derived since. Blocking; runs in the desk's thread.
    """

    def __init__(self, store: DeskStore, agenda: Agenda) -> None:
        self._store = store
        self._agenda = agenda
        self._seq = 0
        self._rows: dict[bytes, list[Any]] = {}

    def cases(self, now: datetime, wanted: CaseFilter) -> list[CaseRow]:
        """The cases that fit: emergencies that are open first, by the time that is left; then the newest first."""
        items = self._agenda.items(now)
        self._take_new()
        due: dict[UUID, AgendaItem] = {}
        for item in items:
            if item.due is not None and (item.thread not in due or item.due < (due[item.thread].due or item.due)):
                due[item.thread] = item
        rows = (self._row(fields, to_ms(now), due) for parts in self._rows.values() for fields in parts)
        return sorted((row for row in rows if wanted.fits(row)), key=lambda row: _place(row, now))

    def _take_new(self) -> None:
        for derived in self._store.agenda.since("standing", self._seq):
            self._seq = derived.seq
            if derived.value:
                self._rows[derived.thread] = cbor2.loads(derived.value)
            else:
                self._rows.pop(derived.thread, None)

    def _row(self, fields: Sequence[Any], at: int, due: Mapping[UUID, AgendaItem]) -> CaseRow:
        (
            thread,
            type_,
            urgency,
            ours,
            peers,
            own_reference,
            peer_reference,
            offence,
            opened_at,
            owner,
            times,
            states,
            harm_at,
            suspected,
            proved,
        ) = fields
        thread_id = UUID(bytes=thread)
        next_due = due.get(thread_id)
        addresses = tuple(Address.parse(peer) for peer in peers)
        return CaseRow(
            thread=thread_id,
            type=type_,
            urgency=urgency,
            state=states[max(0, bisect_right(times, at) - 1)],
            ours=ours,
            peers=addresses,
            nation=", ".join(sorted({peer.node for peer in addresses})),
            own_reference=own_reference,
            peer_reference=peer_reference,
            offence=offence,
            opened_at=from_ms(opened_at),
            owner=owner,
            due=next_due.due if next_due is not None else None,
            due_what=next_due.what if next_due is not None else None,
            harm_at=from_ms(harm_at) if harm_at is not None else None,
            suspected=suspected,
            proved=proved,
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

    def fits(self, row: CaseRow) -> bool:
        """Whether a case is wanted."""
        texts = " ".join(text for text in (row.own_reference, row.peer_reference, row.offence) if text).casefold()
        return (
            (self.nation is None or self.nation.lower() in {peer.node for peer in row.peers})
            and (self.state is None or self.state == row.state)
            and (self.owner is None or (row.owner or "") == self.owner)
            and (self.ours is None or self.ours is row.ours)
            and (self.text is None or self.text.casefold() in texts)
            and (self.due_before is None or (row.due is not None and row.due < self.due_before))
        )


def _place(row: CaseRow, now: datetime) -> tuple[bool, float, float]:
    pressing = row.urgency == "emergency" and row.due is not None and row.state not in _SETTLED
    left = (row.harm_at - now).total_seconds() if pressing and row.harm_at is not None else 0.0
    return not pressing, left if left > 0 else 1e12 - left, -row.opened_at.timestamp()


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
