"""One message's way through the logs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from exchange.audit.verify import VerifiedLog
from exchange.views import FilesTold
from protocol.address import Address
from protocol.event import decode_event


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One event of a message in one node's log; ``files`` are those that it is about."""

    node: str
    index: int
    event: str
    at: datetime
    recipient: Address | None
    peer: str | None
    reasons: tuple[str, ...]
    reference: tuple[str, int] | None
    files: FilesTold | None = None


def trace(message_id: UUID, logs: Sequence[VerifiedLog]) -> list[TraceRow]:
    """Every event of a message in the given logs, by time; raises as :meth:`VerifiedLog.entry` does."""
    rows = [_row(log, row.number) for log in logs for row in log.index.of_message(message_id)]
    return sorted(rows, key=lambda row: (row.at, row.node, row.index))


def sides_missing(rows: Sequence[TraceRow], logs: Sequence[VerifiedLog]) -> list[str]:
    """The nodes that these events name, and whose logs are not among these: their side is not known."""
    named = {row.peer for row in rows if row.peer} | {row.recipient.node for row in rows if row.recipient}
    return sorted(named - {log.node for log in logs})


def _row(log: VerifiedLog, index: int) -> TraceRow:
    event = decode_event(log.entry(index))
    return TraceRow(
        log.node,
        index,
        event.name.value,
        event.at,
        event.recipient,
        event.peer,
        event.reasons,
        None if event.reference is None else (event.reference.origin, event.reference.index),
        FilesTold.of(event),
    )
