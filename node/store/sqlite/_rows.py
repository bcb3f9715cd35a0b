"""Rows of a batch: the few writes that all operations are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from node.store._leaves import EventWriter
from node.store.reads import OutboundKind
from node.store.sqlite._seen import SeenCheckpoints
from protocol.encoding.instants import to_ms
from protocol.errors import ComityError, NotFoundError
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree

# mailbox.kind
MESSAGE = 0
RECEIPTS = 1
# outbound.rank of receipts; envelopes are in a lane of their own
_RECEIPTS_RANK = 0

# Nations that an entry does not say are those that were said when its message was accepted: that entry's index is the
# message's id.
INSERT_EVENT = (
    "INSERT INTO event (idx, leaf, name, message, recipient, rejection, nations)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, COALESCE(?7, (SELECT nations FROM event WHERE idx = ?4)))"
)
_INSERT_MAILBOX = "INSERT INTO mailbox (desk, seq, kind, message, event) VALUES (?, ?, ?, ?, ?)"
_INSERT_OUTBOUND = (
    "INSERT INTO outbound (id, partner, next_ms, kind, rank, message, digest, event, expires_ms, recipients)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def nations_text(nations: Iterable[str]) -> str:
    """Node names as they stand beside an entry."""
    return " ".join(sorted(set(nations)))


@dataclass(frozen=True, slots=True)
class Result:
    """What an operation came to, before its receipts exist: ``indexes`` are those of its leaves."""

    indexes: tuple[int, ...] = ()
    duplicate: bool = False
    refused: tuple[tuple[int, ComityError], ...] = ()
    count: int = 0


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A stored message's row."""

    id: int
    message_id: UUID
    digest: bytes
    sender: str
    peer: str | None
    expires_ms: int


@dataclass(frozen=True, slots=True)
class QueuedEnvelope:
    """A message's envelope on its way to the ``recipients`` behind a partner; a lower ``rank`` goes first."""

    message: int
    digest: bytes
    expires_ms: int
    rank: int
    recipients: str

    def columns(self) -> tuple[object, ...]:
        """From ``kind`` on."""
        kind = int(OutboundKind.ENVELOPE)
        return kind, self.rank, self.message, self.digest, None, self.expires_ms, self.recipients


@dataclass(frozen=True, slots=True)
class QueuedReceipts:
    """Receipts about a message on their way back: of this log's ``event``, or (None) those kept under the row's id."""

    message: int
    digest: bytes
    event: int | None

    def columns(self) -> tuple[object, ...]:
        """From ``kind`` on. Receipts are never given up for age."""
        return int(OutboundKind.RECEIPTS), _RECEIPTS_RANK, self.message, self.digest, self.event, None, None


class Rows:
    """One batch: its new leaves, and who has something new to fetch. Writes are visible to the batch at once.

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
        self.erased: list[tuple[int, int]] = []
        self.execute = connection.execute
        self.executemany = connection.executemany
        self.tree = tree
        self.leaf = events.leaf
        self.notes = notes
        self.seen = SeenCheckpoints(connection)

    def append(
        self,
        leaf: bytes,
        at: datetime,
        name: str,
        message: int | None,
        recipient: str | None = None,
        rejection: bytes | None = None,
        nations: str | None = None,
    ) -> int:
        """Append a leaf to the log; returns its index. ``nations``: see :func:`nations_text`; None: the message's."""
        hashed = leaf_hash(leaf)
        index = self.tree.append(hashed)
        self.leaves.append(leaf)
        self.leaf_hashes.append(hashed)
        if self.newest is None or at > self.newest:
            self.newest = at
        self.execute(INSERT_EVENT, (index, leaf, str(name), message, recipient, rejection, nations))
        return index

    def next_seq(self) -> int:
        """A number that no mailbox entry and no outbound row had before."""
        self.last_seq += 1
        return self.last_seq

    def put(self, desk: str, kind: int, message: int, event: int | None) -> int:
        """Add an entry to a desk's mailbox; returns its seq."""
        seq = self.next_seq()
        self.execute(_INSERT_MAILBOX, (desk, seq, kind, message, event))
        self.desks.add(desk)
        return seq

    def queue(self, partner: str, queued: QueuedEnvelope | QueuedReceipts, at: datetime) -> int:
        """Add a row to the queue to ``partner``, due at once. Returns its id."""
        row = self.next_seq()
        self.execute(_INSERT_OUTBOUND, (row, partner, to_ms(at), *queued.columns()))
        self.partners.add(partner)
        return row

    def to_sender(self, message: MessageRow, event: int | None, at: datetime) -> int:
        """Bring the receipt of ``event`` to the sender: into the mailbox here, or back the way the message came.

        Without ``event`` the entry is for foreign receipts. Returns the number that those are kept under.
        """
        if message.peer is None:
            return self.put(message.sender, RECEIPTS, message.id, event)
        return self.queue(message.peer, QueuedReceipts(message.id, message.digest, event), at)

    def let_go(self, message: int) -> None:
        """One less needs the payload; the last one takes it along."""
        row = self.execute("UPDATE message SET holds = holds - 1 WHERE id = ? RETURNING holds", (message,)).fetchone()
        if row is not None and row[0] == 0:
            self.execute("DELETE FROM payload WHERE message = ?", (message,))

    def find(self, message_id: UUID, digest: bytes) -> MessageRow:
        """The message of this id and digest; raises ``NotFoundError``."""
        row = self.execute(
            "SELECT id, sender, peer, expires_ms FROM message WHERE message_id = ? AND digest = ?",
            (message_id.bytes, digest),
        ).fetchone()
        if row is None:
            raise NotFoundError("this node has no message of this id and digest")
        return MessageRow(row[0], message_id, digest, row[1], row[2], row[3])
