"""The listener of a desk's pages, as a part of its service.

::

    async with web_desk(service) as desk:
        ...
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from exchange.service.service import DeskService
from exchange.web.app import TEMPLATES, build
from exchange.web.calls import WebDesk
from exchange.web.frame import zoned
from exchange.web.signin.door import Door
from exchange.web.signin.passkeys import RelyingParty
from exchange.web.signin.sessions import WebSessions
from keys.pages.assets import Assets
from keys.pages.origins import Origins
from keys.pages.rendering import environment
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import SettingsError, UnavailableError

FIRST_PORT = 8470
_PORTS = 100
_BACKLOG = 128
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a browser finds the pages. On loopback the name ends in ``.localhost``, and there is no TLS."""

    name: str
    port: int

    @property
    def origin(self) -> str:
        """The origin of the pages."""
        return f"http://{self.name}:{self.port}"


@asynccontextmanager
async def web_desk(service: DeskService) -> AsyncIterator[WebDesk]:
    """Serve the pages of a desk for the length of the block; raises :class:`SettingsError` for a port that is taken."""
    if service.opened is None:
        raise UnavailableError(phrase("the desk is not open"))
    context = service.opened.context
    listening = _listening(context.settings.web.port)
    address = WebAddress(name_of(context.address), listening.getsockname()[1])
    sessions = WebSessions(context.settings.service.idle_min * 60.0)
    # One of each desk: a cookie goes to every port of its name.
    cookie = "comity-" + re.sub(r"[^a-z0-9]", "-", address.name) + f"-{address.port}"
    party = RelyingParty(address.name, address.origin, str(context.address))
    desk = WebDesk(
        service=service,
        sessions=sessions,
        origins=Origins.of(address.origin),
        assets=Assets(),
        templates=environment(TEMPLATES, zoned=zoned),
        door=Door(service.opened, party),
        cookie=cookie,
        secure=False,
    )
    runner = web.AppRunner(build(desk), access_log=None, handle_signals=False, shutdown_timeout=2.0)
    try:
        await runner.setup()
        await web.SockSite(runner, listening).start()
        yield desk
    finally:
        sessions.end_all()
        await runner.cleanup()
        listening.close()


@asynccontextmanager
async def web_pages(service: DeskService, opened: list[str]) -> AsyncIterator[None]:
    """As :func:`web_desk`, where the settings want it; ``opened`` gets the origin."""
    if service.opened is None or not service.opened.context.settings.web.enabled:
        yield
        return
    async with web_desk(service) as desk:
        opened += sorted(desk.origins.origins)
        yield


def name_of(address: Address) -> str:
    """The name of a desk's pages on loopback: of this desk alone, whatever else runs on the machine."""
    return f"{address.contact_point}.{address.node}.localhost"


def _listening(port: int | None) -> socket.socket:
    """A socket at that port; at the first free one from :data:`FIRST_PORT` on where none is set."""
    wanted = range(FIRST_PORT, FIRST_PORT + _PORTS) if port is None else (port,)
    for one in wanted:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((_LOOPBACK, one))
            made.listen(_BACKLOG)
        except OSError as problem:
            made.close()
            if problem.errno != errno.EADDRINUSE:
                raise SettingsError(
                    phrase("port {port} cannot be listened on: {why}", port=one, why=problem.strerror or "")
                ) from None
        else:
            made.setblocking(False)
            return made
    raise SettingsError(phrase("port {port} is taken by another program", port=wanted[-1]))
