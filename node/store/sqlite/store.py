"""The SQLite store: one writing connection, a few readers on threads of their own."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from keys.local.files import acquire_lock, release_lock
from node.store._leaves import EventWriter
from node.store.disk_errors import Report, unreported
from node.store.operations import Applied, Operation, SignCheckpoint
from node.store.sqlite._reader import ReleasedSeq
from node.store.sqlite._reads import DEFAULT_READERS, SqliteReads
from node.store.sqlite._writer import SqliteWriter
from node.store.sqlite.connection import storage_error
from node.store.sqlite.log import RecentReceipts
from protocol.errors import ComityError, StoreInUseError, UnavailableError


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
        self._lock: int | None = None
        self._writer: SqliteWriter | None = None
        self.reads = SqliteReads(path, self._recent, readers, report)

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
        self.reads.open()

    async def close(self) -> None:
        """See :class:`~node.store.interface.Store`."""
        await asyncio.get_running_loop().run_in_executor(None, self._close)

    def _close(self) -> None:
        self.reads.close()
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

    def tidy(self) -> None:
        """See :class:`~node.store.interface.Store`."""
        if self._writer is not None:
            self._writer.copy_back()

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
        self.reads.released = ReleasedSeq(*self._writing().head())
