"""A connection to a scanner that may hang, lie or answer without end: every wait and every answer has a limit."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Iterator
from hashlib import sha256
from typing import BinaryIO

CHUNK_BYTES = 65_536
# A scanner that takes less than this in a second hangs, whatever single byte it takes in time.
_SLOWEST_BYTES_PER_S = 262_144
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ScannerFailedError(Exception):
    """The scanner gave no verdict; the argument is the code of the reason. It never leaves this room."""


class AnsweredEarlyError(ScannerFailedError):
    """The scanner answers before it was sent everything: no verdict, where nobody reads what it says."""

    def __init__(self) -> None:
        super().__init__("protocol")


class Conversation:
    """One question to a scanner. Each step raises :class:`ScannerFailedError` where the scanner is too slow or gone."""

    def __init__(self, connected: socket.socket, wait_s: float, size: int) -> None:
        self._socket = connected
        self._wait_s = wait_s
        self._ends = time.monotonic() + wait_s + size / _SLOWEST_BYTES_PER_S
        self._read = b""
        connected.setblocking(False)

    def send(self, data: bytes) -> None:
        """Send all of it; raises :class:`AnsweredEarlyError` where the other side speaks before it has everything."""
        view = memoryview(data)
        while view:
            events = self._wait(select.POLLIN | select.POLLOUT)
            if events & ~select.POLLOUT and self._has_spoken():
                raise AnsweredEarlyError
            if events & select.POLLOUT:
                try:
                    view = view[self._socket.send(view[:CHUNK_BYTES]) :]
                except _NOT_NOW:
                    continue
                except OSError:
                    if self._has_spoken():  # it answered, and then let go of what it had not read
                        raise AnsweredEarlyError from None
                    raise ScannerFailedError("unreachable") from None

    def read_until(self, mark: bytes, most: int) -> bytes:
        """What comes before ``mark``; raises :class:`ScannerFailedError` where that is more than ``most`` bytes."""
        while mark not in self._read:
            if len(self._read) > most:
                raise ScannerFailedError("protocol")
            self._receive()
        found, _, self._read = self._read.partition(mark)
        if len(found) > most:
            raise ScannerFailedError("protocol")
        return found

    def read(self, count: int) -> bytes:
        """At least one byte and at most ``count``; raises :class:`ScannerFailedError` at the end."""
        if not self._read:
            self._receive()
        found, self._read = self._read[:count], self._read[count:]
        return found

    @property
    def has_more(self) -> bool:
        """Whether more came than was read."""
        return bool(self._read)

    def _receive(self) -> None:
        while not self._has_spoken():
            self._wait(select.POLLIN)
        if not self._read:
            raise ScannerFailedError("protocol")

    def _has_spoken(self) -> bool:
        """Whether something came; it is kept. Raises :class:`ScannerFailedError` at the end."""
        try:
            received = self._socket.recv(CHUNK_BYTES)
        except _NOT_NOW:
            return False
        except OSError:
            raise ScannerFailedError("unreachable") from None
        if not received:
            raise ScannerFailedError("protocol")
        self._read += received
        return True

    def _wait(self, events: int) -> int:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise ScannerFailedError("timeout")
        poll = select.poll()
        poll.register(self._socket, events)
        ready = poll.poll(1000 * min(self._wait_s, left))
        if not ready:
            raise ScannerFailedError("timeout")
        return ready[0][1]


class Hashed:
    """A file as it is given to a scanner: its pieces, and what was given in the end."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self._file = file
        self._hash = sha256()
        self._given = 0

    def pieces(self, first: int | None = None) -> Iterator[bytes]:
        """The next ``first`` bytes, or all that are left; raises :class:`ScannerFailedError` if the file changed."""
        left = self.size - self._given if first is None else min(first, self.size - self._given)
        while left:
            piece = self._file.read(min(left, CHUNK_BYTES))
            if not piece:
                raise ScannerFailedError("file-changed")
            self._hash.update(piece)
            self._given += len(piece)
            left -= len(piece)
            yield piece

    @property
    def is_whole(self) -> bool:
        """Whether every byte was given."""
        return self._given == self.size

    def digest(self) -> bytes:
        """SHA-256 of what was given."""
        return self._hash.digest()
