"""Where a node listens: for desks and partners, for its operator on loopback, and on the control socket."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from node.http.connections import Connections
from node.http.context import HttpContext
from node.http.control import listen_control
from node.http.descriptors import Descriptors
from node.http.listener import Handshake, Listener
from node.http.refusals import SERVER
from node.http.sockets import listening_sockets
from node.settings import LimitSettings, split_host_port
from protocol.errors import UnavailableError

_ADMIN_CONNECTIONS = 32


def public_connections(limits: LimitSettings, descriptors: Descriptors) -> Connections:
    """Of the descriptors at most a quarter is for connections on which nobody has authenticated."""
    unknown = max(2, min(limits.unknown_connections, descriptors.limit // 4))
    per_network = max(1, min(limits.unknown_connections_per_network, unknown // 2))
    return Connections(unknown, per_network, limits.connections_per_key)


class Listeners:
    """The listeners of one node. ``url`` and ``admin_url`` say where the first public one and the operator's are."""

    def __init__(self, context: HttpContext, descriptors: Descriptors) -> None:
        self.url = ""
        self.admin_url = ""
        self._context = context
        self._descriptors = descriptors
        self._stack = AsyncExitStack()

    async def open(self, app: Callable[[], web.Application], tls: ssl.SSLContext, bound: Callable[[str], None]) -> None:
        """Serve an ``app`` on each public listener; ``bound`` is told each public ``host:port``.

        Raises typed errors; what was opened then is closed by :meth:`close`.
        """
        settings = self._context.node.settings
        for where in settings.listeners:
            shown = await self._serve(app(), where, tls)
            self.url = self.url or f"https://{shown}"
            bound(shown)

    async def open_admin(self, app: web.Application, bound: Callable[[str], None]) -> None:
        """Serve ``app`` on the operator's listener, if there is one; ``bound`` is told its ``host:port``."""
        where = self._context.node.settings.admin
        if where:
            shown = await self._serve(app, where, None)
            self.admin_url = f"http://{shown}"
            bound(shown)

    async def open_control(self, app: web.Application, path: Path) -> None:
        """Serve ``app`` on the control socket. Raises :class:`SettingsError`."""
        control = web.AppRunner(app, access_log=None, handle_signals=False)
        await control.setup()
        self._stack.push_async_callback(control.cleanup)
        await listen_control(control, path)

    async def close(self) -> None:
        """Take nothing more, end what waits on purpose, finish the open requests within the time-out. Idempotent."""
        self._context.end_polls()
        await self._stack.aclose()

    async def _serve(self, app: web.Application, where: str, tls: ssl.SSLContext | None) -> str:
        """Serve ``app`` there, to strangers if with ``tls``; the ``host:port`` that it listens on."""
        settings = self._context.node.settings
        limits = settings.limits
        handler: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": limits.idle_timeout_s,
            "max_line_size": 4096,
            "max_field_size": 8192,
            "max_headers": 32,
            "lingering_time": 2.0,
            "auto_decompress": False,
        }
        app.on_response_prepare.append(self._date)
        runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=settings.stop_timeout_s, **handler)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        host, port = split_host_port(where)
        sockets = await asyncio.to_thread(listening_sockets, host, port, where)
        public = tls is not None
        own = Connections(_ADMIN_CONNECTIONS, _ADMIN_CONNECTIONS, _ADMIN_CONNECTIONS)
        listener = Listener(
            sockets,
            _required(runner.server),
            handler,
            self._context.connections if public else own,
            self._descriptors,
            self._context.node.log,
            Handshake(tls, limits.handshake_timeout_s, limits.idle_timeout_s),
        )
        self._stack.push_async_callback(listener.close)
        host, port = sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    async def _date(self, request: web.Request, response: web.StreamResponse) -> None:
        """Say this node's own time with every answer, with which partners compare theirs, and no versions."""
        response.headers["Server"] = SERVER
        response.headers["Date"] = format_datetime(self._context.node.clock(), usegmt=True)


def _required(server: web.Server | None) -> web.Server:
    if server is None:
        raise UnavailableError("the listener was not set up")
    return server
