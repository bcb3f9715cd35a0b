"""Segments of sealed files on the shelf, with the paths that prove them; and which of them are still to be moved."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from exchange.files.sealing import LEAVES_FROM, segments_of
from exchange.files.shelf import LEAVES, Shelf
from protocol.errors import FileNotHereError
from protocol.files.file_list import FileList
from protocol.files.sealed_file import SealedFile, Segment, SegmentTree, segment_hash
from protocol.http.files import Ranges, SegmentSent
from protocol.log.merkle import HASH_BYTES

REQUEST_BYTES = 1 << 20
"""One request moves so much: a segment, or many small files. What a kill makes be moved again is no more."""
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

    def __init__(self, shelf: Shelf, files: FileList, places: Places) -> None:
        self._shelf = shelf
        self._files = files
        self._places = places
        self._trees: OrderedDict[int, SegmentTree] = OrderedDict()

    def read(self, batch: Batch) -> list[SegmentSent]:
        """The segments of a batch; raises :class:`FileNotHereError`."""
        return [self._segment(number, index) for number, index in batch]

    def _segment(self, number: int, index: int) -> SegmentSent:
        file = self._files.files[number]
        offset, length = file.extent(index)
        with self._shelf.reading(self._places[number]) as descriptor:
            data = os.pread(descriptor, length, offset)
        if len(data) != length:
            raise FileNotHereError("the sealed file on this desk's shelf is shorter than it was")
        path = self._tree(number).path(index) if file.segments > 1 else ()
        return SegmentSent(number, Segment(index, path, data))

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
