"""What an auditor keeps of the verification of a log, so that the next one goes on from there.

A ledger is an SQLite file of the auditor's own: what the entries of whole bundles said, and a state. The state says how
far these were verified, under which signed checkpoint, with which findings. It is authenticated by a key that only the
auditor's desk has, and has the hash of all else in the file; so whoever writes into the file is found. It is written in
one transaction with what it speaks of: a run that is broken off leaves the state of its last commit.

A run believes it of entries whose leaf hashes lead to the root in it, and of nothing else.
"""

from __future__ import annotations

import hmac
import os
import sqlite3
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from exchange.audit._entry_reader import Problem
from exchange.audit._index import HASHES_BYTES, Chains, EntryIndex, altered
from exchange.audit._times import FalseTime, TimeSpan
from keys.local.files import PRIVATE_MODE, acquire_lock, release_lock
from keys.local.tile_folder import FileMark
from protocol.encoding import cbor
from protocol.errors import ComityError, FolderBusyError, UnavailableError
from protocol.log.layout import TILE_WIDTH
from protocol.log.merkle import HASH_BYTES

VERSION = 2
"""Of the rules as well: what another version found is not gone on from."""

_DOMAIN = b"comity/v1/kept-audit\0"
_MAX_STATE_BYTES = 64 * 1024 * 1024
_SPAN = struct.Struct(">qqB")
_MARK = struct.Struct(">QqqQ")
_NO_MARK = bytes(_MARK.size)
_TABLES = (
    "bundle (idx INTEGER PRIMARY KEY, record BLOB NOT NULL)",
    "chain (number INTEGER PRIMARY KEY, page BLOB NOT NULL)",
    "kept (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
)


@dataclass(frozen=True, slots=True)
class Keeper:
    """Where an auditor keeps what it verified, and the key that proves it to the auditor (32 bytes)."""

    folder: Path
    key: bytes = field(repr=False)

    def path(self, origin: str) -> Path:
        """The ledger of a log."""
        return self.folder / f"{sha256(origin.encode()).hexdigest()[:16]}.db"


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """A bundle that was verified: the root of its full tile, the span of its times, and which of its files were read.

    ``withheld`` has a bit for each entry of which only the hash is known. A mark is None where the file may have been
    written at the moment that it was read.
    """

    root: bytes
    span: TimeSpan | None
    withheld: int
    entries: FileMark | None
    tile: FileMark | None

    def to_bytes(self) -> bytes:
        """As it is kept."""
        span = _SPAN.pack(0, 0, 2) if self.span is None else _SPAN.pack(*_span_values(self.span))
        return self.root + span + _packed(self.entries) + _packed(self.tile) + self.withheld.to_bytes(32, "big")

    @classmethod
    def from_bytes(cls, kept: bytes) -> KeptBundle:
        """What is kept, which was authenticated."""
        earliest, latest, kind = _SPAN.unpack_from(kept, HASH_BYTES)
        at = HASH_BYTES + _SPAN.size
        return cls(
            kept[:HASH_BYTES],
            None if kind == 2 else TimeSpan(earliest, latest, kind == 1),
            int.from_bytes(kept[at + 2 * _MARK.size :], "big"),
            _unpacked(kept[at : at + _MARK.size]),
            _unpacked(kept[at + _MARK.size : at + 2 * _MARK.size]),
        )


@dataclass(frozen=True, slots=True)
class KeptState:
    """How far a log was verified, and what was found in its entries.

    ``size`` entries were verified, those of ``root``; ``whole_root`` is that of their full tiles. The first
    ``rules_to`` of them were judged by the rules that need the directory, in which the cards of the ``recipients`` had
    the digest ``cards``. ``problems`` are of the entries themselves, ``keys`` of the keys that statements are signed
    with, ``breaches`` of the rules. ``views`` are the entries that name a directory, ``unproved`` the statements
    whose key was not known.

    ``note`` is the checkpoint of a run that came to its end, and ``files`` the digest of the mirror's files then, b""
    where one may have changed while it was read; ``about_files`` and ``false_times`` are what was found of them.
    ``heads`` are the hashes of the checkpoints whose signatures were verified under the keys ``verifier``.
    ``before_tail`` are the chains as they were before the entries of the last tile, if that is not full.
    """

    size: int = 0
    root: bytes = b""
    whole_root: bytes = b""
    rules_to: int = 0
    cards: bytes = b""
    problems: tuple[Problem, ...] = ()
    keys: tuple[Problem, ...] = ()
    breaches: tuple[Problem, ...] = ()
    views: tuple[tuple[int, bytes], ...] = ()
    unproved: tuple[int, ...] = ()
    recipients: frozenset[str] = frozenset()
    withheld: int = 0
    unseen_from: int | None = None
    note: bytes = b""
    files: bytes = b""
    about_files: tuple[tuple[str, str], ...] = ()
    false_times: tuple[FalseTime, ...] = ()
    heads: frozenset[bytes] = frozenset()
    verifier: bytes = b""
    before_tail: Mapping[int, bytes] = field(default_factory=dict)

    def to_value(self) -> list[Any]:
        """As it is kept, in an order of its own."""
        return [
            *(self.size, self.root, self.whole_root, self.rules_to, self.cards),
            *([list(one) for one in rows] for rows in (self.problems, self.keys, self.breaches, self.views)),
            *(list(self.unproved), sorted(self.recipients), self.withheld, self.unseen_from, self.note, self.files),
            [list(one) for one in self.about_files],
            [[bad.index, bad.at_ms, bad.logged_ms, bad.code, bad.text] for bad in self.false_times],
            *(sorted(self.heads), self.verifier, [list(one) for one in self.before_tail.items()]),
        ]

    @classmethod
    def from_value(cls, value: list[Any]) -> KeptState:
        """What is kept, which was authenticated."""
        size, root, whole_root, rules_to, cards, problems, keys, breaches, views, unproved, recipients, *rest = value
        withheld, unseen, note, files, about_files, false_times, heads, verifier, before_tail = rest
        return cls(
            size=size,
            root=root,
            whole_root=whole_root,
            rules_to=rules_to,
            cards=cards,
            problems=tuple(Problem(*one) for one in problems),
            keys=tuple(Problem(*one) for one in keys),
            breaches=tuple(Problem(*one) for one in breaches),
            views=tuple((index, entry) for index, entry in views),
            unproved=tuple(unproved),
            recipients=frozenset(recipients),
            withheld=withheld,
            unseen_from=unseen,
            note=note,
            files=files,
            about_files=tuple((code, text) for code, text in about_files),
            false_times=tuple(FalseTime(*one) for one in false_times),
            heads=frozenset(heads),
            verifier=verifier,
            before_tail=dict(before_tail),
        )


class Ledger:
    """One log's ledger, open. For one thread. It is read at one point in time, whoever writes meanwhile."""

    def __init__(self, keeper: Keeper, origin: str) -> None:
        self._keeper = keeper
        self._origin = origin
        self._path = keeper.path(origin)
        self._lock: int | None = None
        self._seen = 0
        self._connection: sqlite3.Connection | None = None
        self._empty()

    def _empty(self) -> None:
        self.state, self.chains = KeptState(), Chains()
        self._records: list[bytes] = []
        self._bundles: list[KeptBundle] | None = None

    def read(self) -> None:
        """Open the file, if it is there, and authenticate what is in it.

        Raises :class:`KeptAuditAlteredError`, :class:`UnavailableError`.
        """
        self.close()
        self._empty()
        if not self._path.exists():
            return
        with _reading():
            connection = self._connection = self._connected()
            connection.execute("BEGIN")
            kept = dict(connection.execute("SELECT name, value FROM kept").fetchall())
            records = [record for (record,) in connection.execute("SELECT record FROM bundle ORDER BY idx")]
            self._seen = _version(connection)
            self._authenticate(kept, records)

    def _authenticate(self, kept: dict[str, bytes], records: list[bytes]) -> None:
        if not kept and not records:
            return  # it was made, and broken off before its first commit
        state, mac, chains = (kept.get(name) for name in ("state", "mac", "chains"))
        if type(state) is not bytes or type(mac) is not bytes or type(chains) is not bytes:
            raise altered("state")
        if len(chains) != HASHES_BYTES or not hmac.compare_digest(mac, self._mac(state, chains, records)):
            raise altered("state")
        value = cbor.decode(state, max_bytes=_MAX_STATE_BYTES, max_items=_MAX_STATE_BYTES)
        if value[0] != VERSION:
            return  # by other rules
        self.state = KeptState.from_value(value[1])
        self._records = records
        self.chains = Chains(chains, self._page)

    def _page(self, number: int) -> bytes | None:
        with _reading():
            found = self._open().execute("SELECT page FROM chain WHERE number = ?", (number,)).fetchone()
        return None if found is None else bytes(found[0])

    @property
    def bundles(self) -> list[KeptBundle]:
        """The bundles that were verified."""
        if self._bundles is None:
            self._bundles = [KeptBundle.from_bytes(record) for record in self._records]
        return self._bundles

    def tile_roots(self, count: int) -> bytes:
        """The roots of the first ``count`` tiles."""
        return b"".join([record[:HASH_BYTES] for record in self._records[:count]])

    def _mac(self, state: bytes, chains: bytes, records: list[bytes]) -> bytes:
        parts = (self._origin.encode(), state, chains, *records)
        hashed = b"".join(sha256(part).digest() for part in parts)
        return hmac.digest(self._keeper.key, _DOMAIN + hashed, "sha256")

    def index(self) -> EntryIndex:
        """The events that are kept. It lives on when the ledger is let go."""
        return EntryIndex(self._open(), self.chains, written_here=not self.state.size)

    # --- Writing, by one program at a time ---

    def begin(self, *, anew: bool = False) -> None:
        """Keep other programs from writing, and take what they wrote before; ``anew`` forgets what is kept.

        Raises :class:`FolderBusyError`, :class:`UnavailableError`, or as the constructor does.
        """
        try:
            self._keeper.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._lock is None:
                self._lock = acquire_lock(self._path.with_suffix(".lock"), self._busy)
        except OSError as problem:
            raise UnavailableError(f"cannot write into {self._keeper.folder}: {problem.strerror}") from problem
        if not anew and not self._is_current():
            self.read()
        if not self.state.size or anew:  # also what is left of a run that was broken off before its first commit
            self.close()
            self._forget()
            self._empty()
            self._make()

    def _is_current(self) -> bool:
        """Whether nobody wrote since it was read: then it is as it was, and no longer looked at as of then alone."""
        if self._connection is None:
            return False
        with _reading():
            self._connection.execute("ROLLBACK")
            current = _version(self._connection) == self._seen
            self._connection.execute("BEGIN")
        return current

    def truncate(self) -> None:
        """Forget the last bundle if it was not full: it is read again, with what came after."""
        whole = self.state.size // TILE_WIDTH * TILE_WIDTH
        if whole == self.state.size:
            return
        self.chains.put_back(self.state.before_tail)
        self._write("DELETE FROM entry WHERE idx >= ?", whole)
        self._write("DELETE FROM bundle WHERE idx >= ?", whole // TILE_WIDTH)
        del self.bundles[whole // TILE_WIDTH :], self._records[whole // TILE_WIDTH :]

    def commit(self, state: KeptState, bundles: list[KeptBundle]) -> None:
        """Keep ``state``, durably with all that was added; ``bundles`` are all that it speaks of."""
        encoded = cbor.encode([VERSION, state.to_value()])
        known = self.bundles
        changed = [
            (number, bundle.to_bytes())
            for number, bundle in enumerate(bundles)
            if number >= len(known) or bundle is not known[number]
        ]
        records = self._records + [b""] * (len(bundles) - len(self._records))
        for number, record in changed:
            records[number] = record
        with _reading():
            connection = self._open()
            connection.executemany("INSERT OR REPLACE INTO bundle VALUES (?, ?)", changed)
            connection.executemany("INSERT OR REPLACE INTO chain VALUES (?, ?)", self.chains.take_changed())
            hashes = self.chains.hashes
            for name, value in (("state", encoded), ("mac", self._mac(encoded, hashes, records)), ("chains", hashes)):
                self._write("INSERT OR REPLACE INTO kept VALUES (?, ?)", name, value)
            connection.execute("COMMIT")
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM kept").fetchone()  # from here on it is read as it is now
        self.state, self._records, self._bundles = state, records, list(bundles)

    def end(self) -> None:
        """Let other programs write."""
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # --- Inside ---

    def _busy(self) -> ComityError:
        return FolderBusyError("another program verifies this log, and keeps what it finds")

    def _forget(self) -> None:
        for path in (self._path, *(Path(f"{self._path}-{end}") for end in ("wal", "shm"))):
            with suppress(FileNotFoundError):
                path.unlink()

    def _make(self) -> None:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE))
        with _reading():
            connection = self._connection = self._connected()
            EntryIndex.create(connection)
            for table in _TABLES:
                connection.execute(f"CREATE TABLE IF NOT EXISTS {table} STRICT")
            connection.execute("BEGIN")

    def _connected(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA trusted_schema = OFF")
        return connection

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            raise ValueError("there is no ledger yet")
        return self._connection

    def _write(self, statement: str, *values: object) -> None:
        self._open().execute(statement, values)


@contextmanager
def _reading() -> Iterator[None]:
    """What SQLite finds wrong with the file was not written here."""
    try:
        yield
    except sqlite3.OperationalError as problem:
        if "no such table" in str(problem):
            raise altered("tables") from problem
        raise UnavailableError(f"the ledger of this log cannot be used: {problem}") from problem
    except sqlite3.DatabaseError as problem:
        raise altered("database") from problem


def _version(connection: sqlite3.Connection) -> int:
    """A number that changes when another program commits."""
    found: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return found


def _span_values(span: TimeSpan) -> tuple[int, int, int]:
    return span.earliest, span.latest, int(span.ordered)


def _packed(mark: FileMark | None) -> bytes:
    return _NO_MARK if mark is None else _MARK.pack(mark.size, mark.modified_ns, mark.changed_ns, mark.inode)


def _unpacked(kept: bytes) -> FileMark | None:
    return None if kept == _NO_MARK else FileMark(*_MARK.unpack(kept))
