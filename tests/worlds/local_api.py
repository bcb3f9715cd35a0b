"""A desk's local API in this process: the real listener on a real socket, over a desk of a world."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, cast

import aiohttp
from jsonschema import Draft202012Validator

from exchange.desk.desk import open_desk
from exchange.service.api.declared import RUNNING
from exchange.service.api.openapi import document
from exchange.service.api.server import local_api
from exchange.service.peers import Peer, TerminalSession
from exchange.service.service import DeskService
from exchange.service.sessions import Sessions
from exchange.settings import Home
from protocol.address import Address
from tests.worlds.desks import PASSPHRASE, World

HERE = TerminalSession(os.geteuid(), 4711, 1, 0)


@cache
def described() -> dict[str, Any]:
    """The OpenAPI document."""
    return document()


def check(method: str, path: str, status: int, content_type: str, body: bytes) -> Any:
    """The JSON of a response, which is what the document says of that resource; raises for another."""
    operation = described()["paths"][path][method.lower()]
    answer = operation["responses"].get(str(status), operation["responses"]["default"])
    assert content_type in answer["content"], (status, content_type, body[:300])
    if not content_type.endswith("json"):
        return body
    said = json.loads(body)
    schema = {**answer["content"][content_type]["schema"], "components": described()["components"]}
    Draft202012Validator(schema).validate(said)
    return said


def template_of(path: str) -> str:
    """The path of the document that a path of a request is one of."""
    parts = path.partition("?")[0].split("/")
    fits = [
        one
        for one in described()["paths"]
        if len(one.split("/")) == len(parts)
        and all(a == b or a.startswith("{") for a, b in zip(one.split("/"), parts, strict=True))
    ]
    return min(fits, key=lambda one: one.count("{"))


@dataclass
class Program:
    """A program that is connected; every answer is held to the document."""

    session: aiohttp.ClientSession
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status of an answer, and what it says."""
        given = {"json": body} if body is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, f"http://desk{path}", headers={**self.headers, **named}, **given
        ) as answer:
            read = await answer.read()
            return answer.status, check(method, template_of(path), answer.status, answer.content_type, read)

    async def get(self, path: str, **headers: str) -> Any:
        """What a resource says, which is not refused."""
        status, said = await self.ask("GET", path, **headers)
        assert status == 200, said
        return said

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """What a resource says to a body, which is not refused."""
        status, said = await self.ask("POST", path, body if body is not None else {}, **headers)
        assert status == 200, said
        return said

    async def events(self, after: int | None = None, **headers: str) -> list[dict[str, Any]]:
        """All that happened after an event, of what is kept."""
        asked = "?once=true" + (f"&after={after}" if after is not None else "")
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(f"http://desk/v1/events{asked}", headers={**self.headers, **named}) as answer:
            return parsed((await answer.read()).decode())


def parsed(stream: str) -> list[dict[str, Any]]:
    """The events of a stream, each with the ``name`` and ``id`` of its frame."""
    found = []
    for block in stream.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line and not line.startswith(":"))
        if "data" in fields:
            found.append({"name": fields["event"], "id": int(fields["id"]), **json.loads(fields["data"])})
    return found


@dataclass
class LocalApi:
    """A running API, and the terminal session that whoever connects next belongs to."""

    path: str
    service: DeskService
    place: TerminalSession | None = HERE
    followers: set[object] = field(default_factory=set)

    @asynccontextmanager
    async def program(self, **headers: str) -> AsyncIterator[Program]:
        """A program with one connection."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connector = aiohttp.UnixConnector(self.path, limit=1)
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Program(session, named)


@asynccontextmanager
async def serving(world: World, address: Address, monkeypatch: Any) -> AsyncIterator[LocalApi]:
    """The local API of a desk."""
    async with AsyncExitStack() as stack:
        # The path of a socket is short; that of a test's own folder may not be.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="api-"))
        home = world.home(address)
        clock = cast("Any", world.clock)
        service = DeskService(home, cast("Any", None), cast("Any", None), Sessions(Home(home).officers, 900.0))
        service.opened = await stack.enter_async_context(open_desk(home, PASSPHRASE, clock=clock))
        made = LocalApi(str(Path(folder) / "api.sock"), service)
        monkeypatch.setattr(
            "exchange.service.api.callers.peer_of", lambda _socket: Peer(os.geteuid(), os.getpid(), made.place)
        )
        monkeypatch.setattr("exchange.service.sessions.is_alive", lambda _place: True)
        app = await stack.enter_async_context(local_api(service, made.path))
        made.followers = app[RUNNING].followers
        yield made
