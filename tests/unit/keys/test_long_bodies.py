"""Long bodies of the one client: over connections that threads read and write, with all the rules of the others."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest

from keys.transport.client import HttpRequest, Reach, Server, SignedClient, StreamedBody
from keys.transport.tls import server_context
from protocol.errors import (
    CertificateUnknownError,
    ComityError,
    ExpiredError,
    NetworkNotAllowedError,
    PeerFailedError,
    UnavailableError,
)
from protocol.http.problem import problem_text
from tests.unit.keys.test_signed_client import OTHER, REQUESTER, TLS
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside

SIZE = 3_000_000
MOST = 5_000_000


class Node:
    """A server that reads requests whole (or ``reads`` of them), and answers each as it is told."""

    def __init__(self, respond: Callable[[asyncio.StreamWriter, int], Awaitable[None]], reads: int | None) -> None:
        self._respond, self._reads = respond, reads
        self.came: list[bytes] = []
        self.heads: list[str] = []
        self.connections = 0
        self.first = asyncio.Event()
        self.server = Server("jp", "", ())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
                length = int(fields.get("content-length", 0)) if self._reads is None else self._reads
                self.came.append(await reader.readexactly(length))
                self.first.set()
                await self._respond(writer, len(self.came))
                await writer.drain()
                if self._reads is not None:
                    await asyncio.Event().wait()  # it reads no more
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def node(
    respond: Callable[[asyncio.StreamWriter, int], Awaitable[None]],
    *,
    reads: int | None = None,
    reach: Reach = Reach(WITHIN_S),  # noqa: B008 - a frozen value
    shown: object = TLS,
) -> AsyncIterator[tuple[Node, SignedClient]]:
    made = Node(respond, reads)
    context: ssl.SSLContext = server_context(shown.certificate, shown.key_pem)  # type: ignore[attr-defined]
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=context)
    made.server = Server("jp", f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", (TLS.certificate,))
    client = SignedClient(made.server, REQUESTER, reach)
    try:
        yield made, client
    finally:
        await client.close()
        server.close()


def plain(head: str, body: bytes = b"") -> Callable[[asyncio.StreamWriter, int], Awaitable[None]]:
    async def respond(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return respond


def chunked(body: bytes) -> Callable[[asyncio.StreamWriter, int], Awaitable[None]]:
    async def respond(writer: asyncio.StreamWriter, _: int) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")

    return respond


def sent(size: int = SIZE) -> HttpRequest:
    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, size, 700_000):
            yield bytes((at // 700_000,)) * min(700_000, size - at)

    return HttpRequest("/v1/files/segments?message=00", MOST, StreamedBody(size, "application/cbor", parts))


def whole(size: int = SIZE) -> bytes:
    return b"".join(bytes((at // 700_000,)) * min(700_000, size - at) for at in range(0, size, 700_000))


class Sunk:
    """A sink that has a place for each 100,000 bytes behind the first ten."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.noted = bytearray()
        self._place: bytearray | None = None

    def place(self) -> memoryview | None:
        if len(self.got) < 10:
            return None
        self._place = bytearray(100_000)
        return memoryview(self._place)

    async def feed(self, part: bytes) -> None:
        self.got += part

    def note(self, part: memoryview) -> None:
        self.noted += part

    async def filled(self) -> None:
        assert self._place is not None
        assert self.noted == self._place, "what came is noted once, all of it and in order"
        self.noted.clear()
        self.got += self._place


FETCH = HttpRequest("/v1/files/fetch", MOST)


async def test_long_bodies_arrive_whole_one_after_the_other_over_the_same_connection() -> None:
    async with node(plain("200 OK", b"taken")) as (made, client):
        for _ in range(3):
            assert await client.call(sent()) == b"taken"
        assert made.came == [whole()] * 3
        assert made.connections == 1
        signatures = {line for head in made.heads for line in head.split("\r\n") if line.startswith("Signature:")}
        assert len(signatures) == 3, "each request is signed anew"


@pytest.mark.parametrize("make", [plain, None])
async def test_a_long_answer_comes_whole_also_in_a_form_that_only_the_library_reads(make: object) -> None:
    respond = chunked(whole()) if make is None else plain("200 OK\r\nDate: x", whole())
    async with node(respond) as (_, client):
        for _ in range(2):
            sink = Sunk()
            await client.call_into(FETCH, sink)
            assert sink.got == whole()


async def test_a_connection_that_the_node_ended_meanwhile_costs_no_request() -> None:
    async def once(writer: asyncio.StreamWriter, number: int) -> None:
        await plain("200 OK", b"taken")(writer, number)
        if number == 1:
            await writer.drain()
            writer.close()

    async with node(once) as (made, client):
        assert await client.call(sent()) == b"taken"
        await asyncio.sleep(0.05)
        assert await client.call(sent()) == b"taken"
        assert made.connections == 2
        assert made.came == [whole()] * 2


async def test_who_refuses_early_is_heard_and_the_rest_is_not_sent() -> None:
    refusal = problem_text(ExpiredError("too late")).encode()
    respond = plain("410 Gone\r\nContent-Type: application/problem+json", refusal)
    async with node(respond, reads=1000) as (made, client):
        with pytest.raises(ExpiredError):
            await client.call(sent(60_000_000))
        assert len(made.came[0]) == 1000


async def broken_off(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(150_000))
    await writer.drain()
    writer.close()


async def silent(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(10))


async def no_answer(writer: asyncio.StreamWriter, _: int) -> None:
    writer.close()


async def endless_head(writer: asyncio.StreamWriter, _: int) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 60_000)


@pytest.mark.parametrize(
    ("respond", "error"),
    [
        (plain("200 OK", bytes(MOST + 1)), PeerFailedError),
        (plain("200 OK\r\nContent-Encoding: gzip", b"x"), PeerFailedError),
        (plain("500 Oops", bytes(20_000)), PeerFailedError),
        (plain("302 Found\r\nLocation: https://127.0.0.1:1/"), PeerFailedError),
        (broken_off, PeerFailedError),
        (silent, UnavailableError),
        (no_answer, UnavailableError),
        (endless_head, ComityError),
    ],
)
async def test_what_is_no_answer_to_a_long_request_is_the_nodes_failure_in_time(
    respond: Callable[[asyncio.StreamWriter, int], Awaitable[None]], error: type[ComityError]
) -> None:
    ends = respond not in (silent, endless_head)  # only of the others has the end to be waited for
    async with node(respond, reach=Reach(WITHIN_S if ends else 2)) as (_, client):
        with pytest.raises(error):
            await client.call_into(FETCH, Sunk())
        with pytest.raises(error):
            await client.call(sent())


async def test_a_node_that_takes_nothing_is_given_up_in_time_and_no_thread_waits_for_it() -> None:
    reading = asyncio.Event()

    async def wait(writer: asyncio.StreamWriter, _: int) -> None:
        await reading.wait()

    async with node(wait, reads=10, reach=Reach(0.5)) as (_, client):
        with pytest.raises(UnavailableError):
            await asyncio.gather(*(client.call(sent(60_000_000)) for _ in range(40)))
        reading.set()


async def test_a_long_body_goes_only_to_who_shows_the_certificate_and_where_it_may() -> None:
    async with node(plain("200 OK"), shown=OTHER) as (made, client):
        with pytest.raises(CertificateUnknownError):
            await client.call(sent())
        assert not made.heads
    async with node(plain("200 OK"), reach=Reach(WITHIN_S, networks=(ip_network("10.0.0.0/8"),))) as (made, client):
        with pytest.raises(NetworkNotAllowedError):
            await client.call(sent())
        assert not made.connections


async def test_who_is_cancelled_in_the_middle_leaves_nothing_behind() -> None:
    reading = asyncio.Event()

    async def wait(writer: asyncio.StreamWriter, _: int) -> None:
        await reading.wait()

    async with node(wait, reads=10) as (made, client):
        asking = asyncio.create_task(client.call(sent(60_000_000)))
        await made.first.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        reading.set()
