"""A listening socket and its connections: accepted one by one, so that they can be counted before anything is read.

The event loop's own accepting knows no limit: at the last descriptor it fails, and so does whatever else needs one.
This one ends the connection that is worth least when descriptors run short, and waits when there is none to end.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import HttpRequestParser

from keys.transport.tls_io import SocketBody, TlsIo
from node.http.connections import Connection, Connections
from node.http.descriptors import Descriptors
from node.http.refusals import PlainHandler
from node.http.tls_transport import TlsTransport, serve_tls
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


# How a request begins whose body is read past the library; and where the head of one ends.
_CODING = "Transfer-Encoding"
# A reader of requests is told these of the settings, beside how much it reads at a time.
_PARSER = ("max_line_size", "max_field_size", "max_headers", "auto_decompress")
_READ_BYTES = 64 * 1024
_SEGMENTS, _HEAD_END = b"POST /v1/files/segments?", b"\r\n\r\n"


class TrackedHandler(PlainHandler):
    """The library's handler of one connection, which says when the connection is gone.

    It holds back what follows the head of a request with segments. The body of that request may be read straight from
    the connection (:meth:`lend`); in any other case all goes on as if nothing had been held back.
    """

    __slots__ = ("_held", "connection", "connections", "parser")

    def __init__(
        self, *args: Any, connections: Connections, connection: Connection, parser: Mapping[str, Any], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.connections = connections
        self.connection = connection
        self.parser = parser
        self._held: bytes | None = None

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        if self._held is not None:
            self._held += data
            self._pause()
            return
        end = data.find(_HEAD_END) if data.startswith(_SEGMENTS) and not self.connection.busy else -1
        if end < 0 or not isinstance(self.transport, TlsTransport):
            super().data_received(data)
            return
        end += len(_HEAD_END)
        self._held = data[end:]
        self._pause()
        super().data_received(data[:end])

    def _pause(self) -> None:
        if self.transport is not None:
            self.transport.pause_reading()

    def go_on(self) -> None:
        """Hand on what was held back, if anything was."""
        held, self._held = self._held, None
        if held is not None:
            if self.transport is not None:
                self.transport.resume_reading()
            if held:
                self.data_received(held)

    async def is_free(self) -> bool:
        """Whether the connection can be lent for an answer, when what was written so far is on its way."""
        if not isinstance(self.transport, TlsTransport):
            return False
        await self.transport.written()
        return isinstance(self.transport, TlsTransport)

    @contextmanager
    def lend_to_send(self) -> Iterator[TlsIo]:
        """The connection for the length of the block, for the rest of an answer that began."""
        if not isinstance(self.transport, TlsTransport):
            raise ConnectionResetError("the connection is gone")
        with self.transport.lent() as connection:
            yield connection

    @contextmanager
    def lend(self, request: web.Request) -> Iterator[SocketBody | None]:
        """The body of this request, for the length of the block; None where the library has the first of it already.

        A connection whose body was not read to its end is of no use any more.
        """
        content, length, transport = request.content, request.content_length, self.transport
        # Its length is what the library's own reader goes by too; of a body of which nothing was handed on, and behind
        # a head of which nothing but the body can follow, what was held back is the beginning.
        untouched = self._held is not None and not content.total_bytes and not content.is_eof()
        if not untouched or not length or not isinstance(transport, TlsTransport) or request.headers.get(_CODING):
            yield None
            return
        if transport.get_write_buffer_size() or transport.is_closing():  # of an answer before this one
            yield None
            return
        held, self._held = self._held or b"", b""
        with transport.lent() as connection:
            body = SocketBody(connection, held, length)
            yield body
        if body.left:
            return
        # The library's reader still waits for the body: its next request is read by another one.
        self._parser = HttpRequestParser(self, self._loop, _READ_BYTES, **self.parser)
        content.feed_eof()
        self._held = body.behind
        self.go_on()

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
                parser={name: self._handler[name] for name in _PARSER if name in self._handler},
                **self._handler,
            )

        try:
            if self._handshake.tls is None:
                return (await self._loop.connect_accepted_socket(handler, accepted))[0]
            tls = self._handshake.tls.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            return await serve_tls(tls, handler, self._handshake.timeout_s)
        except (OSError, ValueError):
            return None  # who connects may go at any moment, or speak no TLS

    def _expire(self, connection: Connection) -> None:
        if connection.holder is not None:
            return
        if connection.busy:  # the node itself takes its time: it asks whether the directory knows the caller
            self._expect_somebody(connection)
        else:
            connection.end()


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()
