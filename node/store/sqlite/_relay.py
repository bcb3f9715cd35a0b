"""What partners did with what was sent to them, and what their logs prove, as rows.

Each function checks everything before its first write: one that raises has changed nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from node.store._leaves import EventSubject
from node.store.operations import (
    REASON_EXPIRED,
    RecordExpired,
    RecordPeerCheckpoint,
    RecordRefused,
    RecordRelayed,
    StoreForeignReceipts,
)
from node.store.sqlite._files import no_files_for
from node.store.sqlite._rows import INSERT_OUTBOUND, MessageRow, Result, Rows
from node.store.sqlite._seen import SeenCheckpoint
from protocol.errors import ComityError, LogConflictError, NotFoundError, PeerFailedError
from protocol.event import EventName
from protocol.receipt import Receipt, VerifiedReceipt, split_path

_INSERT_FOREIGN = (
    "INSERT INTO foreign_receipt (origin, idx, seq, checkpoint, leaf, path) VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (origin, idx) DO NOTHING"
)
_DELETE_OUTBOUND = "DELETE FROM outbound WHERE id = ?"


def record_relayed(rows: Rows, operation: RecordRelayed) -> Result:
    """See :class:`~node.store.operations.RecordRelayed`."""
    message, partner, _ = _queued(rows, operation.outbound_id)
    if any(not _is_about(receipt, message) for receipt in operation.receipts):
        raise PeerFailedError("a receipt is about another message")
    _check_witnessed(rows, operation.receipts)
    about = EventSubject(message.message_id, message.digest, peer=partner)
    leaf = rows.leaf(EventName.RelayAcceptance, operation.at, about, reference=operation.reference)
    index, seq = _finish(rows, operation.outbound_id, message, leaf, operation.at, EventName.RelayAcceptance)
    if message.peer is None:
        _keep_foreign(rows, operation.receipts, message, seq)
    else:
        _keep_fresh(rows, operation.receipts, message, operation.at)
    _witness(rows, operation.receipts)
    return Result((index,))


def record_refused(rows: Rows, operation: RecordRefused) -> Result:
    """See :class:`~node.store.operations.RecordRefused`."""
    message, partner, recipients = _queued(rows, operation.outbound_id)
    about = EventSubject(message.message_id, message.digest, peer=operation.peer)
    leaf = rows.leaf(EventName.RelayRejection, operation.at, about, reasons=operation.reasons)
    index, _ = _finish(rows, operation.outbound_id, message, leaf, operation.at, EventName.RelayRejection)
    no_files_for(rows, message.id, partner, recipients, operation.at)
    return Result((index,))


def record_expired(rows: Rows, operation: RecordExpired) -> Result:
    """See :class:`~node.store.operations.RecordExpired`."""
    message, partner, recipients = _queued(rows, operation.outbound_id)
    about = EventSubject(message.message_id, message.digest, peer=partner)
    leaf = rows.leaf(EventName.RelayFailure, operation.at, about, reasons=(REASON_EXPIRED,))
    index, _ = _finish(rows, operation.outbound_id, message, leaf, operation.at, EventName.RelayFailure)
    no_files_for(rows, message.id, partner, recipients, operation.at)
    return Result((index,))


def _queued(rows: Rows, outbound_id: int) -> tuple[MessageRow, str, list[str]]:
    """The message, the partner, and for whom it goes there: nobody is named in the rows of earlier versions."""
    row = rows.run(
        "SELECT m.id, m.message_id, m.digest, m.sender, m.peer, m.expires_ms, o.partner, o.recipients"
        " FROM outbound o JOIN message m ON m.id = o.message WHERE o.id = ? AND o.kind = 0",
        (outbound_id,),
        INSERT_OUTBOUND,
    ).fetchone()
    if row is None or outbound_id in rows.left:
        raise NotFoundError("the outbound queue does not hold this envelope any more")
    recipients = (row[7] or "").split()
    return MessageRow(row[0], UUID(bytes=row[1]), row[2], row[3], row[4], row[5]), row[6], recipients


def _finish(
    rows: Rows, outbound_id: int, message: MessageRow, leaf: bytes, at: datetime, name: EventName
) -> tuple[int, int]:
    """Log how the relay ended, take the row out of the queue, tell the sender."""
    index = rows.append(leaf, at, name, message.id)
    rows.later(_DELETE_OUTBOUND, (outbound_id,))
    rows.left.add(outbound_id)
    rows.let_go(message.id)
    return index, rows.to_sender(message, index, at)


def store_foreign_receipts(rows: Rows, operation: StoreForeignReceipts) -> Result:
    """See :class:`~node.store.operations.StoreForeignReceipts`."""
    _check_witnessed(rows, operation.receipts)
    refused: list[tuple[int, ComityError]] = []
    wanted: dict[int, tuple[MessageRow, list[VerifiedReceipt]]] = {}
    for position, receipt in enumerate(operation.receipts):
        try:
            message = _find_sent(rows, receipt, operation.peer)
        except NotFoundError as problem:
            refused.append((position, problem))
            continue
        wanted.setdefault(message.id, (message, []))[1].append(receipt)
    stored = 0
    for message, receipts in wanted.values():
        stored += _keep_fresh(rows, receipts, message, operation.at)
    _witness(rows, operation.receipts)
    return Result(duplicate=bool(wanted) and not stored, refused=tuple(refused), count=stored)


def _find_sent(rows: Rows, receipt: VerifiedReceipt, peer: str) -> MessageRow:
    message = rows.find(receipt.event.message_id, receipt.event.digest)
    if message.peer == peer:
        raise NotFoundError("this message came from there: receipts travel towards its sender")
    return message


def _keep_fresh(rows: Rows, receipts: Iterable[VerifiedReceipt], message: MessageRow, at: datetime) -> int:
    """Bring those receipts to the sender that are not here yet; how many."""
    fresh = [receipt for receipt in receipts if not _has_foreign(rows, receipt)]
    if fresh:
        _keep_foreign(rows, fresh, message, rows.to_sender(message, None, at))
    return len(fresh)


def _has_foreign(rows: Rows, receipt: VerifiedReceipt) -> bool:
    place = receipt.origin, receipt.index
    known = rows.run("SELECT 1 FROM foreign_receipt WHERE origin = ? AND idx = ?", place)
    return place in rows.foreign or known.fetchone() is not None


def _keep_foreign(rows: Rows, receipts: Iterable[VerifiedReceipt], message: MessageRow, seq: int) -> None:
    for receipt in receipts:
        raw = receipt.receipt
        note = _foreign_note(rows, raw.checkpoint, message.expires_ms)
        rows.later(_INSERT_FOREIGN, (receipt.origin, receipt.index, seq, note, raw.leaf, b"".join(raw.path)))
        rows.foreign.setdefault((receipt.origin, receipt.index), raw)


def _foreign_note(rows: Rows, note: bytes, expires_ms: int) -> int:
    """The row of a foreign checkpoint: stored once, kept as long as a message with a receipt under it."""
    known = rows.notes.get(note)
    if known is not None and known[1] >= expires_ms:
        return known[0]
    row = rows.run(
        "INSERT INTO foreign_checkpoint (digest, note, keep_until_ms) VALUES (?, ?, ?)"
        " ON CONFLICT (digest) DO UPDATE SET keep_until_ms = max(keep_until_ms, excluded.keep_until_ms)"
        " RETURNING id, keep_until_ms",
        (sha256(note).digest(), note, expires_ms),
    ).fetchone()
    if len(rows.notes) >= 256:
        rows.notes.clear()
    rows.notes[note] = (row[0], row[1])
    return int(row[0])


def _check_witnessed(rows: Rows, receipts: Iterable[VerifiedReceipt]) -> None:
    """Return if the receipts contradict neither each other nor what is kept; raises :class:`LogConflictError`."""
    trees: dict[tuple[str, int], tuple[bytes, bytes]] = {}
    for origin, size, root, note in _checkpoints(receipts):
        other = trees.setdefault((origin, size), (root, note))
        if other[0] != root:
            raise LogConflictError(f"the log {origin} signed two trees of {size} entries", other[1], note)
        _check_same(rows, origin, size, root, note)
    entries: dict[tuple[str, int], VerifiedReceipt] = {}
    for receipt in receipts:
        same = entries.setdefault((receipt.origin, receipt.index), receipt)
        if same.receipt.leaf != receipt.receipt.leaf:
            raise _two_entries(receipt, same.receipt)
        _check_entry(rows, receipt)


def _check_entry(rows: Rows, receipt: VerifiedReceipt) -> None:
    place = receipt.origin, receipt.index
    fresh = rows.foreign.get(place)
    if fresh is not None and fresh.leaf != receipt.receipt.leaf:
        raise _two_entries(receipt, fresh)
    row = rows.run(
        "SELECT f.leaf, f.path, c.note FROM foreign_receipt f JOIN foreign_checkpoint c ON c.id = f.checkpoint"
        " WHERE f.origin = ? AND f.idx = ?",
        place,
    ).fetchone()
    if row is not None and row[0] != receipt.receipt.leaf:
        raise _two_entries(receipt, Receipt(row[0], receipt.index, split_path(row[1]), row[2]))


def _two_entries(shown: VerifiedReceipt, kept: Receipt) -> LogConflictError:
    text = f"the log {shown.origin} gave two receipts for entry {shown.index}"
    return LogConflictError(text, kept, shown.receipt)


def _check_same(rows: Rows, origin: str, size: int, root: bytes, note: bytes) -> None:
    seen = rows.seen.of(origin)
    if seen is not None and seen.size == size and seen.root != root:
        raise LogConflictError(f"the log {origin} signed two trees of {size} entries", seen.note, note)


def _witness(rows: Rows, receipts: Iterable[VerifiedReceipt]) -> None:
    for origin, size, root, note in _checkpoints(receipts):
        rows.seen.add(origin, SeenCheckpoint(size, root, note))


def record_peer_checkpoint(rows: Rows, operation: RecordPeerCheckpoint) -> Result:
    """See :class:`~node.store.operations.RecordPeerCheckpoint`."""
    _check_same(rows, operation.origin, operation.size, operation.root, operation.note)
    rows.seen.add(operation.origin, SeenCheckpoint(operation.size, operation.root, operation.note))
    return Result()


def _is_about(receipt: VerifiedReceipt, message: MessageRow) -> bool:
    return receipt.event.digest == message.digest and receipt.event.message_id == message.message_id


def _checkpoints(receipts: Iterable[VerifiedReceipt]) -> set[tuple[str, int, bytes, bytes]]:
    return {(receipt.origin, receipt.size, receipt.root, receipt.receipt.checkpoint) for receipt in receipts}
