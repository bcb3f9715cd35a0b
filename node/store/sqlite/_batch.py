"""Applies the operations of one batch inside an open SQLite transaction.

Each operation checks everything before it writes its first row: so one that is refused has changed nothing, and no
savepoint is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.store.file_operations import (
    AnnounceFiles,
    CancelFiles,
    NoteFilesMoved,
    RecordCancelTold,
    RecordFiles,
    RecordFilesDeleted,
    RecordFilesExpired,
    RecordFilesTaken,
    ReserveFilesAgain,
)
from node.store.operations import (
    AcceptSubmission,
    AcceptTransfer,
    DeferOutbound,
    EraseEntries,
    FoundLog,
    ImportEntries,
    MarkReceiptsSent,
    Operation,
    PurgeDelivered,
    RecordCosigned,
    RecordDirectory,
    RecordExpired,
    RecordPeerCheckpoint,
    RecordRefused,
    RecordRejection,
    RecordRelayed,
    RecordStatement,
    RecordUnclaimed,
    RenewCheckpoint,
    SkipNumbers,
    StoreForeignReceipts,
)
from node.store.sqlite._accept import (
    accept_submission,
    accept_transfer,
    record_rejection,
    record_statement,
    record_unclaimed,
)
from node.store.sqlite._files import (
    announce_files,
    cancel_files,
    forget_files,
    note_files_moved,
    record_cancel_told,
    record_files,
    record_files_deleted,
    record_files_expired,
    record_files_taken,
    reserve_files_again,
)
from node.store.sqlite._import_entries import import_entries
from node.store.sqlite._relay import (
    record_expired,
    record_peer_checkpoint,
    record_refused,
    record_relayed,
    store_foreign_receipts,
)
from node.store.sqlite._retention import erase_entries
from node.store.sqlite._rows import Result, Rows
from protocol.directory_seen import NAME, DirectorySeen, decode_entry, encode_directory_seen
from protocol.encoding.instants import to_ms
from protocol.errors import LogForkError, OldSizeError

SKIPPED_NUMBERS = 1 << 32
"""More than a node gives in the time between two backups; and 63 bits have room for two thousand million skips."""


def apply_operation(rows: Rows, operation: Operation) -> Result:
    """Apply one operation; a ``ComityError`` means that it was refused and changed nothing."""
    return _APPLY[type(operation)](rows, operation)


def found_log(rows: Rows, operation: FoundLog) -> Result:
    """See :class:`~node.store.operations.FoundLog`."""
    if rows.tree.size or rows.execute("SELECT 1 FROM checkpoint LIMIT 1").fetchone():
        raise LogForkError("the log was founded before")
    rows.newest = operation.at
    return Result()


def renew_checkpoint(rows: Rows, operation: RenewCheckpoint) -> Result:
    """See :class:`~node.store.operations.RenewCheckpoint`."""
    if not rows.execute("SELECT 1 FROM checkpoint LIMIT 1").fetchone():
        raise LogForkError("the log is not founded yet")
    rows.newest = operation.at
    return Result()


def record_directory(rows: Rows, operation: RecordDirectory) -> Result:
    """See :class:`~node.store.operations.RecordDirectory`."""
    seen = DirectorySeen(operation.at, operation.version, operation.digest)
    row = rows.execute("SELECT idx, leaf FROM event WHERE name = ? ORDER BY idx DESC LIMIT 1", (NAME,)).fetchone()
    if row is not None:
        newest = decode_entry(row[1])
        if isinstance(newest, DirectorySeen) and (newest.version, newest.digest) == (seen.version, seen.digest):
            return Result((row[0],), duplicate=True)
    return Result((rows.append(encode_directory_seen(seen), operation.at, NAME, None),))


def record_cosigned(rows: Rows, operation: RecordCosigned) -> Result:
    """See :class:`~node.store.operations.RecordCosigned`."""
    row = rows.execute("SELECT size FROM cosigned WHERE origin = ?", (operation.origin,)).fetchone()
    size = row[0] if row is not None else 0
    if size != operation.old_size:
        raise OldSizeError(f"the witness cosigned a tree of {size} entries of {operation.origin} last", size)
    rows.execute(
        "INSERT INTO cosigned (origin, size, root, note) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note",
        (operation.origin, operation.size, operation.root, operation.note),
    )
    return Result(count=1)


def defer_outbound(rows: Rows, operation: DeferOutbound) -> Result:
    """See :class:`~node.store.operations.DeferOutbound`."""
    changed = rows.execute(
        "UPDATE outbound SET attempts = ?, next_ms = ?, error = ? WHERE id = ?",
        (operation.attempts, to_ms(operation.next_at), operation.error_code, operation.outbound_id),
    )
    return Result(count=changed.rowcount)


def mark_receipts_sent(rows: Rows, operation: MarkReceiptsSent) -> Result:
    """See :class:`~node.store.operations.MarkReceiptsSent`."""
    rows.executemany("DELETE FROM foreign_receipt WHERE seq = ?", [(row,) for row in operation.outbound_ids])
    gone = rows.executemany(
        "DELETE FROM outbound WHERE id = ? AND kind = 1", [(row,) for row in operation.outbound_ids]
    )
    return Result(count=gone.rowcount)


def purge_delivered(rows: Rows, operation: PurgeDelivered) -> Result:
    """See :class:`~node.store.operations.PurgeDelivered`."""
    before = to_ms(operation.before)
    done = rows.execute(
        "SELECT id FROM message m WHERE holds = 0 AND expires_ms < ?"
        # A message is not forgotten while its files still travel.
        " AND NOT EXISTS (SELECT 1 FROM file_set f WHERE f.message = m.id AND f.ended_ms IS NULL)"
        " ORDER BY expires_ms LIMIT ?",
        (before, operation.limit),
    ).fetchall()
    if done:
        rows.executemany(
            "DELETE FROM foreign_receipt WHERE seq IN (SELECT seq FROM mailbox WHERE message = ? AND kind = 1)",
            done,
        )
        rows.executemany("DELETE FROM mailbox WHERE message = ? AND kind = 1", done)
        rows.executemany("DELETE FROM mailbox WHERE message = ? AND kind = 0", done)
        rows.executemany("DELETE FROM message WHERE id = ?", done)
        forget_files(rows, done)
    elif not rows.execute("SELECT 1 FROM message WHERE expires_ms < ?", (before,)).fetchone():
        # No older message is left, so no receipt under these checkpoints is.
        rows.execute(
            "DELETE FROM foreign_checkpoint WHERE keep_until_ms < ? AND id NOT IN (SELECT f.checkpoint FROM outbound o"
            " JOIN foreign_receipt f ON f.seq = o.id WHERE o.kind = 1 AND o.event IS NULL)",
            (before,),
        )
        rows.notes.clear()
    return Result(count=len(done))


def skip_numbers(rows: Rows, operation: SkipNumbers) -> Result:
    """See :class:`~node.store.operations.SkipNumbers`."""
    rows.last_seq = max(rows.last_seq, operation.beyond) + SKIPPED_NUMBERS
    return Result(count=SKIPPED_NUMBERS)


_APPLY: dict[type[Any], Callable[[Rows, Any], Result]] = {
    FoundLog: found_log,
    RenewCheckpoint: renew_checkpoint,
    AcceptSubmission: accept_submission,
    AcceptTransfer: accept_transfer,
    RecordRejection: record_rejection,
    RecordDirectory: record_directory,
    RecordStatement: record_statement,
    RecordRelayed: record_relayed,
    RecordRefused: record_refused,
    RecordExpired: record_expired,
    RecordUnclaimed: record_unclaimed,
    StoreForeignReceipts: store_foreign_receipts,
    RecordPeerCheckpoint: record_peer_checkpoint,
    RecordCosigned: record_cosigned,
    DeferOutbound: defer_outbound,
    MarkReceiptsSent: mark_receipts_sent,
    PurgeDelivered: purge_delivered,
    EraseEntries: erase_entries,
    SkipNumbers: skip_numbers,
    ImportEntries: import_entries,
    AnnounceFiles: announce_files,
    ReserveFilesAgain: reserve_files_again,
    NoteFilesMoved: note_files_moved,
    RecordFiles: record_files,
    RecordFilesTaken: record_files_taken,
    CancelFiles: cancel_files,
    RecordCancelTold: record_cancel_told,
    RecordFilesExpired: record_files_expired,
    RecordFilesDeleted: record_files_deleted,
}
