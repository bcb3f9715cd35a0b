"""TLS over a socket of the system, for bodies with segments: long pieces go and come in threads, without copies.

The event loop's own TLS encrypts into memory and copies that three times on its way, in pieces of a few KiB, each of
which wakes the loop. Here a thread reads straight to where a segment is to be, or writes straight from there, and the
interpreter is free meanwhile. A thread works only while bytes flow. While none do, the loop waits: so a peer that is
slow, or says nothing, holds no thread.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

T = TypeVar("T")
Buffer = bytes | bytearray | memoryview
Note = Callable[[memoryview], None]

_THREADS = 16
_NICE = 5
# A thread waits so long for more, and works so long at a time.
_PATIENCE_S = 0.02
_MOST_S = 0.5
_WRITE_BYTES = 256 * 1024  # the library is given at a time
# So much is waited for at once where so much is to come, and is noted at once: it is in the processor's own memory
# still. And so much of it may be in the library's hands already.
_WAKE_BYTES = 256 * 1024
_RECORD_BYTES = 17 * 1024
# Something so short is written from the loop itself: a thread would cost more.
_SHORT_BYTES = 16 * 1024
_DRAINED_BYTES = 64 * 1024
_WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)


def step_back() -> None:
    """Have the processor serve this thread after others, as long as there are any: messages go before files.

    A thread that stepped back stays so.
    """
    with suppress(OSError, AttributeError):  # elsewhere, this would be the whole process
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="segments", initializer=step_back)


async def in_segment_thread(work: Callable[[], T]) -> T:
    """What ``work`` makes, in one of the threads that serve files alone."""
    return await asyncio.get_running_loop().run_in_executor(_threads(), work)


@contextmanager
def _broken() -> Iterator[None]:
    """TLS that goes wrong after the handshake is a connection that broke."""
    try:
        yield
    except ssl.SSLError as problem:
        raise ConnectionResetError("the connection broke") from problem


class TlsIo:
    """One connection. Event loop; one call at a time.

    A call that is cancelled ends the connection: nobody knows how much of it came, or went.
    Every method raises :class:`OSError` where the connection broke; that it ended is :class:`ConnectionResetError`.
    """

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        tls.setblocking(False)
        self._wakes_at = 1

    async def shake_hands(self) -> None:
        """Do the handshake."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._ready(writing=False)
            except ssl.SSLWantWriteError:
                await self._ready(writing=True)
            else:
                return

    def read_now(self, most: int) -> bytes:
        """What is here already, without waiting: empty for nothing."""
        with _broken():
            try:
                data = self._tls.recv(most)
            except _WANTS:
                return b""
        if not data:
            raise ConnectionResetError("the connection was ended")
        return data

    async def read_some(self, most: int) -> bytes:
        """What comes next, at most so much, and never nothing."""
        while not (data := self.read_now(most)):
            await self._ready(writing=False)
        return data

    async def fill(self, view: memoryview, note: Note | None = None) -> None:
        """Read until the view is full; ``note`` is given all of it in order, part by part, in a thread."""
        try:
            while view:
                view = view[await self._in_thread(lambda: self._read(view, note)) :]  # noqa: B023 - it is awaited here
                if view:
                    await self._ready(writing=False, least=len(view))
        finally:
            self._wake_at(1)

    async def send(self, data: Buffer, heard: Callable[[], bool] | None = None) -> bool:
        """Write all of it. Where the peer takes no more, ``heard`` is asked whether it answered: then no more is sent.

        Whether all of it went.
        """
        view = memoryview(data).cast("B")
        if len(view) <= _SHORT_BYTES and self._write_now(view):
            return True
        while view:
            view = view[await self._in_thread(lambda: self._write(view)) :]  # noqa: B023 - it is awaited here
            if view and heard is not None and heard():
                return False
            if view:
                await self._ready(writing=True)
        return True

    def end(self) -> None:
        """Break the connection, also while a thread uses it. Its owner closes it."""
        with suppress(OSError):  # the class's own would have a thread go on without encryption
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)

    # --- Inside ---

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """In a thread; nothing of it goes on when this returns, or raises."""
        doing = self._loop.run_in_executor(_threads(), work)
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            self.end()
            await asyncio.wait({doing})
            if not doing.cancelled():
                doing.exception()
            raise
        finally:
            # Its exception knows this frame, which knows it: all that they hold would stay until somebody looks.
            del doing

    def _read(self, view: memoryview, note: Note | None) -> int:
        """Read for as long as something comes; how much. In a thread."""
        read, filled, noted, until = self._tls.recv_into, 0, 0, time.monotonic() + _MOST_S
        with _broken():
            while filled < len(view):
                try:
                    count = read(view[filled:])
                except _WANTS:
                    if time.monotonic() < until and self._comes(len(view) - filled):
                        continue
                    break
                if not count:
                    raise ConnectionResetError("the connection was ended")
                filled += count
                if note is not None and filled - noted >= _WAKE_BYTES:
                    note(view[noted:filled])
                    noted = filled
        if note is not None and filled > noted:
            note(view[noted:filled])
        return filled

    def _comes(self, least: int) -> bool:
        """Whether more comes soon: as much as is waited for at once. In a thread."""
        self._wake_at(min(_WAKE_BYTES, least - _RECORD_BYTES))
        return self._soon(select.POLLIN)

    def _soon(self, event: int) -> bool:
        poll = select.poll()
        poll.register(self._tls, event)
        return bool(poll.poll(_PATIENCE_S * 1000))

    def _write_now(self, view: memoryview) -> bool:
        """Write what is short from the loop itself; False if it was not taken: then it is to be written again."""
        with _broken():
            try:
                return self._tls.send(view) == len(view)
            except _WANTS:
                return False

    def _write(self, view: memoryview) -> int:
        """Write for as long as it is taken; how much. The rest has to be written again, as it is. In a thread."""
        send, written, until = self._tls.send, 0, time.monotonic() + _MOST_S
        with _broken():
            while written < len(view):
                try:
                    written += send(view[written : written + _WRITE_BYTES])
                except _WANTS:
                    if time.monotonic() >= until or not self._soon(select.POLLOUT):
                        break
        return written

    async def _ready(self, *, writing: bool, least: int = 1) -> None:
        """Return when the peer takes more, or ``least`` bytes came, or as much as is waited for at once."""
        loop, tls, ready = self._loop, self._tls, self._loop.create_future()

        def be_ready() -> None:
            if not ready.done():
                ready.set_result(None)

        if writing:
            loop.add_writer(tls, be_ready)
        else:
            self._wake_at(min(_WAKE_BYTES, least - _RECORD_BYTES))
            loop.add_reader(tls, be_ready)
        try:
            await ready
        finally:
            if writing:
                loop.remove_writer(tls)
            else:
                loop.remove_reader(tls)

    def _wake_at(self, size: int) -> None:
        """Have the system say that something came when so much did."""
        size = max(1, size)
        if size != self._wakes_at:
            with suppress(OSError):
                self._tls.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, size)
            self._wakes_at = size


class SocketBody:
    """The body of a request or an answer: ``length`` bytes, of which ``held`` is the beginning, or more than all of it.

    Event loop. Raises :class:`OSError` where the connection broke.
    """

    def __init__(self, connection: TlsIo, held: bytes, length: int) -> None:
        self._connection = connection
        self._held = memoryview(held)
        self.left = length

    @property
    def behind(self) -> bytes:
        """What came already of what stands behind the body, when that was read."""
        return bytes(self._held)

    async def some(self, most: int) -> bytes:
        """The next bytes, at most so many; empty at the end."""
        most = min(most, self.left)
        part = bytes(self._held[:most])
        self._held = self._held[most:]
        if most and not part:
            part = await self._connection.read_some(most)
        self.left -= len(part)
        return part

    async def fill(self, view: memoryview, note: Note | None = None) -> None:
        """Read until the view is full, which is no longer than what is left; ``note`` is given it in order."""
        length = len(view)
        part, self._held = self._held[:length], self._held[length:]
        view[: len(part)] = part
        if part and note is not None:
            note(part)
        await self._connection.fill(view[len(part) :], note)
        self.left -= length

    async def piece(self, most: int) -> Buffer:
        """The next ``most`` bytes, or all that are left, in memory of their own."""
        if min(most, self.left) <= _SHORT_BYTES:
            return await self.some(most)
        piece = memoryview(bytearray(min(most, self.left)))
        await self.fill(piece)
        return piece

    async def drain(self) -> None:
        """Read what is left, and keep nothing of it."""
        while await self.some(_DRAINED_BYTES):
            pass
