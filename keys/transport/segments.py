"""Segments of files as a node hands them out: each is given on as soon as all of it came."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from keys.local.long_files.past_cache import PAGE_BYTES, behind_page
from keys.transport.client import HttpRequest, SignedClient
from protocol.http.files import FilesHeld, SegmentSent
from protocol.http.segment_streams import Buffer, HeldStream

Took = Callable[[Sequence[SegmentSent]], Awaitable[None]]
"""Is given segments that came, not verified; the next ones wait until it returns."""


class _Memory(bytearray):
    """Is lent until all who have it gave it back, or until nobody has it any more.

    It lends ``length`` bytes, from the beginning of its first whole page on.
    """

    __slots__ = ("buffers", "holders", "length", "lent_bytes", "page")

    def __init__(self, buffers: SegmentBuffers, length: int) -> None:
        super().__init__(length + PAGE_BYTES - 1)
        self.buffers = buffers
        self.length = length
        self.page = behind_page(self)
        self.holders = 0
        self.lent_bytes = 0

    def __del__(self) -> None:
        self.buffers.ended(self)


class SegmentBuffers:
    """Memory for segments, used again when one was kept or sent: new memory is fetched page by page, and cleared.

    All of it begins with a page, so that it may go past the system's cache (:mod:`keys.local.long_files.past_cache`).
    No more than ``kept_bytes`` wait to be lent again, and they give place to memory of another length. Memory that
    nobody gives back is simply gone. Any thread.
    """

    def __init__(self, kept_bytes: int) -> None:
        self._kept_bytes = kept_bytes
        # Memory may end, and say so, wherever this thread is.
        self._lock = threading.RLock()
        self._free: list[_Memory] = []
        self.free_bytes = 0
        """How many bytes wait to be lent again."""
        self.lent_bytes = 0
        """How many bytes are lent now."""
        self.most_bytes = 0
        """How many were at most."""

    def take(self, length: int) -> memoryview:
        """Memory of this length, with anything in it."""
        with self._lock:
            memory = self._found(length)
        memory = memory or _Memory(self, length)
        with self._lock:
            memory.holders, memory.lent_bytes = 1, length
            self.lent_bytes += length
            self.most_bytes = max(self.most_bytes, self.lent_bytes)
        return memoryview(memory)[memory.page : memory.page + length]

    def take_for(self, length: int, before: int = 0) -> memoryview:
        """As :meth:`take`, of memory that is as long for a segment alone as for one behind its path.

        Of these bytes, so many stand ``before`` the beginning of a page: a page at most.
        """
        start = PAGE_BYTES - before if before else 0
        longer = -(-(length + PAGE_BYTES) // _ROUND_BYTES) * _ROUND_BYTES
        return self.take(longer)[start : start + length]

    def share(self, part: Buffer) -> None:
        """One more has the memory of which this is a part, if it was taken here: it is free when each gave it back."""
        memory = part.obj if isinstance(part, memoryview) else part
        if isinstance(memory, _Memory) and memory.buffers is self:
            with self._lock:
                memory.holders += 1

    def give_back(self, segments: Iterable[SegmentSent]) -> None:
        """The memory of these segments, of which the caller reads no more."""
        self.put_back(one.segment.data for one in segments)

    def put_back(self, parts: Iterable[Buffer]) -> None:
        """The memory of which these are parts, as far as it was taken here; who gives it back reads it no more."""
        owners = (part.obj if isinstance(part, memoryview) else part for part in parts)
        for memory in {id(owner): owner for owner in owners if isinstance(owner, _Memory)}.values():
            if memory.buffers is not self:
                continue
            with self._lock:
                memory.holders -= 1
                if memory.holders > 0:
                    continue
                was_lent = bool(memory.lent_bytes)
                self.ended(memory)
                if was_lent and self.free_bytes + memory.length <= self._kept_bytes:
                    self._free.append(memory)
                    self.free_bytes += memory.length

    def ended(self, memory: _Memory) -> None:
        """This memory is not lent any more."""
        with self._lock:
            self.lent_bytes -= memory.lent_bytes
            memory.lent_bytes = 0

    def _found(self, length: int) -> _Memory | None:
        for number, memory in enumerate(self._free):
            if memory.length == length:
                self.free_bytes -= length
                return self._free.pop(number)
        dropped = 0
        while self._free and dropped < length:
            dropped += self._free.pop(0).length
        self.free_bytes -= dropped
        return None


KEPT_BYTES = 32 << 20
_ROUND_BYTES = 16 * 1024
LONG_BYTES = 64 * 1024
"""A segment of which so much is missing is read to where it is to be; shorter ones are read many at a time."""
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
        mallopt(_TRIM_THRESHOLD, 4 * _FREED_BYTES)
        mallopt(_MMAP_THRESHOLD, _FREED_BYTES)


async def nobody_takes(segments: Sequence[SegmentSent]) -> None:
    """Where none are asked for."""


async def fetch_held(client: SignedClient, request: HttpRequest, took: Took) -> FilesHeld:
    """What the node answers that it holds, without the segments, which ``took`` is given.

    Raises as :meth:`SignedClient.call`, and what ``took`` raises.
    """
    sink = _HeldSink(HeldStream(client.server.title, BUFFERS.take_for), took)
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
        return self.stream.place(LONG_BYTES)

    async def feed(self, part: Buffer) -> None:
        segments = self.stream.feed(part)
        if segments:
            await self._took(segments)

    def note(self, part: memoryview) -> None:
        self.stream.note(part)

    async def filled(self) -> None:
        await self._took(self.stream.filled())
