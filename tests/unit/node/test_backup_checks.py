"""A backup is checked and tried out by a command, and the home remembers it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner

from node.cli.main import app
from node.recovery.backup_record import BackupRecord
from tests.worlds.nodes import World

pytestmark = pytest.mark.outside


def run(*arguments: str, expect: int = 0) -> Any:
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    assert ran.exit_code == expect, ran.output
    return json.loads(ran.stdout)


@pytest_asyncio.fixture
async def homes(tmp_path: Path) -> AsyncIterator[tuple[Path, Path]]:
    """jp's home, and that of fr, both of nodes that ran."""
    world = World.of(tmp_path, "jp", "fr")
    for node in ("jp", "fr"):
        await world.start(node)
        home = world.home(node)
        home.settings.write_text(f'node = "{node}"\n[log]\nboot_folder = "{tmp_path}"\n', "utf-8")
    await world.close()
    yield world.home("jp").path, world.home("fr").path


async def test_a_backup_is_noted_when_it_is_made_checked_and_tried_out(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    home, _ = homes
    folder = tmp_path / "backup"
    assert BackupRecord.load(home / "backups.json") == BackupRecord()
    await asyncio.to_thread(run, "backup", str(home), str(folder))
    made = BackupRecord.load(home / "backups.json")
    assert made.made is not None
    assert (made.made.folder, made.checked, made.drilled) == (str(folder), None, None)
    await asyncio.to_thread(run, "backup-check", str(home), str(folder))
    checked = BackupRecord.load(home / "backups.json")
    assert checked.checked is not None
    assert (checked.made, checked.drilled) == (made.made, None)
    await asyncio.to_thread(run, "backup-check", str(home), str(folder), "--drill")
    assert BackupRecord.load(home / "backups.json").drilled is not None
    assert sorted(one.name for one in tmp_path.glob(".backup*")) == []  # nothing of the trial stays


async def test_a_backup_that_was_altered_is_refused_and_not_noted(homes: tuple[Path, Path], tmp_path: Path) -> None:
    home, other = homes
    folder = tmp_path / "backup"
    await asyncio.to_thread(run, "backup", str(home), str(folder))
    wrong = await asyncio.to_thread(run, "backup-check", str(other), str(folder), expect=2)
    assert wrong["error"]["code"] == "usage"
    with (folder / "log-checkpoint").open("ab") as file:
        file.write(b"\n")
    refused = await asyncio.to_thread(run, "backup-check", str(home), str(folder), expect=1)
    assert refused["error"]["code"] == "backup-damaged"
    assert BackupRecord.load(home / "backups.json").checked is None


async def test_a_trial_finds_a_log_that_is_not_the_one_of_the_manifest(
    homes: tuple[Path, Path], tmp_path: Path
) -> None:
    home, _ = homes
    folder = tmp_path / "backup"
    await asyncio.to_thread(run, "backup", str(home), str(folder))
    manifest = json.loads((folder / "manifest.json").read_bytes())
    with sqlite3.connect(folder / "database.sqlite") as database:
        database.execute("UPDATE checkpoint SET root = zeroblob(32)")
    database.close()
    manifest["files"]["database.sqlite"] = sha256((folder / "database.sqlite").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    await asyncio.to_thread(run, "backup-check", str(home), str(folder))  # each file is the listed one
    refused = await asyncio.to_thread(run, "backup-check", str(home), str(folder), "--drill", expect=1)
    assert "another log" in refused["error"]["detail"]
    assert BackupRecord.load(home / "backups.json").drilled is None
