"""No log signs a time that its node's partners know to be wrong, and a node whose log did says so and has a way out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from keys.secrets.keystore import Keystore
from node.cli.main import app
from node.log import clock as clock_module
from node.log._volatile_checkpoint import VolatileCheckpoint
from node.log.clock import ClockWatch
from node.operations.logging import make_log
from node.operations.metrics import Metrics
from node.server import Node
from node.settings import NodeSettings
from protocol.errors import ClockAheadError, ComityError
from protocol.log.checkpoint import claimed_time
from tests.worlds.nodes import Clock, Nation, World, answers

DAY = timedelta(days=1)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    monkeypatch.setattr(clock_module, "LOOK_S", 0.02)
    world = World.of(tmp_path, "jp", Nation("fr", desks=()))
    world.clocks["jp"] = Clock()
    yield world
    await world.close()


async def problems(node: Node) -> tuple[int, list[str]]:
    async with aiohttp.ClientSession() as session, session.get(f"{node.admin_url}/health") as answer:
        return answer.status, (await answer.json())["problems"]


async def submit(world: World) -> str | None:
    """What a desk beside the node, with the same clock, is told."""
    tokyo, now = world.desks["24-7@jp"], world.clocks["jp"]()
    envelope = world.seal(tokyo, [tokyo], created=now)
    reply = await world.desk_call(tokyo, "POST", "/v1/submit", [envelope.raw], now=now)
    return answers(reply)[0].code if reply.status == 200 else reply.code


async def settled(world: World) -> None:
    watch = world.nodes["jp"].clock_watch
    await world.until(lambda: watch.problem is None and world.nodes["jp"].context.sequencer.held is None)


async def test_a_node_that_starts_with_a_clock_ahead_signs_nothing_until_it_is_set(world: World) -> None:
    await world.start("fr")
    world.clocks["jp"].shift = DAY
    jp = await world.start("jp")
    status, told = await problems(jp)
    assert (status, told[0]) == (503, "clock-ahead")
    assert await submit(world) == "clock-ahead"
    assert await jp.context.store.reads.log_size() == 0
    world.clocks["jp"].shift = timedelta(0)
    await settled(world)
    assert await submit(world) is None
    assert (await problems(jp))[0] == 200


async def test_a_clock_that_jumps_ahead_stops_the_signing_and_no_longer_than_it_is_ahead(world: World) -> None:
    await world.start("fr")
    jp = await world.start("jp")
    assert await submit(world) is None
    await settled(world)
    size = await jp.context.store.reads.log_size()
    world.clocks["jp"].shift = DAY
    assert await submit(world) in {"clock-ahead", "clock-unconfirmed"}
    await world.until(lambda: getattr(jp.clock_watch.problem, "code", "") == "clock-ahead")
    assert "clock-ahead" in (await problems(jp))[1]
    assert await jp.context.store.reads.log_size() == size
    signed = claimed_time(await jp.context.sequencer.newest())
    assert signed is not None
    assert signed - datetime.now(UTC) < timedelta(minutes=5)
    world.clocks["jp"].shift = timedelta(0)
    await settled(world)
    assert await submit(world) is None


async def test_a_log_that_signed_ahead_says_so_and_can_be_closed_for_another(world: World) -> None:
    world.clocks["jp"].shift = DAY
    await world.start("jp")  # nobody is there to be asked
    assert await submit(world) is None
    await world.stop("jp")
    world.clocks["jp"].shift = timedelta(0)
    jp = await world.start("jp")
    assert await submit(world) == "clock-behind"
    status, told = await problems(jp)
    assert (status, told[0]) == (503, "clock-behind")
    await world.stop("jp")
    home, passphrase = world.home("jp"), world.path / "passphrase"
    passphrase.touch(mode=0o600)
    passphrase.write_text("test\n")
    home.settings.write_text('node = "jp"\n')
    command = ["log", "found-anew", str(home.path), "--yes", "--passphrase-file", str(passphrase), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert done.exit_code == 0, done.output
    assert Keystore.open(home.keystore, b"test")


async def test_no_log_is_reconciled_under_a_clock_that_is_ahead(world: World) -> None:
    await world.start("fr")
    await world.start("jp")
    await world.stop("jp")
    world.clocks["jp"].shift = DAY
    places = {"log": {"boot_folder": world.path}, "directory": {"folder": world.folder}}
    settings = NodeSettings.of({"node": "jp", "admin": "", "allow_networks": ["127.0.0.0/8"], **places})
    node = Node(world.home("jp"), settings, Keystore.open(world.home("jp").keystore, b"test"), clock=world.clocks["jp"])
    await node.open_unsigned()
    try:
        with pytest.raises(ClockAheadError):
            await node.require_clock(node.askable())
    finally:
        await node.stop()


class Watched:
    """A clock watch whose clock, monotonic time and partners are what a test says."""

    def __init__(self, folder: Path, *, elapsed_s: float = 1000.0, clock: datetime = datetime(2026, 1, 1, tzinfo=UTC)):
        self.true, self.ahead, self.elapsed_s = clock, timedelta(0), elapsed_s
        self.partners: dict[str, timedelta | None] = {}
        self.watch = ClockWatch(
            lambda: self.true + self.ahead,
            lambda: self.elapsed_s,
            VolatileCheckpoint(folder, folder),
            Metrics(),
            make_log("jp", "error"),
        )

    async def settle(self) -> str | None:
        async def ask(partner: str) -> None:
            said = self.partners[partner]
            if said is None:
                raise ComityError("no answer")
            self.watch.heard(partner, (self.true + said).strftime("%a, %d %b %Y %H:%M:%S GMT"))

        problem = await self.watch.settle(list(self.partners), ask)
        return problem.code if problem is not None else None

    def passes(self, seconds: float) -> None:
        self.true += timedelta(seconds=seconds)
        self.elapsed_s += seconds


async def test_a_partner_that_lies_does_not_stop_a_clock_that_was_agreed_with(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.partners = {"fr": timedelta(0)}
    assert await watched.settle() is None
    watched.passes(3000)
    watched.partners = {"fr": -DAY}
    assert await watched.settle() is None
    assert watched.watch.problem is None


async def test_after_a_jump_ahead_nobody_answering_means_waiting_and_the_majority_counts(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.partners = {"fr": timedelta(0), "de": timedelta(0), "gr": timedelta(0)}
    assert await watched.settle() is None
    watched.passes(4000)
    watched.ahead = timedelta(minutes=6)
    assert watched.watch.problem is not None
    watched.partners = dict.fromkeys(watched.partners)
    assert await watched.settle() == "clock-unconfirmed"
    watched.partners = {"fr": timedelta(minutes=6), "de": timedelta(0), "gr": timedelta(0)}
    assert await watched.settle() == "clock-ahead"
    watched.partners = {"fr": timedelta(minutes=6), "de": timedelta(minutes=6), "gr": timedelta(0)}
    assert await watched.settle() is None
    assert watched.watch.problem is None


async def test_a_process_started_again_believes_a_clock_that_goes_on_and_asks_about_one_that_does_not(
    tmp_path: Path,
) -> None:
    first = Watched(tmp_path)
    first.partners = {"fr": timedelta(0)}
    assert await first.settle() is None
    again = Watched(tmp_path, elapsed_s=1600.0, clock=datetime(2026, 1, 1, 0, 10, tzinfo=UTC))
    again.partners = {"fr": None}
    assert await again.settle() is None
    jumped = Watched(tmp_path, elapsed_s=1600.0, clock=datetime(2026, 1, 2, tzinfo=UTC))
    jumped.partners = {"fr": None}
    assert await jumped.settle() == "clock-unconfirmed"


async def test_a_clock_that_runs_too_fast_is_not_believed_bit_by_bit(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    assert await watched.settle() is None
    for _ in range(60):
        watched.passes(60)
        watched.ahead += timedelta(seconds=30)
    assert watched.watch.problem is not None
