"""A connection of the public listener: TLS over the system's socket, in the hands of the library's handler.

It may be lent for a body with segments, which then goes or comes in threads (:mod:`keys.transport.tls_io`). Meanwhile
the handler neither reads nor writes; who breaks the connection then breaks it for the borrower.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import cast

from keys.transport.tls_io import Buffer, TlsIo

# A record of TLS has at most 16 KiB: so many are handed on together.
_RECORD_BYTES = 16 * 1024
_RECORDS = 16
_HIGH_BYTES = 64 * 1024
_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


class TlsTransport(asyncio.Transport):
    """A connection on which the handshake was done, for ``protocol``. Event loop only."""

    def __init__(self, tls: ssl.SSLSocket, protocol: asyncio.Protocol) -> None:
        super().__init__({"socket": tls, "peername": tls.getpeername(), "sslcontext": tls.context, "ssl_object": tls})
        self._loop = asyncio.get_running_loop()
        self._tls = tls
        self._protocol = protocol
        self._waiting: deque[memoryview] = deque()
        self._waiting_bytes = 0
        self._high, self._low = _HIGH_BYTES, _HIGH_BYTES // 4
        self._reads = self._writes = False  # whether the loop watches for what comes, or may go
        self._wants_to_read = True
        self._over_full = False
        self._closing = self._gone = False
        self._borrower: TlsIo | None = None
        self._drained: asyncio.Future[None] | None = None
        protocol.connection_made(self)
        self._watch()

    # --- For the handler ---

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See :class:`asyncio.Transport`."""
        self._protocol = cast(asyncio.Protocol, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """See :class:`asyncio.Transport`."""
        return self._protocol

    def is_reading(self) -> bool:
        """See :class:`asyncio.Transport`."""
        return self._wants_to_read and not self._closing

    def pause_reading(self) -> None:
        """See :class:`asyncio.Transport`."""
        self._wants_to_read = False
        self._watch()

    def resume_reading(self) -> None:
        """See :class:`asyncio.Transport`."""
        self._wants_to_read = True
        self._watch()

    def get_write_buffer_size(self) -> int:
        """See :class:`asyncio.Transport`."""
        return self._waiting_bytes

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """See :class:`asyncio.Transport`."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """See :class:`asyncio.Transport`."""
        self._high = _HIGH_BYTES if high is None else high
        self._low = self._high // 4 if low is None else low

    def can_write_eof(self) -> bool:
        """See :class:`asyncio.Transport`: an end of one direction is none in TLS as members speak it."""
        return False

    def write(self, data: Buffer) -> None:
        """See :class:`asyncio.Transport`."""
        if self._closing or not data:
            return
        # It waits as it was given, also where its giver changes it meanwhile.
        self._waiting.append(memoryview(data if isinstance(data, bytes) else bytes(data)))
        self._waiting_bytes += len(data)
        if len(self._waiting) == 1 and self._borrower is None:
            self._write_on()
        if not self._over_full and self._waiting_bytes > self._high:
            self._over_full = True
            self._protocol.pause_writing()

    def is_closing(self) -> bool:
        """See :class:`asyncio.Transport`."""
        return self._closing

    def close(self) -> None:
        """See :class:`asyncio.Transport`."""
        if self._closing:
            return
        self._closing = True
        self._watch()
        if not self._waiting and self._borrower is None:
            self._leave(None)

    def abort(self) -> None:
        """See :class:`asyncio.Transport`."""
        self._fail(None)

    # --- For bodies with segments ---

    async def written(self) -> None:
        """Return when nothing waits to be written; raises :class:`ConnectionResetError` when the connection goes."""
        while self._waiting and not self._closing:
            self._drained = self._loop.create_future()
            await self._drained
        if self._closing:
            raise ConnectionResetError("the connection is gone")

    @contextmanager
    def lent(self) -> Iterator[TlsIo]:
        """The connection, for the length of the block. Raises :class:`ConnectionResetError` when it is gone."""
        if self._closing or self._borrower is not None or self._waiting:
            raise ConnectionResetError("the connection is not free")
        self._borrower = borrower = TlsIo(self._tls)
        self._watch()
        try:
            yield borrower
        finally:
            self._borrower = None
            if self._closing:
                self._leave(None)
            else:
                self._watch()
                if self._waiting:
                    self._write_on()

    # --- Inside ---

    def _watch(self) -> None:
        """Have the loop tell of what comes, or not."""
        reads = self._wants_to_read and not self._closing and self._borrower is None
        if reads and not self._reads:
            self._loop.add_reader(self._tls, self._read_on)
            if self._tls.pending():  # a borrower read a part of a record: of the rest, the system knows nothing
                self._loop.call_soon(self._read_on)
        elif self._reads and not reads:
            self._loop.remove_reader(self._tls)
        self._reads = reads

    def _read_on(self) -> None:
        # The first record may say that the rest is read by threads: so it is handed on alone.
        ended = self._reads and self._read_records(1)
        if self._reads and not ended:
            ended = self._read_records(_RECORDS - 1)
        if ended and not self._closing:
            # A request that came with the end is begun first: then its handler is told that the rest is missing.
            self._reads = False
            self._loop.remove_reader(self._tls)
            self._loop.call_soon(self._ended)

    def _read_records(self, most: int) -> bool:
        """Hand on what is here, at most so many records; whether the peer says nothing more."""
        parts = list[bytes]()
        ended = False
        try:
            for _ in range(most):
                part = self._tls.recv(_RECORD_BYTES)
                if not part:
                    ended = True
                    break
                parts.append(part)
        except _WANTS:
            pass
        except OSError as problem:
            self._fail(problem)
            return False
        if parts:
            self._protocol.data_received(parts[0] if len(parts) == 1 else b"".join(parts))
        return ended

    def _ended(self) -> None:
        """The peer says nothing more."""
        if not self._closing:
            self._protocol.eof_received()
            self.close()

    def _write_on(self) -> None:
        """Write what waits, as far as it is taken."""
        try:
            while self._waiting:
                self._tls.send(self._waiting[0])
                self._waiting_bytes -= len(self._waiting.popleft())
        except _WANTS:
            if not self._writes:
                self._loop.add_writer(self._tls, self._write_on)
                self._writes = True
            return
        except OSError as problem:
            self._fail(problem)
            return
        self._watch_no_writing()
        self._tell_drained()
        if self._over_full and self._waiting_bytes <= self._low:
            self._over_full = False
            self._protocol.resume_writing()
        if self._closing:
            self._leave(None)

    def _watch_no_writing(self) -> None:
        if self._writes:
            self._loop.remove_writer(self._tls)
            self._writes = False

    def _tell_drained(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _fail(self, problem: Exception | None) -> None:
        """The connection broke, or is broken off: nothing more goes or comes."""
        self._closing = True
        self._waiting.clear()
        self._waiting_bytes = 0
        self._tell_drained()
        self._watch()
        if self._borrower is not None:
            self._borrower.end()
        else:
            self._leave(problem)

    def _leave(self, problem: Exception | None) -> None:
        if self._gone:
            return
        self._gone = True
        self._watch_no_writing()
        self._loop.call_soon(self._left, problem)

    def _left(self, problem: Exception | None) -> None:
        try:
            self._protocol.connection_lost(problem)
        finally:
            with suppress(OSError, ValueError):
                self._tls.unwrap()  # says that it was meant to end; the peer's word is not waited for
            self._tls.close()


async def serve_tls(tls: ssl.SSLSocket, made: Callable[[], asyncio.Protocol], timeout_s: float) -> TlsTransport:
    """Do the handshake and hand the connection to a protocol; raises :class:`OSError`, and closes it then."""
    try:
        async with asyncio.timeout(timeout_s):
            await TlsIo(tls).shake_hands()
        return TlsTransport(tls, made())
    except BaseException:
        tls.close()
        raise
