"""Brings a database to this program's schema by numbered SQL files, and refuses what it did not make.

Each applied file is recorded with its SHA-256. A database that knows a file this program lacks, or other text under
the same number, is refused: a schema that is almost right loses data quietly.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources.abc import Traversable

from protocol.errors import ComityError

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")


@dataclass(frozen=True, slots=True)
class Migration:
    """One schema file."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text."""
        return sha256(self.sql.encode()).digest()


def load_migrations(folder: Traversable, refusal: Callable[[str], ComityError]) -> list[Migration]:
    """The schema files of ``folder`` in order; raises ``refusal(text)`` if a number is missing or doubled."""
    found = []
    for entry in folder.iterdir():
        match = _NAME.match(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    found.sort(key=lambda migration: migration.number)
    if not found or [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise refusal("the schema files of this program are not numbered 1, 2, 3 …")
    return found


def migrate_sqlite(
    connection: sqlite3.Connection, migrations: list[Migration], refusal: Callable[[str], ComityError]
) -> None:
    """Apply what is missing, each file in a transaction of its own; raises ``refusal(text)``.

    Another process may do the same at the same time: a file that it has applied is not applied again.
    ``connection`` is in autocommit mode (``isolation_level=None``).
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migration"
        " (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL) STRICT"
    )
    applied = connection.execute("SELECT number, name, sha256 FROM migration ORDER BY number").fetchall()
    if len(applied) > len(migrations):
        raise refusal(f"the database was written by a newer program ({applied[-1][1]})")
    for (number, name, digest), migration in zip(applied, migrations, strict=False):
        if (number, digest) != (migration.number, migration.digest):
            raise refusal(f"the schema file {name} is not the one that made this database")
    for migration in migrations[len(applied) :]:
        _apply(connection, migration, refusal)
        (digest,) = connection.execute("SELECT sha256 FROM migration WHERE number = ?", (migration.number,)).fetchone()
        if digest != migration.digest:
            raise refusal(f"another program applied another schema file {migration.number}")


def _apply(connection: sqlite3.Connection, migration: Migration, refusal: Callable[[str], ComityError]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("SELECT 1 FROM migration WHERE number = ?", (migration.number,)).fetchone():
            connection.execute("ROLLBACK")
            return
        for statement in _statements(migration.sql, refusal):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO migration (number, name, sha256) VALUES (?, ?, ?)",
            (migration.number, migration.name, migration.digest),
        )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(sql: str, refusal: Callable[[str], ComityError]) -> list[str]:
    """The statements of a file; ``executescript`` would commit before it begins."""
    statements = []
    text = ""
    for line in sql.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    if re.sub(r"--[^\n]*", "", text).strip():
        raise refusal("a schema file ends within a statement")
    return statements
