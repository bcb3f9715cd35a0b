"""Full disks, failing commits, killed processes: what was acknowledged stays, and the log never forks."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from node.store.operations import Done, FoundLog
from node.store.sqlite.store import SqliteStore
from protocol.errors import MigrationError, StorageFullError, StoreDamagedError, UnavailableError
from protocol.log.checkpoint import Checkpoint, open_checkpoint
from protocol.log.merkle import verify_consistency
from tests.conformance.store import JP, NOW, ORIGIN, apply, done, inbox, incoming, sign, transfer, verified
from tests.faults.small_disk import mounted_disk
from tests.faults.store_victim import DESK, SIGNER, new_sequencer, numbered

ROOT = Path(__file__).parents[2]


class Saboteur:
    """The writer's connection, with one statement that goes wrong."""

    def __init__(self, connection: sqlite3.Connection, statement: str, *, after: bool, name: str) -> None:
        self._connection = connection
        self._statement = statement
        self._after = after
        self._name = name
        self.armed = True

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        return self._run(self._connection.execute, sql, parameters)

    def executemany(self, sql: str, rows: Any) -> sqlite3.Cursor:
        return self._run(self._connection.executemany, sql, rows)

    def _run(self, run: Callable[[str, Any], sqlite3.Cursor], sql: str, parameters: Any) -> sqlite3.Cursor:
        if not (self.armed and sql.startswith(self._statement)):
            return run(sql, parameters)
        self.armed = False
        if self._after:
            run(sql, parameters)
        problem = sqlite3.OperationalError("disk I/O error")
        problem.sqlite_errorname = self._name
        raise problem

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def sabotage(store: SqliteStore, statement: str, *, after: bool = False, name: str = "SQLITE_IOERR_WRITE") -> Saboteur:
    writer = store._writer
    assert writer is not None
    saboteur = Saboteur(writer._connection, statement, after=after, name=name)
    writer._connection = saboteur  # type: ignore[assignment]  # stands in for the connection
    return saboteur


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "node.db", ORIGIN)
    await store.open()
    apply(store, FoundLog(NOW))
    apply(store, *(transfer(incoming()) for _ in range(130)))
    yield store
    await store.close()


# --- Transactions that fail ----------------------------------------------------------------------------------


@pytest.mark.parametrize("statement", ["BEGIN", "INSERT INTO event", "INSERT INTO payload", "INSERT INTO checkpoint"])
@pytest.mark.parametrize("name", ["SQLITE_FULL", "SQLITE_IOERR_WRITE"])
async def test_batch_that_cannot_be_written_leaves_nothing(store: SqliteStore, statement: str, name: str) -> None:
    size, root = store.size(), store.root_at(store.size())
    message = incoming()
    sabotage(store, statement, name=name)

    with pytest.raises(StorageFullError if name == "SQLITE_FULL" else UnavailableError):
        store.apply([transfer(message)], sign)

    assert (store.size(), store.root_at(store.size())) == (size, root)
    outcome = done(store, transfer(message))
    assert not outcome.duplicate
    assert verified(outcome.receipts[0]).index == size


async def test_failed_commit_leaves_nothing(store: SqliteStore) -> None:
    size = store.size()
    message = incoming()
    sabotage(store, "COMMIT")

    with pytest.raises(UnavailableError):
        store.apply([transfer(message)], sign)

    assert store.size() == size
    assert not done(store, transfer(message)).duplicate


async def test_commit_that_failed_but_reached_the_disk_is_found_and_not_signed_twice(store: SqliteStore) -> None:
    size = store.size()
    message = incoming()
    sabotage(store, "COMMIT", after=True)

    with pytest.raises(UnavailableError):
        store.apply([transfer(message)], sign)

    outcome = done(store, transfer(message))
    assert outcome.duplicate
    assert verified(outcome.receipts[0]).index == size
    assert store.size() == size + 2
    assert open_checkpoint(outcome.receipts[0].checkpoint, JP.verifier) == Checkpoint(
        ORIGIN, size + 2, store.root_at(size + 2)
    )


async def test_database_at_its_size_limit_refuses_and_goes_on_when_there_is_room(store: SqliteStore) -> None:
    writer = store._writer
    assert writer is not None
    (pages,) = writer._connection.execute("PRAGMA page_count").fetchone()
    writer._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    messages = [incoming(raw=os.urandom(20_000)) for _ in range(20)]

    with pytest.raises(StorageFullError):
        store.apply([transfer(message) for message in messages], sign)
    assert len(await inbox(store)) == 130

    writer._connection.execute("PRAGMA max_page_count = 1000000")
    assert not any(outcome.duplicate for outcome in apply(store, *map(transfer, messages)).outcomes)  # type: ignore[union-attr]  # all are Done
    assert len(await inbox(store)) == 150


# --- Full filesystems ----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 4 MB."""
    with mounted_disk(tmp_path / "disk", "4m") as folder:
        yield folder


async def test_full_filesystem_refuses_keeps_serving_and_recovers(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    sequencer, store = new_sequencer(small_disk)
    await sequencer.start()
    acknowledged: dict[int, Done] = {}
    refused = None
    ballast.write_bytes(bytes(1 << 20))
    for number in range(0, 20_000, 20):
        outcomes = await sequencer.submit_many([numbered(each) for each in range(number, number + 20)])
        stands = {number + at: outcome for at, outcome in enumerate(outcomes) if isinstance(outcome, Done)}
        acknowledged |= stands
        if not stands:
            refused = number
            break

    assert refused is not None
    assert len(acknowledged) == len(await store.reads.mailbox(DESK, 0, 100_000, 1 << 30))
    ballast.unlink()
    again = await sequencer.submit_many([numbered(each) for each in range(refused, refused + 20)])
    assert all(isinstance(outcome, Done) for outcome in again)
    for number, first in acknowledged.items():
        repeat = await sequencer.submit(numbered(number))
        assert isinstance(repeat, Done)
        assert (repeat.receipts, repeat.duplicate) == (first.receipts, True)
    await sequencer.stop()

    sequencer, store = new_sequencer(small_disk)
    await sequencer.start()
    assert await store.reads.log_size() == 2 * (len(acknowledged) + 20)
    await sequencer.stop()


async def test_file_that_may_not_grow_refuses_and_recovers(tmp_path: Path) -> None:
    sequencer, store = new_sequencer(tmp_path)
    await sequencer.start()
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    accepted, number = 0, 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, unlimited[1]))
    try:
        while isinstance(outcome := await sequencer.submit(numbered(number)), Done):
            accepted, number = accepted + 1, number + 1
            assert number < 20_000
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)

    assert isinstance(outcome.error, UnavailableError)
    again = await sequencer.submit(numbered(number))
    assert isinstance(again, Done)
    assert verified(again.receipts[0]).index == 2 * number
    assert len(await store.reads.mailbox(DESK, 0, 100_000, 1 << 30)) == accepted + 1
    await sequencer.stop()


# --- Killed processes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a victim printed before it died: the envelope, its leaf, and the checkpoint over it."""

    number: int
    index: int
    size: int
    root: str
    note: str

    @classmethod
    def parse(cls, line: bytes) -> Acknowledged:
        number, index, size, root, note = line.decode().split()
        return cls(int(number), int(index), int(size), root, note)


def run_victim(folder: Path, first: int, lines: int) -> list[Acknowledged]:
    """Let a victim acknowledge ``lines`` envelopes, then SIGKILL it wherever it has got to by then."""
    command = [sys.executable, "-m", "tests.faults.store_victim", str(folder), str(first)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"started\n"
        found = [victim.stdout.readline() for _ in range(lines)]
        victim.send_signal(signal.SIGKILL)
        found += victim.stdout.readlines()
    assert victim.returncode == -signal.SIGKILL
    # A torn last line was not acknowledged.
    return [Acknowledged.parse(line) for line in found if line.endswith(b"\n")]


async def test_killed_node_loses_nothing_it_acknowledged_and_never_forks(tmp_path: Path) -> None:
    chance = random.Random(20261123)
    acknowledged: list[Acknowledged] = []
    first = 0
    for _ in range(8):
        found = run_victim(tmp_path, first, chance.randrange(1, 400))
        acknowledged += found
        first = max(each.number for each in found) + 1

    sequencer, store = new_sequencer(tmp_path)
    await sequencer.start()
    last = open_checkpoint(await store.reads.checkpoint(), SIGNER.verifier)
    repeats = await sequencer.submit_many([numbered(each.number) for each in acknowledged])
    for each, repeat in zip(acknowledged, repeats, strict=True):
        assert isinstance(repeat, Done)
        assert repeat.duplicate
        assert repeat.receipts[0].index == each.index
        assert sha256(repeat.receipts[0].checkpoint).hexdigest() == each.note
    for size, root in {(each.size, each.root) for each in acknowledged}:
        proof = await store.reads.consistency_path(size, last.size)
        verify_consistency(size, bytes.fromhex(root), last.size, last.root, proof)
    entries = await store.reads.mailbox(DESK, 0, 1_000_000, 1 << 40)
    envelopes = [entry.envelope for entry in entries]
    assert len(envelopes) == len(set(envelopes)) >= len(acknowledged)
    await sequencer.stop()


# --- Databases that are not what they should be --------------------------------------------------------------


async def altered(tmp_path: Path, *statements: str) -> SqliteStore:
    store = SqliteStore(tmp_path / "node.db", ORIGIN)
    await store.open()
    apply(store, FoundLog(NOW))
    apply(store, *(transfer(incoming()) for _ in range(300)))
    await store.close()
    with sqlite3.connect(tmp_path / "node.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
    return SqliteStore(tmp_path / "node.db", ORIGIN)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM tile WHERE level = 0 AND idx = 2",
        "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 0 AND idx = 2",
        "UPDATE tile SET hashes = zeroblob(length(hashes)) WHERE level = 1",
        "DELETE FROM event WHERE idx = 599",
        "UPDATE event SET leaf = zeroblob(150) WHERE idx = 599",
        "DELETE FROM checkpoint WHERE size = 600",
        "UPDATE checkpoint SET root = zeroblob(32) WHERE size = 600",
    ],
)
async def test_store_whose_tail_was_altered_is_refused(tmp_path: Path, statement: str) -> None:
    store = await altered(tmp_path, statement)

    with pytest.raises(StoreDamagedError):
        await store.open()


async def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node.db").write_bytes(b"not a database, but long enough to be looked at" * 100)

    with pytest.raises(StoreDamagedError):
        await SqliteStore(tmp_path / "node.db", ORIGIN).open()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE migration SET sha256 = zeroblob(32)",
        "INSERT INTO migration VALUES (9999, '9999_later.sql', zeroblob(32))",
    ],
)
async def test_schema_of_another_program_is_refused(tmp_path: Path, statement: str) -> None:
    store = await altered(tmp_path, statement)

    with pytest.raises(MigrationError):
        await store.open()


async def test_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        await SqliteStore(tmp_path / "nowhere" / "node.db", ORIGIN).open()


def file_modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.glob("node.db*")}


async def test_database_files_are_readable_by_their_owner_only(store: SqliteStore, tmp_path: Path) -> None:
    modes = file_modes(tmp_path)

    assert set(modes.values()) == {0o600}
    assert "node.db-wal" in modes
