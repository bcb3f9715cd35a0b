"""Nodes killed with SIGKILL while files pass: what was acknowledged is there, and each step is proved exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from protocol.event import EventName
from protocol.http import wire
from protocol.http.files import SegmentsWanted
from tests.worlds import parcels
from tests.worlds.node_programs import NodePrograms
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside


async def cut_off(request: Awaitable[object], kill: Callable[[], Awaitable[None]]) -> None:
    """Kill the node while it works on the request."""
    task = asyncio.ensure_future(request)
    await asyncio.sleep(0)
    await asyncio.sleep(0.005)
    await kill()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_node_killed_at_any_stage_keeps_each_segment_it_acknowledged_and_logs_each_step_once(
    tmp_path: Path,
) -> None:
    world = World.of(tmp_path, "jp", "fr")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    programs = NodePrograms(world)
    parcel = Parcel.of(world, tokyo, [paris], 6 * MIB, 2 * MIB, 700, 0)
    places = list(parcel.segments)
    acknowledged: set[tuple[int, int]] = set()

    async def bring(some: list[tuple[int, int]]) -> None:
        """Several requests at once, each with several segments."""

        async def request(batch: list[tuple[int, int]]) -> None:
            reply = await parcels.call(world, tokyo, parcel.target, parcel.body(batch))
            verdicts = wire.decode_verdicts(reply.body, len(batch), "it")
            acknowledged.update(place for place, verdict in zip(batch, verdicts, strict=True) if verdict is None)

        await asyncio.gather(*(request(some[at : at + 3]) for at in range(0, len(some), 3)))

    async def missing() -> set[tuple[int, int]]:
        told = await parcels.announce(world, tokyo, parcel)
        return {
            (number, first + at) for number, runs in enumerate(told) for first, count in runs for at in range(count)
        }

    try:
        await programs.start("jp")
        await programs.start("fr", listen=f"127.0.0.1:{world.ports['fr']}")
        await world.submit(tokyo, parcel.envelope)
        assert await missing() == set(places)
        await cut_off(bring(places), lambda: programs.kill("jp"))
        await programs.start("jp")
        assert not acknowledged & await missing(), "what was acknowledged is there"
        await bring(places[: len(places) // 2])
        await cut_off(bring(places), lambda: programs.kill("fr"))
        await programs.start("fr")
        await bring(sorted(await missing()))
        assert await missing() == set()

        async with asyncio.timeout(WITHIN_S):
            while programs.segments_at("fr", parcel.digest) < len(places):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)
        wanted = SegmentsWanted(0, 0, 3)
        with pytest.raises((aiohttp.ClientError, AssertionError, ConnectionError)):
            await asyncio.gather(programs.kill("fr"), *(parcels.fetch(world, paris, parcel, wanted) for _ in range(8)))
        await programs.start("fr")
        assert await parcels.fetch_all(world, paris, parcel) == parcel.content
        await parcels.state_files(world, paris, EventName.FileHandover, parcel)
        await programs.restart("jp")
        proved = await parcels.file_events(world, tokyo, 4)
        again = await world.mailbox(tokyo)
    finally:
        await programs.close()
    assert parcels.where(proved) == [
        ("fr", "FileConsignment", "24-7@fr", ""),
        ("fr", "FileHandover", "24-7@fr", ""),
        ("fr", "FileRelayAcceptance", "", "jp"),
        ("jp", "FileAcceptance", "", ""),
    ]
    assert sum(len(entry.receipts) for entry in again[0]) == len({r.leaf for e in again[0] for r in e.receipts})
    assert all(one.event.files == parcel.whole() for one in proved)
