"""The reads of the SQLite store, each on a reader's thread.

A read is one hop to a thread, however many statements it takes; aiosqlite would take several hops for each statement.
The writer is never waited for: readers work on WAL snapshots.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from node.store.disk_errors import Report
from node.store.sqlite._reader import ReleasedSeq, SqliteReader
from node.store.sqlite.connection import storage_error
from node.store.sqlite.log import RecentReceipts
from protocol.errors import LogUnavailableError, MalformedError, UnavailableError

P = ParamSpec("P")
T = TypeVar("T")

DEFAULT_READERS = 2


def _read(
    method: Callable[Concatenate[SqliteReader, P], T],
) -> Callable[Concatenate[SqliteReads, P], Coroutine[Any, Any, T]]:
    """A reader's method, as it is called from the event loop."""

    async def read(reads: SqliteReads, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await reads.in_thread(lambda reader: method(reader, *args, **kwargs))

    read.__name__, read.__doc__ = method.__name__, method.__doc__
    return read


def _read_here(method: Callable[Concatenate[SqliteReader, P], T]) -> Callable[Concatenate[SqliteReads, P], T]:
    """A reader's method, as it is called from a thread that may block."""

    def read(reads: SqliteReads, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return reads.here(lambda reader: method(reader, *args, **kwargs))

    read.__name__, read.__doc__ = method.__name__, method.__doc__
    return read


class SqliteReads:
    """The :class:`~node.store.reads.Reads` of the database ``path``. ``released`` says how far they see."""

    def __init__(self, path: Path, recent: RecentReceipts, count: int, report: Report) -> None:
        self.released = ReleasedSeq()
        self._path = path
        self._recent = recent
        self._count = count
        self._report = report
        self._threads: ThreadPoolExecutor | None = None
        self._local = threading.local()
        self._readers: list[SqliteReader] = []

    def open(self) -> None:
        """Allow reading: the database exists and is migrated."""
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="store-reader")

    def close(self) -> None:
        """Finish what is being read and close the connections; idempotent. Blocking."""
        if self._threads is not None:
            self._threads.shutdown()
            self._threads = None
        for reader in self._readers:
            reader.close()
        self._readers.clear()
        self._local = threading.local()

    async def checkpoint(self) -> bytes:
        """See :meth:`node.store.reads.Reads.checkpoint`."""
        if self.released.note is None:
            raise LogUnavailableError("the log has no checkpoint yet")
        return self.released.note

    async def log_size(self) -> int:
        """See :meth:`node.store.reads.Reads.log_size`."""
        return self.released.size

    mailbox = _read(SqliteReader.mailbox)
    mailbox_head = _read(SqliteReader.mailbox_head)
    mailbox_page = _read(SqliteReader.mailbox_page)
    mailbox_page_here = _read_here(SqliteReader.mailbox_page)
    due = _read(SqliteReader.due)
    due_here = _read_here(SqliteReader.due)
    due_outbound = _read(SqliteReader.due_outbound)
    outbound = _read(SqliteReader.outbound)
    outbound_items = _read(SqliteReader.outbound_items)
    partners_with_due = _read(SqliteReader.partners_with_due)
    expired = _read(SqliteReader.expired)
    tile = _read(SqliteReader.tile)
    entries = _read(SqliteReader.entries)
    entry_nations = _read(SqliteReader.entry_nations)
    message_nations = _read(SqliteReader.message_nations)
    message_origin = _read(SqliteReader.message_origin)
    leaf = _read(SqliteReader.leaf)
    receipt = _read(SqliteReader.receipt)
    inclusion_path = _read(SqliteReader.inclusion_path)
    consistency_path = _read(SqliteReader.consistency_path)
    foreign_checkpoint = _read(SqliteReader.foreign_checkpoint)
    cosigned = _read(SqliteReader.cosigned)
    foreign_heads = _read(SqliteReader.foreign_heads)
    cosigned_heads = _read(SqliteReader.cosigned_heads)
    foreign_notes = _read(SqliteReader.foreign_notes)
    foreign_receipt = _read(SqliteReader.foreign_receipt)
    foreign_receipts = _read(SqliteReader.foreign_receipts)
    size_at = _read(SqliteReader.size_at)
    stats = _read(SqliteReader.stats)
    file_set = _read(SqliteReader.file_set)
    file_sets = _read(SqliteReader.file_sets)
    file_partners = _read(SqliteReader.file_partners)
    files_for = _read(SqliteReader.files_for)
    files_from = _read(SqliteReader.files_from)
    files_ending = _read(SqliteReader.files_ending)
    envelope_waits = _read(SqliteReader.envelope_waits)

    async def in_thread(self, work: Callable[[SqliteReader], T]) -> T:
        """What ``work`` reads, no further than is released now; raises the typed errors of the database."""
        if self._threads is None:
            raise UnavailableError("the store is not open")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._reading, work, self.released)

    def here(self, work: Callable[[SqliteReader], T]) -> T:
        """As :meth:`in_thread`, in the thread that calls."""
        if self._threads is None:
            raise UnavailableError("the store is not open")
        return self._reading(work, self.released)

    def _reading(self, work: Callable[[SqliteReader], T], released: ReleasedSeq) -> T:
        try:
            reader = self._reader()
            reader.released = released
            found = work(reader)
        except sqlite3.Error as problem:
            typed = storage_error(problem) or UnavailableError("the database cannot be read")
            typed.__cause__ = problem
            self._report(self._path, typed, "reading")
            raise typed from problem
        except OverflowError as problem:
            raise MalformedError("a number is larger than any that is kept here") from problem
        self._report(self._path, None, "reading")
        return found

    def _reader(self) -> SqliteReader:
        """This thread's own."""
        reader: SqliteReader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = SqliteReader(self._path, self._recent)
            self._readers.append(reader)
            self._local.reader = reader
        return reader
