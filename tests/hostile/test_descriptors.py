"""A node short of file descriptors goes on: it drops strangers, keeps some for itself, and its tasks come back."""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keys.members.federation import bootstrap_file_of
from node.operations.tasks import Tasks
from node.relay.delivery import PartnerQueue
from node.server import Node
from protocol.errors import ComityError, NotFoundError, StorageFullError, UnavailableError
from tests.worlds.nodes import Nation, World
from tests.worlds.patience import WITHIN_S

LIMIT = 192
FLOOD = 3 * LIMIT


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", Nation("fr", desks=()))
    yield world
    await world.close()


async def works(world: World) -> None:
    """The node serves its desk, over a connection of its own."""
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
    assert answer.code is None


async def bare_connections(world: World, count: int, held: ExitStack) -> list[socket.socket]:
    """TCP connections to the node that say nothing."""
    loop, opened = asyncio.get_running_loop(), []
    for _ in range(count):
        bare = held.enter_context(socket.socket())
        bare.setblocking(False)
        async with asyncio.timeout(WITHIN_S):
            await loop.sock_connect(bare, ("127.0.0.1", world.ports["jp"]))
        opened.append(bare)
    return opened


async def test_bare_connections_push_out_their_own_and_nobody_else(world: World) -> None:
    node = await world.start("jp", limits={"unknown_connections": 16, "unknown_connections_per_network": 8})
    tokyo = world.desks["24-7@jp"]
    with ExitStack() as held:
        opened = await bare_connections(world, 40, held)
        async with asyncio.timeout(WITHIN_S):
            # The oldest are closed from the other side.
            assert await asyncio.get_running_loop().sock_recv(opened[0], 1) == b""
        await works(world)
        assert node.http.connections.unknown <= 8
        assert (await world.desk_call(tokyo, "GET", "/v1/mailbox")).status == 200


async def start_process(world: World) -> tuple[asyncio.subprocess.Process, dict[str, Any]]:
    """The node jp as a process of its own, which may have few descriptors."""
    home = world.home("jp")
    assert world.directory is not None
    bundle = bootstrap_file_of(world.directory, world.found().repository, next(iter(world.nations)))
    home.bootstrap.write_bytes(bundle.to_bytes())
    (home.path / "passphrase").write_text("test\n")
    (home.path / "passphrase").chmod(0o600)
    home.settings.write_text(
        f'node = "jp"\nlisten = "127.0.0.1:{world.ports["jp"]}"\nadmin = "127.0.0.1:{world.free_port()}"\n'
        f'passphrase_file = "{home.path / "passphrase"}"\nhousekeeping_s = 0.2\n'
        f'[directory]\nfolder = "{world.folder}"\nrefresh_s = 0.2\n'
        f'[log]\nboot_folder = "{world.path}"\nask_witnesses_at_start = false\n'
        "[delivery]\nmonitor_s = 0.2\ncosign_s = 0.2\n"
    )
    home.path.chmod(0o700)
    with (world.path / "jp.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "node.cli.main", "run", str(home.path)),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT)),
        )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        ready = await process.stdout.readline()
    assert ready, (world.path / "jp.log").read_text()
    return process, json.loads(ready)


async def test_a_node_with_few_descriptors_outlives_a_flood_of_bare_connections(world: World) -> None:
    process, ready = await start_process(world)
    try:
        with ExitStack() as held:
            await works(world)
            await bare_connections(world, FLOOD, held)
            await works(world)
            async with aiohttp.ClientSession() as session, session.get(f"{ready['admin']}/health") as response:
                assert response.status == 200
            await bare_connections(world, FLOOD, held)
            await works(world)
        await works(world)
        assert process.returncode is None
        assert "task-ended" not in (world.path / "jp.log").read_text()
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(WITHIN_S):
            assert await process.wait() == 0


PASSING = (
    OSError(errno.EMFILE, "Too many open files"),
    OSError(errno.ENOSPC, "No space left on device"),
    ConnectionResetError(),
    TimeoutError(),
    UnavailableError("the store cannot be read"),
    StorageFullError("the disk is full"),
    ExceptionGroup("several", [OSError(errno.EMFILE, "Too many"), ExceptionGroup("more", [TimeoutError()])]),
)
DEFECTS = (
    ValueError(),
    NotFoundError(),
    ComityError("a defect"),
    ExceptionGroup("mixed", [OSError(errno.EMFILE, "x"), ValueError()]),
)


async def test_no_background_task_ends_by_an_error_that_passes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.operations.tasks._AGAIN_S", 0)
    node = await world.start("jp")
    left, done = list(PASSING), asyncio.Event()

    async def work() -> None:
        if left:
            raise left.pop()
        done.set()
        await asyncio.Event().wait()

    node.tasks.spawn("work", work)
    async with asyncio.timeout(WITHIN_S):
        await done.wait()
    assert not node.failed.is_set()
    assert world.logs["jp"].getvalue().count('"task-interrupted"') == len(PASSING)


async def test_a_queue_to_a_partner_that_ended_is_begun_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await world.start("jp")
    paris, begun, again = world.add_desk("24-7@fr"), asyncio.Event(), asyncio.Event()

    async def run(self: PartnerQueue) -> None:
        if not begun.is_set():
            begun.set()
            raise OSError(errno.EMFILE, "Too many open files")
        again.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(PartnerQueue, "run", run)
    tokyo = world.desks["24-7@jp"]
    for event in (begun, again):
        await world.submit(tokyo, world.seal(tokyo, [paris]))
        async with asyncio.timeout(WITHIN_S):
            await event.wait()


async def test_a_defect_still_ends_the_node_that_has_it(world: World) -> None:
    node = await world.start("jp")
    for problem in DEFECTS:
        node.failed.clear()

        async def work(problem: Exception = problem) -> None:
            raise problem

        node.tasks.spawn("work", work)
        async with asyncio.timeout(WITHIN_S):
            await node.failed.wait()


async def test_accepting_goes_on_after_any_error_of_the_system(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = (errno.ECONNABORTED, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
    loop, left = asyncio.get_running_loop(), list(numbers)
    accept = loop.sock_accept

    async def failing(listening: socket.socket) -> Any:
        if left:
            raise OSError(left.pop(), "refused")
        return await accept(listening)

    monkeypatch.setattr("node.http.listener.PAUSE_S", 0)
    monkeypatch.setattr(loop, "sock_accept", failing)
    await world.start("jp")
    await works(world)
    assert not left
    assert world.logs["jp"].getvalue().count('"accepting-paused"') >= 1


async def test_a_connection_that_would_take_a_spare_descriptor_is_not_kept(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.http.listener.PAUSE_S", 0)
    node = await world.start("jp")
    with ExitStack() as held:
        (rests,) = await bare_connections(world, 1, held)
        async with asyncio.timeout(WITHIN_S):
            while node.http.connections.unknown < 1:  # noqa: ASYNC110 - it is inside the node
                await asyncio.sleep(0.01)
        monkeypatch.setattr("node.http.descriptors.Descriptors.is_near", lambda *_: True)
        # The one that says nothing makes room for the desk's.
        await works(world)
        async with asyncio.timeout(WITHIN_S):
            assert await asyncio.get_running_loop().sock_recv(rests, 1) == b""


def test_every_task_of_a_node_is_begun_where_errors_that_pass_are_met() -> None:
    node, begun = (Path(sys.modules[one.__module__].__file__ or "").read_text("utf-8") for one in (Node, Tasks))
    assert "create_task(" not in node
    assert begun.count("create_task(") == begun.count("self._again(") == 1
