"""Bringing a database to the program's schema, for whichever program it is."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from keys.local.migrations import load_migrations, migrate_sqlite
from protocol.errors import DatabaseDamagedError


def files(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name[1:]}.sql").write_text(text)
    return folder


def database() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def tables(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def bring(connection: sqlite3.Connection, folder: Path) -> None:
    migrate_sqlite(connection, load_migrations(folder, DatabaseDamagedError), DatabaseDamagedError)


def test_only_what_is_missing_is_applied(tmp_path: Path) -> None:
    connection = database()
    bring(connection, files(tmp_path, _0001_first="CREATE TABLE a (x INTEGER);"))
    bring(connection, files(tmp_path, _0002_second="-- with; a comment\nCREATE TABLE b (x TEXT DEFAULT ';');"))
    bring(connection, tmp_path)
    assert tables(connection) == {"migration", "a", "b"}


@pytest.mark.parametrize("names", [(), ("_0002_later",), ("_0001_a", "_0001_b"), ("_0001_a", "_0003_c")])
def test_files_that_are_not_numbered_in_a_row_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(DatabaseDamagedError, match="numbered"):
        load_migrations(files(tmp_path, **dict.fromkeys(names, "SELECT 1;")), DatabaseDamagedError)


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    connection = database()
    bring(connection, files(tmp_path, _0001_a="CREATE TABLE a (x);", _0002_b="CREATE TABLE b (x);"))
    (tmp_path / "0002_b.sql").unlink()
    with pytest.raises(DatabaseDamagedError, match="newer"):
        bring(connection, tmp_path)


def test_another_text_under_the_same_number_is_refused(tmp_path: Path) -> None:
    connection = database()
    bring(connection, files(tmp_path, _0001_a="CREATE TABLE a (x);"))
    with pytest.raises(DatabaseDamagedError, match="0001_a"):
        bring(connection, files(tmp_path, _0001_a="CREATE TABLE a (x, y);"))


@pytest.mark.parametrize("second", ["CREATE TABLE c (x); CREATE TABLE a (x);", "CREATE TABLE c (x); CREATE TABLE d (x"])
def test_a_file_that_fails_leaves_nothing_of_itself(tmp_path: Path, second: str) -> None:
    connection = database()
    bring(connection, files(tmp_path, _0001_a="CREATE TABLE a (x);"))
    with pytest.raises((sqlite3.Error, DatabaseDamagedError)):
        bring(connection, files(tmp_path, _0002_b=second))
    assert tables(connection) == {"migration", "a"}
    assert not connection.in_transaction


def test_a_file_that_another_process_applies_meanwhile_is_not_applied_again(tmp_path: Path) -> None:
    folder = files(tmp_path, _0001_first="CREATE TABLE a (x INTEGER);", _0002_second="CREATE TABLE b (x INTEGER);")
    path = tmp_path / "database"
    quick = sqlite3.connect(path, isolation_level=None)

    class Slow(sqlite3.Connection):
        def execute(self, sql: str, *values: object) -> sqlite3.Cursor:
            if sql == "BEGIN IMMEDIATE":
                bring(quick, folder)
            return super().execute(sql, *values)  # type: ignore[arg-type]

    slow = sqlite3.connect(path, isolation_level=None, factory=Slow)
    bring(slow, folder)
    assert tables(slow) == {"migration", "a", "b"}
