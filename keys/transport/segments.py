"""Segments of files as a node hands them out: each is given on as soon as all of it came."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from keys.transport.client import HttpRequest, SignedClient
from protocol.files.file_list import FileList
from protocol.http.files import FilesHeld, SegmentSent
from protocol.http.segment_streams import HeldStream

Took = Callable[[Sequence[SegmentSent]], Awaitable[None]]
"""Is given segments that came, not verified; the next ones wait until it returns."""


class SegmentBuffers:
    """Memory for segments that come, used again when one was kept: new memory is fetched page by page, and cleared.

    Memory that nobody gives back is simply gone. Any thread.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._free: list[bytearray] = []

    def take(self, length: int) -> bytearray:
        """Memory of this length, with anything in it."""
        with self._lock:
            for number, buffer in enumerate(self._free):
                if len(buffer) == length:
                    return self._free.pop(number)
        return bytearray(length)

    def give_back(self, segments: Iterable[SegmentSent]) -> None:
        """The memory of these segments, of which nobody reads any more; not where one is a part of it."""
        for one in segments:
            data = one.segment.data
            memory = data.obj if isinstance(data, memoryview) else None
            if isinstance(memory, bytearray) and len(memory) == memoryview(data).nbytes:
                with self._lock:
                    if len(self._free) < self._most:
                        self._free.append(memory)


BUFFERS = SegmentBuffers(2)
_LONG_SEGMENT_BYTES = 2 << 20


def requests_at_once(most: int, files: FileList) -> int:
    """Of so many requests with segments at once, how many where these files have longer ones: as much in memory."""
    longest = max((min(file.segment_bytes, file.length) for file in files.files), default=0)
    if longest <= _LONG_SEGMENT_BYTES:
        return most
    return max(min(most, 2), most * _LONG_SEGMENT_BYTES // longest)


# Of glibc's mallopt(3): its numbers of the two, and what is freed and not given back to the system.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 16 << 20


def keep_freed_memory() -> None:
    """Keep some memory that was freed for what comes next: for a program that moves segments one after the other.

    Else each buffer of a MiB is fetched from the system page by page, and given back: a tenth of all the work.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # another library decides by itself
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _KEPT_BYTES)


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
