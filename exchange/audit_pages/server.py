"""The listener of the auditor's view, on loopback alone.

::

    async with audit_site(address, logs, clock, port) as site:
        print(site.origin, site.codes.make())
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime

from aiohttp import web

from exchange.audit_pages.app import build
from exchange.audit_pages.logs import AuditedLogs
from exchange.audit_pages.site import AuditSite, make_site
from keys.pages.serving import page_handlers
from protocol.address import Address
from protocol.errors import SettingsError

_LOOPBACK = "127.0.0.1"
_BACKLOG = 32
MAX_CONNECTIONS = 128


@asynccontextmanager
async def audit_site(
    auditor: Address,
    logs: AuditedLogs,
    clock: Callable[[], datetime],
    port: int = 0,
    zone: str | None = None,
) -> AsyncIterator[AuditSite]:
    """Serve the view for the length of the block, with times in ``zone``, but for one that the environment names (TZ).

    Raises :class:`SettingsError` for a port that is taken.
    """
    site = make_site(auditor, logs, clock, zone)
    listening = _listening(port)
    site.bound(listening.getsockname()[1])
    runner = web.AppRunner(build(site), access_log=None, handle_signals=False, shutdown_timeout=2.0)
    try:
        await runner.setup()
        taken = page_handlers(runner.server, MAX_CONNECTIONS, access_log=None)
        server = await asyncio.get_running_loop().create_server(taken, sock=listening, backlog=_BACKLOG)
        try:
            yield site
        finally:
            server.close()
    finally:
        site.sessions.end_all()
        await runner.cleanup()
        listening.close()


def _listening(port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((_LOOPBACK, port))
        made.listen(_BACKLOG)
    except OSError as problem:
        made.close()
        raise SettingsError(f"port {port} cannot be listened on: {problem.strerror}") from None
    made.setblocking(False)
    return made
