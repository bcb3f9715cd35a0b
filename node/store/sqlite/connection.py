"""SQLite connections as the store needs them, and SQLite's errors in the node's terms."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from protocol.errors import ComityError, StorageFullError, StoreDamagedError, UnavailableError

PAGE_BYTES = 8192
# The writer copies the write-ahead log back into the database after this many pages (16 MB): often enough that it
# takes milliseconds, seldom enough that a page changed by many batches is copied once.
AUTOCHECKPOINT_PAGES = 2048
_CACHE_KIB = 32 * 1024

_FULL = {"SQLITE_FULL", "SQLITE_READONLY", "SQLITE_TOOBIG"}
_DAMAGED = {"SQLITE_CORRUPT", "SQLITE_NOTADB"}


def open_writer(path: Path) -> sqlite3.Connection:
    """The one connection that writes, in autocommit mode; used from one thread at a time."""
    with suppress(OSError):  # what is wrong with the path, SQLite tells below
        path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    try:
        for pragma in (
            f"page_size = {PAGE_BYTES}",
            "journal_mode = WAL",
            # A commit is on disk when it returns, also after a power cut.
            "synchronous = FULL",
            "busy_timeout = 10000",
            "temp_store = MEMORY",
            "mmap_size = 0",
            "foreign_keys = OFF",
            f"cache_size = -{_CACHE_KIB}",
            f"wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}",
            "journal_size_limit = 67108864",
            "trusted_schema = OFF",
        ):
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )
    for pragma in ("query_only = ON", "busy_timeout = 10000", "temp_store = MEMORY", "cache_size = -8192"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


@contextmanager
def database_errors(otherwise: str) -> Iterator[None]:
    """Raise what SQLite says inside as typed errors; ``otherwise`` is said where it is not about storage."""
    try:
        yield
    except sqlite3.Error as problem:
        raise storage_error(problem) or UnavailableError(otherwise) from problem


def storage_error(problem: sqlite3.Error) -> ComityError | None:
    """The typed error for what the disk did; None if it is not about storage (a defect in this program)."""
    name = getattr(problem, "sqlite_errorname", "") or ""
    if name.startswith(tuple(_FULL)):
        return StorageFullError(f"the database cannot be written ({name})")
    if name.startswith(tuple(_DAMAGED)):
        return StoreDamagedError(f"the database file is damaged ({name})")
    if isinstance(problem, sqlite3.OperationalError):
        return UnavailableError(f"the database failed ({name or 'no code'})")
    return None
