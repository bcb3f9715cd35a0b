"""Requests and answers with long bodies, by HTTP/1.1 over connections that threads read and write.

Short ones go here too where the program is one that asks little and ends (:class:`keys.transport.client.Reach`).

Only the moving of bytes is here. :mod:`keys.transport.client` says whom to ask, what to sign, how long to wait, how
much to take and what an answer means, for these as for all others. An answer in another form than a member's node
gives is not read here: :class:`OtherFormError` says that the library has to ask.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from keys.transport.tls_io import Buffer, SocketBody, TlsIo

_MAX_HEAD_BYTES = 16 * 1024
_READ_BYTES = 4096
_SHORT_BYTES = 4096
_HEAD_END = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\r\n]*)?", re.ASCII)
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*)", re.ASCII)

Parts = Callable[[], AsyncIterator[Buffer]]
"""Makes the parts of a body, from its beginning."""
SocketMaker = Callable[[Any], socket.socket]


class OtherFormError(Exception):
    """The answer is in a form that is not read here, such as one in chunks. It may still be one of HTTP."""


@dataclass(slots=True)
class LongAnswer:
    """The head of an answer, field names in small letters, and its body to be read."""

    status: int
    fields: Mapping[str, str]
    body: SocketBody


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect, and with which pins."""

    host: str
    port: int
    tls: ssl.SSLContext
    make: SocketMaker | None = None


class LongConnections:
    """Connections to one origin, at most ``most`` at once, each for one request after another. One event loop.

    Raises :class:`OSError` where one breaks, or none can be had.
    """

    def __init__(self, origin: Origin, most: int, rest_s: float) -> None:
        self._origin = origin
        self._rest_s = rest_s
        self._places = asyncio.Semaphore(most)
        self._resting: list[_Connection] = []

    def close(self) -> None:
        """Close those that rest."""
        for one in self._resting:
            one.close()
        self._resting.clear()

    @asynccontextmanager
    async def asked(self, head: Callable[[], bytes], parts: Parts, connect_s: float) -> AsyncIterator[LongAnswer]:
        """The answer to a request. ``head`` makes its head anew for each connection that it goes over.

        One that rested may have been ended meanwhile: then the request goes once more, over a new one.
        """
        async with self._places:
            connection = self._rested()
            if connection is not None:
                try:
                    answer = await connection.ask(head(), parts)
                except ConnectionError:
                    connection = None
            if connection is None:
                async with asyncio.timeout(connect_s):
                    connection = await _connected(self._origin)
                answer = await connection.ask(head(), parts)
            try:
                yield answer
            except BaseException:
                connection.close()
                raise
            if connection.may_rest(answer):
                connection.rested_at = time.monotonic()
                self._resting.append(connection)
            else:
                connection.close()

    def _rested(self) -> _Connection | None:
        while self._resting:
            connection = self._resting.pop()
            if time.monotonic() - connection.rested_at < self._rest_s:
                return connection
            connection.close()
        return None


class _Connection:
    def __init__(self, tls: ssl.SSLSocket, io: TlsIo) -> None:
        self._tls = tls
        self._io = io
        self._head = b""
        self._all_sent = True
        self.rested_at = 0.0

    def close(self) -> None:
        with suppress(OSError, ValueError):
            self._tls.unwrap()
        self._tls.close()

    def may_rest(self, answer: LongAnswer) -> bool:
        """Whether another request may follow."""
        kept = answer.fields.get("connection", "").lower() != "close"
        return kept and self._all_sent and not answer.body.left and not answer.body.behind and not self._tls.pending()

    async def ask(self, head: bytes, parts: Parts) -> LongAnswer:
        """Send a request, and read the head of what is answered; closes this when it raises."""
        try:
            self._head = b""
            try:
                await self._send(head, parts)
            except ConnectionError:
                # Perhaps it said why before it ended the connection.
                self._all_sent = False
                with suppress(OSError):
                    return await self._answer()
                raise
            return await self._answer()
        except BaseException:
            self.close()
            raise

    async def _send(self, head: bytes, parts: Parts) -> None:
        short, self._all_sent = bytearray(head), False
        async with aclosing(parts()) as coming:  # type: ignore[type-var]
            async for part in coming:
                if len(part) < _SHORT_BYTES and len(short) < _SHORT_BYTES:  # they go together
                    short += part
                    continue
                for piece in (bytes(short), part) if short else (part,):
                    if not await self._io.send(piece, self._heard):
                        return
                short.clear()
        self._all_sent = not short or await self._io.send(bytes(short), self._heard)

    def _heard(self) -> bool:
        """Whether an answer began, before all was sent."""
        self._head += self._io.read_now(_READ_BYTES)
        return bool(self._head)

    async def _answer(self) -> LongAnswer:
        while (end := self._head.find(_HEAD_END)) < 0:
            if len(self._head) > _MAX_HEAD_BYTES:
                raise OtherFormError
            self._head += await self._io.read_some(_READ_BYTES)
        status, fields = _read_head(self._head[:end])
        held = self._head[end + len(_HEAD_END) :]
        length = fields.get("content-length", "")
        if "transfer-encoding" in fields or not length.isdecimal() or not length.isascii():
            raise OtherFormError
        return LongAnswer(status, fields, SocketBody(self._io, held, int(length)))


def _read_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Status and fields; raises :class:`OtherFormError`."""
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise OtherFormError
    fields = dict[str, str]()
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            raise OtherFormError
        name = field[1].decode("ascii").lower()
        if name in fields and name in {"content-length", "transfer-encoding"}:
            raise OtherFormError
        fields[name] = field[2].decode("latin-1").rstrip()
    return int(status[1]), fields


async def _connected(origin: Origin) -> _Connection:
    """A new connection to one of the origin's addresses; raises what the last of them raised."""
    loop = asyncio.get_running_loop()
    problem: OSError = ConnectionError("the name has no address")
    for address in await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM):
        try:
            return await _connected_to(origin, address)
        except ssl.SSLError:
            raise
        except OSError as cause:
            problem = cause
    raise problem


async def _connected_to(origin: Origin, address: Any) -> _Connection:
    raw = socket.socket(*address[:3]) if origin.make is None else origin.make(address)
    try:
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, address[4])
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw = tls = origin.tls.wrap_socket(raw, server_hostname=origin.host, do_handshake_on_connect=False)
        io = TlsIo(tls)
        await io.shake_hands()
    except BaseException:
        raw.close()
        raise
    return _Connection(tls, io)
