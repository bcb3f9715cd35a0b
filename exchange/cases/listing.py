"""From what is stored to what is shown."""

from __future__ import annotations

from datetime import datetime

from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, Quarantined
from exchange.views import Direction, InboxRow, QuarantineRow, SendStatus


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
    )


def send_status(store: DeskStore, head: Head) -> SendStatus:
    """Where a sent message stands at its first hop."""
    if store.outbox.is_held(head.id):
        return SendStatus.SCHEDULED
    if store.outbox.has(head.id):
        return SendStatus.QUEUED
    return SendStatus.REFUSED if store.refusals.of(head.id) else SendStatus.SUBMITTED


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
