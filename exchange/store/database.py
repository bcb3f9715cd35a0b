"""A desk's database file: one connection, its pragmas and migrations, and what SQLite's errors mean.

Any number of programs have one open at a time. A program that writes waits for the others, and nobody holds the file
while waiting for anything else: a transaction has no network, no person and no key derivation in it. A program reads
inside the transaction what it is going to write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from importlib import resources
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from exchange.store.cipher import RowCipher
from keys.local.files import LOCK_WAIT_S, locked
from keys.local.migrations import load_migrations, migrate_sqlite
from keys.local.sqlite import Trouble, error_name, set_up, trouble_of
from protocol.errors import ComityError, DatabaseDamagedError, DeskBusyError, StorageFullError, UnavailableError

# A program waits so long for those that write before it: far longer than any number of honest ones take.
BUSY_TIMEOUT_MS = int(LOCK_WAIT_S * 1000)
# So many values are looked up by one statement.
_MOST_VALUES = 500
# After so many commits the write-ahead log is copied back in the next quiet moment.
_TIDY_AFTER = 16


class SealedDatabase:
    """One desk's SQLite file and the cipher of its values; used from one thread at a time.

    Every method raises :class:`DatabaseDamagedError`, :class:`StorageFullError`, :class:`DeskBusyError` or
    :class:`UnavailableError`.
    """

    def __init__(self, path: Path, cipher: RowCipher) -> None:
        self.cipher = cipher
        self.path = path
        self._looking = False
        self._commits = 0  # since the write-ahead log was copied back
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=128)
        try:
            # The first to open a new file changes its mode, for which SQLite lets nobody wait: one at a time.
            with locked(path.with_name(f"{path.name}.opening"), DeskBusyError, wait_s=LOCK_WAIT_S), _translated():
                # SQLite overwrites erased rows, and does not only unlink them.
                more = ("secure_delete = ON",)
                set_up(self._connection, busy_timeout_ms=BUSY_TIMEOUT_MS, cache_kib=16384, more=more)
                files = load_migrations(resources.files("exchange.store.migrations"), DatabaseDamagedError)
                migrate_sqlite(self._connection, files, DatabaseDamagedError)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self, *, redone: bool = False) -> Iterator[None]:
        """One transaction, on disk when the block ends; within another one it is a part of that.

        ``redone``: a power cut may undo it (never a crash of the program), since what it records would then be asked
        for again and come out the same. It is on disk with the next one that is not.
        """
        if self._looking:
            raise RuntimeError("nothing is written while a moment is looked at")
        if self._connection.in_transaction:
            yield
            return
        with _translated():
            self._connection.execute(f"PRAGMA synchronous = {'NORMAL' if redone else 'FULL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
                self._commits += 1
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read in the block is read as it was at one moment, whatever other programs write meanwhile."""
        if self._connection.in_transaction:
            yield
            return
        with _translated():
            self._connection.execute("BEGIN")
            self._looking = True
            try:
                yield
            finally:
                self._looking = False
                self._connection.execute("ROLLBACK")

    def tidy(self) -> None:
        """Copy the write-ahead log back into the file, if it is long, as far as no reader keeps it from that.

        For moments in which nobody waits. Else SQLite does it within the commit that makes the log long.
        """
        if self._commits >= _TIDY_AFTER:
            self._commits = 0
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction of :meth:`transaction` goes on."""
        return self._connection.in_transaction

    def changes_of_others(self) -> int:
        """A number that is another one after another program wrote."""
        return int(self.all("PRAGMA data_version")[0][0])

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        """Run one statement inside a transaction of :meth:`transaction`."""
        return self._connection.execute(sql, values)

    def execute_all(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """Run one statement for each row inside a transaction of :meth:`transaction`."""
        self._connection.executemany(sql, rows)

    def all(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as problem:
            raise _meant(problem) from problem

    def last_given(self, table: str) -> int:
        """The last row number that a table with AUTOINCREMENT gave, 0 before the first; inside a transaction."""
        rows = self.all("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,))
        return int(rows[0][0]) if rows else 0

    def among(self, sql: str, values: Iterable[object], then: str = "") -> list[tuple[Any, ...]]:
        """All rows of a statement: ``sql``, which ends with ``IN``, then the values, however many, then ``then``."""
        found: list[tuple[Any, ...]] = []
        left = list(values)
        while left:
            part, left = left[:_MOST_VALUES], left[_MOST_VALUES:]
            found += self.all(f"{sql} ({','.join('?' * len(part))}){then}", part)
        return found

    def forget_deleted(self) -> None:
        """Empty the write-ahead log into the file, so that nothing that was overwritten is left in it.

        Raises :class:`DeskBusyError` while another program reads from it.
        """
        if self.all("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
            raise DeskBusyError("another program reads the desk's database: what was erased is not overwritten yet")


class _HasDatabase(Protocol):
    _database: SealedDatabase


S = TypeVar("S", bound=_HasDatabase)
P = ParamSpec("P")
T = TypeVar("T")


def in_one_transaction(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """A method that reads in order to write: between the two no other program writes."""

    @wraps(method)
    def atomic(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._database.transaction():
            return method(self, *args, **kwargs)

    return atomic


@contextmanager
def _translated() -> Iterator[None]:
    """SQLite's errors in the program's terms."""
    try:
        yield
    except sqlite3.Error as problem:
        raise _meant(problem) from problem


def _meant(problem: sqlite3.Error) -> ComityError:
    name, trouble = error_name(problem), trouble_of(problem)
    if trouble is Trouble.FULL:
        return StorageFullError("the desk's database cannot be written: the disk is full or read-only")
    if trouble is Trouble.DAMAGED:
        return DatabaseDamagedError()
    if trouble is Trouble.BUSY:
        return DeskBusyError("another program is writing to the desk's database")
    return UnavailableError(f"the desk's database cannot be used now ({name or type(problem).__name__})")
