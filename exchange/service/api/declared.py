"""How a resource of the API is declared: its path, what it takes, what it gives, and the act of the desk behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from exchange.service.api.shapes import Shape
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.service.api.callers import ApiCaller, ApiCallers
    from exchange.service.api.connections import ApiConnections
    from exchange.service.service import DeskService


# Of every answer that shows where something stands: what happened since that moment is not in it.
KNOWN: Mapping[str, Shape] = {"fetched_at": datetime | None}


async def known_as_of(desk: Desk) -> dict[str, datetime | None]:
    """As of when the desk knows what its node knows (:data:`KNOWN`): while it listens, within half a minute."""
    return {"fetched_at": await desk.messages.fetched_at()}


class Body(BaseModel):
    """What a request carries; other members are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)


class NoBody(Body):
    """An empty object, or nothing."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter behind the ``?``."""

    name: str
    about: str
    kind: str = "string"
    most: int | None = None
    needed: bool = False


MAX_LISTED = 1_000
# Of every list that is cut; the answer says that there is more.
LIMIT = Parameter("limit", "How many at most.", "integer", MAX_LISTED)


@dataclass(slots=True)
class Running:
    """One running API: who is connected, who follows the events, how many requests are answered at once."""

    service: DeskService
    callers: ApiCallers
    places: asyncio.Semaphore
    followers: set[object] = field(default_factory=set)
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    connections: ApiConnections | None = None


RUNNING: web.AppKey[Running] = web.AppKey("running")


@dataclass(slots=True)
class Call:
    """One request, as its handler sees it. ``desk`` acts for whoever is signed in (:meth:`acting`)."""

    request: web.Request
    running: Running
    caller: ApiCaller
    body: Any
    _desk: Desk | None = None

    @property
    def service(self) -> DeskService:
        """The desk's service."""
        return self.running.service

    async def acting(self) -> Desk:
        """The desk as the caller's officer acts on it; raises as :meth:`DeskService.desk`."""
        if self._desk is None:
            self._desk = await self.caller.desk(self.request)
        return self._desk

    def text(self, name: str) -> str | None:
        """A parameter; None without it."""
        return self.request.query.get(name)

    def number(self, name: str, default: int, most: int) -> int:
        """A parameter that is a number from 1 to ``most``; raises :class:`UsageError`."""
        given = self.request.query.get(name)
        if given is None:
            return default
        if not (given.isascii() and given.isdigit() and 1 <= len(given) <= 15 and 1 <= int(given) <= most):
            raise UsageError(f"{name} is a number from 1 to {most}")
        return int(given)

    def flag(self, name: str) -> bool:
        """A parameter that is true or false; raises :class:`UsageError`."""
        given = self.request.query.get(name, "false")
        if given not in {"true", "false"}:
            raise UsageError(f"{name} is true or false")
        return given == "true"

    async def message(self) -> UUID:
        """The message that the path names, by its id or a part of it; raises :class:`NotFoundError`."""
        return await (await self.acting()).messages.resolve(self.part("message"))

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Declared:
    """One method of one resource. ``answer`` is the shape of what it gives; None: it writes the response itself.

    ``keyed``: it sends, and takes the header ``Idempotency-Key``. ``commands`` do the same at a terminal.
    ``read_query`` reads what stands behind the ``?``, where the handler does not.
    """

    method: str
    path: str
    about: str
    handle: Handler
    answer: Shape | None
    body: type[Body] | None = None
    query: tuple[Parameter, ...] = ()
    keyed: bool = False
    media_type: str = "application/json"
    commands: tuple[str, ...] = ()
    read_query: type[Body] | None = None
