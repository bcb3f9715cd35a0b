"""A node whose files lie at an S3 service is killed while they come and while they go: nothing is lost or twice."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from node.files.s3 import ObjectStore
from protocol.http import wire
from tests.worlds import parcels
from tests.worlds.node_programs import NodePrograms
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel
from tests.worlds.patience import WITHIN_S
from tests.worlds.s3_services import bucket_settings, make_bucket, moto_service, troubled

pytestmark = pytest.mark.outside


async def test_a_node_with_files_at_s3_killed_at_upload_and_at_hand_over_loses_and_repeats_nothing(
    tmp_path: Path,
) -> None:
    world = World.of(tmp_path, "jp", "fr")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    programs = NodePrograms(world)
    parcel = Parcel.of(world, tokyo, [paris], 8 * MIB, 700, 0)
    places, acknowledged = list(parcel.segments), set[tuple[int, int]]()

    async def bring(place: tuple[int, int]) -> None:
        reply = await parcels.call(world, tokyo, parcel.target, parcel.body([place]))
        if wire.decode_verdicts(reply.body, 1, "it") == [None]:
            acknowledged.add(place)

    async def missing() -> set[tuple[int, int]]:
        told = await parcels.announce(world, tokyo, parcel)
        return {
            (number, first + at) for number, runs in enumerate(told) for first, count in runs for at in range(count)
        }

    with moto_service() as service:
        make_bucket(service, "files")
        kept = bucket_settings(service, "files", world.home("jp").path).model_dump(mode="json")
        files = {"files": {"reserve_bytes": 0, "retention_h": 0, "store": "s3"}, "files.s3": kept}
        try:
            await programs.start("jp", **files)
            await world.submit(tokyo, parcel.envelope)
            await parcels.announce(world, tokyo, parcel)
            coming = [asyncio.ensure_future(bring(place)) for place in places]
            await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            await programs.kill("jp")
            await asyncio.gather(*coming, return_exceptions=True)
            await programs.start("jp", **files)
            lacking = await missing()
            assert acknowledged
            assert not acknowledged & lacking, "what was acknowledged is at the service"
            await asyncio.gather(*map(bring, sorted(lacking)))

            await world.start("fr", files={"reserve_bytes": 0})
            async with asyncio.timeout(WITHIN_S):
                while programs.segments_at("fr", parcel.digest) < 2:  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.001)
            await programs.restart("jp", **files)
            await parcels.held_here(world.nodes["fr"], parcel)
            assert await parcels.fetch_all(world, paris, parcel) == parcel.content
            proved = await parcels.file_events(world, tokyo, 4)
        finally:
            await programs.close()
    assert parcels.where(proved) == [
        ("fr", "FileConsignment", "24-7@fr", ""),
        ("fr", "FileRelayAcceptance", "", "jp"),
        ("jp", "FileAcceptance", "", ""),
        ("jp", "FileDeletion", "", ""),
    ]


async def test_a_service_that_hangs_delays_no_message_and_the_files_come_when_it_answers(tmp_path: Path) -> None:
    world = World.of(tmp_path, "jp", "fr")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    parcel = Parcel.of(world, tokyo, [paris], 2 * MIB, 700)
    places = list(parcel.segments)
    try:
        with moto_service() as service:
            make_bucket(service, "files")
            home = world.home("jp").path
            kept = bucket_settings(service, "files", home)
            jp = await world.start("jp", files={"reserve_bytes": 0, "store": "s3", "s3": kept.model_dump(mode="json")})
            store = jp.evidence.store
            assert isinstance(store, ObjectStore)
            await world.submit(tokyo, parcel.envelope)
            await parcels.announce(world, tokyo, parcel)
            with troubled(service, ["hang"] * 100) as address:
                store._settings = bucket_settings(address, "files", home, timeout_s=60, retries=0)
                await store.open()
                hanging = [
                    asyncio.ensure_future(parcels.call(world, tokyo, parcel.target, parcel.body([place])))
                    for place in places
                ]
                for _ in range(3):
                    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
                    assert answer.code is None
                assert not any(request.done() for request in hanging)
            assert {reply.code for reply in await asyncio.gather(*hanging)} == {"unavailable"}
            store._settings = kept
            await store.open()
            assert await parcels.send(world, tokyo, parcel, places) == [None] * len(places)
    finally:
        await world.close()
