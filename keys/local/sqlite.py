"""SQLite files that survive a power cut, and SQLite's errors by their kind: once, for a node's database and a desk's.

Which typed error a kind becomes, and what is said of it, decides whoever owns the database.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

PAGE_BYTES = 8192


class Trouble(StrEnum):
    """What SQLite's result codes come to (https://www.sqlite.org/rescode.html)."""

    FULL = "full"  # the disk is full, or the file is read-only
    TOO_LARGE = "too-large"  # a value is longer than SQLite takes
    DAMAGED = "damaged"
    BUSY = "busy"
    OTHER = "other"


_TROUBLES = {
    "SQLITE_FULL": Trouble.FULL,
    "SQLITE_READONLY": Trouble.FULL,
    "SQLITE_TOOBIG": Trouble.TOO_LARGE,
    "SQLITE_CORRUPT": Trouble.DAMAGED,
    "SQLITE_NOTADB": Trouble.DAMAGED,
    "SQLITE_BUSY": Trouble.BUSY,
    "SQLITE_LOCKED": Trouble.BUSY,
    "SQLITE_PROTOCOL": Trouble.BUSY,
}


def error_name(problem: sqlite3.Error) -> str:
    """SQLite's name of the result, extended (``SQLITE_IOERR_WRITE``); empty where it gave none."""
    return getattr(problem, "sqlite_errorname", "") or ""


def trouble_of(problem: sqlite3.Error) -> Trouble:
    """The kind of an error, by its primary result code."""
    return _TROUBLES.get("_".join(error_name(problem).split("_")[:2]), Trouble.OTHER)


def set_up(connection: sqlite3.Connection, *, busy_timeout_ms: int, cache_kib: int, more: Sequence[str] = ()) -> None:
    """Make a connection one that writes durably: a commit is on disk when it returns, also after a power cut."""
    for pragma in (
        # First: whatever comes after may have to wait.
        f"busy_timeout = {busy_timeout_ms}",
        f"page_size = {PAGE_BYTES}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "temp_store = MEMORY",
        "trusted_schema = OFF",
        f"cache_size = -{cache_kib}",
        *more,
    ):
        connection.execute(f"PRAGMA {pragma}")


def open_to_read(path: Path, *, busy_timeout_ms: int, cache_kib: int) -> sqlite3.Connection:
    """A connection that cannot write."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=128,
    )
    for pragma in (
        "query_only = ON",
        f"busy_timeout = {busy_timeout_ms}",
        "temp_store = MEMORY",
        f"cache_size = -{cache_kib}",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection
