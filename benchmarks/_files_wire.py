"""How many bytes go over the wire: every connection to a node passes a counter, and a node may be killed meanwhile."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from exchange.demo._ports import free_port
from keys.local.files import write_file
from tests.worlds.processes import World

_READ_BYTES = 256 * 1024


@dataclass(slots=True)
class Wire:
    """What went to and from each node, by its name: encrypted, with all that TLS and HTTP add."""

    carried: dict[str, int] = field(default_factory=dict)
    _reached: asyncio.Event = field(default_factory=asyncio.Event)
    _level: int = 1 << 62

    @property
    def total(self) -> int:
        """All bytes so far."""
        return sum(self.carried.values())

    def count(self, node: str, size: int) -> None:
        """So many more to or from the node."""
        self.carried[node] = self.carried.get(node, 0) + size
        if self.total >= self._level:
            self._reached.set()

    async def reaches(self, level: int) -> None:
        """Return when so many bytes went over the wire in all."""
        self._reached, self._level = asyncio.Event(), level
        self.count("", 0)
        await self._reached.wait()


@asynccontextmanager
async def counted(made: World) -> AsyncIterator[Wire]:
    """Both nodes begin again behind counters, at the addresses that their cards say."""
    wire, servers = Wire(), list[asyncio.Server]()
    for name in list(made.nodes):
        await made.nodes[name].stop()
        settings = made.federation.node_home(name) / "node.toml"
        text = settings.read_text("utf-8")
        asked, behind = urlsplit(made.nodes[name].ready["url"]).port, free_port()
        write_file(settings, re.sub(r'listen = "[^"]*"', f'listen = "127.0.0.1:{behind}"', text).encode())
        await made.start(name)
        servers.append(await _counter(wire, name, asked or 0, behind))
    try:
        yield wire
    finally:
        for server in servers:
            server.close()


async def _counter(wire: Wire, node: str, port: int, behind: int) -> asyncio.Server:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", behind, limit=_READ_BYTES)
        except OSError:  # the node is down
            writer.transport.abort()
            return
        await asyncio.gather(_pass(wire, node, reader, there[1]), _pass(wire, node, there[0], writer))

    return await asyncio.start_server(carry, "127.0.0.1", port, limit=_READ_BYTES)


async def _pass(wire: Wire, node: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while part := await reader.read(_READ_BYTES):
            wire.count(node, len(part))
            writer.write(part)
            await writer.drain()
    with suppress(OSError):
        writer.close()
