"""The SQLite store: one writing connection, a few readers on threads of their own.

A read is one hop to a reader's thread, however many statements it takes; aiosqlite would take several hops for each
statement. The writer is never waited for: readers work on WAL snapshots.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

from keys.local.files import acquire_lock, release_lock
from node.store._leaves import EventWriter
from node.store.disk_errors import Report, unreported
from node.store.interface import (
    Applied,
    Operation,
    OutboundItem,
    OutboundKind,
    PeerCheckpoint,
    RecordExpired,
    RecordUnclaimed,
    SignCheckpoint,
    StoredMailboxEntry,
    StoreStats,
)
from node.store.sqlite._reader import ReleasedSeq, SqliteReader
from node.store.sqlite._writer import SqliteWriter
from node.store.sqlite.connection import storage_error
from node.store.sqlite.log import RecentReceipts
from protocol.address import Address
from protocol.errors import (
    ComityError,
    LogUnavailableError,
    MalformedError,
    StoreInUseError,
    UnavailableError,
)
from protocol.log.scoped import BundleItem
from protocol.receipt import Receipt

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_READERS = 2


class SqliteStore:
    """A :class:`~node.store.interface.Store` in the file ``path``; ``origin`` is the name of this node's log."""

    def __init__(
        self,
        path: Path,
        origin: str,
        *,
        events: EventWriter | None = None,
        readers: int = DEFAULT_READERS,
        report: Report = unreported,
    ) -> None:
        self._path = path
        self._origin = origin
        self._report = report
        self._events = events or EventWriter()
        self._recent = RecentReceipts()
        self._reader_count = readers
        self._released = ReleasedSeq()
        self._lock: int | None = None
        self._writer: SqliteWriter | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._readers: list[SqliteReader] = []

    # --- Life ----------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """See :class:`~node.store.interface.Store`."""
        await asyncio.get_running_loop().run_in_executor(None, self._open)

    def _open(self) -> None:
        lock_path = self._path.with_name(self._path.name + ".lock")
        try:
            self._lock = acquire_lock(lock_path, lambda: StoreInUseError("another process has this database open"))
        except OSError as problem:
            raise UnavailableError("the database's folder is missing or not writable") from problem
        try:
            self._writer = SqliteWriter(self._path, self._origin, self._events, self._recent)
        except BaseException as problem:
            release_lock(self._lock)
            self._lock = None
            if isinstance(problem, sqlite3.Error):
                raise storage_error(problem) or UnavailableError("the database cannot be opened") from problem
            raise
        self._pool = ThreadPoolExecutor(self._reader_count, thread_name_prefix="store-reader")

    async def close(self) -> None:
        """See :class:`~node.store.interface.Store`."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        self._local = threading.local()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None

    # --- Writer thread -------------------------------------------------------------------------------------------

    def _writing(self) -> SqliteWriter:
        if self._writer is None:
            raise UnavailableError("the store is not open")
        return self._writer

    def head(self) -> bytes | None:
        """See :class:`~node.store.interface.Store`."""
        return self._writing().head()[2]

    def size(self) -> int:
        """See :class:`~node.store.interface.Store`."""
        return self._writing().head()[0]

    def root_at(self, size: int) -> bytes:
        """See :class:`~node.store.interface.Store`."""
        return self._writing().root_at(size)

    def apply(self, batch: Sequence[Operation], sign: SignCheckpoint) -> Applied:
        """See :class:`~node.store.interface.Store`."""
        try:
            applied = self._writing().apply(batch, sign)
        except ComityError as problem:
            self._report(self._path, problem, "writing")
            raise
        self._report(self._path, None, "writing")
        return applied

    def require_still_there(self) -> None:
        """Return if the database's files are those that were opened; any thread. Raises ``StoreReplacedError``."""
        if self._writer is None:
            return
        try:
            self._writer.require_still_there()
        except (ComityError, OSError) as problem:
            self._report(self._path, problem, "writing")
            if isinstance(problem, ComityError):
                raise

    def release(self) -> None:
        """See :class:`~node.store.interface.Store`."""
        self._released = ReleasedSeq(*self._writing().head())

    # --- Readers -------------------------------------------------------------------------------------------------

    async def _read(self, method: Callable[Concatenate[SqliteReader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._pool is None:
            raise UnavailableError("the store is not open")
        return await asyncio.get_running_loop().run_in_executor(
            self._pool, lambda: self._in_reader(method, *args, **kwargs)
        )

    def _in_reader(self, method: Callable[Concatenate[SqliteReader, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            reader: SqliteReader | None = getattr(self._local, "reader", None)
            if reader is None:
                reader = SqliteReader(self._path, self._recent)
                self._readers.append(reader)
                self._local.reader = reader
            found = method(reader, *args, **kwargs)
        except sqlite3.Error as problem:
            typed = storage_error(problem) or UnavailableError("the database cannot be read")
            typed.__cause__ = problem
            self._report(self._path, typed, "reading")
            raise typed from problem
        except OverflowError as problem:
            raise MalformedError("a number is larger than any that is kept here") from problem
        self._report(self._path, None, "reading")
        return found

    async def mailbox(self, desk: Address, after: int, limit: int, max_bytes: int) -> list[StoredMailboxEntry]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.mailbox, self._released, str(desk), after, limit, max_bytes)

    async def mailbox_head(self, desk: Address) -> int:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.mailbox_head, self._released, str(desk))

    async def due_outbound(
        self, partner: str, kind: OutboundKind, now: datetime, limit: int, max_bytes: int
    ) -> list[OutboundItem]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.due_outbound, self._released, partner, kind, now, limit, max_bytes)

    async def outbound(
        self, partner: str, kind: OutboundKind, after: int, limit: int, max_bytes: int
    ) -> list[OutboundItem]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.outbound, self._released, partner, kind, after, limit, max_bytes)

    async def outbound_items(self, partner: str, outbound_ids: Sequence[int]) -> dict[int, OutboundItem]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.outbound_items, self._released, partner, outbound_ids)

    async def partners_with_due(self, now: datetime) -> list[tuple[str, datetime]]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.partners_with_due, self._released, now)

    async def expired(self, now: datetime, limit: int) -> list[RecordExpired | RecordUnclaimed]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.expired, now, limit)

    async def checkpoint(self) -> bytes:
        """See :class:`~node.store.interface.Store`."""
        if self._released.note is None:
            raise LogUnavailableError("the log has no checkpoint yet")
        return self._released.note

    async def log_size(self) -> int:
        """See :class:`~node.store.interface.Store`."""
        return self._released.size

    async def tile(self, level: int, index: int) -> bytes:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.tile, self._released, level, index)

    async def entries(self, index: int) -> list[BundleItem]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.entries, self._released, index)

    async def entry_nations(self, index: int) -> list[frozenset[str]]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.entry_nations, self._released, index)

    async def message_nations(self, message_id: UUID, digest: bytes) -> frozenset[str]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.message_nations, message_id.bytes, digest)

    async def leaf(self, index: int) -> bytes:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.leaf, self._released, index)

    async def receipt(self, index: int) -> Receipt:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.receipt, self._released, index)

    async def inclusion_path(self, index: int, size: int | None = None) -> list[bytes]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.inclusion_path, self._released, index, size)

    async def consistency_path(self, old_size: int, size: int | None = None) -> list[bytes]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.consistency_path, self._released, old_size, size)

    async def foreign_checkpoint(self, origin: str) -> PeerCheckpoint | None:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.foreign_checkpoint, origin)

    async def cosigned(self, origin: str) -> PeerCheckpoint | None:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.cosigned, origin)

    async def foreign_heads(self) -> list[PeerCheckpoint]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.foreign_heads)

    async def foreign_notes(self, origin: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.foreign_notes, origin, after, limit)

    async def foreign_receipt(self, note: bytes) -> Receipt | None:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.foreign_receipt, note)

    async def foreign_receipts(self, origin: str, first: int, limit: int) -> list[Receipt]:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.foreign_receipts, origin, first, limit)

    async def size_at(self, at: datetime) -> int:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.size_at, self._released, at)

    async def stats(self) -> StoreStats:
        """See :class:`~node.store.interface.Store`."""
        return await self._read(SqliteReader.stats, self._released)
