"""A node's own disk: what fails is said with its cause, health says it, and nothing is acknowledged and lost."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from node.operations import disk as disk_module
from node.server import Node
from tests.faults.small_disk import mounted_disk
from tests.worlds.nodes import World


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(disk_module, "PROBE_S", 0.02)
    world = World.of(tmp_path, "jp")
    yield world
    await world.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "small", "8m") as folder:
        yield folder


async def health(node: Node) -> tuple[int, list[str]]:
    async with aiohttp.ClientSession() as session, session.get(f"{node.admin_url}/health") as answer:
        return answer.status, (await answer.json())["problems"]


async def until_health(node: Node, wanted: Callable[[int, list[str]], bool]) -> list[str]:
    while not wanted(*(found := await health(node))):
        pass
    return found[1]


def lines(world: World, node: str, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in world.logs[node].getvalue().splitlines()]
    return [line for line in found if line["event"] == event]


async def submit(world: World, to: str = "24-7@jp") -> str | None:
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [world.desks[to]]))
    return answer.code


def fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


async def test_a_full_disk_is_told_once_with_file_and_cause_although_nobody_sends(world: World, small: Path) -> None:
    jp = await world.start("jp", database=small / "node.sqlite")
    assert await submit(world) is None
    ballast = small / "ballast"
    fill(ballast)
    await until_health(jp, lambda status, problems: status == 503 and "disk:small:writing:ENOSPC" in problems)
    assert (
        'comity_disk_failing{cause="ENOSPC",file="small",use="writing"} 1.0'
        in jp.metrics.render(None, 0, False).decode()
    )
    assert await submit(world) in {None, "storage-full"}
    ballast.unlink()
    await until_health(jp, lambda status, _: status == 200)
    (told,) = [line for line in lines(world, "jp", "disk-failing") if line["cause"] == "ENOSPC"]
    assert (told["level"], told["file"]) == ("error", str(small))
    assert await submit(world) is None


async def test_a_disk_that_fails_is_told_with_what_the_system_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    jp = await world.start("jp")

    def failing(folder: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(disk_module, "probe", failing)
        problems = await until_health(jp, lambda status, _: status == 503)
        assert "disk:jp:writing:EIO" in problems
        assert {line["cause"] for line in lines(world, "jp", "disk-failing")} == {"EIO"}
    await until_health(jp, lambda status, _: status == 200)
    assert lines(world, "jp", "disk-works")


async def test_a_partner_is_not_blamed_for_the_own_disk(world: World, small: Path) -> None:
    world.add_nation("fr")
    paris = world.add_desk("24-7@fr")
    jp = await world.start("jp", database=small / "node.sqlite")
    ballast = small / "ballast"
    assert await submit(world, "24-7@fr") is None
    fill(ballast)
    await until_health(jp, lambda status, _: status == 503)
    failed = len(lines(world, "jp", "delivery-failed"))
    await world.start("fr")  # it answers; what it says cannot be recorded at jp
    await world.until(lambda: bool(lines(world, "jp", "delivery-not-recorded")))
    later = lines(world, "jp", "delivery-failed")[failed:]
    assert [line["code"] for line in later if line["code"] != "unavailable"] == []
    assert jp.metrics.partner_up.labels("fr")._value.get() == 1
    ballast.unlink()
    await world.arrived(paris)


def removed(database: Path) -> None:
    database.unlink()


def replaced(database: Path) -> None:
    copy = database.with_name("copy")
    shutil.copyfile(database, copy)
    copy.rename(database)


def overwritten(database: Path) -> None:
    content = database.read_bytes()
    database.write_bytes(content)


def without_its_write_ahead_log(database: Path) -> None:
    database.with_name(database.name + "-wal").unlink()


def without_its_lock(database: Path) -> None:
    database.with_name(database.name + ".lock").unlink()


def moved_with_its_folder(database: Path) -> None:
    database.parent.rename(database.parent.with_name("elsewhere"))
    database.parent.mkdir()


@pytest.mark.parametrize(
    "happens",
    [removed, replaced, overwritten, without_its_write_ahead_log, without_its_lock, moved_with_its_folder],
)
async def test_nothing_is_acknowledged_into_a_database_that_is_not_there_any_more(
    world: World, tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "node.sqlite"
    jp = await world.start("jp", database=database)
    assert await submit(world) is None
    happens(database)
    assert await submit(world) == "store-replaced"
    status, problems = await health(jp)
    assert status == 503
    assert "store-replaced" in problems
    assert "store-replaced" in {line["code"] for line in lines(world, "jp", "disk-failing")}
    size = await jp.context.store.reads.log_size()
    assert await submit(world) == "store-replaced"
    assert await jp.context.store.reads.log_size() == size


@pytest.mark.parametrize("happens", [removed, replaced])
async def test_a_database_that_is_gone_is_noticed_although_nobody_sends(
    world: World, tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    (tmp_path / "data").mkdir()
    database = tmp_path / "data" / "node.sqlite"
    jp = await world.start("jp", database=database)
    happens(database)
    await until_health(jp, lambda status, problems: status == 503 and "store-replaced" in problems)


async def test_a_damaged_database_is_told_by_who_reads_it(world: World, tmp_path: Path) -> None:
    jp = await world.start("jp")
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
    assert answer.code is None
    await world.stop("jp")
    database = world.home("jp").path / "node.sqlite"
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'mailbox'").fetchone()
    content = bytearray(database.read_bytes())
    content[(page - 1) * 8192 : page * 8192] = b"\xff" * 8192
    database.write_bytes(content)
    jp = await world.start("jp")
    reply = await world.desk_call(tokyo, "GET", "/v1/mailbox?after=0")
    assert (reply.status, reply.code) == (500, "store-damaged")
    status, problems = await health(jp)
    assert status == 503
    assert any(problem.startswith("disk:node.sqlite:reading:SQLITE_") for problem in problems)
