"""The index of a verified log: its events as rows of an SQLite database, so that no log must stand in memory.

Either the database is private and ends with the index, or it is kept for the next run. A kept one is proved: hashes
chain the rows of each of 65,536 buckets, by message and again by envelope, and the ledger authenticates the chains.
So a look-up of one message reads one bucket, and believes neither a row nor the lack of one that was not written here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import groupby
from operator import attrgetter
from uuid import UUID

from exchange.audit._entry_reader import Row
from protocol.errors import KeptAuditAlteredError
from protocol.log.merkle import HASH_BYTES

_CACHE_KIB = 32_768
_BUCKETS = 65_536
_PAGE_BUCKETS = 256
_PAGES = 2 * _BUCKETS // _PAGE_BUCKETS
HASHES_BYTES = _PAGES * HASH_BYTES
_EMPTY_HASH = sha256(bytes(_PAGE_BUCKETS * HASH_BYTES)).digest()

# The columns are a row's fields, in their order.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS entry (idx INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, name INTEGER NOT NULL,"
    " digest BLOB NOT NULL, message_id BLOB NOT NULL, recipient TEXT, peer TEXT, reference BLOB, kid BLOB, files BLOB)"
    " STRICT"
)
# By the random end of a message's id, and by the beginning of an envelope's digest: two bytes each.
_BY_MESSAGE, _BY_ENVELOPE = "substr(message_id, 15, 2)", "substr(digest, 1, 2)"


class Chains:
    """The hash chain of each bucket of rows, in the order of the log: those by message, then those by envelope.

    They lie in pages, which ``load`` gives by number (None: nothing was ever in it). ``hashes`` are those of the pages:
    who knows them to be true needs no more than the page that is looked at.
    """

    def __init__(self, hashes: bytes | None = None, load: Callable[[int], bytes | None] = lambda _number: None) -> None:
        self._hashes = bytearray(_EMPTY_HASH * _PAGES if hashes is None else hashes)
        self._load = load
        self._pages: dict[int, list[bytes]] = {}
        self._changed: set[int] = set()

    def add(self, row: Row) -> None:
        """Take a row into its two chains."""
        packed = tuple.__repr__(row).encode()
        for bucket in (message_bucket(row.message_id), envelope_bucket(row.digest)):
            number, place = divmod(bucket, _PAGE_BUCKETS)
            page = self._pages.get(number) or self._page(number)
            page[place] = sha256(page[place] + packed).digest()
            self._changed.add(number)

    def touched_by(self, rows: Iterable[Row]) -> dict[int, bytes]:
        """The chains, by their bucket, that these rows will change, as they are now."""
        buckets = {of for row in rows for of in (message_bucket(row.message_id), envelope_bucket(row.digest))}
        return {bucket: self._chain(bucket) for bucket in sorted(buckets)}

    def put_back(self, before: Mapping[int, bytes]) -> None:
        """Undo what was added since."""
        for bucket, chain in before.items():
            number, place = divmod(bucket, _PAGE_BUCKETS)
            self._page(number)[place] = chain
            self._changed.add(number)

    def require(self, bucket: int, rows: Iterable[Row]) -> None:
        """Return if these are all rows of one bucket; raises :class:`KeptAuditAlteredError`."""
        chain = bytes(HASH_BYTES)
        for row in rows:
            chain = sha256(chain + tuple.__repr__(row).encode()).digest()
        if chain != self._chain(bucket):
            raise altered("entries")

    def take_changed(self) -> list[tuple[int, bytes]]:
        """The pages that changed since the last call, by number, to be written with :attr:`hashes`."""
        changed = [(number, b"".join(self._pages[number])) for number in sorted(self._changed)]
        self._hashes = bytearray(self.hashes)
        self._changed.clear()
        return changed

    @property
    def hashes(self) -> bytes:
        """The hashes of all pages as they are now."""
        hashes = bytearray(self._hashes)
        for number in self._changed:
            content = b"".join(self._pages[number])
            hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES] = sha256(content).digest()
        return bytes(hashes)

    def _chain(self, bucket: int) -> bytes:
        number, place = divmod(bucket, _PAGE_BUCKETS)
        return self._page(number)[place]

    def _page(self, number: int) -> list[bytes]:
        page = self._pages.get(number)
        if page is None:
            content = self._load(number)
            content = bytes(_PAGE_BUCKETS * HASH_BYTES) if content is None else content
            if sha256(content).digest() != self._hashes[number * HASH_BYTES : (number + 1) * HASH_BYTES]:
                raise altered("chains")
            page = [content[at : at + HASH_BYTES] for at in range(0, len(content), HASH_BYTES)]
            self._pages[number] = page
        return page


def altered(what: str) -> KeptAuditAlteredError:
    """The refusal of something that was kept and is not as it was."""
    return KeptAuditAlteredError(f"what was kept of the verification of this log was altered: its {what}")


def message_bucket(message_id: bytes) -> int:
    """The bucket of a message."""
    return int.from_bytes(message_id[-2:], "big")


def envelope_bucket(digest: bytes) -> int:
    """The bucket of an envelope."""
    return _BUCKETS + int.from_bytes(digest[:2], "big")


def private_database() -> sqlite3.Connection:
    """A database without a name, which SQLite keeps on disk as far as it is large, and which ends with its use."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    return connection


class EntryIndex:
    """The events of one log. For one thread. ``chains`` prove the rows of a kept index; a private one has none.

    ``written_here`` is an index all of whose rows this process adds. A look into another kept one raises
    :class:`KeptAuditAlteredError` where it is not as it was written.
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
        self._connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
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
        for number, same in groupby(sorted(digests), key=envelope_bucket):
            ours = set(same)
            bucket = self._bucket(_BY_ENVELOPE, number)
            yield from sorted((row for row in bucket if row.digest in ours), key=attrgetter("digest", "number"))

    def of_message(self, message_id: UUID) -> list[Row]:
        """The events of a message, in the order of the log."""
        name = message_id.bytes
        return [row for row in self._bucket(_BY_MESSAGE, message_bucket(name)) if row.message_id == name]

    def of_envelope(self, digest: bytes) -> list[Row]:
        """The events of an envelope, in the order of the log."""
        if self._chains is None:
            self.complete()
        return [row for row in self._bucket(_BY_ENVELOPE, envelope_bucket(digest)) if row.digest == digest]

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

    def _bucket(self, column: str, bucket: int) -> list[Row]:
        query = f"SELECT * FROM entry WHERE {column} = ? ORDER BY idx"  # noqa: S608 - the column is ours
        rows = list(self._select(query, (bucket % _BUCKETS).to_bytes(2, "big")))
        if not self._proved and self._chains is not None:
            self._chains.require(bucket, rows)
        return rows

    def _prove(self) -> None:
        """Compare all rows with their chains, once."""
        if self._proved or self._chains is None:
            return
        found = Chains()
        for row in self._select("SELECT * FROM entry ORDER BY idx"):
            found.add(row)
        if found.hashes != self._chains.hashes:
            raise altered("entries")
        self._proved = True
