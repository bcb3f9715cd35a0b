"""Evidence files from desk to desk over real nodes: every road, proved at each hop, let go when everyone has them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.event import EventName
from tests.worlds import parcels
from tests.worlds.nodes import Nation, World
from tests.worlds.parcels import MIB, Parcel
from tests.worlds.patience import WITHIN_S
from tests.worlds.s3_services import bucket_settings, make_bucket, moto_service

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

    await parcels.file_events(world, tokyo, 3)
    assert await parcels.fetch_all(world, paris, parcel) == parcel.content
    (stated,) = await parcels.state_files(world, paris, EventName.FileHandover, parcel)
    assert [world.verify(receipt).event.name for receipt in stated.receipts] == [EventName.FileHandover]
    proved = await parcels.file_events(world, tokyo, 6)
    assert parcels.where(proved) == [
        ("fr", "FileConsignment", "24-7@fr", ""),
        ("fr", "FileDeletion", "", ""),
        ("fr", "FileHandover", "24-7@fr", ""),
        ("fr", "FileRelayAcceptance", "", "jp"),
        ("jp", "FileAcceptance", "", ""),
        ("jp", "FileDeletion", "", ""),
    ]
    assert all(one.event.files == parcel.whole() for one in proved)
    for name in ("jp", "fr"):
        assert await world.nodes[name].evidence.store.messages() == []


async def test_files_pass_a_relay_to_a_nation_that_fetches_and_to_a_hosted_desk_in_one_message(tmp_path: Path) -> None:
    world = World.of(tmp_path, "jp", "fr", Nation("gh", relay="fr", reachable=False))
    world.add_hosted("24-7@xa", "fr")
    tokyo, accra, hosted = (world.desks[name] for name in ("24-7@jp", "24-7@gh", "24-7@xa"))
    try:
        kept = {"reserve_bytes": 0}
        for name in ("jp", "fr"):
            await world.start(name, files=kept)
        await world.start("gh", listen="", admin="", files=kept)
        parcel = Parcel.of(world, tokyo, [accra, hosted], 2 * MIB, 5000)
        await world.submit(tokyo, parcel.envelope)
        await parcels.announce(world, tokyo, parcel)
        await parcels.send(world, tokyo, parcel, list(parcel.segments))

        await parcels.held_here(world.nodes["gh"], parcel)
        rows = await parcels.progress(world, tokyo, parcel)
        total = parcel.files.file_set.total_bytes
        assert {party: row.behind for party, row in rows.items()} == {
            "jp": None,
            "fr": "jp",
            "gh": "fr",  # fr cannot ask it: it says so itself, when it fetches
            "24-7@xa": "fr",
        }
        assert [rows[party].size_bytes for party in ("jp", "fr")] == [total, total]
        assert rows["gh"].size_bytes is not None
        assert await parcels.fetch_all(world, hosted, parcel) == parcel.content
        await parcels.state_files(world, hosted, EventName.FileHandover, parcel)
        proved = await parcels.file_events(world, tokyo, 6)
    finally:
        await world.close()
    assert parcels.where(proved) == [
        ("fr", "FileConsignment", "24-7@xa", ""),
        ("fr", "FileHandover", "24-7@xa", ""),
        ("fr", "FileRelayAcceptance", "", "jp"),
        ("gh", "FileConsignment", "24-7@gh", ""),
        ("gh", "FileRelayAcceptance", "", "fr"),
        ("jp", "FileAcceptance", "", ""),
    ]


async def test_a_disk_of_files_that_fails_stops_no_message_and_files_go_on_when_it_is_back(
    world: World, tmp_path: Path
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    (world.home("jp").path / "files").write_text("in the way")
    jp = await world.start("jp", files=FILES, housekeeping_s=0.05)
    parcel = Parcel.of(world, tokyo, [paris], 1000)
    (answer,) = await world.submit(tokyo, parcel.envelope)
    assert answer.code is None
    refused = await parcels.call(world, tokyo, "/v1/files/open", parcel.announcement)
    assert refused.status == 503
    assert b"files cannot be written here: File exists" in refused.body
    assert str(tmp_path).encode() not in refused.body
    assert any(one.of_files for one in jp.disk.problems)
    (world.home("jp").path / "files").unlink()
    await world.until((world.home("jp").path / "files" / ".lock").exists)
    async with asyncio.timeout(WITHIN_S):
        while (await parcels.call(world, tokyo, "/v1/files/open", parcel.announcement)).status != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert await parcels.send(world, tokyo, parcel, list(parcel.segments)) == [None]


async def test_files_pass_a_node_that_keeps_them_at_an_s3_service_also_over_a_restart(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    with moto_service() as service:
        make_bucket(service, "files")
        kept = bucket_settings(service, "files", world.home("jp").path).model_dump(mode="json")
        settings = {"reserve_bytes": 0, "retention_h": 0, "store": "s3", "s3": kept}
        await world.start("jp", files=settings, housekeeping_s=0.05)
        parcel = Parcel.of(world, tokyo, [paris], 2 * MIB, 1000)
        await world.submit(tokyo, parcel.envelope)
        await parcels.announce(world, tokyo, parcel)
        places = list(parcel.segments)
        await parcels.send(world, tokyo, parcel, places[:2])
        await world.stop("jp")
        await world.start("jp", files=settings, housekeeping_s=0.05)
        missing = await parcels.announce(world, tokyo, parcel)
        assert sum(count for runs in missing for _, count in runs) == len(places) - 2
        await parcels.send(world, tokyo, parcel, places)
        await world.start("fr", files=FILES)
        await parcels.held_here(world.nodes["fr"], parcel)
        proved = await parcels.file_events(world, tokyo, 4)
        assert ("jp", "FileDeletion", "", "") in parcels.where(proved)
        assert await world.nodes["jp"].evidence.store.messages() == []
        assert await parcels.fetch_all(world, paris, parcel) == parcel.content
        await world.close()
