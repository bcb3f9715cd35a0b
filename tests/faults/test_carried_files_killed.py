"""Exports and imports of carried files killed with SIGKILL, or broken off by a person: nothing is lost or twice."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.event import EventName
from tests.worlds import parcels
from tests.worlds.node_programs import NodePrograms
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel

pytestmark = pytest.mark.outside


async def ended_when(process: asyncio.subprocess.Process, seen: Callable[[], bool], number: int) -> bytes:
    """Send the signal as soon as something is seen; what the process said on standard error."""
    while process.returncode is None and not seen():  # noqa: ASYNC110 - another process's disk
        await asyncio.sleep(0.001)
    if process.returncode is None:
        process.send_signal(number)
    return (await process.communicate())[1]


def files_on(disk: Path) -> int:
    """How many files lie there, also half written ones."""
    return sum(path.is_file() for path in disk.rglob("*"))


async def test_carried_files_are_whole_and_logged_once_although_each_export_and_import_was_killed_midway(
    tmp_path: Path,
) -> None:
    world = World.of(tmp_path, "jp", "fr")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    programs = NodePrograms(world)
    parcel = Parcel.of(world, tokyo, [paris], 18 * MIB, 3 * MIB, 700, 0)
    disk, bundle = tmp_path / "disk", tmp_path / "for-fr"
    jp, fr = (str(world.home(name).path) for name in ("jp", "fr"))
    export = ("bundle", "export", jp, str(bundle), "--to", "fr", "--files", str(disk))
    take = ("bundle", "import", fr, str(bundle), "--files", str(disk))
    try:
        await programs.start("jp")
        await world.submit(tokyo, parcel.envelope)
        await parcels.announce(world, tokyo, parcel)
        await parcels.send(world, tokyo, parcel, list(parcel.segments))
        await programs.kill("jp")  # its commands take its place

        await ended_when(await programs.command(*export), lambda: files_on(disk) > 2, signal.SIGKILL)
        told = await ended_when(await programs.command(*export), lambda: files_on(disk) > 4, signal.SIGINT)
        if b"interrupted" in told:  # else it was done before
            assert told.decode().splitlines()[-2:] == [
                "What was moved stays. The same command goes on where this one ended.",
                "interrupted",
            ]
            assert not bundle.exists()
        bundle.unlink(missing_ok=True)
        left = [path for path in disk.rglob("*-*") if path.is_file()]
        written = (await programs.done(*export))["carried"]
        assert written["already"] >= len(left)
        assert written["already"] + written["segments"] == len(parcel.segments)
        assert [path for path in disk.rglob(".*") if path.is_file()] == []

        programs.configure("fr")

        def seen(count: int) -> Callable[[], bool]:
            return lambda: programs.segments_at("fr", parcel.digest) >= count

        await ended_when(await programs.command(*take), seen(1), signal.SIGKILL)
        await programs.start("fr")  # the commands ask the node that runs
        asking, before = await programs.command(*take), programs.segments_at("fr", parcel.digest)
        while asking.returncode is None and not seen(before + 4)():  # noqa: ASYNC110 - another process's disk
            await asyncio.sleep(0.001)
        await programs.kill("fr")
        said, _ = await asking.communicate()
        assert asking.returncode == 0 or "error" in json.loads(said), "it was told, and not by a traceback"
        again = (await programs.done(*take))["carried"]
        assert again["refused"] == []
        assert programs.segments_at("fr", parcel.digest) == len(parcel.segments)

        await programs.start("fr")
        assert await parcels.fetch_all(world, paris, parcel) == parcel.content
        await parcels.state_files(world, paris, EventName.FileHandover, parcel)
        await programs.start("jp")
        proved = await parcels.file_events(world, tokyo, 4)
    finally:
        await programs.close()
    assert parcels.where(proved) == [
        ("fr", "FileConsignment", "24-7@fr", ""),
        ("fr", "FileHandover", "24-7@fr", ""),
        ("fr", "FileRelayAcceptance", "", "jp"),
        ("jp", "FileAcceptance", "", ""),
    ]
    assert all(one.event.files == parcel.whole() for one in proved)
