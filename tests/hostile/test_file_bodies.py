"""Attacks with bodies of files: slow, endless, more than announced, and many. Messages go on, and nothing is kept."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from keys.directory.cards import CardStatus
from keys.members.federation import with_status
from keys.transport.tls import client_context
from node.operations.limits import Room
from node.settings import FilesSettings
from protocol.errors import RevokedError
from protocol.http import file_progress, wire
from protocol.http import files as bodies
from protocol.http.file_progress import ProgressAsked
from protocol.http.files import FilesWanted, SegmentSent, SegmentsWanted
from protocol.http.signature import NONCE_BYTES, ProvenBody, SignedBody, sign_request
from tests.worlds import parcels
from tests.worlds.altered import one_bit_off
from tests.worlds.nodes import World
from tests.worlds.parcels import MIB, Parcel
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside

ALL_BODIES = FilesSettings().body_bytes_at_once
FILES = {"reserve_bytes": 0, "slowest_bytes_per_s": 1 << 30}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    await world.start("jp", files=FILES)
    yield world
    await world.close()


async def announced(world: World, *sizes: int) -> Parcel:
    tokyo = world.desks["24-7@jp"]
    parcel = Parcel.of(world, tokyo, [world.desks["24-7@fr"]], *sizes)
    await world.submit(tokyo, parcel.envelope)
    await parcels.announce(world, tokyo, parcel)
    return parcel


async def works(world: World) -> None:
    """The node still takes a message."""
    tokyo = world.desks["24-7@jp"]
    (answer,) = await world.submit(tokyo, world.seal(tokyo, [tokyo]))
    assert answer.code is None


def head(world: World, target: str, body: bytes | None, length: str) -> bytes:
    """The head of a signed request of Tokyo's desk; ``length`` is its field. None: a body that proves itself."""
    tokyo = world.desks["24-7@jp"]
    url = world.url("jp") + target
    signed = ProvenBody(wire.CONTENT_TYPE) if body is None else SignedBody(body, wire.CONTENT_TYPE)
    fields = sign_request(
        "POST", url, signed, str(tokyo.address), tokyo.signer(), world.clock(), os.urandom(NONCE_BYTES)
    )
    lines = [f"POST {target} HTTP/1.1", f"Host: 127.0.0.1:{world.ports['jp']}", length]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


async def raw(world: World, first: bytes, *parts: bytes) -> bytes:
    """What the node answers to these bytes, until it closes."""
    tls = client_context([world.node_keys["jp"].tls.certificate])
    reader, writer = await asyncio.open_connection("127.0.0.1", world.ports["jp"], ssl=tls)
    try:
        for part in (first, *parts):
            writer.write(part)
            await writer.drain()
    except ConnectionError:
        pass  # it was told before that it is too much
    try:
        async with asyncio.timeout(WITHIN_S):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_a_body_that_comes_a_byte_in_a_while_is_cut_off(world: World) -> None:
    parcel = await announced(world, MIB)
    body = parcel.body([(0, 0)])
    with world.in_a_hurry("jp", body_timeout_s=0.3):
        answer = await raw(world, head(world, parcel.target, body, f"Content-Length: {len(body)}"), body[:1])
    assert b"body-timeout" in answer
    assert world.nodes["jp"].http.allowances.file_bodies.total == 0, "its room is free again"
    assert await world.nodes["jp"].evidence.store.held(parcel.digest) == {}
    await works(world)


async def test_an_endless_body_and_one_of_more_than_a_request_carries_are_cut_off(world: World) -> None:
    parcel = await announced(world, MIB)
    body = parcel.body([(0, 0)])
    chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
    answer = await raw(world, head(world, parcel.target, body, "Transfer-Encoding: chunked"), *[chunk] * 7)
    assert b"malformed" in answer or b"too-large" in answer or answer == b"", "what is no segment is refused at once"
    assert b"too-large" in await raw(world, head(world, parcel.target, body, "Content-Length: 99999999"))
    assert world.nodes["jp"].http.allowances.file_bodies.total == 0
    await works(world)


async def test_of_a_body_that_breaks_off_what_came_whole_is_kept_and_the_rest_is_not(world: World) -> None:
    parcel = await announced(world, 3 * MIB)
    store = world.nodes["jp"].evidence.store
    places = [(0, 0), (0, 2), (0, 1)]
    body = parcel.body(places)
    whole = len(parcel.body(places[:2]))
    sent = head(world, parcel.target, body, f"Content-Length: {len(body)}") + body[: whole + MIB // 2]
    tls = client_context([world.node_keys["jp"].tls.certificate])
    _, writer = await asyncio.open_connection("127.0.0.1", world.ports["jp"], ssl=tls)
    writer.write(sent)
    await writer.drain()
    async with asyncio.timeout(WITHIN_S):
        while sum(map(len, (await store.held(parcel.digest)).values())) < 2:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    writer.transport.abort()
    await world.until(lambda: world.nodes["jp"].http.allowances.file_bodies.total == 0)
    told = await parcels.announce(world, world.desks["24-7@jp"], parcel)
    assert told == (((1, 1), (3, parcel.files.files[0].segments - 3)),)
    assert await parcels.send(world, world.desks["24-7@jp"], parcel, list(parcel.segments)) == [None] * len(
        parcel.segments
    )


async def test_a_damaged_segment_among_several_is_named_and_the_others_are_kept(world: World) -> None:
    tokyo, parcel = world.desks["24-7@jp"], await announced(world, 3 * MIB)
    body = bytearray(parcel.body([(0, 0), (0, 1), (0, 2)]))
    body[len(body) // 2] ^= 1
    reply = await parcels.call(world, tokyo, parcel.target, bytes(body))
    verdicts = [verdict and verdict.code for verdict in wire.decode_verdicts(reply.body, 3, "it")]
    assert verdicts == [None, "file-altered", None]
    ((first, *_),) = await parcels.announce(world, tokyo, parcel)
    assert first == (1, 1)


async def test_a_body_may_go_without_a_digest_and_is_refused_with_another_ones(world: World) -> None:
    parcel = await announced(world, 600)
    body = parcel.body([(0, 0)])

    async def status(target: str, signed: bytes | None, sent: bytes) -> bytes:
        fields = f"Content-Length: {len(sent)}\r\nConnection: close"
        return (await raw(world, head(world, target, signed, fields), sent)).split()[1]

    assert await status(parcel.target, one_bit_off(body), body) == b"401"
    assert await status(parcel.target, None, body) == b"200"
    assert await status("/v1/files/open", None, parcel.announcement) == b"401", "nothing in that body proves itself"


async def test_more_than_was_announced_is_not_kept_and_repeats_take_no_room(world: World) -> None:
    tokyo, parcel = world.desks["24-7@jp"], await announced(world, 2 * MIB)
    other = Parcel.of(world, tokyo, [world.desks["24-7@fr"]], 3 * MIB)
    strange = [SegmentSent(number, other.segments[0, 0]) for number in (0, 1, 999)]
    reply = await parcels.call(world, tokyo, parcel.target, bodies.encode_segments(strange))
    verdicts = wire.decode_verdicts(reply.body, 3, "it")
    assert [verdict.code if verdict else None for verdict in verdicts] == [
        "file-altered",
        "file-unknown",
        "file-unknown",
    ]
    for _ in range(3):
        assert set(await parcels.send(world, tokyo, parcel, list(parcel.segments))) == {None}
    store = world.nodes["jp"].evidence.store
    held = await store.held(parcel.digest)
    assert sum(map(len, held.values())) == len(parcel.segments)
    paths = sum(32 * len(segment.path) for segment in parcel.segments.values())
    assert await store.usage(parcel.digest) == parcel.files.file_set.total_bytes + paths


async def test_a_recipient_that_is_revoked_midway_gets_no_more_of_its_files_by_any_way(
    world: World, tmp_path: Path
) -> None:
    tokyo, node = world.desks["24-7@jp"], world.nodes["jp"]
    own = Parcel.of(world, tokyo, [tokyo], 2 * MIB)
    await world.submit(tokyo, own.envelope)
    await parcels.announce(world, tokyo, own)
    await parcels.send(world, tokyo, own, list(own.segments))
    assert len((await parcels.fetch(world, tokyo, own, SegmentsWanted(0, 0, 1))).segments) == 1
    world.publish("jp", with_status(tokyo.card, CardStatus.REVOKED, world.clock()))
    await node.context.directory.refresh()
    for wanted in ((), (SegmentsWanted(0, 1, 1),)):
        body = bodies.encode_fetch(FilesWanted(own.digest, wanted))
        assert (await parcels.call(world, tokyo, "/v1/files/fetch", body)).code == "revoked"
    with pytest.raises(RevokedError):
        await node.carrier.write("24-7@jp", str(tmp_path / "disk"), "")
    assert not (tmp_path / "disk").exists()


async def test_files_under_way_never_take_what_messages_need(world: World) -> None:
    tokyo = world.desks["24-7@jp"]
    own = Parcel.of(world, tokyo, [tokyo], 2 * MIB)
    await world.submit(tokyo, own.envelope)
    await parcels.announce(world, tokyo, own)
    assert await parcels.send(world, tokyo, own, [(0, 0)]) == [None]
    with world.nodes["jp"].http.allowances.file_bodies.take("fr", ALL_BODIES):
        reply = await parcels.call(world, tokyo, own.target, own.body([(0, 1)]))
        wanted = bodies.encode_fetch(FilesWanted(own.digest, (SegmentsWanted(0, 0, 1),)))
        refused = await parcels.call(world, tokyo, "/v1/files/fetch", wanted)
        assert (reply.code, refused.code) == ("unavailable", "unavailable")
        await works(world)
    assert await parcels.send(world, tokyo, own, [(0, 1)]) == [None]
    assert len((await parcels.fetch(world, tokyo, own, SegmentsWanted(0, 0, 9))).segments) == 2


async def test_a_reader_that_takes_nothing_gives_its_room_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = Room.take

    @contextmanager
    def noted(room: Room, key: str, amount: int = 1) -> Iterator[None]:
        with take(room, key, amount):
            taken.append(amount)
            yield

    monkeypatch.setattr(Room, "take", noted)
    tokyo = world.desks["24-7@jp"]
    own = Parcel.of(world, tokyo, [tokyo], 4 * MIB - 70_000)
    await world.submit(tokyo, own.envelope)
    await parcels.announce(world, tokyo, own)
    await parcels.send(world, tokyo, own, list(own.segments))
    body = bodies.encode_fetch(FilesWanted(own.digest, (SegmentsWanted(0, 0, 9),)))
    tls = client_context([world.node_keys["jp"].tls.certificate])
    connected = socket.socket()
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)
    connected.connect(("127.0.0.1", world.ports["jp"]))
    _, writer = await asyncio.open_connection(sock=connected, ssl=tls, server_hostname="127.0.0.1", limit=1024)
    taken.clear()
    hurry = ExitStack()
    hurry.enter_context(world.in_a_hurry("jp", body_timeout_s=0.3))
    writer.write(head(world, "/v1/files/fetch", body, f"Content-Length: {len(body)}") + body)
    await writer.drain()
    room = world.nodes["jp"].http.allowances.file_bodies
    # The system's buffers may take all of a small answer at once: so it is noted, not looked for.
    await world.until(lambda: any(amount > 3 * MIB for amount in taken))
    await world.until(lambda: room.total == 0)
    hurry.close()
    writer.close()
    assert await parcels.fetch_all(world, tokyo, own) == own.content


async def test_random_bodies_about_files_never_meet_a_defect(world: World) -> None:
    tokyo, parcel = world.desks["24-7@jp"], await announced(world, 600)
    chosen = random.Random(11)
    wanted = bodies.encode_fetch(FilesWanted(parcel.digest, (SegmentsWanted(0, 0, 1),)))
    whole = {
        "/v1/files/open": parcel.announcement,
        parcel.target: parcel.body([(0, 0)]),
        "/v1/files/fetch": wanted,
        "/v1/files/cancel": bodies.encode_cancel(bodies.FilesTakenBack(parcel.digest)),
        "/v1/files/progress": file_progress.encode_asked(ProgressAsked(parcel.digest, 0)),
    }
    for target, body in whole.items():
        for _ in range(15):
            damaged = bytearray(body)
            for _ in range(chosen.randint(1, 3)):
                damaged[chosen.randrange(len(damaged))] ^= 1 << chosen.randrange(8)
            reply = await parcels.call(world, tokyo, target, bytes(damaged)[: chosen.randint(1, len(damaged))])
            assert reply.status < 500 or reply.code in {"file-quota", "storage-full"}, reply.body
    for target in ("/v1/files/segments", "/v1/files/segments?message=xx", parcel.target + "&message=00"):
        assert (await parcels.call(world, tokyo, target, whole[parcel.target])).code == "malformed"
    assert "internal" not in world.logs["jp"].getvalue()
