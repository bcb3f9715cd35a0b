"""The one client of desks and nodes: what it takes from a server that does not keep to the protocol."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest

from keys.transport.client import BlockingClient, HttpRequest, Reach, Server, SignedClient
from keys.transport.signing import Requester
from keys.transport.tls import make_certificate, server_context
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.phrase import Phrase
from protocol.errors import (
    CertificateUnknownError,
    ComityError,
    ExpiredError,
    MalformedError,
    PeerFailedError,
    UnavailableError,
)
from protocol.http.problem import problem_text
from protocol.http.signature import SignedBody
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside
TLS = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
OTHER = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
REQUESTER = Requester("24-7@fr", Ed25519Signer(b"\x31" * 32), lambda: datetime.now(UTC))
REQUEST = HttpRequest("/log/checkpoint?x=1", 1000)
Respond = Callable[[asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=[False, True], ids=["library", "lean"], autouse=True)
def lean(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the requests of a test go without the HTTP library: the rules are the same."""
    monkeypatch.setitem(globals(), "Reach", partial(Reach, lean=request.param))
    return bool(request.param)


def plain(head: str, body: bytes = b"") -> Respond:
    async def respond(writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return respond


class Listener:
    """A server that answers every request alike, and keeps their heads."""

    def __init__(self, respond: Respond) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self.server = Server("jp", "", ())
        self._respond = respond

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                await self._respond(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening(respond: Respond, shown: object = TLS) -> AsyncIterator[Listener]:
    listener = Listener(respond)
    context = server_context(shown.certificate, shown.key_pem)  # type: ignore[attr-defined]
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    listener.server = Server("jp", f"https://127.0.0.1:{port}/", (TLS.certificate,))
    try:
        yield listener
    finally:
        server.close()


@asynccontextmanager
async def client_of(server: Server, reach: Reach | None = None) -> AsyncIterator[SignedClient]:
    client = SignedClient(server, REQUESTER, reach or Reach(WITHIN_S))
    try:
        yield client
    finally:
        await client.close()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        writer.write(b"400\r\n" + bytes(0x400) + b"\r\n")
        await writer.drain()
    raise AssertionError("the client read on")


async def broken_off(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
    writer.close()


REFUSAL = problem_text(ExpiredError("too late")).encode()


@pytest.mark.parametrize(
    ("respond", "error"),
    [
        (endless, PeerFailedError),
        (broken_off, PeerFailedError),
        (plain("200 OK", bytes(1001)), PeerFailedError),
        (plain("200 OK\r\nContent-Encoding: gzip", b"x"), PeerFailedError),
        (plain("200 OK\r\nContent-Encoding: br", b"x"), PeerFailedError),
        (plain("500 Oops", bytes(20_000)), PeerFailedError),
        (plain("500 Oops", b"<html>"), PeerFailedError),
        (plain("302 Found\r\nLocation: https://127.0.0.1:1/"), PeerFailedError),
        (plain("204 Nothing"), ComityError),
        (plain("410 Gone\r\nContent-Type: application/problem+json", REFUSAL), ExpiredError),
    ],
)
async def test_what_is_no_answer_is_the_nodes_failure_and_a_refusal_its_typed_error(
    respond: Respond, error: type[ComityError], lean: bool
) -> None:
    async with listening(respond) as listener, client_of(listener.server) as client:
        with pytest.raises(error):
            await client.call(REQUEST)
        # Chunks are read by the library alone: it asks once more.
        assert len(listener.heads) == (2 if lean and respond is endless else 1)


async def test_an_answer_of_exactly_what_was_asked_for_is_taken() -> None:
    async with listening(plain("200 OK", bytes(1000))) as listener, client_of(listener.server) as client:
        assert await client.call(REQUEST) == bytes(1000)


async def test_no_cookie_is_kept_and_no_proxy_or_password_of_the_environment_is_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    netrc = tmp_path / "netrc"  # type: ignore[operator]
    netrc.write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    async with listening(plain("200 OK\r\nSet-Cookie: a=b; Path=/")) as listener, client_of(listener.server) as client:
        await client.call(REQUEST)
        await client.call(REQUEST)
    assert len(listener.heads) == 2
    assert not any(word in head.lower() for head in listener.heads for word in ("cookie", "\r\nauthorization", "proxy"))


async def test_get_and_post_are_signed_anew_each_time_and_a_post_names_its_body() -> None:
    async with listening(plain("200 OK")) as listener, client_of(listener.server) as client:
        await client.call(REQUEST)
        await client.call(REQUEST)
        await client.call(replace(REQUEST, body=SignedBody(b"", "application/cbor")))
    assert [head.split(" ", 1)[0] for head in listener.heads] == ["GET", "GET", "POST"]
    signatures = {line for head in listener.heads for line in head.split("\r\n") if line.startswith("Signature: ")}
    assert len(signatures) == 3
    assert "Content-Digest: sha-256=" in listener.heads[2]
    assert listener.heads[0].startswith("GET /log/checkpoint?x=1 ")


@pytest.mark.parametrize("url", ["http://127.0.0.1:{}", "https://:{}", "127.0.0.1:{}", "ftp://127.0.0.1:{}"])
async def test_nothing_is_sent_to_an_address_that_is_not_https(url: str) -> None:
    async with listening(plain("200 OK")) as listener:
        port = listener.server.url.rstrip("/").rpartition(":")[2]
        async with client_of(replace(listener.server, url=url.format(port))) as client:
            with pytest.raises(MalformedError):
                await client.call(REQUEST)
            with pytest.raises(MalformedError):
                await client.call_for_proof(REQUEST, began_here=True)
    assert listener.connections == 0


async def test_an_unknown_certificate_is_taken_for_what_proves_itself_and_never_heard_of_time() -> None:
    heard: list[str | None] = []
    reach = Reach(WITHIN_S, heard=lambda node, date: heard.append(date))
    answer = plain("200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT", b"{}")
    async with listening(answer, OTHER) as listener, client_of(listener.server, reach) as client:
        with pytest.raises(CertificateUnknownError):
            await client.call(REQUEST)
        with pytest.raises(CertificateUnknownError):
            await client.call_for_proof(REQUEST, began_here=False)
        assert listener.heads == []
        for _ in range(3):
            assert await client.call_for_proof(REQUEST, began_here=True) == b"{}"
        with pytest.raises(CertificateUnknownError):
            await client.call(REQUEST)
    assert len(listener.heads) == 3
    assert heard == []
    async with listening(answer) as listener, client_of(listener.server, reach) as client:
        await client.call(REQUEST)
    assert heard == ["Sun, 06 Nov 1994 08:49:37 GMT"]


async def test_an_answer_that_comes_a_byte_in_a_while_has_the_time_of_the_request_and_no_more() -> None:
    async def dripping(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        for _ in range(900):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with listening(dripping) as listener, client_of(listener.server, Reach(0.3)) as client:
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(UnavailableError):
                await client.call(REQUEST)


async def test_a_thread_without_a_loop_asks_by_the_same_rules_over_one_connection() -> None:
    async with listening(plain("200 OK", b"{}")) as listener:
        client = BlockingClient(listener.server, REQUESTER, Reach(WITHIN_S, 1))
        for _ in range(3):
            assert await asyncio.to_thread(client.run, lambda it: it.call(REQUEST)) == b"{}"
        await asyncio.to_thread(client.close)
        assert listener.connections == 1
    async with listening(endless) as listener:
        client = BlockingClient(listener.server, REQUESTER, Reach(WITHIN_S, 1))
        with pytest.raises(PeerFailedError):
            await asyncio.to_thread(client.run, lambda it: it.call(REQUEST))
        await asyncio.to_thread(client.close)


def test_an_answer_is_not_written_out_as_text_in_the_main_thread() -> None:
    """The standard library does that with what a task returned: for a large answer it costs more than to read it."""

    class Answer:
        def __repr__(self) -> str:
            raise AssertionError("the answer was written out")

    async def answered(_client: SignedClient) -> Answer:
        return Answer()

    client = BlockingClient(Server("jp", "https://127.0.0.1:1", (TLS.certificate,)), REQUESTER, Reach(WITHIN_S, 1))
    try:
        assert isinstance(client.run(answered), Answer)
    finally:
        client.close()


def test_a_thread_of_its_own_needs_no_other_loop_to_get_an_answer_or_to_end() -> None:
    """Whoever waits for the thread may be the loop's own thread: a call that needed that loop would never end."""
    failed: list[ComityError] = []

    def ask() -> None:
        client = BlockingClient(Server("jp", "https://127.0.0.1:1", (TLS.certificate,)), REQUESTER, Reach(WITHIN_S, 1))
        try:
            client.run(lambda it: it.call(REQUEST))
        except ComityError as problem:
            failed.append(problem)
        finally:
            client.close()

    async def waiting() -> None:
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()

    asyncio.run(waiting())
    assert [type(problem) for problem in failed] == [UnavailableError]


async def test_why_a_node_is_not_reached_is_a_text_that_its_reader_has_translated() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens there
        server = Server("jp", f"https://127.0.0.1:{closed.getsockname()[1]}/", (TLS.certificate,))
        async with client_of(server) as client:
            with pytest.raises(UnavailableError) as refused:
                await client.call(REQUEST)
    told = refused.value.detail
    assert isinstance(told, Phrase)
    assert (told.template, dict(told.values)) == (
        "the node {node} cannot be reached ({why})",
        {"node": "jp", "why": "Connection refused"},
    )
