"""What a node reads from its SQLite store: mailboxes, the outbound queue, the log. One connection, one thread."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from node.store.file_reads import StoredFileSet
from node.store.operations import RecordExpired, RecordUnclaimed
from node.store.reads import (
    MessageOrigin,
    OutboundItem,
    OutboundKind,
    PeerCheckpoint,
    Portion,
    StoredMailboxEntry,
    StoreStats,
)
from node.store.sqlite._file_reader import FileReader
from node.store.sqlite.connection import open_reader
from node.store.sqlite.log import ReceiptSource, RecentReceipts, read_tile, stored_item, stored_leaf
from protocol.address import Address
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import LogUnavailableError
from protocol.log.checkpoint import claimed_time
from protocol.log.scoped import BundleItem
from protocol.log.tiles import TILE_WIDTH, tile_width
from protocol.receipt import Receipt, split_path

_HASH_BYTES = 32
# About what a receipt takes on the wire beside its checkpoint, which many share.
_RECEIPT_BYTES = 1024

_MAILBOX = (
    "SELECT m.seq, m.kind, m.message, m.event, p.raw FROM mailbox m"
    " LEFT JOIN payload p ON m.kind = 0 AND p.message = m.message"
    " WHERE m.desk = ? AND m.seq > ? AND m.seq <= ? AND m.closed_ms IS NULL ORDER BY m.seq LIMIT ?"
)
_FOREIGN = (
    "SELECT f.leaf, f.idx, f.path, c.note FROM foreign_receipt f"
    " JOIN foreign_checkpoint c ON c.id = f.checkpoint WHERE f.seq = ? ORDER BY f.origin, f.idx"
)
_FOREIGN_OF = (
    "SELECT seq, leaf, idx, path, checkpoint FROM foreign_receipt"
    " WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq, origin, idx"
)
_NOTES_OF = "SELECT id, note FROM foreign_checkpoint WHERE id IN (SELECT value FROM json_each(?))"
_FOREIGN_FROM = (
    "SELECT f.leaf, f.idx, f.path, c.note FROM foreign_receipt f"
    " JOIN foreign_checkpoint c ON c.id = f.checkpoint WHERE f.origin = ? AND f.idx >= ? ORDER BY f.idx LIMIT ?"
)
_OUTBOUND = (
    "SELECT o.id, o.event, o.attempts, o.expires_ms, o.digest, o.recipients, p.raw FROM outbound o"
    " LEFT JOIN payload p ON o.kind = 0 AND p.message = o.message"
)
_QUEUED = _OUTBOUND + " WHERE o.partner = ? AND o.kind = ? AND o.id > ? AND o.id <= ? ORDER BY o.id LIMIT ?"
_ONE = _OUTBOUND + " WHERE o.partner = ? AND o.kind = ? AND o.id = ? AND o.id <= ?"
_DUE = _OUTBOUND + (  # noqa: S608 - no text from outside
    " WHERE o.partner = ? AND o.kind = ? AND o.rank = ? AND o.next_ms <= ? AND o.id <= ?"
    " AND o.id NOT IN (SELECT value FROM json_each(?)) ORDER BY o.next_ms, o.id LIMIT ?"
)
# Rank 0: emergencies go first.
_EMERGENCIES = "SELECT partner, count(*) FROM outbound WHERE kind = 0 AND rank = 0 GROUP BY partner"
_DEADLINES = "SELECT partner, min(deadline_ms) FROM outbound WHERE deadline_ms IS NOT NULL GROUP BY partner"
# Of nodes: a desk fetches by itself.
_FILES_WAITING = (
    "SELECT h.party, count(*) FROM file_hop h JOIN file_set f ON f.message = h.message"
    " WHERE h.state = 0 AND f.ended_ms IS NULL AND instr(h.party, '@') = 0 GROUP BY h.party"
)
# Jumps from partner to partner in the index instead of reading every row.
_PARTNERS = """
WITH RECURSIVE
    partner (name) AS (
        SELECT min(partner) FROM outbound
        UNION ALL
        SELECT (SELECT min(o.partner) FROM outbound o WHERE o.partner > partner.name) FROM partner
        WHERE partner.name IS NOT NULL
    ),
    lane (kind, rank) AS (VALUES (0, 0), (0, 1), (0, 2), (1, 0))
SELECT name, min((SELECT min(o.next_ms) FROM outbound o
                  WHERE o.partner = name AND o.kind = lane.kind AND o.rank = lane.rank))
FROM partner, lane WHERE name IS NOT NULL GROUP BY name
"""


@dataclass(frozen=True, slots=True)
class ReleasedSeq:
    """How far readers may see: the log's size, the last sequence number, the newest checkpoint."""

    size: int = 0
    seq: int = 0
    note: bytes | None = None


class SqliteReader:
    """Reads on one connection, in one thread, no further than ``released``.

    :class:`node.store.reads.Reads` says what each method promises.
    """

    def __init__(self, path: Path, recent: RecentReceipts) -> None:
        self.released = ReleasedSeq()
        self._path = path
        self._connection = open_reader(path)
        self._source = ReceiptSource(self._connection, recent)
        self._files = FileReader(self._connection)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # --- Mailboxes -----------------------------------------------------------------------------------------------

    def mailbox(self, desk: Address, after: int, limit: int, max_bytes: int) -> list[StoredMailboxEntry]:
        """See :meth:`node.store.reads.Reads.mailbox`."""
        with self._one_moment():
            return self._mailbox(str(desk), after, limit, max_bytes)

    def _mailbox(self, desk: str, after: int, limit: int, max_bytes: int) -> list[StoredMailboxEntry]:
        rows: list[tuple[int, int, int, int | None, bytes | None]] = []
        size = 0
        for row in self._connection.execute(_MAILBOX, (desk, after, self.released.seq, limit)):
            if row[1] == 0 and row[4] is None:
                continue
            rows.append(row)
            size += len(row[4] or b"")
            if size > max_bytes:
                break
        foreign = self._foreign_of([seq for seq, kind, *_ in rows if kind])
        entries: list[StoredMailboxEntry] = []
        size = 0
        for seq, kind, message, event, raw in rows:
            receipts = foreign.get(seq, ()) if kind else (self._source.receipt(message),)
            if event is not None:
                own = self._source.receipt(event)
                receipts = (own, *receipts) if kind else (*receipts, own)
            size += len(raw or b"") + len(receipts) * _RECEIPT_BYTES
            if entries and size > max_bytes:
                break
            entries.append(StoredMailboxEntry(seq, raw, receipts))
        return entries

    def _foreign_of(self, numbers: Sequence[int]) -> dict[int, tuple[Receipt, ...]]:
        """The receipts of other logs that are kept under these numbers; those under one checkpoint share its bytes."""
        rows = self._connection.execute(_FOREIGN_OF, (json.dumps(numbers),)).fetchall() if numbers else []
        if not rows:
            return {}
        checkpoints = json.dumps(sorted({row[4] for row in rows}))
        notes: dict[int, bytes] = dict(self._connection.execute(_NOTES_OF, (checkpoints,)).fetchall())
        found: dict[int, tuple[Receipt, ...]] = {}
        for seq, leaf, index, path, checkpoint in rows:
            found[seq] = (*found.get(seq, ()), Receipt(leaf, index, split_path(path), notes[checkpoint]))
        return found

    @contextmanager
    def _one_moment(self) -> Iterator[None]:
        """Whatever is read inside is of one state of the database."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")

    def mailbox_head(self, desk: Address) -> int:
        """The highest seq a reader may see."""
        row = self._connection.execute(
            "SELECT seq FROM mailbox WHERE desk = ? AND seq <= ? ORDER BY seq DESC LIMIT 1",
            (str(desk), self.released.seq),
        ).fetchone()
        return int(row[0]) if row is not None else 0

    def mailbox_page(
        self, desk: Address, after: int, limit: int, max_bytes: int
    ) -> tuple[list[StoredMailboxEntry], int]:
        """See :meth:`node.store.reads.Reads.mailbox_page`."""
        return self.mailbox(desk, after, limit, max_bytes), self.mailbox_head(desk)

    def _receipts_for(self, seq: int, event: int | None) -> tuple[Receipt, ...]:
        own = (self._source.receipt(event),) if event is not None else ()
        foreign = [
            Receipt(leaf, index, split_path(path), note)
            for leaf, index, path, note in self._connection.execute(_FOREIGN, (seq,))
        ]
        return (*own, *foreign)

    # --- The outbound queue --------------------------------------------------------------------------------------

    def due(
        self, partner: str, now: datetime, envelopes: Portion, receipts: Portion
    ) -> tuple[list[OutboundItem], list[OutboundItem]]:
        """See :meth:`node.store.reads.Reads.due`."""
        return (
            self.due_outbound(partner, OutboundKind.ENVELOPE, now, envelopes),
            self.due_outbound(partner, OutboundKind.RECEIPTS, now, receipts),
        )

    def due_outbound(self, partner: str, kind: OutboundKind, now: datetime, most: Portion) -> list[OutboundItem]:
        """See :meth:`node.store.reads.Reads.due_outbound`."""
        left_out = json.dumps(most.without)
        items: list[OutboundItem] = []
        size = 0
        for rank in range(3 if kind is OutboundKind.ENVELOPE else 1):
            parameters = (partner, int(kind), rank, to_ms(now), self.released.seq, left_out, most.rows - len(items))
            for item in self._items(kind, _DUE, parameters):
                size += len(item.raw or b"") + len(item.receipts) * _RECEIPT_BYTES
                if items and size > most.size_bytes:
                    return items
                items.append(item)
        return items

    def outbound(self, partner: str, kind: OutboundKind, after: int, limit: int, max_bytes: int) -> list[OutboundItem]:
        """See :meth:`node.store.reads.Reads.outbound`."""
        items: list[OutboundItem] = []
        size = 0
        for item in self._items(kind, _QUEUED, (partner, int(kind), after, self.released.seq, limit)):
            size += len(item.raw or b"") + len(item.receipts) * _RECEIPT_BYTES
            if items and size > max_bytes:
                break
            items.append(item)
        return items

    def outbound_items(self, partner: str, outbound_ids: Sequence[int]) -> dict[int, OutboundItem]:
        """See :meth:`node.store.reads.Reads.outbound_items`."""
        found: dict[int, OutboundItem] = {}
        for kind in OutboundKind:
            for row in outbound_ids:
                for item in self._items(kind, _ONE, (partner, int(kind), row, self.released.seq)):
                    found[item.outbound_id] = item
        return found

    def _items(self, kind: OutboundKind, sql: str, parameters: tuple[object, ...]) -> Iterator[OutboundItem]:
        for row_id, event, attempts, expires_ms, digest, to, raw in self._connection.execute(sql, parameters):
            if kind is OutboundKind.ENVELOPE and raw is None:
                continue
            receipts: tuple[Receipt, ...] = ()
            if kind is OutboundKind.RECEIPTS:
                receipts = self._receipts_for(row_id, None) if event is None else (self._source.receipt(event),)
            expires = from_ms(expires_ms) if expires_ms is not None else None
            recipients = tuple(Address.parse(text) for text in to.split()) if to else ()
            yield OutboundItem(row_id, kind, raw, receipts, attempts, expires, digest, recipients)

    def partners_with_due(self, now: datetime) -> list[tuple[str, datetime]]:
        """See :meth:`node.store.reads.Reads.partners_with_due`."""
        (last,) = self._connection.execute("SELECT last FROM sequence").fetchone()
        if last == self.released.seq:
            rows = self._connection.execute(_PARTNERS).fetchall()
        else:  # a batch is being written: leave out its rows
            rows = self._connection.execute(
                "SELECT partner, min(next_ms) FROM outbound WHERE id <= ? GROUP BY partner", (self.released.seq,)
            ).fetchall()
        return [(partner, max(now, from_ms(next_ms))) for partner, next_ms in rows]

    def expired(self, now: datetime, limit: int) -> list[RecordExpired | RecordUnclaimed]:
        """See :meth:`node.store.reads.Reads.expired`."""
        before = to_ms(now)
        held = self._connection.execute(
            "SELECT id, message_id, digest FROM message WHERE holds > 0 AND expires_ms < ? ORDER BY expires_ms LIMIT ?",
            (before, limit),
        ).fetchall()
        found: list[RecordExpired | RecordUnclaimed] = []
        if not held:
            return found
        for (row_id,) in self._connection.execute(
            "SELECT id FROM outbound WHERE kind = 0 AND expires_ms < ? LIMIT ?", (before, limit)
        ):
            found.append(RecordExpired(row_id, now))
        for row_id, message_id, digest in held:
            for (desk,) in self._connection.execute(
                "SELECT desk FROM mailbox WHERE message = ? AND kind = 0 AND closed_ms IS NULL", (row_id,)
            ):
                found.append(RecordUnclaimed(UUID(bytes=message_id), digest, Address.parse(desk), now))
        return found

    # --- The log -------------------------------------------------------------------------------------------------

    def tile(self, level: int, index: int) -> bytes:
        """The released hashes of a tile."""
        width = tile_width(level, index, self.released.size)
        if width == 0:
            raise LogUnavailableError(f"there is no tile {index} on level {level}")
        return read_tile(self._connection, level, index)[: width * _HASH_BYTES]

    def entries(self, index: int) -> list[BundleItem]:
        """The released leaves of a bundle."""
        start = index * TILE_WIDTH
        end = min(start + TILE_WIDTH, self.released.size)
        if not 0 <= start < end:
            raise LogUnavailableError(f"there is no entry bundle {index}")
        rows = self._connection.execute(
            "SELECT leaf FROM event WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        ).fetchall()
        return [stored_item(row[0]) for row in rows]

    def entry_nations(self, index: int) -> list[frozenset[str]]:
        """See :meth:`node.store.reads.Reads.entry_nations`."""
        start = index * TILE_WIDTH
        end = min(start + TILE_WIDTH, self.released.size)
        rows = self._connection.execute(
            "SELECT nations FROM event WHERE idx >= ? AND idx < ? ORDER BY idx", (start, end)
        ).fetchall()
        return [_nations(row[0]) for row in rows]

    def message_nations(self, message_id: UUID, digest: bytes) -> frozenset[str]:
        """See :meth:`node.store.reads.Reads.message_nations`."""
        row = self._connection.execute(
            "SELECT e.nations FROM message m JOIN event e ON e.idx = m.id WHERE m.message_id = ? AND m.digest = ?",
            (message_id.bytes, digest),
        ).fetchone()
        return frozenset() if row is None else _nations(row[0])

    def message_origin(self, message_id: UUID, digest: bytes) -> MessageOrigin | None:
        """See :meth:`node.store.reads.Reads.message_origin`."""
        row = self._connection.execute(
            "SELECT sender, created_ms FROM message WHERE message_id = ? AND digest = ?", (message_id.bytes, digest)
        ).fetchone()
        if row is None:
            return None
        return MessageOrigin(Address.parse(row[0]), from_ms(row[1]) if row[1] is not None else None)

    def leaf(self, index: int) -> bytes:
        """One released leaf."""
        self._check(index)
        row = self._connection.execute("SELECT leaf FROM event WHERE idx = ?", (index,)).fetchone()
        if row is None:
            raise LogUnavailableError(f"the log has no entry {index}")
        return stored_leaf(index, row[0])

    def receipt(self, index: int) -> Receipt:
        """The receipt of a released leaf."""
        self._check(index)
        return self._source.receipt(index)

    def inclusion_path(self, index: int, size: int | None = None) -> list[bytes]:
        """See :meth:`node.store.reads.Reads.inclusion_path`."""
        size = self._size(size)
        return self._source.tree(size).inclusion_path(index, size)

    def consistency_path(self, old_size: int, size: int | None = None) -> list[bytes]:
        """See :meth:`node.store.reads.Reads.consistency_path`."""
        size = self._size(size)
        return self._source.tree(size).consistency_path(old_size, size)

    def _check(self, index: int) -> None:
        if not 0 <= index < self.released.size:
            raise LogUnavailableError(f"the log has {self.released.size} entries")

    def _size(self, size: int | None) -> int:
        if size is None:
            return self.released.size
        if not 0 <= size <= self.released.size:
            raise LogUnavailableError(f"the log has {self.released.size} entries")
        return size

    def foreign_checkpoint(self, origin: str) -> PeerCheckpoint | None:
        """See :meth:`node.store.reads.Reads.foreign_checkpoint`."""
        return self._peer_checkpoint("SELECT size, root, note FROM peer_checkpoint WHERE origin = ?", origin)

    def cosigned(self, origin: str) -> PeerCheckpoint | None:
        """See :meth:`node.store.reads.Reads.cosigned`."""
        return self._peer_checkpoint("SELECT size, root, note FROM cosigned WHERE origin = ?", origin)

    def _peer_checkpoint(self, sql: str, origin: str) -> PeerCheckpoint | None:
        row = self._connection.execute(sql, (origin,)).fetchone()
        return PeerCheckpoint(origin, row[0], row[1], row[2]) if row is not None else None

    def foreign_heads(self) -> list[PeerCheckpoint]:
        """See :meth:`node.store.reads.Reads.foreign_heads`."""
        rows = self._connection.execute("SELECT origin, size, root, note FROM peer_checkpoint ORDER BY origin")
        return [PeerCheckpoint(*row) for row in rows]

    def cosigned_heads(self) -> list[PeerCheckpoint]:
        """See :meth:`node.store.reads.Reads.cosigned_heads`."""
        rows = self._connection.execute("SELECT origin, size, root, note FROM cosigned ORDER BY origin")
        return [PeerCheckpoint(*row) for row in rows]

    def foreign_notes(self, origin: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """See :meth:`node.store.reads.Reads.foreign_notes`."""
        start = f"{origin}\n".encode()  # a note begins with its log's origin
        rows = self._connection.execute(
            "SELECT id, note FROM foreign_checkpoint WHERE id > ? AND substr(note, 1, ?) = ? ORDER BY id LIMIT ?",
            (after, len(start), start, limit),
        )
        return [(row[0], row[1]) for row in rows]

    def foreign_receipt(self, note: bytes) -> Receipt | None:
        """See :meth:`node.store.reads.Reads.foreign_receipt`."""
        row = self._connection.execute(
            "SELECT f.leaf, f.idx, f.path FROM foreign_checkpoint c JOIN foreign_receipt f ON f.checkpoint = c.id"
            " WHERE c.digest = ? LIMIT 1",
            (sha256(note).digest(),),
        ).fetchone()
        return Receipt(row[0], row[1], split_path(row[2]), note) if row is not None else None

    def foreign_receipts(self, origin: str, first: int, limit: int) -> list[Receipt]:
        """See :meth:`node.store.reads.Reads.foreign_receipts`."""
        return [
            Receipt(leaf, index, split_path(path), note)
            for leaf, index, path, note in self._connection.execute(_FOREIGN_FROM, (origin, first, limit))
        ]

    def size_at(self, at: datetime) -> int:
        """See :meth:`node.store.reads.Reads.size_at`."""
        low, high = 0, self.released.size  # signed at or before: low; later, or not known: above high
        while low < high:
            # The checkpoint nearest above the middle; the sizes grow as the times do.
            row = self._connection.execute(
                "SELECT size, note FROM checkpoint WHERE size > ? AND size <= ? ORDER BY size LIMIT 1",
                ((low + high) // 2, high),
            ).fetchone()
            if row is None:
                high = (low + high) // 2
                continue
            signed_at = claimed_time(row[1])
            if signed_at is not None and signed_at <= at:
                low = row[0]
            else:
                high = (low + high) // 2
        return low

    # --- Files ---------------------------------------------------------------------------------------------------

    def file_set(self, digest: bytes) -> StoredFileSet | None:
        """See :meth:`node.store.file_reads.FileReads.file_set`."""
        return self._files.file_set(self.released.size, digest)

    def file_sets(self, after: bytes, limit: int) -> Sequence[StoredFileSet]:
        """See :meth:`node.store.file_reads.FileReads.file_sets`."""
        return self._files.file_sets(self.released.size, after, limit)

    def file_partners(self) -> Sequence[str]:
        """See :meth:`node.store.file_reads.FileReads.file_partners`."""
        return self._files.file_partners(self.released.size)

    def files_for(self, party: str, limit: int, without: Collection[bytes] = ()) -> Sequence[StoredFileSet]:
        """See :meth:`node.store.file_reads.FileReads.files_for`."""
        return self._files.files_for(self.released.size, party, limit, without)

    def files_from(self, peer: str, limit: int, without: Collection[bytes] = ()) -> Sequence[StoredFileSet]:
        """See :meth:`node.store.file_reads.FileReads.files_from`."""
        return self._files.files_from(self.released.size, peer, limit, without)

    def files_ending(
        self, now: datetime, done_before: datetime, limit: int, without: Collection[bytes] = ()
    ) -> Sequence[StoredFileSet]:
        """See :meth:`node.store.file_reads.FileReads.files_ending`."""
        return self._files.files_ending(self.released.size, now, done_before, (limit, without))

    def envelope_waits(self, partner: str, now: datetime) -> bool:
        """See :meth:`node.store.file_reads.FileReads.envelope_waits`."""
        return self._files.envelope_waits(partner, now)

    # --- Metrics -------------------------------------------------------------------------------------------------

    def stats(self) -> StoreStats:
        """See :meth:`node.store.reads.Reads.stats`."""
        count = self._connection.execute
        kept = "SELECT count(*), COALESCE(sum(bytes), 0) FROM file_set WHERE list IS NOT NULL AND ended_ms IS NULL"
        file_sets, file_bytes = count(kept).fetchone()
        wal = self._path.with_name(self._path.name + "-wal")
        return StoreStats(
            log_size=self.released.size,
            mailbox_open=count("SELECT count(*) FROM mailbox WHERE kind = 0 AND closed_ms IS NULL").fetchone()[0],
            outbound=dict(count("SELECT partner, count(*) FROM outbound GROUP BY partner").fetchall()),
            payload_count=count("SELECT count(*) FROM message WHERE holds > 0").fetchone()[0],
            database_bytes=self._path.stat().st_size,
            wal_bytes=wal.stat().st_size if wal.exists() else 0,
            file_sets=file_sets,
            file_bytes=file_bytes,
            emergencies=dict(count(_EMERGENCIES).fetchall()),
            deadlines={partner: from_ms(ms) for partner, ms in count(_DEADLINES)},
            files_waiting=dict(count(_FILES_WAITING).fetchall()),
        )


def _nations(stored: str | None) -> frozenset[str]:
    return frozenset((stored or "").split())
