"""What nobody with a key sends: it costs its sender a handshake, and the node's desks and partners nothing."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from keys.members.identity import generate_desk_keys
from keys.transport.tls import client_context
from node.http.app import ENDPOINTS
from protocol.crypto.signing import Signer
from protocol.encoding import cbor
from protocol.http.signature import SignedBody, sign_request
from tests.worlds.altered import one_bit_off
from tests.worlds.nodes import Forger, Nation, World
from tests.worlds.patience import WITHIN_S, until

TAKING = [endpoint for endpoint in ENDPOINTS if endpoint.max_bytes]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", Nation("fr", desks=()))
    yield world
    await world.close()


class Wire:
    """A bare TLS connection to the node jp."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def status(self) -> bytes:
        """The status line of the answer, which comes although the body was not sent."""
        async with asyncio.timeout(WITHIN_S):
            return await self.reader.readline()


@asynccontextmanager
async def wire(world: World) -> AsyncIterator[Wire]:
    tls = client_context([world.node_keys["jp"].tls.certificate])
    reader, writer = await asyncio.open_connection("127.0.0.1", world.ports["jp"], ssl=tls)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()


def unsigned(path: str, size: int, body_type: str = "application/cbor") -> bytes:
    """The head of an upload that nobody signed."""
    lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {size}", f"Content-Type: {body_type}"]
    return "\r\n".join([*lines, "", ""]).encode()


def signed(
    world: World,
    path: str,
    body: bytes,
    holder: str,
    signer: Signer,
    size: int | None = None,
    body_type: str = "application/cbor",
) -> bytes:
    """The head of an upload of ``body``, rightly signed; it announces ``size`` bytes."""
    url = world.url("jp") + path
    headers = sign_request("POST", url, SignedBody(body, body_type), holder, signer, world.clock(), os.urandom(16))
    size = len(body) if size is None else size
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{world.ports['jp']}", f"Content-Length: {size}"]
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode()


async def works(world: World) -> None:
    """The node serves its desk, over a connection of its own."""
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
    assert answer.code is None


async def test_a_body_without_a_key_is_never_waited_for_by_any_call(world: World) -> None:
    await world.start("jp")
    forged = Forger(world.desks["24-7@jp"].signer())
    for endpoint in TAKING:
        size = endpoint.max_bytes
        async with wire(world) as nobody, wire(world) as liar:
            await nobody.send(unsigned(endpoint.path, size, endpoint.body_type))
            await liar.send(signed(world, endpoint.path, b"x", "24-7@jp", forged, size, endpoint.body_type))
            assert b" 401 " in await nobody.status()
            assert b" 403 " in await liar.status()
        assert world.nodes["jp"].http.allowances.bodies.total == 0


async def test_a_body_that_is_not_the_signed_one_is_refused_after_it_was_read(world: World) -> None:
    await world.start("jp")
    tokyo = world.desks["24-7@jp"]
    body = cbor.encode([world.seal(tokyo, [tokyo]).raw])
    for other in (one_bit_off(body), bytes(len(body))):
        async with wire(world) as wired:
            await wired.send(signed(world, "/v1/submit", body, "24-7@jp", tokyo.signer()) + other)
            assert b" 401 " in await wired.status()
    async with wire(world) as wired:
        await wired.send(signed(world, "/v1/submit", body, "24-7@jp", tokyo.signer(), 0))
        assert b" 401 " in await wired.status()
    assert (await world.mailbox(tokyo))[0] == []


async def test_idle_uploads_without_a_key_do_not_keep_a_desk_out(world: World) -> None:
    await world.start("jp", limits={"requests_at_once": 4})
    async with AsyncExitStack() as open_ones:
        for _ in range(12):
            wired = await open_ones.enter_async_context(wire(world))
            await wired.send(unsigned("/v1/pull?wait=30", 1_000_000))
        await works(world)
        assert world.nodes["jp"].http.allowances.requests.total == 0


async def test_uploads_of_one_key_leave_room_for_the_others(world: World) -> None:
    await world.start("jp", limits={"requests_at_once": 4, "requests_per_key": 2})
    fr, http = world.node_keys["fr"].signer(), world.nodes["jp"].http
    async with AsyncExitStack() as open_ones:
        for _ in range(2):
            wired = await open_ones.enter_async_context(wire(world))
            await wired.send(signed(world, "/v1/pull?wait=0", bytes(50_000), "fr", fr))
        await until(lambda: http.allowances.requests.total == 2)
        third = await open_ones.enter_async_context(wire(world))
        await third.send(signed(world, "/v1/pull?wait=0", bytes(50_000), "fr", fr))
        assert b" 429 " in await third.status()
        await works(world)
    await until(lambda: http.allowances.requests.total == 0)


async def test_memory_for_bodies_is_bounded_in_all_and_for_each_key(world: World) -> None:
    limits = {"body_bytes_at_once": 300_000, "body_bytes_per_key": 200_000}
    await world.start("jp", limits=limits)
    fr, http = world.node_keys["fr"].signer(), world.nodes["jp"].http
    async with AsyncExitStack() as open_ones:
        for status in (None, b" 429 "):
            wired = await open_ones.enter_async_context(wire(world))
            await wired.send(signed(world, "/v1/pull?wait=0", bytes(150_000), "fr", fr))
            if status is not None:
                assert status in await wired.status()
            else:
                await until(lambda: http.allowances.bodies.total == 150_000)
        tokyo = world.desks["24-7@jp"].signer()
        wired = await open_ones.enter_async_context(wire(world))
        await wired.send(signed(world, "/v1/submit", bytes(160_000), "24-7@jp", tokyo))
        assert b" 503 " in await wired.status()
        await works(world)
    await until(lambda: http.allowances.bodies.total == 0)


async def test_a_key_is_charged_for_the_bytes_that_it_sends(world: World) -> None:
    limits = {"desk_bytes_burst": 100_000, "desk_bytes_per_s": 64 * 1024}
    await world.start("jp", limits=limits)
    tokyo = world.desks["24-7@jp"]
    buckets = world.nodes["jp"].http.allowances.desk_bytes
    buckets._timer = lambda: 0.0
    body = cbor.encode({1: bytes(90_000)})
    async with wire(world) as first, wire(world) as second:
        await first.send(signed(world, "/v1/submit", body, "24-7@jp", tokyo.signer()) + body)
        assert b" 400 " in await first.status()  # no batch at all, and still charged
        await second.send(signed(world, "/v1/submit", body, "24-7@jp", tokyo.signer()))
        assert b" 429 " in await second.status()
    async with wire(world) as partner:  # others are not
        await partner.send(signed(world, "/v1/pull?wait=0", b"x", "fr", world.node_keys["fr"].signer()) + b"x")
        assert b" 400 " in await partner.status()


async def test_failures_from_its_address_never_refuse_a_request_that_authenticates(world: World) -> None:
    await world.start("jp", limits={"failures_per_s": 0.001, "failures_burst": 2})
    tokyo = world.desks["24-7@jp"]
    codes = [(await world.desk_call(tokyo, "GET", "/v1/mailbox", headers={})).status for _ in range(6)]
    assert codes == [401, 401, 429, 429, 429, 429]
    await works(world)
    assert (await world.node_call("fr", "jp", "GET", "/v1/heads")).status == 200


async def test_who_is_not_known_here_waits_in_few_places_and_who_is_known_in_none(world: World) -> None:
    node = await world.start("jp")
    asked = asyncio.Event()

    async def never() -> bool:
        await asked.wait()
        return False

    directory = node.context.directory
    directory.refresh = never  # type: ignore[method-assign]
    directory._last_began = float("-inf")
    keys = generate_desk_keys().signer()
    waiting = [
        asyncio.create_task(world.call("jp", "GET", "/v1/heads", holder=f"desk-{number}@jp", signer=keys))
        for number in range(4)
    ]
    await until(lambda: node.http.authenticator._newcomers.total() == 4)
    fifth = await world.call("jp", "GET", "/v1/heads", holder="desk-5@jp", signer=keys)
    assert (fifth.status, fifth.code) == (503, "unavailable")
    await works(world)
    asked.set()
    assert {(await task).status for task in waiting} == {503}
