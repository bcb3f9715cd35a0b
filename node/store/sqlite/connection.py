"""SQLite connections as the store needs them, and SQLite's errors in the node's terms."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from keys.local.sqlite import Trouble, error_name, open_to_read, set_up, trouble_of
from protocol.errors import ComityError, StorageFullError, StoreDamagedError, UnavailableError

# The writer copies the write-ahead log back into the database after this many pages (16 MB): often enough that it
# takes milliseconds, seldom enough that a page changed by many batches is copied once.
AUTOCHECKPOINT_PAGES = 2048
_CACHE_KIB = 32 * 1024

_BUSY_TIMEOUT_MS = 10_000


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, in autocommit mode; used from one thread at a time."""
    with suppress(OSError):  # what is wrong with the path, SQLite tells below
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        set_up(
            connection,
            busy_timeout_ms=_BUSY_TIMEOUT_MS,
            cache_kib=_CACHE_KIB,
            more=(
                "mmap_size = 0",
                "foreign_keys = OFF",
                f"wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}",
                "journal_size_limit = 67108864",
            ),
        )
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return open_to_read(path, busy_timeout_ms=_BUSY_TIMEOUT_MS, cache_kib=8192)


@contextmanager
def database_errors(otherwise: str) -> Iterator[None]:
    """Raise what SQLite says inside as typed errors; ``otherwise`` is said where it is not about storage."""
    try:
        yield
    except sqlite3.Error as problem:
        raise storage_error(problem) or UnavailableError(otherwise) from problem


def storage_error(problem: sqlite3.Error) -> ComityError | None:
    """The typed error for what the disk did; None if it is not about storage (a defect in this program)."""
    name, trouble = error_name(problem), trouble_of(problem)
    if trouble in {Trouble.FULL, Trouble.TOO_LARGE}:
        return StorageFullError(f"the database cannot be written ({name})")
    if trouble is Trouble.DAMAGED:
        return StoreDamagedError(f"the database file is damaged ({name})")
    if isinstance(problem, sqlite3.OperationalError):
        return UnavailableError(f"the database failed ({name or 'no code'})")
    return None
