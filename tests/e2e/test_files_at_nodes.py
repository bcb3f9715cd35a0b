"""Evidence files from desk to desk over real nodes: every road, proved at each hop, let go when everyone has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.event import EventName
from tests.worlds import parcels
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel

FILES = {"reserve_bytes": 0, "retention_h": 0}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    yield world
    await world.close()


async def test_sender_gets_proof_of_every_hop_of_the_files_and_nothing_of_them_is_kept_after(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    for name in ("jp", "fr"):
        await world.start(name, files=FILES, housekeeping_s=0.05)
    parcel = Parcel.of(world, tokyo, [paris], 3 * MIB, 1000, 0)
    await world.submit(tokyo, parcel.envelope)

    missing = await parcels.announce(world, tokyo, parcel)
    assert sum(count for runs in missing for _, count in runs) == len(parcel.segments)
    assert set(await parcels.send(world, tokyo, parcel, list(parcel.segments))) == {None}
    assert await parcels.announce(world, tokyo, parcel) == ((), (), ())

    proved = await world.events(tokyo, 6)
    assert await parcels.fetch_all(world, paris, parcel) == parcel.content
    (stated,) = await parcels.state_files(world, paris, EventName.FileHandover, parcel)
    assert [world.verify(receipt).event.name for receipt in stated.receipts] == [EventName.FileHandover]
    proved = await world.events(tokyo, 9)
    told = {(one.origin.rpartition("/")[2], one.event.name) for one in proved if one.event.name.of_files}
    assert told == {
        ("jp", EventName.FileAcceptance),
        ("fr", EventName.FileRelayAcceptance),
        ("fr", EventName.FileConsignment),
        ("fr", EventName.FileHandover),
        ("jp", EventName.FileDeletion),
        ("fr", EventName.FileDeletion),
    }
    assert all(one.event.files == parcel.whole() for one in proved if one.event.name.of_files)
    for name in ("jp", "fr"):
        assert await world.nodes[name].evidence.store.messages() == []
