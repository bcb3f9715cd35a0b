"""Segments of files as a node hands them out: each is given on as soon as all of it came."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from keys.transport.client import HttpRequest, SignedClient
from protocol.http.files import FilesHeld, SegmentSent
from protocol.http.segment_streams import Buffer, HeldStream

Took = Callable[[Sequence[SegmentSent]], Awaitable[None]]
"""Is given segments that came, not verified; the next ones wait until it returns."""


class _Memory(bytearray):
    """Is lent until it is given back, or until nobody has it any more."""

    __slots__ = ("buffers", "lent_bytes")

    def __init__(self, buffers: SegmentBuffers, length: int) -> None:
        super().__init__(length)
        self.buffers = buffers
        self.lent_bytes = 0

    def __del__(self) -> None:
        self.buffers.ended(self)


class SegmentBuffers:
    """Memory for segments, used again when one was kept or sent: new memory is fetched page by page, and cleared.

    What is lent and what waits to be lent again are together no more than ``kept_bytes``, as long as no more than that
    is lent. Memory that nobody gives back is simply gone. Any thread.
    """

    def __init__(self, kept_bytes: int) -> None:
        self._kept_bytes = kept_bytes
        # Memory may end, and say so, wherever this thread is.
        self._lock = threading.RLock()
        self._free: list[_Memory] = []
        self._free_bytes = 0
        self.lent_bytes = 0
        """How many bytes are lent now."""
        self.most_bytes = 0
        """How many were at most."""

    def take(self, length: int) -> bytearray:
        """Memory of this length, with anything in it."""
        with self._lock:
            memory = self._found(length)
            self._drop_free(self._kept_bytes - self.lent_bytes - length)
        memory = memory or _Memory(self, length)
        with self._lock:
            memory.lent_bytes = length
            self.lent_bytes += length
            self.most_bytes = max(self.most_bytes, self.lent_bytes)
        return memory

    def give_back(self, segments: Iterable[SegmentSent]) -> None:
        """The memory of these segments, of which nobody reads any more; not where one is a part of it."""
        for one in segments:
            data = one.segment.data
            if isinstance(data, memoryview) and isinstance(data.obj, _Memory) and len(data.obj) == data.nbytes:
                self.put_back((data,))

    def put_back(self, parts: Iterable[Buffer]) -> None:
        """The memory of which these are parts, as far as it was taken here; of all of it nobody reads any more."""
        owners = (part.obj if isinstance(part, memoryview) else part for part in parts)
        for memory in {id(owner): owner for owner in owners if isinstance(owner, _Memory)}.values():
            with self._lock:
                whole = memory.lent_bytes == len(memory)
                self.ended(memory)
                if whole and self.lent_bytes + self._free_bytes + len(memory) <= self._kept_bytes:
                    self._free.append(memory)
                    self._free_bytes += len(memory)

    def ended(self, memory: _Memory) -> None:
        """This memory is not lent any more."""
        with self._lock:
            self.lent_bytes -= memory.lent_bytes
            memory.lent_bytes = 0

    def _found(self, length: int) -> _Memory | None:
        for number, memory in enumerate(self._free):
            if len(memory) == length:
                self._free_bytes -= length
                return self._free.pop(number)
        return None

    def _drop_free(self, room: int) -> None:
        while self._free and self._free_bytes > room:
            self._free_bytes -= len(self._free.pop(0))


KEPT_BYTES = 16 << 20
BUFFERS = SegmentBuffers(KEPT_BYTES)


# Of glibc's mallopt(3): its numbers of the two, and their values.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_FREED_BYTES = 1 << 20


def give_freed_memory_back() -> None:
    """Give memory back to the system that was freed: for a program that moves segments one after the other.

    That of segments is used again here (:data:`BUFFERS`). Each thread of the library keeps more of it by itself, the
    longer the pieces were that were freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another library decides by itself
        mallopt(_TRIM_THRESHOLD, 2 * _FREED_BYTES)
        mallopt(_MMAP_THRESHOLD, _FREED_BYTES)


async def nobody_takes(segments: Sequence[SegmentSent]) -> None:
    """Where none are asked for."""


async def fetch_held(client: SignedClient, request: HttpRequest, took: Took) -> FilesHeld:
    """What the node answers that it holds, without the segments, which ``took`` is given.

    Raises as :meth:`SignedClient.call`, and what ``took`` raises.
    """
    sink = _HeldSink(HeldStream(client.server.title, BUFFERS.take), took)
    await client.call_into(request, sink)
    held = sink.stream.finish()
    if held.segments:
        await took(held.segments)
    return replace(held, segments=())


class _HeldSink:
    """Gives segments on as they become whole."""

    def __init__(self, stream: HeldStream, took: Took) -> None:
        self.stream = stream
        self._took = took

    def place(self) -> memoryview | None:
        return self.stream.place()

    async def feed(self, part: bytes) -> None:
        segments = self.stream.feed(part)
        if segments:
            await self._took(segments)

    async def filled(self) -> None:
        await self._took(self.stream.filled())
