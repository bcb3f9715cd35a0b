"""Backups, tiles, erasing and importing as files and processes, without a network: killed, altered, out of space."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keys.directory.cards import card_to_bytes
from keys.local.files import write_file
from keys.local.terminal import REFUSED, UNAVAILABLE, UNVERIFIED
from keys.local.tile_folder import LOCK
from keys.members.federation import node_card
from keys.members.identity import generate_node_keys
from keys.secrets.keystore import FAST, Keystore
from node.cli.main import app
from node.log._volatile_checkpoint import VolatileCheckpoint
from node.log.checkpoint_file import KeptCheckpoint
from node.log.files import LogFiles
from node.log.sequencer import Sequencer
from node.recovery.reconcile import ranges
from node.settings import NodeHome, NodeSettings
from node.store.operations import AcceptTransfer, Done, EraseEntries, Incoming, PurgeDelivered
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.errors import EntriesErasedError
from protocol.log.checkpoint import parse_checkpoint
from tests.faults.small_disk import mounted_disk

ROOT = Path(__file__).parents[2]
ORIGIN = "test-federation/jp"
DESK, SENDER = Address.parse("24-7@jp"), Address.parse("24-7@fr")
YEAR_AGO = datetime.now(UTC) - timedelta(days=365)
MESSAGES = 700


def transfer(number: int, at: datetime) -> AcceptTransfer:
    """An envelope for nobody here: it is over when it expires."""
    raw = sha256(number.to_bytes(8, "big")).digest() * 8
    message_id = new_message_id(at, raw[:10])
    message = Incoming(raw, sha256(raw).digest(), message_id, SENDER, (DESK,), at, at + timedelta(days=1), 0, bytes(32))
    return AcceptTransfer(message, "fr", (), at)


async def fill(home: Path, first: int, count: int, at: datetime, purge_before: datetime | None = None) -> None:
    """Let the node in ``home`` log messages at ``at``, with no network and nobody to ask."""
    files, settings = NodeHome(home), NodeSettings.load(home / "node.toml")
    log = LogFiles.of(files, settings, Keystore.open(files.keystore, b"test"))
    sequencer = Sequencer(log.store(), log.signer, log.kept(), lambda: at)
    await sequencer.start()
    for start in range(first, first + count, 100):
        outcomes = await sequencer.submit_many([transfer(n, at) for n in range(start, min(start + 100, first + count))])
        assert all(isinstance(outcome, Done) for outcome in outcomes)
    if purge_before is not None:
        assert isinstance(await sequencer.submit(PurgeDelivered(purge_before)), Done)
    await sequencer.stop()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose log has entries of a year ago, of messages that are over."""
    folder = tmp_path_factory.mktemp("template")
    home, now = folder / "jp", datetime.now(UTC)
    home.mkdir(mode=0o700)
    keys = generate_node_keys("jp", ["127.0.0.1"], now)
    keystore = Keystore.create(home / "keystore.cbor", b"test", FAST)
    keys.store(keystore, ORIGIN, now)
    keystore.save()
    card = node_card("jp", keys, ORIGIN, now, name="jp", urls=["https://127.0.0.1:1"])
    (home / "card.json").write_bytes(card_to_bytes(card))
    (home / "bootstrap.json").write_text("{}")
    (home / "node.toml").write_text('node = "jp"\nlisten = ""\nadmin = ""\n[log]\nboot_folder = "/nowhere"\n')
    write_file(folder / "passphrase", b"test\n", mode=0o600)
    asyncio.run(fill(home, 0, MESSAGES, YEAR_AGO, YEAR_AGO + timedelta(days=2)))
    return folder


@pytest.fixture
def home(template: Path, tmp_path: Path) -> Path:
    shutil.copytree(template / "jp", tmp_path / "jp")
    shutil.copy(template / "passphrase", tmp_path / "passphrase")
    return tmp_path / "jp"


def environment(home: Path) -> dict[str, str]:
    return {"COMITY_NODE_PASSPHRASE_FILE": str(home.parent / "passphrase")}


Command = Callable[..., Any]


@pytest.fixture
def command(home: Path) -> Command:
    def run(*arguments: str | Path, code: int = 0) -> Any:
        result = CliRunner().invoke(app, [*map(str, arguments), "--json"], env=environment(home))
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    return run


def kill_when(home: Path, condition: Callable[[], bool], *arguments: str | Path) -> int:
    """Start a command and SIGKILL it as soon as ``condition`` holds; its return code."""
    words = [sys.executable, "-m", "node.cli.main", *map(str, arguments), "--json"]
    with subprocess.Popen(
        words, cwd=ROOT, env={**os.environ, **environment(home)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while process.poll() is None and not condition():
            pass
        process.kill()
    return int(process.returncode)


def rows(home: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(home / "node.sqlite")) as database:
        return database.execute(sql).fetchall()


def change(home: Path, sql: str) -> None:
    with closing(sqlite3.connect(home / "node.sqlite", isolation_level=None)) as database:
        database.execute(sql)


# --- Backup --------------------------------------------------------------------------------------------------


def test_killed_backup_leaves_nothing_that_can_be_restored_and_the_next_one_works(
    home: Path, command: Command, tmp_path: Path
) -> None:
    # So large that the kill comes in the middle.
    change(home, "INSERT INTO payload (message, raw) VALUES (-1, zeroblob(100000000))")
    begun = home.parent / "backup"

    def copying() -> bool:
        return any(path.stat().st_size for path in tmp_path.glob(".backup.*.partial/database.sqlite"))

    assert kill_when(home, copying, "backup", home, begun) == -signal.SIGKILL

    assert not begun.exists()
    (partial,) = tmp_path.glob(".backup.*.partial")
    refused = command("restore", partial, "--into", tmp_path / "new", code=REFUSED)
    assert refused["error"]["code"] == "backup-damaged"
    change(home, "DELETE FROM payload WHERE message = -1")
    assert command("backup", home, begun)["size"] == MESSAGES
    assert not list(tmp_path.glob(".backup.*.partial"))


def test_final_backup_killed_in_the_middle_leaves_a_home_that_does_not_start_and_can_be_repeated(
    home: Path, command: Command, tmp_path: Path
) -> None:
    change(home, "INSERT INTO payload (message, raw) VALUES (-1, zeroblob(100000000))")
    moved = home / "log-moved"

    assert kill_when(home, moved.exists, "backup", home, tmp_path / "final", "--final") == -signal.SIGKILL

    assert command("run", home, code=UNVERIFIED)["error"]["code"] == "log-moved"
    assert command("backup", home, tmp_path / "other", code=UNVERIFIED)["error"]["code"] == "log-moved"
    if not (tmp_path / "final").exists():
        assert command("backup", home, tmp_path / "final", "--final")["final"]


@pytest.mark.parametrize("name", ["database.sqlite", "log-checkpoint", "home/node.toml", "manifest.json"])
def test_altered_backup_is_not_restored(home: Path, command: Command, tmp_path: Path, name: str) -> None:
    backup = tmp_path / "backup"
    command("backup", home, backup)
    content = bytearray((backup / name).read_bytes())
    content[len(content) // 2] ^= 1
    (backup / name).write_bytes(content)

    refused = command("restore", backup, "--into", tmp_path / "new", code=REFUSED)

    assert refused["error"]["code"] == "backup-damaged"
    assert not (tmp_path / "new").exists()


def test_manifest_that_names_a_file_outside_the_backup_is_refused(home: Path, command: Command, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    command("backup", home, backup)
    manifest = json.loads((backup / "manifest.json").read_text())
    for name in ("home/../../escaped", "/etc/escaped", "home//x", "home/./x", "home/\0"):
        (backup / "manifest.json").write_text(json.dumps({**manifest, "files": {**manifest["files"], name: "0" * 64}}))
        refused = command("restore", backup, "--into", tmp_path / "new", code=REFUSED)
        assert refused["error"]["code"] == "backup-damaged"


def test_link_in_a_backup_is_not_followed(home: Path, command: Command, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    command("backup", home, backup)
    (tmp_path / "card.json").write_bytes((backup / "home/card.json").read_bytes())
    (backup / "home/card.json").unlink()
    (backup / "home/card.json").symlink_to(tmp_path / "card.json")

    refused = command("restore", backup, "--into", tmp_path / "new", code=REFUSED)

    assert refused["error"]["code"] == "backup-damaged"


def test_backup_has_private_keys_only_when_asked_and_is_for_its_owner(
    home: Path, command: Command, tmp_path: Path
) -> None:
    for option, names in (([], set()), (["--with-keystore"], {"keystore.cbor"})):
        backup = tmp_path / f"backup{len(option)}"
        command("backup", home, backup, *option)
        assert {path.name for path in backup.rglob("keystore*")} == names
        assert {path.stat().st_mode & 0o077 for path in [backup, *backup.rglob("*")]} == {0}


def test_nothing_is_restored_over_a_home_and_a_checkpoint_file_that_outlived_it_is_kept(
    home: Path, command: Command, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    command("backup", home, backup, "--with-keystore")
    assert command("restore", backup, "--into", home, code=2)["error"]["code"] == "usage"
    asyncio.run(fill(home, MESSAGES, 5, YEAR_AGO))

    command("restore", backup, "--into", tmp_path / "new", "--checkpoint", home / "log-checkpoint")

    kept = parse_checkpoint((tmp_path / "new" / "log-checkpoint").read_bytes())
    assert kept.size == MESSAGES + 5


# --- Retention -----------------------------------------------------------------------------------------------


async def opened(home: Path) -> tuple[Sequencer, Any]:
    files, settings = NodeHome(home), NodeSettings.load(home / "node.toml")
    log = LogFiles.of(files, settings, Keystore.open(files.keystore, b"test"))
    store = log.store()
    sequencer = Sequencer(store, log.signer, KeptCheckpoint(log.checkpoint), lambda: datetime.now(UTC))
    await sequencer.start()
    return sequencer, store


async def test_only_what_was_signed_before_is_erased_and_the_tree_stays(home: Path) -> None:
    await fill(home, MESSAGES, 50, YEAR_AGO + timedelta(days=100), YEAR_AGO + timedelta(days=102))
    sequencer, store = await opened(home)
    note, size = await store.reads.checkpoint(), await store.reads.log_size()
    before = [await store.reads.inclusion_path(index) for index in (0, 255, 699)]

    assert await store.reads.size_at(YEAR_AGO - timedelta(seconds=1)) == 0
    assert await store.reads.size_at(YEAR_AGO + timedelta(days=50)) == MESSAGES
    assert await store.reads.size_at(datetime.now(UTC)) == size
    done = await sequencer.submit(EraseEntries(0, MESSAGES))

    assert isinstance(done, Done)
    assert done.count == MESSAGES
    assert await store.reads.checkpoint() == note
    assert [await store.reads.inclusion_path(index) for index in (0, 255, 699)] == before
    for read in (store.reads.leaf, store.reads.receipt):
        with pytest.raises(EntriesErasedError):
            await read(0)
    assert await store.reads.leaf(MESSAGES)
    again = await sequencer.submit(EraseEntries(0, MESSAGES))
    assert isinstance(again, Done)
    assert again.count == 0
    await sequencer.stop()
    sequencer, store = await opened(home)  # the tail is still what the tiles say
    assert await store.reads.log_size() == size
    await sequencer.stop()


async def test_entry_whose_message_is_still_here_is_not_erased(home: Path) -> None:
    await fill(home, MESSAGES, 5, YEAR_AGO)  # not purged
    sequencer, store = await opened(home)

    done = await sequencer.submit(EraseEntries(MESSAGES - 5, MESSAGES + 5))

    assert isinstance(done, Done)
    assert done.count == 5
    assert await store.reads.receipt(MESSAGES)
    await sequencer.stop()


def test_erased_data_is_gone_from_the_disk(home: Path) -> None:
    entries = [row[0] for row in rows(home, "SELECT leaf FROM event")]

    async def erase() -> None:
        sequencer, _ = await opened(home)
        assert isinstance(await sequencer.submit(EraseEntries(0, MESSAGES)), Done)
        await sequencer.stop()

    asyncio.run(erase())
    left = b"".join(path.read_bytes() for path in home.glob("node.sqlite*"))
    assert not [entry for entry in entries if entry in left or entry[10:60] in left]


def test_erasing_killed_in_the_middle_leaves_a_log_that_verifies(home: Path, command: Command, tmp_path: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from tests.faults.test_log_files import *\n"
        "async def main():\n"
        "    sequencer, store = await opened(Path(sys.argv[1]))\n"
        "    for first in range(0, 700, 7):\n"
        "        print((await sequencer.submit(EraseEntries(first, first + 7))).count, flush=True)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(home)], cwd=ROOT, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        acknowledged = sum(int(victim.stdout.readline()) for _ in range(20))
        victim.send_signal(signal.SIGKILL)

    (erased,) = rows(home, "SELECT count(*) FROM event WHERE length(leaf) = 32")[0]
    assert acknowledged == 140
    assert erased >= acknowledged
    assert command("log", "export-tiles", home, tmp_path / "tiles")["withheld"] == erased
    assert command("log", "verify-tiles", home, tmp_path / "tiles")["withheld"] == erased


# --- Importing -----------------------------------------------------------------------------------------------


def test_import_killed_in_the_middle_changes_nothing_and_can_be_repeated(
    home: Path, command: Command, tmp_path: Path
) -> None:
    backup, old = tmp_path / "backup", tmp_path / "old"
    command("backup", home, backup, "--with-keystore")
    asyncio.run(fill(home, MESSAGES, 2_000, YEAR_AGO))
    command("log", "export-tiles", home, tmp_path / "tiles")
    command("restore", backup, "--into", old)
    journal = old / "node.sqlite-wal"

    # The database is open (its log exists) and what is imported is not committed yet, or just now.
    kill_when(old, journal.exists, "log", "import-entries", old, tmp_path / "tiles")

    (size,) = rows(old, "SELECT count(*) FROM event")[0]
    assert size in (MESSAGES, MESSAGES + 2_000)
    if size == MESSAGES:
        assert command("log", "import-entries", old, tmp_path / "tiles")["size"] == MESSAGES + 2_000
    assert rows(old, "SELECT max(size) FROM checkpoint") == [(MESSAGES + 2_000,)]
    assert rows(old, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1") == rows(
        home, "SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1"
    )


def test_mirror_with_erased_entries_brings_their_hashes_back(home: Path, command: Command, tmp_path: Path) -> None:
    backup, old = tmp_path / "backup", tmp_path / "old"
    command("backup", home, backup, "--with-keystore")
    asyncio.run(fill(home, MESSAGES, 50, YEAR_AGO, YEAR_AGO + timedelta(days=2)))

    async def erase() -> None:
        sequencer, _ = await opened(home)
        await sequencer.submit(EraseEntries(MESSAGES, MESSAGES + 50))
        await sequencer.stop()

    asyncio.run(erase())
    command("log", "export-tiles", home, tmp_path / "tiles")
    command("restore", backup, "--into", old)

    done = command("log", "import-entries", old, tmp_path / "tiles")

    assert (done["entries"], done["withheld"]) == (50, 50)
    assert command("log", "import-entries", old, tmp_path / "tiles", code=2)["error"]["code"] == "usage"


# --- Tiles ---------------------------------------------------------------------------------------------------


def test_tiles_grow_with_the_log_and_verify(home: Path, command: Command, tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    command("log", "export-tiles", home, tiles)
    full = (tiles / "tile/entries/000").stat()
    asyncio.run(fill(home, MESSAGES, 300, YEAR_AGO))
    second = command("log", "export-tiles", home, tiles)

    assert second["size"] == MESSAGES + 300
    assert (tiles / "tile/entries/000").stat() == full  # what is whole is not written again
    assert command("log", "verify-tiles", home, tiles)["root"] == second["root"]
    assert {path.parent.name for path in tiles.rglob("*.p/*")} == {"003.p", "000.p"}  # narrower parts are gone
    assert {path.stat().st_mode & 0o077 for path in (tiles / "tile/entries").rglob("*") if path.is_file()} == {0}


def test_tiles_without_entries_hold_hashes_only_and_can_be_completed(
    home: Path, command: Command, tmp_path: Path
) -> None:
    tiles = tmp_path / "tiles"
    assert command("log", "export-tiles", home, tiles, "--hashes-only")["bundles"] == 0
    assert not list(tiles.rglob("entries"))
    assert command("log", "verify-tiles", home, tiles)["size"] == MESSAGES

    command("log", "export-tiles", home, tiles)

    assert command("log", "verify-tiles", home, tiles)["bundles"] == 3


def test_changed_byte_in_any_file_of_the_tiles_is_found(home: Path, command: Command, tmp_path: Path) -> None:
    tiles = tmp_path / "tiles"
    command("log", "export-tiles", home, tiles)
    for path in [path for path in tiles.rglob("*") if path.is_file() and path.name != LOCK]:
        content = path.read_bytes()
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
        result = command("log", "verify-tiles", home, tiles, code=UNVERIFIED)
        assert result["error"]["code"] in {"proof-invalid", "checkpoint-invalid"}
        path.write_bytes(content)


def test_tiles_of_another_history_are_not_written_over(home: Path, command: Command, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(home, other)
    asyncio.run(fill(home, MESSAGES, 3, YEAR_AGO))
    asyncio.run(fill(other, MESSAGES + 10, 3, YEAR_AGO))
    command("log", "export-tiles", home, tmp_path / "tiles")

    refused = command("log", "export-tiles", other, tmp_path / "tiles", code=UNVERIFIED)

    assert refused["error"]["code"] == "log-fork"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real filesystem of 1 MB."""
    with mounted_disk(tmp_path / "disk", "1m") as folder:
        yield folder


def test_full_disk_while_exporting_keeps_the_old_checkpoint_and_goes_on_later(
    home: Path, command: Command, small_disk: Path
) -> None:
    tiles = small_disk / "tiles"
    command("log", "export-tiles", home, tiles)
    asyncio.run(fill(home, MESSAGES, 600, YEAR_AGO))
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes((1 << 20) - sum(path.stat().st_size + 8192 for path in tiles.rglob("*"))))

    refused = command("log", "export-tiles", home, tiles, code=UNAVAILABLE)

    assert refused["error"]["code"] == "storage-full"
    assert parse_checkpoint((tiles / "checkpoint").read_bytes()).size == MESSAGES
    ballast.unlink()
    command("log", "export-tiles", home, tiles)
    assert command("log", "verify-tiles", home, tiles)["size"] == MESSAGES + 600


def test_full_disk_during_a_backup_leaves_nothing(home: Path, command: Command, small_disk: Path) -> None:
    change(home, "INSERT INTO payload (message, raw) VALUES (-1, zeroblob(3000000))")

    refused = command("backup", home, small_disk / "backup", code=UNAVAILABLE)

    assert refused["error"]["code"] == "storage-full"
    assert not list(small_disk.iterdir())


# --- The memory of a boot ------------------------------------------------------------------------------------


def test_memory_of_another_boot_another_user_or_a_link_vouches_for_nothing(tmp_path: Path) -> None:
    memory = VolatileCheckpoint(tmp_path, tmp_path / "jp")
    assert memory.read() is None
    memory.write(b"note")
    assert memory.read() == b"note"
    content = memory.path.read_bytes()
    memory.path.write_bytes(b"another boot\nnote")
    assert memory.read() is None
    memory.path.unlink()
    (tmp_path / "elsewhere").write_bytes(content)
    memory.path.symlink_to(tmp_path / "elsewhere")
    assert memory.read() is None
    if os.geteuid() == 0:
        memory.path.unlink()
        memory.path.write_bytes(content)
        os.chown(memory.path, 12345, 12345)
        assert memory.read() is None


def test_memory_is_whole_and_its_owners_whatever_a_kill_or_another_user_left_in_its_way(tmp_path: Path) -> None:
    memory = VolatileCheckpoint(tmp_path, tmp_path / "jp")
    left = memory.path.with_name(f"{memory.path.name}.next")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"of somebody else")

    left.write_bytes(b"a part of a checkpo")
    memory.write(b"first")
    assert memory.read() == b"first"
    left.symlink_to(elsewhere)
    memory.write(b"second")

    assert memory.read() == b"second"
    assert memory.path.stat().st_mode & 0o777 == 0o600
    assert elsewhere.read_bytes() == b"of somebody else"
    assert {path.name for path in tmp_path.iterdir()} == {memory.path.name, "elsewhere"}
    memory.write(b"third")
    assert memory.read() == b"third"


def test_indexes_are_told_as_ranges() -> None:
    assert ranges([]) == ()
    assert ranges([5]) == ((5, 5),)
    assert ranges([9, 1, 2, 3, 7, 8, 2]) == ((1, 3), (7, 9))
