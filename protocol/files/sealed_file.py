"""A sealed file as others see it: its segments, each of which proves itself, and its name, which commits to all.

::

    segments = the ciphertext cut every segment_bytes, the last one shorter and never empty
    root     = RFC 6962 root over the segments as leaves
    name     = SHA-256("comity/v1/file" 0x00 || suite(1) || segment_bytes(4) || ciphertext length(8) || root(32))

All numbers are big-endian.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from protocol.encoding.padme import MIN_BYTES, padded_size
from protocol.errors import FileAlteredError, MalformedError, ProofInvalidError
from protocol.files import chunked
from protocol.files.chunked import Buffer
from protocol.log.merkle import EMPTY_ROOT, HASH_BYTES, MAX_PATH_HASHES, node_hash, verify_inclusion

SUITE = 1
NAME_BYTES = 32
SEGMENT_SIZES = (1 << 20, 1 << 21, 1 << 22)
DEFAULT_SEGMENT_BYTES = SEGMENT_SIZES[0]
# The largest whole number that every JSON reader keeps exact.
MAX_FILE_BYTES = (1 << 53) - 1
MIN_LENGTH = chunked.ciphertext_length(MIN_BYTES)

_NAME_DOMAIN = b"comity/v1/file\0"
_LEAF = b"\x00"


def sealed_length(file_bytes: int) -> int:
    """How long the sealed file of so many bytes is, its padding included; raises :class:`TooLargeError`.

    A file has fewer than 2^52 bytes: as many as its chunks can be counted.
    """
    if file_bytes < 0:
        raise MalformedError("no file has fewer bytes than none")
    return chunked.ciphertext_length(padded_size(file_bytes))


class SegmentHash:
    """The leaf hash of a segment that comes in parts; ``hashed`` is how many bytes came."""

    __slots__ = ("_hash", "hashed")

    def __init__(self) -> None:
        self._hash = sha256(_LEAF)
        self.hashed = 0

    def update(self, part: memoryview) -> None:
        """More of its data."""
        self._hash.update(part)
        self.hashed += len(part)

    def digest(self) -> bytes:
        """The leaf hash of all that came."""
        return self._hash.digest()


def segment_hash(data: Buffer) -> bytes:
    """The leaf hash of a segment: ``SHA-256(00 || data)``, without a copy of the data."""
    hash_ = sha256(_LEAF)
    hash_.update(data)
    return hash_.digest()


@dataclass(frozen=True, slots=True)
class SealedFile:
    """What identifies a sealed file: the suite, its segments' size, the length of its ciphertext, and the root.

    Raises :class:`MalformedError` or :class:`FileLengthMismatchError` for what no sealed file is.
    """

    suite: int
    segment_bytes: int
    length: int
    root: bytes

    def __post_init__(self) -> None:
        if type(self.suite) is not int or self.suite != SUITE:
            raise MalformedError(f"a file is sealed with suite {SUITE}")
        if type(self.segment_bytes) is not int or self.segment_bytes not in SEGMENT_SIZES:
            raise MalformedError("the segments of a file have 1, 2 or 4 MiB")
        if type(self.length) is not int:
            raise MalformedError("the length of a sealed file is a number")
        if type(self.root) is not bytes or len(self.root) != HASH_BYTES:
            raise MalformedError(f"the root of a file has {HASH_BYTES} bytes")
        padded = chunked.plaintext_length(self.length)
        if padded_size(padded) != padded:
            raise MalformedError("a sealed file has the length of a padded one")

    @property
    def name(self) -> bytes:
        """The 32 bytes that commit to all of it, its key's commitment included."""
        return sha256(
            _NAME_DOMAIN
            + self.suite.to_bytes(1, "big")
            + self.segment_bytes.to_bytes(4, "big")
            + self.length.to_bytes(8, "big")
            + self.root
        ).digest()

    @property
    def segments(self) -> int:
        """How many segments it has."""
        return -(-self.length // self.segment_bytes)

    def extent(self, index: int) -> tuple[int, int]:
        """Where the segment begins in the ciphertext, and how long it is; raises :class:`FileAlteredError`."""
        if type(index) is not int or not 0 <= index < self.segments:
            raise FileAlteredError("the file has no segment of this number")
        offset = index * self.segment_bytes
        return offset, min(self.segment_bytes, self.length - offset)


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment with its number and its path to the root (32 bytes a hash). Holding one proves nothing.

    ``leaf`` is its leaf hash, where who read the data hashed it on the way.
    """

    index: int
    path: tuple[bytes, ...]
    data: Buffer = field(repr=False)
    leaf: bytes | None = field(default=None, repr=False, compare=False)


def verify_segment(file: SealedFile, segment: Segment) -> bytes:
    """The leaf hash of the segment, if it is the file's at its place; raises :class:`FileAlteredError`."""
    _, length = file.extent(segment.index)
    if memoryview(segment.data).nbytes != length:
        raise FileAlteredError(f"segment {segment.index} does not have the length of its place")
    leaf = segment.leaf or segment_hash(segment.data)
    try:
        verify_inclusion(leaf, segment.index, file.segments, segment.path, file.root)
    except ProofInvalidError as problem:
        raise FileAlteredError(f"segment {segment.index} is not the one that the file's name stands for") from problem
    return leaf


class SegmentTree:
    """The tree over a file's segments: leaf hashes go in, in order; the root and each segment's path come out.

    It holds 64 bytes for each segment.
    """

    __slots__ = ("_levels", "size")

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        # By height: the hashes of the complete subtrees, one after the other.
        self._levels: list[bytearray] = [bytearray()]
        for leaf in leaves:
            self.append(leaf)

    def append(self, leaf: bytes) -> None:
        """One more segment, by its leaf hash (:func:`segment_hash`)."""
        if len(leaf) != HASH_BYTES:
            raise MalformedError(f"a hash of the tree has {HASH_BYTES} bytes")
        hash_, height, place = leaf, 0, self.size
        self._levels[0] += hash_
        self.size += 1
        while place & 1:
            hash_ = node_hash(self._hash(height, place - 1), hash_)
            height, place = height + 1, place >> 1
            if height == len(self._levels):
                self._levels.append(bytearray())
            self._levels[height] += hash_

    @property
    def root(self) -> bytes:
        """The root over all segments so far."""
        if self.size == 0:
            return EMPTY_ROOT
        height = (self.size - 1).bit_length()
        edge = self._edges()[height]
        return edge if edge is not None else self._hash(height, 0)

    def path(self, index: int) -> tuple[bytes, ...]:
        """The path of the segment ``index``, from its sibling to the root's child."""
        if not 0 <= index < self.size:
            raise FileAlteredError("the file has no segment of this number")
        edges, path = self._edges(), []
        for height in range((self.size - 1).bit_length()):
            sibling = (index >> height) ^ 1
            complete, edge = self.size >> height, edges[height]
            if sibling < complete:
                path.append(self._hash(height, sibling))
            elif sibling == complete and edge is not None:
                path.append(edge)
        return tuple(path)

    def _hash(self, height: int, place: int) -> bytes:
        return bytes(self._levels[height][place * HASH_BYTES : (place + 1) * HASH_BYTES])

    def _edges(self) -> list[bytes | None]:
        """By height: the hash of the subtree at the right edge that is not complete, if there is one."""
        edges: list[bytes | None] = [None]
        edge: bytes | None = None
        for height in range((self.size - 1).bit_length() if self.size else 0):
            complete = self.size >> height
            if complete & 1:
                last = self._hash(height, complete - 1)
                edge = last if edge is None else node_hash(last, edge)
            edges.append(edge)
        return edges


def path_hashes(index: int, segments: int) -> int:
    """How many hashes the path of a segment has, in a file of so many segments."""
    place, last, count = index, segments - 1, 0
    while last > 0:
        count += (place & 1) or place < last  # the last place of a level may have no sibling
        place, last = place >> 1, last >> 1
    return count


def split_segment_path(path: bytes) -> tuple[bytes, ...]:
    """The hashes in a path that travels as one string; raises :class:`MalformedError`."""
    if type(path) is not bytes or len(path) % HASH_BYTES or len(path) > MAX_PATH_HASHES * HASH_BYTES:
        raise MalformedError(f"a path is at most {MAX_PATH_HASHES} hashes of {HASH_BYTES} bytes")
    return tuple(path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES))
