"""A disk of files that is full, before and during a transfer, at either node: nothing is half taken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.event import EventName
from tests.faults.small_disk import mounted_disk, read_only
from tests.worlds import parcels
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside

FILES = {"reserve_bytes": 0}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    yield world
    await world.close()


async def code(world: World, parcel: Parcel, place: tuple[int, int]) -> str:
    reply = await parcels.call(world, world.desks["24-7@jp"], parcel.target, parcel.body([place]))
    return "" if reply.status == 200 else reply.code


async def test_a_disk_that_fills_up_before_or_midway_is_told_and_the_transfer_goes_on_when_there_is_room(
    world: World,
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    with mounted_disk(world.home("jp").path / "files", "8m") as disk:
        try:
            jp = await world.start("jp", files=FILES)
            large, parcel = (Parcel.of(world, tokyo, [paris], size) for size in (12 * MIB, 4 * MIB))
            await world.submit(tokyo, large.envelope, parcel.envelope)
            refused = await parcels.call(world, tokyo, "/v1/files/open", large.announcement)
            assert (refused.status, refused.code) == (507, "storage-full")
            await parcels.announce(world, tokyo, parcel)
            places = list(parcel.segments)
            assert await code(world, parcel, places[0]) == ""
            (disk / "other").write_bytes(bytes(7 * MIB - 300_000))  # another program fills it
            assert await code(world, parcel, places[1]) == "storage-full"
            assert any(one.cause == "ENOSPC" and one.of_files for one in jp.disk.problems)
            (answer,) = await world.submit(tokyo, world.seal(tokyo, [paris]))
            assert answer.code is None, "messages go on"
            (disk / "other").unlink()
            missing = await parcels.announce(world, tokyo, parcel)
            assert sum(count for runs in missing for _, count in runs) == len(places) - 1
            assert [await code(world, parcel, place) for place in places] == [""] * len(places)
        finally:
            await world.close()


async def test_a_next_node_without_room_gets_the_files_when_it_has_some(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    with mounted_disk(world.home("fr").path / "files", "6m") as disk:
        try:
            (disk / "other").write_bytes(bytes(5 * MIB))
            await world.start("jp", files=FILES)
            await world.start("fr", files=FILES)
            parcel = Parcel.of(world, tokyo, [paris], 2 * MIB)
            await world.submit(tokyo, parcel.envelope)
            await parcels.announce(world, tokyo, parcel)
            await parcels.send(world, tokyo, parcel, list(parcel.segments))
            refusals = world.nodes["jp"].metrics.refusals.labels("files", "storage-full")
            await world.until(lambda: refusals._value.get() > 0)
            (disk / "other").unlink()
            await parcels.held_here(world.nodes["fr"], parcel)
            await parcels.file_events(world, tokyo, 3)
            assert await parcels.fetch_all(world, paris, parcel) == parcel.content
            (stated,) = await parcels.state_files(world, paris, EventName.FileHandover, parcel)
            assert stated.code is None
        finally:
            await world.close()


async def test_a_node_whose_disk_of_files_is_read_only_carries_messages_and_the_files_when_it_can_be_written(
    world: World,
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    with mounted_disk(world.home("jp").path / "files", "8m") as disk:
        try:
            with read_only(disk):
                jp = await world.start("jp", files=FILES)
                parcel = Parcel.of(world, tokyo, [paris], 2 * MIB)
                (answer,) = await world.submit(tokyo, parcel.envelope)
                assert answer.code is None
                refused = await parcels.call(world, tokyo, "/v1/files/open", parcel.announcement)
                assert (refused.status, refused.code) in {(503, "unavailable"), (507, "storage-full")}
                assert any(one.cause == "EROFS" and one.of_files for one in jp.disk.problems)
            async with asyncio.timeout(WITHIN_S):
                while (await parcels.call(world, tokyo, "/v1/files/open", parcel.announcement)).status != 200:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert await parcels.send(world, tokyo, parcel, list(parcel.segments)) == [None] * len(parcel.segments)
        finally:
            await world.close()
