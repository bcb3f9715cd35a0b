"""The index of a verified log: its events as rows of an SQLite database, so that no log must stand in memory.

Either the database is private and ends with the index, or it is kept for the next run. What is kept is proved: the rows
of each of 16,384 buckets, by message and again by envelope, are chained by hashes, which whoever keeps the index
authenticates. So one message is looked up by reading one bucket, and neither a row nor the lack of one is believed that
was not written here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from exchange.audit._entry_reader import Row
from protocol.errors import KeptAuditAlteredError
from protocol.log.merkle import HASH_BYTES

_CACHE_KIB = 32_768
_BUCKETS = 1 << 14
_SHIFT = 2  # a bucket has so many bits fewer than the two bytes that are looked up
CHAINS_BYTES = 2 * _BUCKETS * HASH_BYTES

# The columns are a row's fields, in their order.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS entry (idx INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, name INTEGER NOT NULL,"
    " digest BLOB NOT NULL, message_id BLOB NOT NULL, recipient TEXT, peer TEXT, reference BLOB, kid BLOB) STRICT"
)
# By the random end of a message's id, and by the beginning of an envelope's digest: two bytes each.
_BY_MESSAGE, _BY_ENVELOPE = "substr(message_id, 15, 2)", "substr(digest, 1, 2)"


class Chains:
    """The hash chain of each bucket of rows, in the order of the log: those by message, then those by envelope."""

    def __init__(self, content: bytes | bytearray = bytes(CHAINS_BYTES)) -> None:
        self.content = content

    def _changeable(self) -> bytearray:
        if not isinstance(self.content, bytearray):  # most are only read
            self.content = bytearray(self.content)
        return self.content

    def add(self, row: Row) -> None:
        """Take a row into its two chains."""
        content, packed = self._changeable(), repr(tuple(row)).encode()
        for at in _places(row):
            content[at : at + HASH_BYTES] = sha256(content[at : at + HASH_BYTES] + packed).digest()

    def touched_by(self, rows: Iterable[Row]) -> dict[int, bytes]:
        """The chains, by their place, that these rows will change, as they are now."""
        return {at: bytes(self.content[at : at + HASH_BYTES]) for row in rows for at in _places(row)}

    def put_back(self, before: dict[int, bytes]) -> None:
        """Undo what was added since."""
        for at, chain in before.items():
            self._changeable()[at : at + HASH_BYTES] = chain

    def require(self, place: int, rows: Iterable[Row]) -> None:
        """Return if these are all rows of one bucket; raises :class:`KeptAuditAlteredError`."""
        chain = bytes(HASH_BYTES)
        for row in rows:
            chain = sha256(chain + repr(tuple(row)).encode()).digest()
        if chain != self.content[place : place + HASH_BYTES]:
            raise altered("entries")


def altered(what: str) -> KeptAuditAlteredError:
    """The refusal of something that was kept and is not as it was."""
    return KeptAuditAlteredError(f"what was kept of the verification of this log was altered: its {what}")


def _places(row: Row) -> tuple[int, int]:
    return message_place(row.message_id), envelope_place(row.digest)


def message_place(message_id: bytes) -> int:
    """Where the chain of a message's bucket stands."""
    return (int.from_bytes(message_id[-2:], "big") >> _SHIFT) * HASH_BYTES


def envelope_place(digest: bytes) -> int:
    """Where the chain of an envelope's bucket stands."""
    return (_BUCKETS + (int.from_bytes(digest[:2], "big") >> _SHIFT)) * HASH_BYTES


def private_database() -> sqlite3.Connection:
    """A database without a name, which SQLite keeps on disk as far as it is large, and which ends with its use."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


class EntryIndex:
    """The events of one log. For one thread. ``chains`` prove the rows of a kept index; a private one has none.

    ``written_here`` is an index all of whose rows this process adds. What else is read of a kept one raises
    :class:`KeptAuditAlteredError` when it is not as it was written.
    """

    def __init__(
        self, connection: sqlite3.Connection | None = None, chains: Chains | None = None, *, written_here: bool = False
    ) -> None:
        self._connection = private_database() if connection is None else connection
        self._chains = chains
        self._proved = chains is None or written_here
        self._connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        if connection is None:
            self._connection.execute(_TABLE)
            self._connection.execute("BEGIN")

    @staticmethod
    def create(connection: sqlite3.Connection) -> None:
        """Make the table of a kept index."""
        connection.execute(_TABLE)

    def add(self, rows: Sequence[Row]) -> None:
        """Add events; each index once, in the order of the log."""
        self._connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
        if self._chains is not None:
            for row in rows:
                self._chains.add(row)

    def complete(self) -> None:
        """Make look-ups of one message or envelope fast: when all of a log was added, not before."""
        self._connection.execute(f"CREATE INDEX IF NOT EXISTS by_message ON entry ({_BY_MESSAGE})")
        self._connection.execute(f"CREATE INDEX IF NOT EXISTS by_envelope ON entry ({_BY_ENVELOPE})")

    def by_message(self) -> Iterator[Row]:
        """All events in the order of their envelopes' digests, those of one envelope in the order of the log."""
        self._prove()
        return self._select("SELECT * FROM entry ORDER BY digest, idx")

    def from_index(self, index: int) -> Iterator[Row]:
        """The events from ``index`` on, in the order of the log."""
        self._prove()
        return self._select("SELECT * FROM entry WHERE idx >= ? ORDER BY idx", index)

    def with_envelopes(self, digests: Iterable[bytes]) -> Iterator[Row]:
        """All events of these envelopes, in the order of :meth:`by_message`."""
        for place, same in groupby(sorted(digests), key=envelope_place):
            ours = set(same)
            bucket = self._bucket(_BY_ENVELOPE, place)
            yield from sorted((row for row in bucket if row.digest in ours), key=attrgetter("digest", "number"))

    def of_message(self, message_id: UUID) -> list[Row]:
        """The events of a message, in the order of the log."""
        name = message_id.bytes
        return [row for row in self._bucket(_BY_MESSAGE, message_place(name)) if row.message_id == name]

    def of_envelope(self, digest: bytes) -> list[Row]:
        """The events of an envelope, in the order of the log."""
        if self._chains is None:
            self.complete()
        return [row for row in self._bucket(_BY_ENVELOPE, envelope_place(digest)) if row.digest == digest]

    def at(self, index: int) -> Row | None:
        """The event at ``index``, if that entry is one and can be read."""
        self._prove()
        return next(self._select("SELECT * FROM entry WHERE idx = ?", index), None)

    def last(self) -> Row | None:
        """The last event; None without events."""
        self._prove()
        return next(self._select("SELECT * FROM entry ORDER BY idx DESC LIMIT 1"), None)

    def first_from(self, index: int) -> Row | None:
        """The first event at ``index`` or after it; None without one."""
        self._prove()
        return next(self._select("SELECT * FROM entry WHERE idx >= ? ORDER BY idx LIMIT 1", index), None)

    def times(self, first: int, end: int) -> list[tuple[int, int]]:
        """Index and time (Unix ms) of the events from ``first`` up to before ``end``. Not proved: see :meth:`prove`."""
        found = self._connection.execute("SELECT idx, at_ms FROM entry WHERE idx >= ? AND idx < ?", (first, end))
        return found.fetchall()

    def prove(self) -> None:
        """Return if every row is as it was written; raises :class:`KeptAuditAlteredError`."""
        self._prove()

    def close(self) -> None:
        """Let the database go."""
        self._connection.close()

    # --- Inside ---

    def _select(self, query: str, *values: object) -> Iterator[Row]:
        try:
            yield from map(Row._make, self._connection.execute(query, values))
        except sqlite3.DatabaseError as problem:
            if self._chains is None:
                raise
            raise altered("database") from problem

    def _bucket(self, column: str, place: int) -> list[Row]:
        first = place // HASH_BYTES % _BUCKETS << _SHIFT
        ends = [number.to_bytes(2, "big") for number in (first, first + (1 << _SHIFT) - 1)]
        query = f"SELECT * FROM entry WHERE {column} BETWEEN ? AND ? ORDER BY idx"  # noqa: S608 - the column is ours
        rows = list(self._select(query, *ends))
        if not self._proved and self._chains is not None:
            self._chains.require(place, rows)
        return rows

    def _prove(self) -> None:
        """Compare all rows with their chains, once."""
        if self._proved or self._chains is None:
            return
        found = Chains()
        for row in self._select("SELECT * FROM entry ORDER BY idx"):
            found.add(row)
        if found.content != self._chains.content:
            raise altered("entries")
        self._proved = True
