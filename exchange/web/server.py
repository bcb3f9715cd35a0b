"""The listener of a desk's pages, as a part of its service: on this machine alone, or by TLS for an agency's network.

::

    async with web_desk(service) as desk:
        ...

A connection that asks nothing, does not read, or is one too many ends; nothing of a request is written to a log.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aiohttp import web

from exchange.service.api.connections import ApiConnections
from exchange.service.recording import SessionRecording
from exchange.service.run_folder import PAGES_FILE, PAGES_NOTE
from exchange.service.service import DeskService
from exchange.settings import WebSettings
from exchange.web._terminal import acts_of
from exchange.web.address import HTTPS_PORT, address_of, leading_file
from exchange.web.advice import ways_of
from exchange.web.app import CONNECTIONS, TEMPLATES, build
from exchange.web.calls import WebDesk
from exchange.web.frame import zoned
from exchange.web.signin.door import Door
from exchange.web.signin.passkeys import RelyingParty
from exchange.web.signin.sessions import WebSessions
from keys.local.files import write_file
from keys.pages.assets import Assets
from keys.pages.rendering import environment
from keys.pages.serving import page_handlers
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, SettingsError, UnavailableError

FIRST_PORT = 8470
MAX_CONNECTIONS = 512
HANDSHAKE_WITHIN_S = 10.0
TIDY_EVERY_S = 5.0
_PORTS = 100
_BACKLOG = 128


@asynccontextmanager
async def web_desk(service: DeskService) -> AsyncIterator[WebDesk]:
    """Serve the pages of a desk for the length of the block; raises :class:`SettingsError` for a port that is taken."""
    if service.opened is None:
        raise UnavailableError(phrase("the desk is not open"))
    context = service.opened.context
    settings, tls = context.settings.web, tls_of(context.settings.web)
    listening = _listening(settings)
    port = listening.getsockname()[1]
    address = address_of(settings, context.address, context.store.database.cipher, port)
    sessions = WebSessions(context.settings.service.idle_min * 60.0)
    desk = WebDesk(
        service=service,
        sessions=sessions,
        origins=address.origins,
        assets=Assets(),
        templates=environment(TEMPLATES, zoned=zoned, ways=ways_of),
        door=Door(service.opened, RelyingParty(address.name, address.origin, str(context.address))),
        cookie=address.cookie,
        secure=address.tls,
        steady_origin=address.steady_origin,
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
    """As :func:`web_desk`, where the settings want it; ``opened`` gets the origin.

    So does a note in ``folder``, and a file beside it that leads a browser there: of this user alone, for this start.
    """
    note, leads = Path(folder, PAGES_NOTE), Path(folder, PAGES_FILE)
    _forget(note, leads)  # of a start that was killed
    if service.opened is None or not service.opened.context.settings.web.enabled:
        yield
        return
    async with web_desk(service) as desk:
        origin = desk.door.party.origin
        opened.append(origin)
        try:
            write_file(leads, leading_file(origin), mode=0o600)
            write_file(note, origin.encode(), mode=0o600)
            yield
        finally:
            _forget(note, leads)


def _forget(*files: Path) -> None:
    for one in files:
        one.unlink(missing_ok=True)


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
