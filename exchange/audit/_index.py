"""The index of a verified log: its events as rows of a private temporary database, which SQLite keeps on disk.

So a log of any length can be put in the order of its messages without standing in memory. The database has no name and
ends with the index.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from uuid import UUID

from exchange.audit._entry_reader import Row

_CACHE_KIB = 32_768


class EntryIndex:
    """The events of one log. For one thread."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        execute = self._connection.execute
        execute("PRAGMA journal_mode = OFF")
        execute("PRAGMA synchronous = OFF")
        execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        # The columns are a row's fields, in their order.
        execute(
            "CREATE TABLE entry (idx INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, name INTEGER NOT NULL,"
            " digest BLOB NOT NULL, message_id BLOB NOT NULL, recipient TEXT, peer TEXT, reference BLOB) STRICT"
        )
        execute("BEGIN")

    def add(self, rows: Iterable[Row]) -> None:
        """Add events; each index once."""
        self._connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def by_message(self) -> Iterator[Row]:
        """All events in the order of their envelopes' digests, those of one envelope in the order of the log."""
        cursor = self._connection.execute("SELECT * FROM entry ORDER BY digest, idx")
        return map(Row._make, cursor)

    def of_message(self, message_id: UUID) -> list[Row]:
        """The events of a message, in the order of the log."""
        cursor = self._connection.execute("SELECT * FROM entry WHERE message_id = ? ORDER BY idx", (message_id.bytes,))
        return [Row._make(row) for row in cursor]

    def of_envelope(self, digest: bytes) -> list[Row]:
        """The events of an envelope, in the order of the log."""
        self._connection.execute("CREATE INDEX IF NOT EXISTS by_digest ON entry (digest)")
        cursor = self._connection.execute("SELECT * FROM entry WHERE digest = ? ORDER BY idx", (digest,))
        return [Row._make(row) for row in cursor]

    def at(self, index: int) -> Row | None:
        """The event at ``index``, if that entry is one and can be read."""
        found = self._connection.execute("SELECT * FROM entry WHERE idx = ?", (index,)).fetchone()
        return None if found is None else Row._make(found)

    def last(self) -> Row | None:
        """The last event; None without events."""
        row = self._connection.execute("SELECT * FROM entry ORDER BY idx DESC LIMIT 1").fetchone()
        return None if row is None else Row._make(row)

    def first_from(self, index: int) -> Row | None:
        """The first event at ``index`` or after it; None without one."""
        row = self._connection.execute("SELECT * FROM entry WHERE idx >= ? ORDER BY idx LIMIT 1", (index,)).fetchone()
        return None if row is None else Row._make(row)

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()
