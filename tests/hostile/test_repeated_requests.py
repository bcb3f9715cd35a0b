"""A connection that drops after a request was sent: what is sent again is another request, never a replay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest

from exchange.link.client import NodeClient
from keys.transport.client import Reach, Server
from keys.transport.signing import Requester
from keys.transport.tls import make_certificate, server_context
from node.peers.client import PartnerClient
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from tests.worlds.patience import WITHIN_S

SIGNER = Ed25519Signer(b"\x31" * 32)
TLS = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
LOOPBACK = ip_network("127.0.0.0/8")
ANSWER = cbor.encode([])


def now() -> datetime:
    return datetime.now(UTC)


class DroppingServer:
    """Answers the first request of each connection and keeps the connection; drops it when another one came on it."""

    def __init__(self) -> None:
        self.signatures: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            for answered in (False, True):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                self.signatures.append(fields["Signature-Input"])
                if not answered:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def dropping() -> AsyncIterator[DroppingServer]:
    server = DroppingServer()
    listening = await asyncio.start_server(
        server.serve, "127.0.0.1", 0, ssl=server_context(TLS.certificate, TLS.key_pem)
    )
    server.url = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listening.close()


@asynccontextmanager
async def a_desk(url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    client = NodeClient(Server("jp", url, (TLS.certificate,)), Requester("24-7@jp", SIGNER, now), timeout_s=WITHIN_S)
    yield client.checkpoint
    await client.close()


@asynccontextmanager
async def a_node(url: str) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    client = PartnerClient(
        Server("jp", url, (TLS.certificate,)), Requester("fr", SIGNER, now), Reach(WITHIN_S, networks=(LOOPBACK,))
    )
    yield client.checkpoint
    await client.close()


@pytest.mark.parametrize("program", [a_desk, a_node])
async def test_what_is_sent_again_over_a_new_connection_has_a_signature_of_its_own(
    program: Callable[[str], object],
) -> None:
    async with dropping() as server, program(server.url) as ask:  # type: ignore[attr-defined]
        await ask()
        await ask()  # the kept connection drops; the library sends it once more
    assert len(server.signatures) == 3
    assert len(set(server.signatures)) == 3
