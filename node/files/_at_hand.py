"""Long segments that came last, still in memory: whoever passes one on next need not read it from the disk.

Each is durable before it is here. It is given once, for it goes on once in most cases; whoever wants it again reads it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from keys.transport.segments import BUFFERS
from protocol.files.sealed_file import Segment

# Three of the longest: as many as come at once.
MOST_BYTES = 12 << 20
# A shorter one is read as quickly, with many others.
_LONG_BYTES = 1 << 20
# When nothing came for so long, none is kept any more.
_REST_S = 5.0

_Key = tuple[bytes, int, int]


class SegmentsAtHand:
    """Segments by message, number of the file and index. The oldest make room for others. Event loop only."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._segments: OrderedDict[_Key, Segment] = OrderedDict()
        self._bytes = 0
        self._resting: asyncio.TimerHandle | None = None

    def keep(self, digest: bytes, number: int, segment: Segment) -> None:
        """Keep a segment that was verified and is durable, if it is long; its memory is shared with who brought it."""
        if not _LONG_BYTES <= _bytes(segment) <= self._most_bytes or (digest, number, segment.index) in self._segments:
            return
        BUFFERS.share(segment.data)
        self._segments[digest, number, segment.index] = segment
        self._bytes += _bytes(segment)
        while self._bytes > self._most_bytes:
            self._let_go(next(iter(self._segments)))
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.get_running_loop().call_later(_REST_S, self.clear)

    def take(self, digest: bytes, number: int, index: int) -> Segment | None:
        """The segment, if it is here; whoever takes it gives its memory back."""
        segment = self._segments.pop((digest, number, index), None)
        if segment is not None:
            self._bytes -= _bytes(segment)
        return segment

    def drop(self, digest: bytes) -> None:
        """Keep nothing more of this message."""
        for key in [key for key in self._segments if key[0] == digest]:
            self._let_go(key)

    def clear(self) -> None:
        """Keep nothing more."""
        for key in list(self._segments):
            self._let_go(key)

    def _let_go(self, key: _Key) -> None:
        segment = self.take(*key)
        if segment is not None:
            BUFFERS.put_back([segment.data])


def _bytes(segment: Segment) -> int:
    return memoryview(segment.data).nbytes
