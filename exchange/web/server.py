"""The listener of a desk's pages, as a part of its service: on this machine alone, or by TLS for an agency's network.

::

    async with web_desk(service) as desk:
        ...

A connection that asks nothing, does not read, or is one too many ends; nothing of a request is written to a log.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from exchange.service.api.connections import ApiConnections
from exchange.service.recording import SessionRecording
from exchange.service.run_folder import PAGES_NOTE
from exchange.service.service import DeskService
from exchange.settings import WebSettings
from exchange.store.cipher import RowCipher
from exchange.web._terminal import acts_of
from exchange.web.advice import ways_of
from exchange.web.app import CONNECTIONS, TEMPLATES, build
from exchange.web.calls import WebDesk
from exchange.web.frame import zoned
from exchange.web.signin.door import Door
from exchange.web.signin.passkeys import RelyingParty
from exchange.web.signin.sessions import WebSessions
from keys.local.files import write_file
from keys.pages.assets import Assets
from keys.pages.origins import Origins
from keys.pages.rendering import environment
from keys.pages.serving import page_handlers
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, SettingsError, UnavailableError

FIRST_PORT = 8470
HTTPS_PORT = 443
MAX_CONNECTIONS = 512
HANDSHAKE_WITHIN_S = 10.0
TIDY_EVERY_S = 5.0
_PORTS = 100
_BACKLOG = 128
_SECRET_CHARS = 8


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a browser finds the pages. On loopback the name ends in ``.localhost``, and there is no TLS."""

    name: str
    port: int
    tls: bool = False

    @property
    def origin(self) -> str:
        """The origin of the pages, as browsers write it."""
        if self.tls:
            return f"https://{self.name}" if self.port == HTTPS_PORT else f"https://{self.name}:{self.port}"
        return f"http://{self.name}:{self.port}"

    @property
    def cookie(self) -> str:
        """The name of the session's cookie: of this desk alone, since a cookie goes to every port of its name."""
        if self.tls:
            return "__Host-comity"  # RFC 6265bis: by TLS alone, for this host alone
        return "comity-" + re.sub(r"[^a-z0-9]", "-", self.name) + f"-{self.port}"


@asynccontextmanager
async def web_desk(service: DeskService) -> AsyncIterator[WebDesk]:
    """Serve the pages of a desk for the length of the block; raises :class:`SettingsError` for a port that is taken."""
    if service.opened is None:
        raise UnavailableError(phrase("the desk is not open"))
    context = service.opened.context
    settings, tls = context.settings.web, tls_of(context.settings.web)
    listening = _listening(settings)
    port = listening.getsockname()[1]
    address = WebAddress(
        settings.name or name_of(context.address, context.store.database.cipher), port, tls is not None
    )
    sessions = WebSessions(context.settings.service.idle_min * 60.0)
    desk = WebDesk(
        service=service,
        sessions=sessions,
        origins=Origins.of(address.origin),
        assets=Assets(),
        templates=environment(TEMPLATES, zoned=zoned, ways=ways_of),
        door=Door(service.opened, RelyingParty(address.name, address.origin, str(context.address))),
        cookie=address.cookie,
        secure=address.tls,
    )
    desk.facts.ask_where_unknown(service.opened)
    try:
        async with _listens(desk, listening, tls), _told(desk):
            yield desk
    finally:
        sessions.end_all()
        listening.close()


@asynccontextmanager
async def web_pages(service: DeskService, opened: list[str], folder: str) -> AsyncIterator[None]:
    """As :func:`web_desk`, where the settings want it; ``opened`` gets the origin, and so does a note in ``folder``."""
    if service.opened is None or not service.opened.context.settings.web.enabled:
        yield
        return
    note = Path(folder) / PAGES_NOTE
    async with web_desk(service) as desk:
        opened.append(desk.door.party.origin)
        write_file(note, desk.door.party.origin.encode(), mode=0o600)
        try:
            yield
        finally:
            note.unlink(missing_ok=True)


def name_of(address: Address, cipher: RowCipher) -> str:
    """The name of a desk's pages on loopback: of this desk alone, whatever else runs on the machine.

    A part of it is known to nobody else: a browser sends a cookie to every port of a name, so whoever serves another
    port must not be able to lead a browser there under this one. It stays as long as the desk's database, since the
    passkeys of its officers are of this name.
    """
    secret = base64.b32encode(cipher.blind(b"web-name", str(address).encode()))[:_SECRET_CHARS].decode().lower()
    return f"{address.contact_point}-{secret}.{address.node}.localhost"


@asynccontextmanager
async def _listens(desk: WebDesk, listening: socket.socket, tls: ssl.SSLContext | None) -> AsyncIterator[None]:
    """Answer requests, and end the connections that keep a place for nothing."""
    app = build(desk)
    handler = {"access_log": None, "keepalive_timeout": 75.0}
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=2.0, **handler)  # type: ignore[arg-type]
    app[CONNECTIONS] = connections = ApiConnections(
        lambda: list(runner.server.connections) if runner.server is not None else [],
        lambda connection: connection in desk.signed_in,
        lambda: MAX_CONNECTIONS,
    )
    await runner.setup()
    server = await asyncio.get_running_loop().create_server(
        page_handlers(runner.server, None, **handler),
        sock=listening,
        ssl=tls,
        backlog=_BACKLOG,
        ssl_handshake_timeout=HANDSHAKE_WITHIN_S if tls is not None else None,
    )
    tidying = asyncio.create_task(_tidy(desk, connections))
    try:
        yield
    finally:
        tidying.cancel()
        server.close()
        await runner.cleanup()


@asynccontextmanager
async def _told(desk: WebDesk) -> AsyncIterator[None]:
    """Let commands ask, and keep an event of each officer who signs in or out in a browser."""
    acts, recording = acts_of(desk), SessionRecording(desk.service)
    desk.service.acts.update(acts)
    desk.sessions.on_change.append(recording.note)
    try:
        yield
    finally:
        desk.sessions.end_all()
        desk.sessions.on_change.remove(recording.note)
        for name in acts:
            desk.service.acts.pop(name, None)
        await recording.end()


async def _tidy(desk: WebDesk, connections: ApiConnections) -> None:
    while True:
        await asyncio.sleep(TIDY_EVERY_S)
        connections.look()
        desk.signed_in.intersection_update(connections.there())
        desk.sessions.tidy()
        with suppress(ComityError):  # a desk that closes, or a disk that fails: the next look may do
            await end_of_who_left(desk)


async def end_of_who_left(desk: WebDesk) -> None:
    """End the sessions of officers who left or have another key: a wall and a stream ask for no officer's key."""
    for session in desk.sessions.all():
        if not await desk.door.is_still(session):
            desk.sessions.end(session)


def tls_of(settings: WebSettings) -> ssl.SSLContext | None:
    """TLS as the settings want it; None for plain HTTP on this machine. Raises :class:`SettingsError`."""
    if settings.certificate is None or settings.key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        if Path(settings.key).stat().st_mode & 0o077:
            raise SettingsError(phrase("{file} can be read by others: run chmod 600 on it", file=settings.key))
        context.load_cert_chain(settings.certificate, settings.key)
    except (OSError, ssl.SSLError) as problem:
        raise SettingsError(
            phrase("the certificate or key of the pages cannot be used: {why}", why=problem.strerror or "")
        ) from None
    return context


def _listening(settings: WebSettings) -> socket.socket:
    """A socket at the port that is set; else 443 for TLS, and the first free one from :data:`FIRST_PORT` on without."""
    own = settings.certificate is None
    first = HTTPS_PORT if not own else FIRST_PORT
    wanted = range(first, first + (_PORTS if own else 1)) if settings.port is None else (settings.port,)
    family = socket.AF_INET6 if ":" in settings.listen else socket.AF_INET
    for one in wanted:
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((settings.listen, one))
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
