"""A file that arrives on the shelf, segment by segment in any order, each verified against the name before it is kept.

Beside the part lie the leaf hashes of the segments that are here; zeros stand for one that is missing. After a program
was killed, or the power cut, each segment is compared with its leaf hash before it counts as here. Of a file of one
segment that is the root itself, and nothing lies beside it.
Blocking; one program has the file, and any of its threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from exchange.files.shelf import LEAVES, PART, Shelf, on_this_disk
from keys.local.files import PRIVATE_MODE
from keys.local.long_files.cache import CACHED_BYTES, RUN_BYTES, let_go_of_cache, write_out
from keys.local.long_files.past_cache import write_at
from protocol.errors import FileAlteredError
from protocol.files.sealed_file import SealedFile, Segment, segment_hash, verify_segment
from protocol.http.files import Ranges
from protocol.log.frontier import Frontier
from protocol.log.merkle import HASH_BYTES

_MISSING = bytes(HASH_BYTES)


class ArrivingFile:
    """One file of a message that is being fetched into ``place``."""

    def __init__(self, shelf: Shelf, place: str, file: SealedFile) -> None:
        self._shelf = shelf
        self._place = place
        self.file = file
        self.whole = shelf.has(place) and shelf.path(place).stat().st_size == file.length
        self._part = shelf.path(place + PART)
        self._leaves_path = shelf.path(place + LEAVES)
        self._leaves: bytearray | None = None
        self._here = bytearray()  # a byte for each segment: 1 where it is here
        self._descriptor = self._leaves_descriptor = -1
        self._since_written = 0
        self._lock = threading.Lock()  # several requests bring segments of one file at the same time

    def begin(self) -> None:
        """Open what there is of it, and compare it with what was verified."""
        if self.whole or self._leaves is not None:
            return
        with on_this_disk():
            self._shelf.make_room_for(self._part)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._part, flags, PRIVATE_MODE)
            known = self.file.root
            if self.file.segments > 1:
                self._leaves_descriptor = os.open(self._leaves_path, flags, PRIVATE_MODE)
                known = os.pread(self._leaves_descriptor, self.file.segments * HASH_BYTES, 0)
        self._leaves = bytearray(known.ljust(self.file.segments * HASH_BYTES, b"\0"))
        self._here = bytearray(self.file.segments)
        for index in range(len(known) // HASH_BYTES):
            if self._leaf(index) == _MISSING:
                continue
            if self._is_as_verified(index):
                self._here[index] = 1
            else:
                self._set_leaf(index, _MISSING)

    def close(self) -> None:
        """Close it; what is here stays."""
        for descriptor in (self._descriptor, self._leaves_descriptor):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._leaves_descriptor = -1
        self._leaves = None

    def missing(self) -> Ranges:
        """The segments that are not here."""
        if self.whole:
            return ()
        if self._leaves is None:
            return ((0, self.file.segments),) if not self._part.exists() else self._looked()
        return tuple(_runs_of_zeros(self._here))

    def take(self, segment: Segment) -> int:
        """Keep a segment; how many bytes are new by that. Raises :class:`FileAlteredError`."""
        leaf = verify_segment(self.file, segment)
        with self._lock:
            self.begin()
            return 0 if self.whole or self._here[segment.index] else self._keep(segment, leaf)

    def _keep(self, segment: Segment, leaf: bytes) -> int:
        offset, length = self.file.extent(segment.index)
        with on_this_disk():
            self._since_written += write_at(self._descriptor, segment.data, offset)
            self._set_leaf(segment.index, leaf)
            self._here[segment.index] = 1
            if self._since_written >= RUN_BYTES:
                self._write_out(offset - 2 * RUN_BYTES)
        return length

    def _write_out(self, behind: int) -> None:
        """Write out what is not, and let what lies before ``behind`` leave the cache, where segments came before."""
        self._since_written = 0
        write_out(self._descriptor, 0, 0)
        if self.file.length > CACHED_BYTES and behind > 0:
            write_out(self._descriptor, 0, behind, wait=True)
            let_go_of_cache(self._descriptor, 0, behind)

    def complete(self) -> Path | None:
        """The part, when all of it is here and its root is the file's; None before.

        Raises :class:`FileAlteredError`, and begins anew, where what was kept is not what was verified.
        """
        with self._lock:
            return self._completed()

    def _completed(self) -> Path | None:
        if self.whole or self.missing():
            return None
        leaves = self._leaves or bytearray()
        root = Frontier().extended(bytes(leaves[at : at + HASH_BYTES]) for at in range(0, len(leaves), HASH_BYTES))
        self.close()
        if root.root() != self.file.root:
            self._shelf.remove(self._place)
            raise FileAlteredError("what was fetched of a file is not what its name stands for: it is fetched anew")
        return self._part

    def settled(self) -> None:
        """The part has its place now."""
        self.whole = True

    # --- Inside ---

    def _looked(self) -> Ranges:
        self.begin()
        return self.missing()

    def _leaf(self, index: int) -> bytes:
        leaves = self._leaves or b""
        return bytes(leaves[index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def _set_leaf(self, index: int, leaf: bytes) -> None:
        if self._leaves is not None:
            self._leaves[index * HASH_BYTES : (index + 1) * HASH_BYTES] = leaf
            if self._leaves_descriptor >= 0:
                os.pwrite(self._leaves_descriptor, leaf, index * HASH_BYTES)

    def _is_as_verified(self, index: int) -> bool:
        offset, length = self.file.extent(index)
        try:
            data = os.pread(self._descriptor, length, offset)
        except OSError:  # what cannot be read is fetched again, to the same place or not at all
            return False
        return len(data) == length and segment_hash(data) == self._leaf(index)


def _runs_of_zeros(marks: bytearray) -> Iterator[tuple[int, int]]:
    start = marks.find(0)
    while start >= 0:
        end = marks.find(1, start)
        end = len(marks) if end < 0 else end
        yield start, end - start
        start = marks.find(0, end)


def wanted_of(missing: Ranges, held: Ranges) -> Ranges:
    """The segments that are missing here and held there."""
    return tuple(_common(missing, held))


def _common(one: Ranges, other: Ranges) -> Iterator[tuple[int, int]]:
    mine, theirs = list(one), list(other)
    while mine and theirs:
        first = max(mine[0][0], theirs[0][0])
        end = min(sum(mine[0]), sum(theirs[0]))
        if first < end:
            yield first, end - first
        if sum(mine[0]) < sum(theirs[0]):
            mine.pop(0)
        else:
            theirs.pop(0)
