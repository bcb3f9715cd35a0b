"""A node's console in this process: its operator, who types a code, with a browser that has no script."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from node.server import Node
from tests.worlds.web_desk import Visitor


@asynccontextmanager
async def stranger(node: Node, language: str = "en") -> AsyncIterator[Visitor]:
    """Somebody with a browser who knows the console's name, and has no code."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        yield Visitor(session, node.console.address, language)


@asynccontextmanager
async def operator(node: Node, language: str = "en") -> AsyncIterator[Visitor]:
    """The node's operator, signed in."""
    async with stranger(node, language) as made:
        await made.send(await made.get("/sign-in"), "/sign-in", code=node.console.codes.make())
        yield made
