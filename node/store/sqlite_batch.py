"""Applies the operations of one batch inside an open SQLite transaction.

Each operation checks everything before it writes its first row: so one that is refused has changed nothing, and no
savepoint is needed. Rows are visible to the batch's later operations at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from node.events import EventWriter
from node.store.base import (
    REASON_EXPIRED,
    REASON_UNCLAIMED,
    AcceptSubmission,
    AcceptTransfer,
    DeferOutbound,
    FoundLog,
    Incoming,
    MarkReceiptsSent,
    Operation,
    OutboundKind,
    PurgeDelivered,
    RecordExpired,
    RecordPeerCheckpoint,
    RecordRefused,
    RecordRejection,
    RecordRelayed,
    RecordStatement,
    RecordUnclaimed,
    StoreForeignReceipts,
)
from protocol import cbor
from protocol.address import Address
from protocol.errors import ComityError, IdConflictError, LogForkError, MalformedError, NotFoundError, PeerFailedError
from protocol.event import EventName
from protocol.instant import to_ms
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from protocol.receipt import VerifiedReceipt

# mailbox.kind
MESSAGE = 0
RECEIPTS = 1
# outbound.rank of receipts; envelopes have 2 - priority
_RECEIPTS_RANK = 0

_INSERT_EVENT = "INSERT INTO event (idx, leaf, name, message, recipient, rejection) VALUES (?, ?, ?, ?, ?, ?)"
_INSERT_MESSAGE = (
    "INSERT INTO message (id, message_id, sender, digest, peer, expires_ms, holds) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_MAILBOX = "INSERT INTO mailbox (desk, seq, kind, message, event) VALUES (?, ?, ?, ?, ?)"
_INSERT_OUTBOUND = (
    "INSERT INTO outbound (id, partner, kind, rank, next_ms, message, digest, event, expires_ms)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_FOREIGN = "INSERT INTO foreign_receipt (origin, idx, seq, checkpoint, leaf, path) VALUES (?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation came to, before its receipts exist: ``indexes`` are those of its leaves."""

    indexes: tuple[int, ...] = ()
    duplicate: bool = False
    refused: tuple[tuple[int, ComityError], ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class _Message:
    """A stored message's row."""

    id: int
    message_id: UUID
    digest: bytes
    sender: str
    peer: str | None
    expires_ms: int


class Batch:
    """One batch: its new leaves, and who has something new to fetch.

    ``notes`` maps a foreign checkpoint to its row; it outlives the batch and is dropped when a batch is rolled back.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        tree: TileTree,
        events: EventWriter,
        last_seq: int,
        notes: dict[bytes, tuple[int, int]],
    ) -> None:
        self.leaves: list[bytes] = []
        self.leaf_hashes: list[bytes] = []
        self.desks: set[str] = set()
        self.partners: set[str] = set()
        self.last_seq = last_seq
        self.newest: datetime | None = None
        self.founded = False
        self._execute = connection.execute
        self._executemany = connection.executemany
        self._tree = tree
        self._leaf = events.leaf
        self._notes = notes
        self._apply: dict[type[Any], Callable[[Any], Result]] = {
            FoundLog: self._found_log,
            AcceptSubmission: self._accept_submission,
            AcceptTransfer: self._accept_transfer,
            RecordRejection: self._record_rejection,
            RecordStatement: self._record_statement,
            RecordRelayed: self._record_relayed,
            RecordRefused: self._record_refused,
            RecordExpired: self._record_expired,
            RecordUnclaimed: self._record_unclaimed,
            StoreForeignReceipts: self._store_foreign_receipts,
            RecordPeerCheckpoint: self._record_peer_checkpoint,
            DeferOutbound: self._defer_outbound,
            MarkReceiptsSent: self._mark_receipts_sent,
            PurgeDelivered: self._purge_delivered,
        }

    def apply(self, operation: Operation) -> Result:
        """Apply one operation; a :class:`ComityError` means that it was refused and changed nothing."""
        return self._apply[type(operation)](operation)

    # --- Leaves, mailboxes, queue ------------------------------------------------------------------------------

    def _append(
        self,
        leaf: bytes,
        at: datetime,
        name: EventName,
        message: int | None,
        recipient: str | None = None,
        rejection: bytes | None = None,
    ) -> int:
        hashed = leaf_hash(leaf)
        index = self._tree.append(hashed)
        self.leaves.append(leaf)
        self.leaf_hashes.append(hashed)
        if self.newest is None or at > self.newest:
            self.newest = at
        self._execute(_INSERT_EVENT, (index, leaf, name.value, message, recipient, rejection))
        return index

    def _next_seq(self) -> int:
        self.last_seq += 1
        return self.last_seq

    def _put(self, desk: str, kind: int, message: int, event: int | None) -> int:
        seq = self._next_seq()
        self._execute(_INSERT_MAILBOX, (desk, seq, kind, message, event))
        self.desks.add(desk)
        return seq

    def _to_sender(self, message: _Message, event: int, at: datetime) -> int | None:
        """Bring the receipt of ``event`` to the sender: into the mailbox here, or on the way to its node."""
        if message.peer is None:
            return self._put(message.sender, RECEIPTS, message.id, event)
        partner = message.sender.partition("@")[2]
        due = to_ms(at)
        self._execute(
            _INSERT_OUTBOUND,
            (
                self._next_seq(),
                partner,
                OutboundKind.RECEIPTS,
                _RECEIPTS_RANK,
                due,
                message.id,
                message.digest,
                event,
                None,
            ),
        )
        self.partners.add(partner)
        return None

    def _let_go(self, message: int) -> None:
        """One less needs the payload; the last one takes it along."""
        row = self._execute("UPDATE message SET holds = holds - 1 WHERE id = ? RETURNING holds", (message,)).fetchone()
        if row is not None and row[0] == 0:
            self._execute("DELETE FROM payload WHERE message = ?", (message,))

    def _find(self, message_id: UUID, digest: bytes) -> _Message:
        row = self._execute(
            "SELECT id, sender, peer, expires_ms FROM message WHERE message_id = ? AND digest = ?",
            (message_id.bytes, digest),
        ).fetchone()
        if row is None:
            raise NotFoundError("this node has no message of this id and digest")
        return _Message(row[0], message_id, digest, row[1], row[2], row[3])

    def _find_submitted(self, message_id: UUID, digest: bytes) -> _Message:
        message = self._find(message_id, digest)
        if message.peer is not None:
            raise NotFoundError("this message was not submitted at this node")
        return message

    # --- Accepting ---------------------------------------------------------------------------------------------

    def _found_log(self, operation: FoundLog) -> Result:
        if self._tree.size or self._execute("SELECT 1 FROM checkpoint LIMIT 1").fetchone():
            raise LogForkError("the log was founded before")
        self.founded = True
        self.newest = operation.at
        return Result()

    def _accept_submission(self, operation: AcceptSubmission) -> Result:
        return self._accept(operation.message, None, operation.local, tuple(operation.onward), operation.at)

    def _accept_transfer(self, operation: AcceptTransfer) -> Result:
        return self._accept(operation.message, operation.peer, operation.local, (), operation.at)

    def _accept(
        self, incoming: Incoming, peer: str | None, local: tuple[Address, ...], partners: tuple[str, ...], at: datetime
    ) -> Result:
        sender = str(incoming.sender)
        known = self._execute(
            "SELECT id, digest FROM message WHERE message_id = ? AND sender = ?", (incoming.message_id.bytes, sender)
        ).fetchone()
        if known is not None:
            if known[1] != incoming.digest:
                raise IdConflictError
            return self._accept_again(known[0], incoming, local, at)
        name = EventName.SubmissionAcceptance if peer is None else EventName.RelayAcceptance
        local = tuple(dict.fromkeys(local))
        expires_ms = to_ms(incoming.expires)
        due = to_ms(at)
        acceptance = self._leaf(name, at, incoming.message_id, incoming.digest, peer=peer)
        consignments = [self._consignment(incoming, desk, at) for desk in local]

        # An accepting event is the first of its message: its index is the message's id.
        message = self._append(acceptance, at, name, self._tree.size)
        holds = len(local) + len(partners)
        self._execute(
            _INSERT_MESSAGE,
            (message, incoming.message_id.bytes, sender, incoming.digest, peer, expires_ms, holds),
        )
        if holds:
            self._execute("INSERT INTO payload (message, raw) VALUES (?, ?)", (message, incoming.raw))
        indexes = [message]
        for desk, leaf in zip(local, consignments, strict=True):
            indexes.append(self._consign(message, str(desk), leaf, at))
        rank = 2 - incoming.priority
        for partner in partners:
            self._execute(
                _INSERT_OUTBOUND,
                (
                    self._next_seq(),
                    partner,
                    OutboundKind.ENVELOPE,
                    rank,
                    due,
                    message,
                    incoming.digest,
                    None,
                    expires_ms,
                ),
            )
            self.partners.add(partner)
        return Result(tuple(indexes))

    def _accept_again(self, message: int, incoming: Incoming, local: tuple[Address, ...], at: datetime) -> Result:
        """The receipts of the first time. A recipient that this node did not serve then is consigned to now."""
        rows = self._execute(
            "SELECT recipient, idx FROM event WHERE message = ? AND name = ?",
            (message, EventName.ContentConsignment.value),
        )
        consigned: dict[str, int] = dict(rows.fetchall())
        missing = [desk for desk in dict.fromkeys(local) if str(desk) not in consigned]
        leaves = [self._consignment(incoming, desk, at) for desk in missing]
        for desk, leaf in zip(missing, leaves, strict=True):
            self._execute("UPDATE message SET holds = holds + 1 WHERE id = ?", (message,))
            self._execute("INSERT OR IGNORE INTO payload (message, raw) VALUES (?, ?)", (message, incoming.raw))
            consigned[str(desk)] = self._consign(message, str(desk), leaf, at)
        indexes = [message, *(consigned[str(desk)] for desk in dict.fromkeys(local))]
        return Result(tuple(indexes), duplicate=not missing)

    def _consignment(self, incoming: Incoming, desk: Address, at: datetime) -> bytes:
        return self._leaf(EventName.ContentConsignment, at, incoming.message_id, incoming.digest, recipient=desk)

    def _consign(self, message: int, desk: str, leaf: bytes, at: datetime) -> int:
        index = self._append(leaf, at, EventName.ContentConsignment, message, desk)
        self._put(desk, MESSAGE, message, index)
        return index

    def _record_rejection(self, operation: RecordRejection) -> Result:
        recipient = str(operation.recipient) if operation.recipient is not None else None
        if operation.event not in (EventName.SubmissionRejection, EventName.RelayRejection):
            raise MalformedError("a rejection is a SubmissionRejection or a RelayRejection")
        same = sha256(
            cbor.encode(
                [
                    operation.message_id.bytes,
                    operation.digest,
                    operation.event.value,
                    operation.peer,
                    recipient,
                    list(operation.reasons),
                ]
            )
        ).digest()
        known = self._execute("SELECT idx FROM event WHERE rejection = ?", (same,)).fetchone()
        if known is not None:
            return Result((known[0],), duplicate=True)
        leaf = self._leaf(
            operation.event,
            operation.at,
            operation.message_id,
            operation.digest,
            peer=operation.peer,
            recipient=operation.recipient,
            reasons=operation.reasons,
        )
        return Result((self._append(leaf, operation.at, operation.event, None, recipient, same),))

    # --- What desks state --------------------------------------------------------------------------------------

    def _record_statement(self, operation: RecordStatement) -> Result:
        stated = operation.statement.statement
        desk = str(stated.recipient)
        message = self._find(stated.message_id, stated.digest)
        logged = dict(
            self._execute("SELECT name, idx FROM event WHERE message = ? AND recipient = ?", (message.id, desk))
        )
        if stated.event.value in logged:
            return Result((logged[stated.event.value],), duplicate=True)
        if EventName.ContentConsignment.value not in logged:
            raise NotFoundError("this message was not consigned to this contact point here")
        leaf = self._leaf(
            stated.event,
            operation.at,
            stated.message_id,
            stated.digest,
            recipient=stated.recipient,
            reasons=stated.reasons,
            statement=operation.statement.raw,
        )
        index = self._append(leaf, operation.at, stated.event, message.id, desk)
        if stated.event is EventName.ContentHandover:
            self._close(message.id, desk, operation.at)
        self._to_sender(message, index, operation.at)
        return Result((index,))

    def _close(self, message: int, desk: str, at: datetime) -> None:
        closed = self._execute(
            "UPDATE mailbox SET closed_ms = ? WHERE message = ? AND desk = ? AND kind = 0 AND closed_ms IS NULL",
            (to_ms(at), message, desk),
        )
        if closed.rowcount:
            self._let_go(message)

    def _record_unclaimed(self, operation: RecordUnclaimed) -> Result:
        desk = str(operation.recipient)
        message = self._find(operation.message_id, operation.digest)
        still_open = self._execute(
            "SELECT 1 FROM mailbox WHERE message = ? AND desk = ? AND kind = 0 AND closed_ms IS NULL",
            (message.id, desk),
        ).fetchone()
        if still_open is None:
            raise NotFoundError("the mailbox does not hold this message any more")
        leaf = self._leaf(
            EventName.ContentConsignmentFailure,
            operation.at,
            operation.message_id,
            operation.digest,
            recipient=operation.recipient,
            reasons=(REASON_UNCLAIMED,),
        )
        index = self._append(leaf, operation.at, EventName.ContentConsignmentFailure, message.id, desk)
        self._close(message.id, desk, operation.at)
        self._to_sender(message, index, operation.at)
        return Result((index,))

    # --- What partners did -------------------------------------------------------------------------------------

    def _record_relayed(self, operation: RecordRelayed) -> Result:
        message, partner = self._queued(operation.outbound_id)
        if any(not _is_about(receipt, message) for receipt in operation.receipts):
            raise PeerFailedError("a receipt is about another message")
        self._check_witnessed(operation.receipts)
        leaf = self._leaf(
            EventName.RelayAcceptance,
            operation.at,
            message.message_id,
            message.digest,
            peer=partner,
            reference=operation.reference,
        )
        index, seq = self._finish(operation.outbound_id, message, leaf, operation.at, EventName.RelayAcceptance)
        if seq is not None:
            self._keep_foreign(operation.receipts, message, seq)
        self._witness(operation.receipts)
        return Result((index,))

    def _record_refused(self, operation: RecordRefused) -> Result:
        message, _ = self._queued(operation.outbound_id)
        leaf = self._leaf(
            EventName.RelayRejection,
            operation.at,
            message.message_id,
            message.digest,
            peer=operation.peer,
            reasons=operation.reasons,
        )
        index, _ = self._finish(operation.outbound_id, message, leaf, operation.at, EventName.RelayRejection)
        return Result((index,))

    def _record_expired(self, operation: RecordExpired) -> Result:
        message, partner = self._queued(operation.outbound_id)
        leaf = self._leaf(
            EventName.RelayFailure,
            operation.at,
            message.message_id,
            message.digest,
            peer=partner,
            reasons=(REASON_EXPIRED,),
        )
        index, _ = self._finish(operation.outbound_id, message, leaf, operation.at, EventName.RelayFailure)
        return Result((index,))

    def _queued(self, outbound_id: int) -> tuple[_Message, str]:
        row = self._execute(
            "SELECT m.id, m.message_id, m.digest, m.sender, m.peer, m.expires_ms, o.partner"
            " FROM outbound o JOIN message m ON m.id = o.message WHERE o.id = ? AND o.kind = 0",
            (outbound_id,),
        ).fetchone()
        if row is None:
            raise NotFoundError("the outbound queue does not hold this envelope any more")
        return _Message(row[0], UUID(bytes=row[1]), row[2], row[3], row[4], row[5]), row[6]

    def _finish(
        self, outbound_id: int, message: _Message, leaf: bytes, at: datetime, name: EventName
    ) -> tuple[int, int | None]:
        """Log how the relay ended, take the row out of the queue, tell the sender."""
        index = self._append(leaf, at, name, message.id)
        self._execute("DELETE FROM outbound WHERE id = ?", (outbound_id,))
        self._let_go(message.id)
        return index, self._to_sender(message, index, at)

    def _store_foreign_receipts(self, operation: StoreForeignReceipts) -> Result:
        self._check_witnessed(operation.receipts)
        refused: list[tuple[int, ComityError]] = []
        wanted: dict[int, tuple[_Message, list[VerifiedReceipt]]] = {}
        for position, receipt in enumerate(operation.receipts):
            try:
                message = self._find_submitted(receipt.event.message_id, receipt.event.digest)
            except NotFoundError as problem:
                refused.append((position, problem))
                continue
            wanted.setdefault(message.id, (message, []))[1].append(receipt)
        stored = 0
        for message, receipts in wanted.values():
            fresh = [receipt for receipt in receipts if not self._has_foreign(receipt)]
            if fresh:
                self._keep_foreign(fresh, message, self._put(message.sender, RECEIPTS, message.id, None))
                stored += len(fresh)
        self._witness(operation.receipts)
        return Result(duplicate=bool(wanted) and not stored, refused=tuple(refused), count=stored)

    def _has_foreign(self, receipt: VerifiedReceipt) -> bool:
        known = self._execute(
            "SELECT 1 FROM foreign_receipt WHERE origin = ? AND idx = ?", (receipt.origin, receipt.index)
        )
        return known.fetchone() is not None

    def _keep_foreign(self, receipts: Iterable[VerifiedReceipt], message: _Message, seq: int) -> None:
        for receipt in receipts:
            if self._has_foreign(receipt):
                continue
            note = self._foreign_note(receipt.receipt.checkpoint, message.expires_ms)
            raw = receipt.receipt
            self._execute(_INSERT_FOREIGN, (receipt.origin, receipt.index, seq, note, raw.leaf, b"".join(raw.path)))

    def _foreign_note(self, note: bytes, expires_ms: int) -> int:
        """The row of a foreign checkpoint: stored once, kept as long as a message with a receipt under it."""
        known = self._notes.get(note)
        if known is not None and known[1] >= expires_ms:
            return known[0]
        row = self._execute(
            "INSERT INTO foreign_checkpoint (digest, note, keep_until_ms) VALUES (?, ?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET keep_until_ms = max(keep_until_ms, excluded.keep_until_ms)"
            " RETURNING id, keep_until_ms",
            (sha256(note).digest(), note, expires_ms),
        ).fetchone()
        if len(self._notes) >= 256:
            self._notes.clear()
        self._notes[note] = (row[0], row[1])
        return int(row[0])

    # --- Other logs ----------------------------------------------------------------------------------------------

    def _check_witnessed(self, receipts: Iterable[VerifiedReceipt]) -> None:
        roots: dict[tuple[str, int], bytes] = {}
        for origin, size, root, _ in _checkpoints(receipts):
            if roots.setdefault((origin, size), root) != root:
                raise LogForkError(f"the log {origin} signed two trees of {size} entries")
            self._check_same(origin, size, root)

    def _check_same(self, origin: str, size: int, root: bytes) -> None:
        seen = self._execute("SELECT size, root FROM peer_checkpoint WHERE origin = ?", (origin,)).fetchone()
        if seen is not None and seen[0] == size and seen[1] != root:
            raise LogForkError(f"the log {origin} signed two trees of {size} entries")

    def _witness(self, receipts: Iterable[VerifiedReceipt]) -> None:
        for origin, size, root, note in _checkpoints(receipts):
            self._saw(origin, size, root, note)

    def _saw(self, origin: str, size: int, root: bytes, note: bytes) -> None:
        self._execute(
            "INSERT INTO peer_checkpoint (origin, size, root, note) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (origin) DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note"
            " WHERE excluded.size > size",
            (origin, size, root, note),
        )

    def _record_peer_checkpoint(self, operation: RecordPeerCheckpoint) -> Result:
        self._check_same(operation.origin, operation.size, operation.root)
        self._saw(operation.origin, operation.size, operation.root, operation.note)
        return Result()

    # --- Upkeep --------------------------------------------------------------------------------------------------

    def _defer_outbound(self, operation: DeferOutbound) -> Result:
        changed = self._execute(
            "UPDATE outbound SET attempts = ?, next_ms = ?, error = ? WHERE id = ?",
            (operation.attempts, to_ms(operation.next_at), operation.error_code, operation.outbound_id),
        )
        return Result(count=changed.rowcount)

    def _mark_receipts_sent(self, operation: MarkReceiptsSent) -> Result:
        gone = self._executemany(
            "DELETE FROM outbound WHERE id = ? AND kind = 1", [(row,) for row in operation.outbound_ids]
        )
        return Result(count=gone.rowcount)

    def _purge_delivered(self, operation: PurgeDelivered) -> Result:
        before = to_ms(operation.before)
        rows = self._execute(
            "SELECT id FROM message WHERE holds = 0 AND expires_ms < ? ORDER BY expires_ms LIMIT ?",
            (before, operation.limit),
        ).fetchall()
        if rows:
            self._executemany(
                "DELETE FROM foreign_receipt WHERE seq IN (SELECT seq FROM mailbox WHERE message = ? AND kind = 1)",
                rows,
            )
            self._executemany("DELETE FROM mailbox WHERE message = ? AND kind = 1", rows)
            self._executemany("DELETE FROM mailbox WHERE message = ? AND kind = 0", rows)
            self._executemany("DELETE FROM message WHERE id = ?", rows)
        elif not self._execute("SELECT 1 FROM message WHERE expires_ms < ? AND holds > 0", (before,)).fetchone():
            # No older message is left, so no receipt under these checkpoints is.
            self._execute("DELETE FROM foreign_checkpoint WHERE keep_until_ms < ?", (before,))
            self._notes.clear()
        return Result(count=len(rows))


def _is_about(receipt: VerifiedReceipt, message: _Message) -> bool:
    return receipt.event.digest == message.digest and receipt.event.message_id == message.message_id


def _checkpoints(receipts: Iterable[VerifiedReceipt]) -> set[tuple[str, int, bytes, bytes]]:
    return {(receipt.origin, receipt.size, receipt.root, receipt.receipt.checkpoint) for receipt in receipts}
