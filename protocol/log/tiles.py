"""The growing tree of a log, kept as tiles (C2SP tlog-tiles).

In memory stand the tiles of the right edge and a bounded cache of full tiles; the rest is read back through the store.
A tile keeps its inner levels too, so that a proof takes hashes and does not compute them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256

from protocol.errors import LogUnavailableError
from protocol.log.layout import (
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    TileName,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_tile_path,
    tile_path,
    tile_width,
)
from protocol.log.merkle import EMPTY_ROOT, HASH_BYTES, node_hash

__all__ = [
    "DEFAULT_CACHED_TILES",
    "TILE_BYTES",
    "TILE_HEIGHT",
    "TILE_WIDTH",
    "TileName",
    "TileSnapshot",
    "TileTree",
    "decode_bundle",
    "encode_bundle",
    "entries_path",
    "parse_tile_path",
    "tile_path",
    "tile_width",
]

DEFAULT_CACHED_TILES = 512  # 16 KB each

_Key = tuple[int, int]


class _Tile:
    """Up to 256 hashes and the levels above them, each a run of 32-byte hashes; the ninth is the root, when full."""

    __slots__ = ("levels", "width")

    def __init__(self, hashes: bytes = b"") -> None:
        self.width = 0
        self.levels = [bytearray() for _ in range(TILE_HEIGHT + 1)]
        for at in range(0, len(hashes), HASH_BYTES):
            self.append(hashes[at : at + HASH_BYTES])

    def append(self, hash_: bytes) -> None:
        levels = self.levels
        levels[0] += hash_
        self.width = count = self.width + 1
        depth = 0
        while not count & 1:  # a pair is complete: so is the node above it
            levels[depth + 1] += sha256(b"\x01" + levels[depth][-2 * HASH_BYTES :]).digest()
            depth += 1
            count >>= 1

    def truncate(self, width: int) -> None:
        self.width = width
        for depth, hashes in enumerate(self.levels):
            del hashes[(width >> depth) * HASH_BYTES :]

    def node(self, depth: int, position: int) -> bytes:
        return bytes(self.levels[depth][position * HASH_BYTES : (position + 1) * HASH_BYTES])


@dataclass(frozen=True, slots=True)
class TileSnapshot:
    """A state of a :class:`TileTree` to roll back to."""

    size: int
    stored_size: int
    edge: tuple[_Tile, ...]
    unstored: tuple[tuple[_Key, _Tile], ...]


class TileTree:
    """A log's tree: append, root and proofs. Not thread-safe.

    ``read_tile(level, index)`` returns the stored hashes of a tile: 8,192 bytes of a full one, and of a partial one at
    least those that the tree of ``size`` leaves has. It raises :class:`LogUnavailableError` when there is none, as this
    class does when it returns too few bytes. Every call here may read and raise so.
    """

    def __init__(
        self, size: int, read_tile: Callable[[int, int], bytes], *, cached_tiles: int = DEFAULT_CACHED_TILES
    ) -> None:
        if size < 0:
            raise LogUnavailableError("a tree has no negative size")
        self._read_tile = read_tile
        self._max_cached = cached_tiles
        self._cache: OrderedDict[_Key, _Tile] = OrderedDict()
        # Full tiles that take_changed_tiles has not handed out: the store cannot have them, so they stay here.
        self._unstored: dict[_Key, _Tile] = {}
        self._size = size
        self._stored_size = size
        self._edge: list[_Tile] = []  # by level: the tile that grows, possibly still empty
        self._tails: tuple[int, list[bytes | None]] = (0, [])
        while size >> TILE_HEIGHT * len(self._edge):
            level = len(self._edge)
            width = (size >> TILE_HEIGHT * level) % TILE_WIDTH
            self._edge.append(self._load(level, size >> TILE_HEIGHT * (level + 1), width) if width else _Tile())

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> int:
        """Append a leaf hash (32 bytes); returns its index."""
        index = self._size
        level, hash_ = 0, leaf
        while True:
            if level == len(self._edge):
                self._edge.append(_Tile())
            tile = self._edge[level]
            tile.append(hash_)
            if tile.width < TILE_WIDTH:
                break
            self._unstored[level, index >> TILE_HEIGHT * (level + 1)] = tile
            self._edge[level] = _Tile()
            hash_ = tile.node(TILE_HEIGHT, 0)
            level += 1
        self._size = index + 1
        return index

    def root(self, size: int | None = None) -> bytes:
        """The root of the tree, or of the tree it was at ``size`` leaves; raises :class:`LogUnavailableError`."""
        size = self._check_size(size)
        return self._range(0, size) if size else EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """The leaf hash at ``index``; raises :class:`LogUnavailableError` when it is not inside the tree."""
        if not 0 <= index < self._size:
            raise LogUnavailableError("the index is not inside the tree")
        return self._node(0, index)

    def inclusion_path(self, index: int, size: int | None = None) -> list[bytes]:
        """The path from the sibling of leaf ``index`` to the root of the tree of ``size`` leaves (RFC 6962 §2.1.1).

        Raises :class:`LogUnavailableError` when the index is not inside that tree.
        """
        size = self._check_size(size)
        if not 0 <= index < size:
            raise LogUnavailableError("the index is not inside the tree")
        path: list[bytes] = []
        height, node, last = 0, index, size - 1
        while last:
            sibling = node ^ 1
            if (sibling + 1) << height <= size:
                path.append(self._node(height, sibling))
            elif sibling == last:
                path.append(self._tail(height, size))
            height += 1
            node >>= 1
            last >>= 1
        return path

    def consistency_path(self, old_size: int, size: int | None = None) -> list[bytes]:
        """The proof that the tree of ``size`` leaves extends that of ``old_size`` (RFC 6962 §2.1.2).

        It is empty for equal sizes and for an old size of 0. Raises :class:`LogUnavailableError`.
        """
        size = self._check_size(size)
        if not 0 <= old_size <= size:
            raise LogUnavailableError("the old tree is larger than the new one")
        if old_size in (0, size):
            return []
        # SUBPROOF of RFC 6962 §2.1.2, from the root down: D[low:high] is the subtree that the old tree ends in.
        path: list[bytes] = []
        low, high, complete = 0, size, True
        while old_size != high:
            middle = low + (1 << (high - low - 1).bit_length() - 1)
            if old_size <= middle:
                path.append(self._range(middle, high))
                high = middle
            else:
                path.append(self._range(low, middle))
                low, complete = middle, False
        if not complete:
            path.append(self._range(low, high))
        path.reverse()
        return path

    def prefix_nodes(self, old_size: int) -> list[bytes]:
        """What :func:`protocol.log.merkle.prefix_root` takes: the consistency proof with a complete old tree in it.

        For 0 < old size < size. Raises :class:`LogUnavailableError`.
        """
        if not 0 < old_size < self._size:
            raise LogUnavailableError("a prefix of a tree has fewer leaves than the tree, and at least one")
        path = self.consistency_path(old_size)
        return [self.root(old_size), *path] if old_size & (old_size - 1) == 0 else path

    def take_changed_tiles(self) -> list[tuple[int, int, bytes]]:
        """The tiles (level, index, hashes) that changed since the last call, for the store to insert or replace.

        They are to be stored in one transaction with the size. If that fails, roll back to a snapshot from before.
        """
        changed: list[tuple[int, int, bytes]] = []
        for level, edge in enumerate(self._edge):
            shift = TILE_HEIGHT * level
            before, now = self._stored_size >> shift, self._size >> shift
            if before == now:
                break
            for index in range(before // TILE_WIDTH, -(-now // TILE_WIDTH)):
                tile = self._unstored.get((level, index), edge)
                changed.append((level, index, bytes(tile.levels[0])))
        for key, tile in self._unstored.items():
            self._remember(key, tile)
        self._unstored = {}
        self._stored_size = self._size
        return changed

    def snapshot(self) -> TileSnapshot:
        """The present state, to roll back to; cheap, nothing is copied."""
        return TileSnapshot(self._size, self._stored_size, tuple(self._edge), tuple(self._unstored.items()))

    def rollback(self, snapshot: TileSnapshot) -> None:
        """Undo everything since ``snapshot``, taking tiles included. Snapshots made after it are void thereby."""
        if snapshot.size > self._size:
            raise ValueError("the tree was rolled back to before this snapshot")
        for key in [key for key in self._cache if not self._is_full(key, snapshot.size)]:
            del self._cache[key]
        # A tile only ever grows, so cutting it to its old width is its old state.
        for level, tile in enumerate(snapshot.edge):
            tile.truncate((snapshot.size >> TILE_HEIGHT * level) % TILE_WIDTH)
        self._edge = list(snapshot.edge)
        self._unstored = dict(snapshot.unstored)
        self._size, self._stored_size = snapshot.size, snapshot.stored_size
        self._tails = (0, [])

    # --- Hashes of subtrees ---

    def _check_size(self, size: int | None) -> int:
        if size is None:
            return self._size
        if not 0 <= size <= self._size:
            raise LogUnavailableError("the log does not have that size yet")
        return size

    def _node(self, height: int, position: int) -> bytes:
        """The hash of the complete subtree D[position * 2^height : (position + 1) * 2^height]."""
        level, depth = divmod(height, TILE_HEIGHT)
        index = position >> (TILE_HEIGHT - depth)
        full = self._is_full((level, index), self._size)
        tile = self._full(level, index) if full else self._edge[level]
        return tile.node(depth, position & ((TILE_WIDTH >> depth) - 1))

    def _range(self, low: int, high: int) -> bytes:
        """MTH(D[low:high]), low < high, where low is a multiple of the power of two that covers the range."""
        nodes = []
        while low < high:  # complete subtrees, from the right and smallest
            height = ((high - low) & (low - high)).bit_length() - 1
            high -= 1 << height
            nodes.append(self._node(height, high >> height))
        return reduce(lambda right, left: node_hash(left, right), nodes)

    def _tail(self, height: int, size: int) -> bytes:
        """The hash of the last, incomplete node at ``height`` in the tree of ``size`` leaves.

        Kept for the last size that was asked for: the proofs of a batch share it.
        """
        if self._tails[0] != size:
            self._tails = (size, [None] * size.bit_length())
        known = self._tails[1][height]
        if known is None:
            known = self._range(size >> height << height, size)
            self._tails[1][height] = known
        return known

    # --- Tiles ---

    @staticmethod
    def _is_full(key: _Key, size: int) -> bool:
        level, index = key
        return (index + 1) << TILE_HEIGHT * (level + 1) <= size

    def _full(self, level: int, index: int) -> _Tile:
        key = (level, index)
        tile = self._cache.get(key)
        if tile is not None:
            self._cache.move_to_end(key)
            return tile
        tile = self._unstored.get(key)
        if tile is None:
            tile = self._load(level, index, TILE_WIDTH)
            self._remember(key, tile)
        return tile

    def _load(self, level: int, index: int, width: int) -> _Tile:
        data = self._read_tile(level, index)
        # More than needed is fine: the store may be ahead of this size, and a tile only grows.
        if len(data) < width * HASH_BYTES:
            raise LogUnavailableError(f"the store does not hold the whole tile {index} of level {level}")
        return _Tile(bytes(data[: width * HASH_BYTES]))

    def _remember(self, key: _Key, tile: _Tile) -> None:
        self._cache[key] = tile
        while len(self._cache) > self._max_cached:
            self._cache.popitem(last=False)
