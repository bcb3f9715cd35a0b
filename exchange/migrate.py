"""Brings a desk's database to this program's schema by numbered SQL files, each recorded with its SHA-256.

A database that knows a file which this program lacks, or another text under the same number, is refused.
"""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from importlib import resources

from protocol.errors import DatabaseDamagedError

_FILES = ("0001_desk.sql",)


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing, each file in its own transaction (autocommit mode). :class:`DatabaseDamagedError`."""
    connection.execute("CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, sha256 BLOB NOT NULL) STRICT")
    applied = [bytes(row[0]) for row in connection.execute("SELECT sha256 FROM migration ORDER BY number")]
    texts = [resources.files("exchange.migrations").joinpath(name).read_text("utf-8") for name in _FILES]
    digests = [sha256(text.encode()).digest() for text in texts]
    if applied != digests[: len(applied)]:
        raise DatabaseDamagedError("the desk's database was made by another version of this program")
    for number in range(len(applied), len(texts)):
        _apply(connection, number + 1, texts[number], digests[number])


def _apply(connection: sqlite3.Connection, number: int, text: str, digest: bytes) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Not executescript: that would commit first. No statement of ours holds a semicolon inside.
        lines = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
        for statement in lines.split(";"):
            if statement.strip():
                connection.execute(statement)
        connection.execute("INSERT INTO migration (number, sha256) VALUES (?, ?)", (number, digest))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
