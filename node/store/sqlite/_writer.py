"""The one writer of a SQLite store: batches in, durable outcomes out.

The tree's edge lives in memory beside the database. When a transaction fails, both go back to the batch's beginning;
and because a failed COMMIT may still have reached the disk, the database is asked before the next batch what it holds.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources
from pathlib import Path

from keys.local.migrations import load_migrations, migrate_sqlite
from node.store._leaves import EventWriter
from node.store.operations import Applied, Done, Failed, Operation, Outcome, SignCheckpoint
from node.store.sqlite._batch import apply_operation
from node.store.sqlite._batch_paths import batch_paths
from node.store.sqlite._file_identity import FileIdentity
from node.store.sqlite._rows import Result, Rows
from node.store.sqlite.connection import open_writer, storage_error
from node.store.sqlite.log import ReceiptSource, RecentReceipts, open_tree, read_tile, stored_hash
from protocol.errors import ComityError, LogUnavailableError, MigrationError, StoreDamagedError
from protocol.log.checkpoint import Checkpoint
from protocol.log.tiles import TILE_WIDTH, TileTree
from protocol.receipt import Receipt

_UPSERT_TILE = (
    "INSERT INTO tile (level, idx, hashes) VALUES (?, ?, ?)"
    " ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes"
)


class SqliteWriter:
    """Owns the writing connection and the tree. Writer thread only."""

    def __init__(self, path: Path, origin: str, events: EventWriter, recent: RecentReceipts) -> None:
        self.path = path
        self._origin = origin
        self._events = events
        self._recent = recent
        self._connection = open_writer(path)
        try:
            files = resources.files("node.store.sqlite.migrations")
            migrate_sqlite(self._connection, load_migrations(files, MigrationError), MigrationError)
            self._tree = TileTree(0, self._no_tile)
            self._note: bytes | None = None
            self._last_seq = 0
            self._foreign_notes: dict[bytes, tuple[int, int]] = {}
            self._source = ReceiptSource(self._connection, recent)
            self._suspect = False
            self._load()
            self._check_tail()
            self._files = FileIdentity(path)
        except BaseException:
            self._connection.close()
            raise

    @staticmethod
    def _no_tile(level: int, index: int) -> bytes:
        raise LogUnavailableError(f"there is no tile {index} on level {level}")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # --- State ---------------------------------------------------------------------------------------------------

    def head(self) -> tuple[int, int, bytes | None]:
        """What is committed: the log's size, the last sequence number, the newest checkpoint."""
        self._be_sure()
        return self._tree.size, self._last_seq, self._note

    def require_still_there(self) -> None:
        """Return if the database's files are those that were opened; any thread. ``StoreReplacedError``."""
        self._files.require_same()

    def copy_back(self) -> None:
        """Copy the write-ahead log back into the database, as far as no reader keeps it from that.

        Else SQLite does it within the commit that makes the log long, and whoever waits for that batch waits for it.
        """
        try:
            self._files.require_untouched()
        except StoreDamagedError:
            return  # the next batch says so
        with suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self._files.note_written()

    def root_at(self, size: int) -> bytes:
        """The root of the first ``size`` leaves; raises ``LogUnavailableError``."""
        self._be_sure()
        return self._tree.root(size)

    def _load(self) -> None:
        """Take over what the database holds."""
        execute = self._connection.execute
        row = execute("SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        size = row[0] if row is not None else 0
        try:
            self._tree = open_tree(self._connection, size)
            root = self._tree.root()
        except LogUnavailableError as problem:
            raise StoreDamagedError("a tile of the stored log is missing") from problem
        if row is not None and root != row[1]:
            raise StoreDamagedError("the stored tiles do not lead to the last checkpoint")
        self._note = row[2] if row is not None else None
        self._last_seq = execute("SELECT last FROM sequence").fetchone()[0]
        self._suspect = False

    def _check_tail(self) -> None:
        """The newest leaves are those in the newest tile, and none lies beyond the last checkpoint."""
        size = self._tree.size
        last = self._connection.execute("SELECT max(idx) FROM event").fetchone()[0]
        if (last + 1 if last is not None else 0) != size:
            raise StoreDamagedError("the stored leaves do not end where the last checkpoint does")
        if not size:
            return
        start = (size - 1) // TILE_WIDTH * TILE_WIDTH
        rows = self._connection.execute("SELECT leaf FROM event WHERE idx >= ? ORDER BY idx", (start,))
        if b"".join(stored_hash(row[0]) for row in rows) != read_tile(self._connection, 0, start // TILE_WIDTH):
            raise StoreDamagedError("the newest leaves are not those that the log's tile holds")

    def _be_sure(self) -> None:
        """After a failed transaction, find out what the database holds. Raises the typed storage errors."""
        if not self._suspect:
            return
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._load()
        except sqlite3.Error as problem:
            raise storage_error(problem) or StoreDamagedError("the database cannot be read back") from problem

    # --- Batches -------------------------------------------------------------------------------------------------

    def apply(self, operations: Sequence[Operation], sign: SignCheckpoint) -> Applied:
        """See :meth:`node.store.interface.Store.apply`."""
        self._files.require_untouched()
        self._be_sure()
        snapshot = self._tree.snapshot()
        batch = Rows(self._connection, self._tree, self._events, self._last_seq, self._foreign_notes)
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [self._apply_one(batch, operation) for operation in operations]
            note = self._seal(batch, sign)
            fresh = self._fresh_receipts(batch, snapshot.size, note)
            outcomes = [self._outcome(result, fresh, snapshot.size) for result in results]
            self._connection.execute("COMMIT")
            self._files.note_written()
            self._files.require_same()
        except BaseException as problem:
            self._undo()
            self._tree.rollback(snapshot)
            if isinstance(problem, sqlite3.Error):
                typed = storage_error(problem)
                if typed is not None:
                    raise typed from problem
            raise
        self._note = note
        self._last_seq = batch.last_seq
        self._recent.add(fresh)
        for first, end in batch.erased:
            self._recent.forget(first, end)
        return Applied(outcomes, note, frozenset(batch.desks), frozenset(batch.partners))

    def _apply_one(self, batch: Rows, operation: Operation) -> Result | ComityError:
        size, rows = self._tree.size, batch.written
        try:
            return apply_operation(batch, operation)
        except ComityError as problem:
            if (size, rows) != (self._tree.size, batch.written):
                raise RuntimeError("an operation was refused after it had written") from problem
            return problem

    def _seal(self, batch: Rows, sign: SignCheckpoint) -> bytes | None:
        """Store the changed tiles and one checkpoint over all that the batch logged."""
        batch.write()
        batch.seen.write()
        if batch.last_seq != self._last_seq:
            self._connection.execute("UPDATE sequence SET last = ?", (batch.last_seq,))
        if batch.newest is None:
            return self._note
        self._connection.executemany(_UPSERT_TILE, self._tree.take_changed_tiles())
        checkpoint = Checkpoint(self._origin, self._tree.size, self._tree.root())
        note = sign(checkpoint, batch.newest)
        self._connection.execute(
            "INSERT INTO checkpoint (size, root, note) VALUES (?, ?, ?)"
            " ON CONFLICT (size) DO UPDATE SET note = excluded.note",  # renewed: the same tree under other keys
            (checkpoint.size, checkpoint.root, note),
        )
        return note

    def _fresh_receipts(self, batch: Rows, start: int, note: bytes | None) -> list[Receipt]:
        if note is None:
            return []
        paths = batch_paths(self._tree, start, batch.leaf_hashes)
        return [
            Receipt(leaf, index, path, note)
            for index, (leaf, path) in enumerate(zip(batch.leaves, paths, strict=True), start)
        ]

    def _outcome(self, result: Result | ComityError, fresh: list[Receipt], start: int) -> Outcome:
        if isinstance(result, ComityError):
            return Failed(result)
        receipts = tuple(
            fresh[index - start] if index >= start else self._source.receipt(index) for index in result.indexes
        )
        return Done(receipts, result.duplicate, result.refused, result.count)

    def _undo(self) -> None:
        # A failed COMMIT may still have reached the disk: what is in memory counts only after it was compared.
        self._suspect = True
        self._foreign_notes.clear()
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            return  # tried again in _be_sure, which reports it
