"""Bodies with segments that are read past the HTTP library: whatever stands around them, nothing shifts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keys.transport.tls import client_context
from node.http.listener import TrackedHandler
from protocol.http import wire
from tests.hostile.test_file_bodies import FILES, announced, head, works
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel
from tests.worlds.patience import WITHIN_S, until

pytestmark = pytest.mark.outside

STATE = b"GET /log/checkpoint HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    await world.start("jp", files=FILES)
    yield world
    await world.close()


@pytest.fixture
def lent(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each body that could be lent, whether it was."""
    kept, lend = list[bool](), TrackedHandler.lend

    class Noting:
        def __init__(self, lending: object) -> None:
            self._lending = lending

        def __enter__(self) -> object:
            body = self._lending.__enter__()  # type: ignore[attr-defined]
            kept.append(body is not None)
            return body

        def __exit__(self, *problem: object) -> object:
            return self._lending.__exit__(*problem)  # type: ignore[attr-defined]

    monkeypatch.setattr(TrackedHandler, "lend", lambda self, request: Noting(lend(self, request)))
    return kept


class Line:
    """One connection to the node, on which anything is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, world: World) -> Line:
        tls = client_context([world.node_keys["jp"].tls.certificate])
        return cls(*await asyncio.open_connection("127.0.0.1", world.ports["jp"], ssl=tls))

    async def say(self, *parts: bytes) -> None:
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        async with asyncio.timeout(WITHIN_S):
            said = await self.reader.readuntil(b"\r\n\r\n")
            length = next(line for line in said.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            return int(said.split()[1]), await self.reader.readexactly(int(length.split(b":")[1]))

    async def ended(self) -> bytes:
        async with asyncio.timeout(WITHIN_S):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""
            finally:
                self.writer.close()


def proven(world: World, parcel: Parcel, body: bytes) -> bytes:
    return head(world, parcel.target, None, f"Content-Length: {len(body)}")


async def held(world: World, parcel: Parcel) -> list[int]:
    found = await world.nodes["jp"].evidence.store.held(parcel.digest)
    return sorted(index for indexes in found.values() for index in indexes)


def cuts(data: bytes, seed: int) -> list[bytes]:
    """The same bytes in some parts of any length."""
    chance = random.Random(seed)
    at = sorted(chance.sample(range(1, len(data)), 3))
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


async def test_requests_behind_one_another_on_a_connection_are_each_what_they_say(
    world: World, lent: list[bool]
) -> None:
    parcel = await announced(world, 3 * MIB)
    line = await Line.to(world)
    for index in range(3):  # each behind the answer to the one before
        body = parcel.body([(0, index)])
        await line.say(proven(world, parcel, body), body)
        assert (await line.answer())[0] == 200
    assert await held(world, parcel) == [0, 1, 2]
    assert lent == [True] * 3
    # And in one go: a request that stands behind a body is read, also where all of it came with the body's head.
    body = parcel.body([(0, 0)])
    await line.say(proven(world, parcel, body) + body + proven(world, parcel, body) + body + STATE)
    assert [(await line.answer())[0] for _ in range(3)] == [200, 200, 401]
    line.writer.close()
    await works(world)


async def test_a_request_is_the_same_wherever_it_is_cut(world: World) -> None:
    parcel = await announced(world, MIB)
    body = parcel.body([(0, 0)])
    for seed in range(4):
        line = await Line.to(world)
        await line.say(*cuts(proven(world, parcel, body), seed), *cuts(body, seed))
        assert (await line.answer())[0] == 200
        await line.say(*cuts(proven(world, parcel, body) + body, seed))
        assert (await line.answer())[0] == 200
        line.writer.close()


async def test_what_looks_like_a_head_inside_another_request_is_part_of_that(world: World, lent: list[bool]) -> None:
    parcel = await announced(world, MIB)
    body = parcel.body([(0, 0)])
    inner = proven(world, parcel, body) + body
    # The rest of a head begins like a request of its own; and so does the body of another request.
    line = await Line.to(world)
    await line.say(b"GET /log/checkpoint HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
    await asyncio.sleep(0.05)
    await line.say(inner)
    assert (await line.answer())[0] == 400
    line.writer.close()
    line = await Line.to(world)
    await line.say(head(world, "/v1/files/open", inner, f"Content-Length: {len(inner)}"))
    await asyncio.sleep(0.05)
    await line.say(inner)
    assert (await line.answer())[0] in {400, 413}
    line.writer.close()
    assert not any(lent)
    assert await held(world, parcel) == []
    await works(world)


async def test_a_stranger_borrows_nothing_and_what_it_sends_is_not_kept(world: World, lent: list[bool]) -> None:
    parcel = await announced(world, MIB)
    body = parcel.body([(0, 0)])
    line = await Line.to(world)
    fields = f"Host: 127.0.0.1\r\nContent-Type: {wire.CONTENT_TYPE}\r\nContent-Length: {len(body)}"
    await line.say(f"POST {parcel.target} HTTP/1.1\r\n{fields}\r\n\r\n".encode() + body)
    assert (await line.answer())[0] == 401
    assert await line.ended() == b""
    assert not lent
    assert await held(world, parcel) == []


async def test_a_lent_body_that_comes_slowly_or_breaks_off_gives_its_room_and_its_connection_back(
    world: World, lent: list[bool]
) -> None:
    parcel = await announced(world, 2 * MIB)
    body = parcel.body([(0, 0), (0, 1)])
    for sent in (0, 1, 40, MIB + 5_000):  # in the head of the body, of a segment, and in the second segment
        line = await Line.to(world)
        with world.in_a_hurry("jp", body_timeout_s=0.4 if sent < MIB else 2):  # a whole segment has time to come
            await line.say(proven(world, parcel, body), body[:sent])
            status, why = await line.answer()
        assert (status, b"body-timeout" in why) == (408, True)
        assert await line.ended() == b"", "nothing can follow on it"
    line = await Line.to(world)
    await line.say(proven(world, parcel, body), body[: MIB // 2])
    await until(lambda: len(lent) == 5)
    line.writer.transport.abort()
    await until(lambda: not world.nodes["jp"].http.allowances.file_bodies.total)
    assert all(lent)
    assert await held(world, parcel) == [0], "a segment that came whole is kept"
    await works(world)


async def test_a_lent_body_that_is_no_body_is_refused_and_the_connection_goes_on_behind_it(
    world: World, lent: list[bool]
) -> None:
    parcel = await announced(world, MIB)
    good = parcel.body([(0, 0)])
    line = await Line.to(world)
    wrong = (good[:-1], good + b"\x00", b"\x80", b"\xff" * 5_000, bytes(len(good)), good[:1] + b"\x85" + good[2:])
    for body in wrong:
        await line.say(proven(world, parcel, body), body)
        status, why = await line.answer()
        assert (status, b"malformed" in why) == (400, True), body[:4]
        if body != wrong[-1]:
            await line.ended()  # what was refused ends its connection, and the caller begins anew
            line = await Line.to(world)
    await line.ended()
    assert all(lent)
    line = await Line.to(world)
    await line.say(proven(world, parcel, good), good)
    assert (await line.answer())[0] == 200
    line.writer.close()


async def test_a_node_that_stops_does_not_wait_for_a_lent_body(world: World, lent: list[bool]) -> None:
    await world.stop("jp")
    await world.start("jp", files=FILES, stop_timeout_s=0.5, limits={"body_timeout_s": 3_600})
    parcel = await announced(world, MIB)
    body = parcel.body([(0, 0)])
    line = await Line.to(world)
    await line.say(proven(world, parcel, body), body[: MIB // 2])
    await until(lambda: lent == [True])
    async with asyncio.timeout(WITHIN_S):
        await world.nodes["jp"].stop()
    await line.ended()
