"""A listening socket and its connections: accepted one by one, so that they can be counted before anything is read.

The event loop's own accepting knows no limit: at the last descriptor it fails, and so does whatever else needs one.
This one ends the connection that is worth least when descriptors run short, and waits when there is none to end.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from node.http.connections import Connection, Connections
from node.http.descriptors import Descriptors
from node.http.refusals import PlainHandler
from node.operations.logging import Log

# How long accepting rests when nothing can be ended, or the system has no room.
PAUSE_S = 0.25
# Linux hands over errors of the network that the new connection has already: see accept(2).
_OF_THE_CONNECTION = frozenset(
    {
        errno.ECONNABORTED,
        errno.EPERM,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EOPNOTSUPP,
    }
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """How a connection begins: ``tls`` within ``timeout_s`` (None: without), and how long somebody may then say nothing
    that authenticates (None: for ever)."""

    tls: ssl.SSLContext | None
    timeout_s: float
    unknown_timeout_s: float | None


class TrackedHandler(PlainHandler):
    """The library's handler of one connection, which says when the connection is gone."""

    __slots__ = ("connection", "connections")

    def __init__(self, *args: Any, connections: Connections, connection: Connection, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connections = connections
        self.connection = connection

    def connection_lost(self, exc: BaseException | None) -> None:
        """See :class:`asyncio.Protocol`."""
        self.connections.closed(self.connection)
        super().connection_lost(exc)


class Listener:
    """Accepts on ``sockets`` for ``server`` until closed. ``handler`` are the settings of the library's handler."""

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        server: web.Server,
        handler: Mapping[str, Any],
        connections: Connections,
        descriptors: Descriptors,
        log: Log,
        handshake: Handshake,
    ) -> None:
        self._sockets = sockets
        self._server = server
        self._handler = handler
        self._connections = connections
        self._descriptors = descriptors
        self._log = log
        self._handshake = handshake
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[asyncio.Transport | None]] = set()
        self._short = False
        self._accepting = [asyncio.create_task(self._accept(one), name="accept") for one in sockets]

    async def close(self) -> None:
        """Accept nothing more; connections that are open stay for ``server`` to close."""
        for task in (*self._accepting, *self._opening):
            task.cancel()
        await asyncio.gather(*self._accepting, *self._opening, return_exceptions=True)
        for one in self._sockets:
            one.close()

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                accepted, address = await self._loop.sock_accept(listening)
            except OSError as problem:
                if problem.errno in _OF_THE_CONNECTION:
                    continue
                await self._rest(problem.errno)
                continue
            if self._descriptors.is_near(accepted.fileno()) and not self._connections.shed():
                accepted.close()
                await self._rest(errno.EMFILE)
                continue
            self._short = False
            self._open(accepted, str(address[0]))

    async def _rest(self, cause: int | None) -> None:
        """Make room, then wait a moment. One line in the log for each time that it begins."""
        if not self._short:
            self._short = True
            self._log.error("accepting-paused", code=errno.errorcode.get(cause or 0, "unknown"))
        self._connections.shed()
        await asyncio.sleep(PAUSE_S)

    def _open(self, accepted: socket.socket, address: str) -> None:
        connection = self._connections.opened(address, accepted.close)
        task = asyncio.create_task(self._shake_hands(accepted, connection))
        connection.end = partial(_cancel, task)
        self._opening.add(task)
        task.add_done_callback(partial(self._opened, accepted, connection))

    def _opened(
        self, accepted: socket.socket, connection: Connection, task: asyncio.Task[asyncio.Transport | None]
    ) -> None:
        self._opening.discard(task)
        transport = None if task.cancelled() or task.exception() is not None else task.result()
        if transport is None:
            self._connections.closed(connection)
            accepted.close()
            return
        connection.end = transport.abort
        self._expect_somebody(connection)

    def _expect_somebody(self, connection: Connection) -> None:
        timeout_s = self._handshake.unknown_timeout_s
        if timeout_s is not None:
            connection.timer = self._loop.call_later(timeout_s, self._expire, connection)

    async def _shake_hands(self, accepted: socket.socket, connection: Connection) -> asyncio.Transport | None:
        """The TLS handshake; then the library's handler has the connection. None if it came to nothing."""

        def handler() -> TrackedHandler:
            return TrackedHandler(
                self._server,
                loop=self._loop,
                connections=self._connections,
                connection=connection,
                **self._handler,
            )

        try:
            transport, _ = await self._loop.connect_accepted_socket(
                handler,
                accepted,
                ssl=self._handshake.tls,
                ssl_handshake_timeout=self._handshake.timeout_s if self._handshake.tls is not None else None,
            )
        except OSError:
            return None  # who connects may go at any moment, or speak no TLS
        return transport

    def _expire(self, connection: Connection) -> None:
        if connection.holder is not None:
            return
        if connection.busy:  # the node itself takes its time: it asks whether the directory knows the caller
            self._expect_somebody(connection)
        else:
            connection.end()


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
