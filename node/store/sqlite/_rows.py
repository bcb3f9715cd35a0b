"""Rows of a batch: the few writes that all operations are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
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
from protocol.receipt import Receipt

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
_DELETE_PAYLOAD = (
    "DELETE FROM payload WHERE message = ?1 AND EXISTS (SELECT 1 FROM message WHERE id = ?1 AND holds = 0)"
)
INSERT_MAILBOX = "INSERT INTO mailbox (desk, seq, kind, message, event) VALUES (?, ?, ?, ?, ?)"
INSERT_OUTBOUND = (
    "INSERT INTO outbound (id, partner, next_ms, kind, rank, message, digest, event, expires_ms, recipients,"
    " deadline_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
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
    deadline_ms: int

    def columns(self) -> tuple[object, ...]:
        """From ``kind`` on."""
        kind = int(OutboundKind.ENVELOPE)
        return kind, self.rank, self.message, self.digest, None, self.expires_ms, self.recipients, self.deadline_ms


@dataclass(frozen=True, slots=True)
class QueuedReceipts:
    """Receipts about a message on their way back: of this log's ``event``, or (None) those kept under the row's id."""

    message: int
    digest: bytes
    event: int | None

    def columns(self) -> tuple[object, ...]:
        """From ``kind`` on. Receipts are never given up for age."""
        return int(OutboundKind.RECEIPTS), _RECEIPTS_RANK, self.message, self.digest, self.event, None, None, None


class Rows:
    """One batch: its new leaves, and who has something new to fetch.

    The rows of most operations are written together, a statement for all (:meth:`later`): before :meth:`execute`, which
    sees all of it, and when the batch ends. :meth:`run` does not wait for that. A caller asks for nothing that may be
    still to be written, or names what is to be written first, or looks into :attr:`logged`, :attr:`foreign` and
    :attr:`left` too.

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
        self._let_go: list[tuple[int]] = []
        self._later: dict[str, list[tuple[object, ...]]] = {}
        self._asked = 0
        self._late_changes = 0
        # Of this batch: the leaves of each (message, recipient) by event name, other logs' leaves by (origin, index),
        # each with its path and its checkpoint, and the envelopes that left the queue.
        self.logged: dict[tuple[int | None, str], dict[str, int]] = {}
        self.foreign: dict[tuple[str, int], Receipt] = {}
        self.left: set[int] = set()
        self.erased: list[tuple[int, int]] = []
        self._connection = connection
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
        self.later(INSERT_EVENT, (index, leaf, str(name), message, recipient, rejection, nations))
        if recipient is not None:
            self.logged.setdefault((message, recipient), {})[str(name)] = index
        return index

    def later(self, statement: str, row: tuple[object, ...]) -> None:
        """Write this row together with the batch's others of the same statement."""
        self._later.setdefault(statement, []).append(row)
        self._asked += 1

    def run(self, statement: str, row: tuple[object, ...], *after: str) -> sqlite3.Cursor:
        """Run a statement now; of what is still to be written only the rows of the statements ``after`` go first."""
        for earlier in after:
            if waiting := self._later.pop(earlier, None):
                self._write_all(earlier, waiting)
        return self._connection.execute(statement, row)

    def execute(self, statement: str, row: tuple[object, ...] = ()) -> sqlite3.Cursor:
        """Run a statement that sees everything that the batch wrote."""
        self.write()
        return self._connection.execute(statement, row)

    def executemany(self, statement: str, rows: Iterable[tuple[object, ...]]) -> sqlite3.Cursor:
        """Run a statement for each row; as :meth:`execute`."""
        self.write()
        return self._connection.executemany(statement, rows)

    def write(self) -> None:
        """Write what is still to be written."""
        waiting, self._later = self._later, {}
        for statement, rows in waiting.items():
            self._write_all(statement, rows)
        if self._let_go:
            self._write_all("UPDATE message SET holds = holds - 1 WHERE id = ?", self._let_go)
            self._write_all(_DELETE_PAYLOAD, self._let_go)
            self._let_go = []

    def _write_all(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        before = self._connection.total_changes
        self._connection.executemany(statement, rows)
        self._late_changes += self._connection.total_changes - before

    @property
    def written(self) -> int:
        """Grows with whatever the operations write, or ask to be written later; not when it is written."""
        return self._connection.total_changes - self._late_changes + self._asked

    def next_seq(self) -> int:
        """A number that no mailbox entry and no outbound row had before."""
        self.last_seq += 1
        return self.last_seq

    def put(self, desk: str, kind: int, message: int, event: int | None) -> int:
        """Add an entry to a desk's mailbox; returns its seq."""
        seq = self.next_seq()
        self.later(INSERT_MAILBOX, (desk, seq, kind, message, event))
        self.desks.add(desk)
        return seq

    def queue(self, partner: str, queued: QueuedEnvelope | QueuedReceipts, at: datetime) -> int:
        """Add a row to the queue to ``partner``, due at once. Returns its id."""
        row = self.next_seq()
        self.later(INSERT_OUTBOUND, (row, partner, to_ms(at), *queued.columns()))
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
        """One less needs the payload; the last one takes it along, when the batch ends."""
        self._let_go.append((message,))
        self._asked += 1

    def find(self, message_id: UUID, digest: bytes) -> MessageRow:
        """The message of this id and digest; raises ``NotFoundError``."""
        row = self.run(
            "SELECT id, sender, peer, expires_ms FROM message WHERE message_id = ? AND digest = ?",
            (message_id.bytes, digest),
        ).fetchone()
        if row is None:
            raise NotFoundError("this node has no message of this id and digest")
        return MessageRow(row[0], message_id, digest, row[1], row[2], row[3])
