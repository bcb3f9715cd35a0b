"""Appending entries that the log had signed and the database lost, and doing again what they say.

The envelopes of the lost time are gone: a message that was accepted in it has entries here and no rows. The store does
again what the entries say of messages that are older, so that nothing is delivered, announced or given up twice.
"""

from __future__ import annotations

from uuid import UUID

from node.store.operations import ImportEntries
from node.store.reads import OutboundKind
from node.store.sqlite._files import import_file_event
from node.store.sqlite._rows import INSERT_EVENT, MessageRow, Result, Rows
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.encoding.instants import to_ms
from protocol.errors import LogForkError
from protocol.event import Event, EventName
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import BundleItem, Withheld

WITHHELD = "Withheld"
"""The name under which an entry is kept of which only the hash is known."""

_LEFT_QUEUE = frozenset({EventName.RelayRejection, EventName.RelayFailure})
_LEFT_MAILBOX = frozenset({EventName.ContentHandover, EventName.ContentConsignmentFailure})
_STATED = frozenset({EventName.ContentAccessTracking, EventName.ContentHandoverFailure})


def import_entries(rows: Rows, operation: ImportEntries) -> Result:
    """See :class:`~node.store.operations.ImportEntries`."""
    if operation.first != rows.tree.size:
        raise LogForkError(f"the log has {rows.tree.size} entries; those from {operation.first} on do not follow")
    count = 0
    for item in operation.entries:
        _append(rows, item)
        count += 1
    if count:
        rows.newest = operation.at
    return Result(count=count)


def _append(rows: Rows, item: BundleItem) -> None:
    if isinstance(item, Withheld):
        index = rows.tree.append(item.leaf_hash)
        rows.execute(INSERT_EVENT, (index, item.leaf_hash, WITHHELD, None, None, None, None))
        return
    entry = decode_entry(item)
    index = rows.tree.append(leaf_hash(item))
    if isinstance(entry, DirectorySeen):
        rows.execute(INSERT_EVENT, (index, item, "DirectorySeen", None, None, None, None))
    else:
        message = _message(rows, entry)
        recipient = str(entry.recipient) if entry.recipient is not None else None
        row = message.id if message is not None else None
        rows.execute(INSERT_EVENT, (index, item, entry.name.value, row, recipient, None, None))
        if message is not None and entry.name.of_files:
            import_file_event(rows, message, index, entry)
        elif message is not None and _repeat(rows, message, entry):
            rows.to_sender(message, index, entry.at)


def _message(rows: Rows, event: Event) -> MessageRow | None:
    row = rows.execute(
        "SELECT id, message_id, digest, sender, peer, expires_ms FROM message WHERE message_id = ? AND digest = ?",
        (event.message_id.bytes, event.digest),
    ).fetchone()
    return MessageRow(row[0], UUID(bytes=row[1]), row[2], row[3], row[4], row[5]) if row is not None else None


def _repeat(rows: Rows, message: MessageRow, event: Event) -> bool:
    """Do again what the event says of the message; whether its sender is to have the receipt (again)."""
    if event.name in _LEFT_QUEUE or (event.name is EventName.RelayAcceptance and event.reference is not None):
        return _leave_queue(rows, message, event)
    if event.name in _LEFT_MAILBOX:
        _leave_mailbox(rows, message, event)
        return True
    return event.name in _STATED


def _leave_queue(rows: Rows, message: MessageRow, event: Event) -> bool:
    gone = rows.execute(
        "DELETE FROM outbound WHERE message = ? AND partner = ? AND kind = ?",
        (message.id, event.peer, int(OutboundKind.ENVELOPE)),
    )
    if gone.rowcount:
        rows.let_go(message.id)
    return bool(gone.rowcount)


def _leave_mailbox(rows: Rows, message: MessageRow, event: Event) -> None:
    closed = rows.execute(
        "UPDATE mailbox SET closed_ms = ? WHERE message = ? AND desk = ? AND kind = 0 AND closed_ms IS NULL",
        (to_ms(event.at), message.id, str(event.recipient)),
    )
    if closed.rowcount:
        rows.let_go(message.id)
