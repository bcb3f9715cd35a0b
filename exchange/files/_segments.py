"""Segments of sealed files on the shelf, with the paths that prove them; and which of them are still to be moved."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterator, Sequence

from exchange.files.sealing import LEAVES_FROM, segments_of
from exchange.files.shelf import LEAVES, Shelf, off_this_disk
from keys.local.long_files.past_cache import read_at
from keys.transport.client import StreamedBody
from keys.transport.precedence import Precedence
from keys.transport.segments import BUFFERS
from keys.transport.tls_io import in_segment_thread
from protocol.errors import FileNotHereError
from protocol.files.file_list import FileList
from protocol.files.sealed_file import SealedFile, Segment, SegmentTree, path_hashes, segment_hash
from protocol.http.files import Ranges, SegmentSent
from protocol.http.segment_streams import Buffer, array_head, segment_bytes, segment_head
from protocol.http.wire import CONTENT_TYPE
from protocol.log.merkle import HASH_BYTES

REQUEST_BYTES = 1 << 20
"""One request moves so much, in many small files; or else a single segment, so that after a kill no more than that is
moved again for each request that was under way."""
_RUN_BYTES = 1 << 20  # is read at a time
_JOINED_BYTES = 1 << 20  # what is shorter is sent together with what stands before it
_PIECE_BYTES = 2 << 20  # each is encrypted by itself, and other requests have their turn in between
REQUEST_SEGMENTS = 256
_TREES = 2  # kept: those of the files that are on their way now

Places = Sequence[str]
Batch = list[tuple[int, int]]
"""Segments that go together: (number of the file, index)."""


def batches(files: FileList, missing: Sequence[Ranges]) -> Iterator[Batch]:
    """The missing segments in parts that one request moves, in the order of the files."""
    part, size = Batch(), 0
    for number, ranges in enumerate(missing):
        file = files.files[number]
        for first, count in ranges:
            for index in range(first, min(first + count, file.segments)):
                length = file.extent(index)[1]
                if part and (size + length > REQUEST_BYTES or len(part) == REQUEST_SEGMENTS):
                    yield part
                    part, size = [], 0
                part.append((number, index))
                size += length
    if part:
        yield part


def count_bytes(file: SealedFile, ranges: Ranges) -> int:
    """How many bytes these segments of a file have."""
    total = 0
    for first, count in ranges:
        last = min(first + count, file.segments) - 1
        if last >= first:
            offset, length = file.extent(last)
            total += offset + length - file.extent(first)[0]
    return total


class ShelfReader:
    """Reads segments of one message's files, each with its path. Blocking."""

    def __init__(self, shelf: Shelf, files: FileList, places: Places, first: Precedence | None = None) -> None:
        self._shelf = shelf
        self._files = files
        self._places = places
        self._first = first or Precedence()
        self._trees: OrderedDict[int, SegmentTree] = OrderedDict()
        self._lock = threading.Lock()  # several requests read at the same time
        self.failed: FileNotHereError | None = None
        """Why a body broke off."""

    def body(self, batch: Batch) -> StreamedBody:
        """A body with the segments of a batch, read while it is sent; its parts raise :class:`FileNotHereError`."""
        length = len(array_head(len(batch))) + sum(self._length(*place) for place in batch)
        return StreamedBody(length, CONTENT_TYPE, lambda: self._parts(batch))

    def _length(self, number: int, index: int) -> int:
        file = self._files.files[number]
        return segment_bytes(number, index, path_hashes(index, file.segments), file.extent(index)[1])

    async def _parts(self, batch: Batch) -> AsyncIterator[Buffer]:
        yield array_head(len(batch))
        ahead: asyncio.Future[list[Buffer]] | None = None
        for run in [*self._runs(batch), None]:
            coming, ahead = ahead, None if run is None else self._reading(run)
            if coming is not None:
                parts = await coming
                for part in parts:
                    await self._first.messages_first()
                    yield part
                BUFFERS.put_back(parts)

    def _reading(self, run: Batch) -> asyncio.Future[list[Buffer]]:
        return asyncio.ensure_future(in_segment_thread(lambda: self._encoded(run)))

    def _runs(self, batch: Batch) -> Iterator[Batch]:
        run, size = Batch(), 0
        for number, index in batch:
            length = self._files.files[number].extent(index)[1]
            if run and size + length > _RUN_BYTES:
                yield run
                run, size = [], 0
            run.append((number, index))
            size += length
        if run:
            yield run

    def read(self, batch: Batch) -> list[SegmentSent]:
        """The segments of a batch; raises :class:`FileNotHereError`. Blocking."""
        return [self._segment(number, index) for number, index in batch]

    def _encoded(self, run: Batch) -> list[Buffer]:
        """Segments as a body carries them, small ones joined; raises :class:`FileNotHereError`."""
        parts, small = list[Buffer](), bytearray()
        try:
            for one in self.read(run):
                data = memoryview(one.segment.data)
                small += segment_head(one.file, one.segment.index, b"".join(one.segment.path), len(data))
                if len(data) < _JOINED_BYTES:
                    small += data
                    continue
                parts.append(bytes(small))
                small.clear()
                parts += [data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)]
        except FileNotHereError as problem:
            self.failed = problem
            raise
        return [*parts, bytes(small)] if small else parts

    def _segment(self, number: int, index: int) -> SegmentSent:
        path = self._path(number, index) if self._files.files[number].segments > 1 else ()
        return SegmentSent(number, Segment(index, path, self._data(number, index)))

    def _data(self, number: int, index: int) -> memoryview:
        file = self._files.files[number]
        offset, length = file.extent(index)
        with self._shelf.reading(self._places[number]) as descriptor:
            data = BUFFERS.take(length)
            with off_this_disk():
                filled = read_at(descriptor, data, offset)
        if filled != length:
            raise FileNotHereError("the sealed file on this desk's shelf is shorter than it was")
        return data

    def _path(self, number: int, index: int) -> tuple[bytes, ...]:
        with self._lock:
            return self._tree(number).path(index)

    def _tree(self, number: int) -> SegmentTree:
        tree = self._trees.get(number)
        if tree is None:
            tree = self._trees[number] = self._made(number)
            while len(self._trees) > _TREES:
                self._trees.popitem(last=False)
        self._trees.move_to_end(number)
        return tree

    def _made(self, number: int) -> SegmentTree:
        file, place = self._files.files[number], self._places[number]
        if file.segments >= LEAVES_FROM:
            leaves = self._kept_leaves(place, file)
            tree = SegmentTree(leaves[at : at + HASH_BYTES] for at in range(0, len(leaves), HASH_BYTES))
            if tree.size == file.segments and tree.root == file.root:
                return tree
        with self._shelf.reading(place) as descriptor:
            tree = SegmentTree(segment_hash(segment) for segment in segments_of(descriptor, file))
        if tree.root != file.root:
            raise FileNotHereError("the sealed file on this desk's shelf is not the one that its name stands for")
        return tree

    def _kept_leaves(self, place: str, file: SealedFile) -> bytes:
        try:
            with self._shelf.path(place + LEAVES).open("rb") as kept:
                return kept.read(file.segments * HASH_BYTES + 1)
        except OSError:
            return b""
