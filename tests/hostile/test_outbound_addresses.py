"""A partner's card cannot send this node's requests to its own machine, to its operator's network, or to a stranger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from exchange.link.directory import DeskDirectory
from keys.transport.client import Reach, Server
from keys.transport.networks import is_allowed
from keys.transport.signing import Requester
from keys.transport.tls import make_certificate, server_context
from node.peers.client import PartnerClient
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import CertificateUnknownError, NetworkNotAllowedError, NotFoundError
from tests.worlds.nodes import World
from tests.worlds.patience import WITHIN_S

SIGNER = Ed25519Signer(b"\x31" * 32)
TLS = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
OTHER = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

INSIDE = (
    "127.0.0.1 127.8.9.10 0.0.0.0 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 100.64.0.1 192.0.0.1 "
    "192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 ::1 :: fe80::1 "
    "fe80::1%eth0 fc00::1 fd12:3456::1 fec0::1 ff02::1 2001:db8::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 "
    "::ffff:169.254.169.254 64:ff9b::7f00:1 64:ff9b::a00:1 2002:7f00:1:: 2002:a00:1:: ::127.0.0.1 localhost"
)
OUTSIDE = "8.8.8.8 193.0.6.139 2a00:1450:4001:80b::200e 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"


@pytest.mark.parametrize("address", INSIDE.split())
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_allowed(address, ())


@pytest.mark.parametrize("address", OUTSIDE.split())
def test_public_addresses_need_no_leave(address: str) -> None:
    assert is_allowed(address, ())


def test_what_the_settings_name_is_allowed_and_nothing_beside_it() -> None:
    allowed = (ip_network("10.1.0.0/16"), ip_network("fd12::/16"))
    assert [is_allowed(address, allowed) for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1")] == [True] * 3
    assert [is_allowed(address, allowed) for address in ("10.2.0.1", "127.0.0.1", "fd13::1")] == [False] * 3


@asynccontextmanager
async def listening(shown: Any = TLS) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that counts what comes, and answers 404."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(b"connected")
        try:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context(shown.certificate, shown.key_pem))
    try:
        yield server.sockets[0].getsockname()[1], heads
    finally:
        server.close()


def partner(port: int, reach: Reach, *, host: str = "127.0.0.1", is_first: bool = False) -> PartnerClient:
    server = Server("jp", f"https://{host}:{port}", (TLS.certificate,))
    return PartnerClient(server, Requester("fr", SIGNER, lambda: datetime.now(UTC)), reach, is_first=is_first)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_a_card_that_names_this_machine_reaches_nothing(host: str) -> None:
    async with listening() as (port, heads):
        client = partner(port, Reach(WITHIN_S, networks=()), host=host)
        with pytest.raises(NetworkNotAllowedError):
            await client.checkpoint()
        with pytest.raises(NetworkNotAllowedError):
            await client.directory_file("metadata/timestamp.json")
        await client.close()
        assert heads == []


@pytest.mark.parametrize("is_first", [False, True])
async def test_the_directory_is_fetched_over_an_unknown_certificate_from_the_first_node_alone(is_first: bool) -> None:
    async with listening(OTHER) as (port, heads):
        client = partner(port, Reach(WITHIN_S, networks=LOOPBACK), is_first=is_first)
        if is_first:
            assert await client.directory_file("metadata/timestamp.json") == b"ok"
        else:
            with pytest.raises(CertificateUnknownError):
                await client.directory_file("metadata/timestamp.json")
            assert b"connected" not in heads
        await client.close()


@pytest.mark.parametrize("lean", [False, True])
@pytest.mark.parametrize("own_node", ["xx", "jp"])
async def test_a_desk_fetches_over_an_unknown_certificate_from_the_node_that_it_began_with_alone(
    own_node: str, lean: bool
) -> None:
    class Moved(DeskDirectory):
        """Served by ``own_node``, which shows an unknown certificate. It began with jp."""

        def __init__(self, port: int) -> None:
            self._lean = lean
            self._carried = None
            self._connected = None
            self._port = port
            self._caller = Requester("24-7@jp", SIGNER, lambda: datetime.now(UTC))
            settings = {"transport": "https", "request_timeout_s": WITHIN_S}
            self._settings = type("Settings", (), settings)()  # type: ignore[assignment]
            self._bootstrap = type("Bundle", (), {"node": "jp"})()  # type: ignore[assignment]

        def route(self, node: str) -> Server:
            return Server(node, f"https://127.0.0.1:{self._port}", (TLS.certificate,))

    Moved.own_node = own_node  # type: ignore[assignment, method-assign]

    def fetched(trust: DeskDirectory) -> bytes:
        try:
            return trust._fetch("metadata/timestamp.json")
        finally:
            assert trust._connected is not None
            trust._connected.close()

    async with listening(OTHER) as (port, heads):
        if own_node == "jp":
            assert await asyncio.to_thread(fetched, Moved(port)) == b"ok"
        else:
            with pytest.raises(CertificateUnknownError):
                await asyncio.to_thread(fetched, Moved(port))
            assert heads == []


async def test_a_node_reaches_partners_in_networks_that_its_settings_name_alone(tmp_path: Path) -> None:
    world = World.of(tmp_path, "jp", "fr")
    try:
        await world.start("fr")
        jp = await world.start("jp", allow_networks=["127.0.0.9/32"])
        with pytest.raises(NetworkNotAllowedError):
            await jp.context.partners.get("fr").checkpoint()
        await world.stop("jp")
        jp = await world.start("jp")
        assert await jp.context.partners.get("fr").checkpoint()
        with pytest.raises(NotFoundError):
            await jp.context.partners.get("fr").directory_file("metadata/999.root.json")
    finally:
        await world.close()
