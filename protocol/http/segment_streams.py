"""Bodies with segments as they come and go: a segment is given as soon as all of it is here, and none waits for others.

The bytes are those of :mod:`protocol.http.files`. A body of 4 MiB is never in memory whole: who sends it reads one
segment after the other, who takes it keeps each before the next one is here. Sans-I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocol.encoding import exact
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.files.chunked import MakeMemory
from protocol.files.sealed_file import SegmentHash
from protocol.http.files import (
    MAX_DATA_BYTES,
    MAX_HELD_BYTES,
    MAX_SEGMENTS,
    FilesHeld,
    Ranges,
    SegmentSent,
    decode_held,
    encode_held,
    segment_of,
)
from protocol.log.merkle import HASH_BYTES, MAX_PATH_HASHES

Buffer = bytes | bytearray | memoryview

_ROW = 0x84
# Array and numbers, the path with its head, the head of the data.
_MOST_BEFORE_DATA = 5 + 1 + 9 + 9 + 3 + MAX_PATH_HASHES * HASH_BYTES + 5
_NO_SEGMENTS = b"\x80"
_WITH_HANDS = b"\xa4"


def array_head(segments: int) -> bytes:
    """What stands before so many segments; raises :class:`TooLargeError`."""
    if segments > MAX_SEGMENTS:
        raise TooLargeError(f"at most {MAX_SEGMENTS} segments travel together")
    return exact.head(0x80, segments)


def segment_head(file: int, index: int, path: Buffer, data_bytes: int) -> bytes:
    """What stands before the data of one segment; ``path`` is its hashes, one behind the other."""
    numbers = exact.put_unsigned(file) + exact.put_unsigned(index)
    return b"\x84" + numbers + exact.put_bytes(bytes(path)) + exact.head(0x40, data_bytes)


def segment_bytes(file: int, index: int, path_hashes: int, data_bytes: int) -> int:
    """How long a segment is in a body, before anything of it was read."""
    path = path_hashes * HASH_BYTES
    numbers = len(exact.put_unsigned(file)) + len(exact.put_unsigned(index))
    return 1 + numbers + len(exact.head(0x40, path)) + path + len(exact.head(0x40, data_bytes)) + data_bytes


def held_head(file_list: bytes, held: Sequence[Ranges], segments: int) -> bytes:
    """What stands before the segments of an answer with :class:`FilesHeld`."""
    return encode_held(FilesHeld(file_list, tuple(held)))[: -len(_NO_SEGMENTS)] + array_head(segments)


class SegmentStream:
    """The segments of a body that comes in pieces, which nobody may change afterwards.

    Or else, where its reader can put bytes wherever it likes: it is told the :meth:`place` of the next ones, in memory
    that ``make`` gives, may :meth:`note` them in order as they come, and says when all of that is :meth:`filled`.
    """

    def __init__(self, make: MakeMemory = bytearray) -> None:
        self._make_memory = make
        self._before = bytearray()  # what came of the next segment's head
        self._left: int | None = None  # segments that are still to begin; None: the array did not begin yet
        self._room = MAX_DATA_BYTES
        self._head: tuple[int, int, bytes] | None = None
        self._parts: list[memoryview] = []
        self._place: memoryview | None = None
        self._lacking = 0
        self._leaf = SegmentHash()

    def feed(self, piece: Buffer) -> list[SegmentSent]:
        """More of the body: the segments that it makes whole; raises :class:`MalformedError`, :class:`TooLargeError`.

        A segment that was given counts, whatever comes behind it.
        """
        view, found = memoryview(piece).cast("B"), list[SegmentSent]()
        while view:
            if self._head is None:
                view = self._begin(view)
            else:
                part, view = view[: self._lacking], view[self._lacking :]
                self._parts.append(part)
                self._lacking -= len(part)
            if self._head is not None and not self._lacking:
                found.append(self._made(self._head))
        return found

    def place(self, least: int = 0) -> memoryview | None:
        """Where the rest of the segment that came in part is to be; None before its numbers are here.

        Also None where that is less than ``least``.
        """
        if self._head is None or (self._place is None and self._lacking < least):
            return None
        if self._place is None:
            before = sum(map(len, self._parts))
            whole = self._place = memoryview(self._make_memory(before + self._lacking))
            self._leaf = SegmentHash()
            for part in self._parts:
                whole[: len(part)], whole = part, whole[len(part) :]
                self._leaf.update(part)
        return self._place[-self._lacking :]

    def note(self, part: memoryview) -> None:
        """The next bytes of :meth:`place` are there: they are hashed. From any thread."""
        self._leaf.update(part)

    def filled(self) -> list[SegmentSent]:
        """All of its :meth:`place` was filled: the segment."""
        place, head, self._place = self._place, self._head, None
        if place is None or head is None:
            raise RuntimeError("no place was asked for")
        self._parts, self._lacking = [], 0
        sent = self._made(head, place)
        if self._leaf.hashed != len(place):
            return [sent]
        return [replace(sent, segment=replace(sent.segment, leaf=self._leaf.digest()))]

    def finish(self) -> None:
        """Return if the body ended where it should; raises :class:`MalformedError`."""
        if self._head is not None or self._before or self._left != 0:
            raise MalformedError("the body ends before its segments do")

    # --- Inside ---

    def _made(self, head: tuple[int, int, bytes], data: memoryview | None = None) -> SegmentSent:
        parts, self._parts, self._head = self._parts, [], None
        if data is None:
            data = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
        return segment_of(*head, data)

    def _begin(self, view: memoryview) -> memoryview:
        """Read the head of the next segment, when all of it is here: what is behind it."""
        if self._left == 0:
            raise MalformedError("something stands behind the last segment")
        before = len(self._before)
        self._before += view[:_MOST_BEFORE_DATA]
        try:
            end = self._read_head(bytes(self._before))
        except exact.NOT_EXACT as problem:
            if isinstance(problem, TooLargeError) or len(self._before) >= _MOST_BEFORE_DATA:
                raise _malformed(problem) from problem
            return view[len(self._before) - before :]
        self._before.clear()
        return view[end - before :]

    def _read_head(self, data: bytes) -> int:
        """Take over the head of a segment; where it ends. Raises one of :data:`exact.NOT_EXACT` while it is cut."""
        at, left = 0, self._left
        if left is None:
            left, at = exact.count(data, 0)
            if left > MAX_SEGMENTS:
                raise TooLargeError(f"at most {MAX_SEGMENTS} segments travel together")
            if left == 0:
                self._left = 0
                return at
        if data[at] != _ROW:
            raise exact.InexactError
        file, at = exact.unsigned(data, at + 1)
        index, at = exact.unsigned(data, at)
        path, at = exact.byte_string(data, at)
        start, end = exact.byte_span(data, at)
        if start > len(data):
            raise exact.InexactError
        if end - start > self._room:
            raise TooLargeError(f"at most {MAX_DATA_BYTES} bytes of segments travel together")
        # Its numbers are judged before any of its data is waited for.
        segment_of(file, index, path, memoryview(b"\0" if end > start else b""))
        self._left, self._room = left - 1, self._room - (end - start)
        self._head, self._lacking = (file, index, path), end - start
        return start


class HeldStream:
    """An answer with :class:`FilesHeld` that comes in pieces; its segments are given as they become whole.

    One that tells of hands has no segments, or gives them at its end.
    """

    def __init__(self, source: str, make: MakeMemory = bytearray) -> None:
        self._source = source
        self._before = bytearray()
        self._held: FilesHeld | None = None
        self._segments = SegmentStream(make)

    def feed(self, piece: Buffer) -> list[SegmentSent]:
        """More of the answer: the segments that it makes whole; raises :class:`PeerFailedError`."""
        try:
            if self._held is not None:
                return self._segments.feed(piece)
            self._before += piece
            end = self._read_head()
            return [] if end is None else self._segments.feed(self._rest(end))
        except (MalformedError, TooLargeError) as problem:
            raise self._nonsense() from problem

    def place(self, least: int = 0) -> memoryview | None:
        """As :meth:`SegmentStream.place`."""
        return None if self._held is None else self._segments.place(least)

    def note(self, part: memoryview) -> None:
        """As :meth:`SegmentStream.note`."""
        self._segments.note(part)

    def filled(self) -> list[SegmentSent]:
        """As :meth:`SegmentStream.filled`."""
        return self._segments.filled()

    def finish(self) -> FilesHeld:
        """What the node holds, without the segments that were given already; raises :class:`PeerFailedError`."""
        if self._held is None:  # the general reader says what is wrong with it
            return decode_held(bytes(self._before), self._source)
        try:
            self._segments.finish()
        except MalformedError as problem:
            raise self._nonsense() from problem
        return self._held

    def _read_head(self) -> int | None:
        """Where the segments begin, if all that stands before them is here."""
        if self._before.startswith(_WITH_HANDS):
            if len(self._before) > MAX_HELD_BYTES:
                raise TooLargeError
            return None
        data = bytes(self._before[: MAX_HELD_BYTES - MAX_DATA_BYTES])
        try:
            list_end = exact.byte_span(data, 2)[1]
            end = _end_of_ranges(data, list_end + 1)
            if data[end] != 3:
                raise exact.InexactError
            self._held = decode_held(data[: end + 1] + _NO_SEGMENTS, self._source)
        except exact.NOT_EXACT as problem:
            if len(data) >= MAX_HELD_BYTES - MAX_DATA_BYTES:
                raise MalformedError("the answer does not begin as the interface defines") from problem
            return None
        return end + 1

    def _rest(self, end: int) -> memoryview:
        rest = memoryview(bytes(self._before[end:]))
        self._before.clear()
        return rest

    def _nonsense(self) -> PeerFailedError:
        return PeerFailedError(f"{self._source} answered with something other than what the interface defines")


def _end_of_ranges(data: bytes, at: int) -> int:
    """Where the ranges of all files end; raises one of :data:`exact.NOT_EXACT` while more is needed."""
    files, at = exact.count(data, at)
    for _ in range(files):
        count, at = exact.count(data, at)
        for _ in range(count):
            _, at = exact.unsigneds(data, at, 2)
    return at


def _malformed(problem: Exception) -> ComityError:
    if isinstance(problem, ComityError):
        return problem
    return MalformedError("segments are an array of a file's number, an index, a path and data each")
