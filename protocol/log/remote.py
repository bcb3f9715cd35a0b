"""A log's tree by tiles that are fetched as they are asked for. A caller that computes with it does no I/O itself.

A question to the tree raises :class:`TileNeededError` for a tile that is not here yet; the caller fetches it, adds it,
and asks again. Nothing that was fetched is trusted: what a tree answers counts when it leads to a signed root.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from protocol.errors import LogUnavailableError
from protocol.log.layout import TileName, tile_path, tile_width
from protocol.log.merkle import HASH_BYTES
from protocol.log.tiles import TileTree

T = TypeVar("T")
# Gets a tile by its path below the log's prefix; it is the caller's, who does the I/O.
Fetch = Callable[[str], Awaitable[bytes]]


class TileNeededError(Exception):
    """The answer needs the tile ``name``; ``path`` is where the log has it, below its prefix."""

    def __init__(self, name: TileName) -> None:
        super().__init__("a tile is needed")
        self.name = name
        self.path = tile_path(name.level or 0, name.index, name.width)


class RemoteTree:
    """The tree of the first ``size`` leaves of a log elsewhere. Not thread-safe."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._tree: TileTree | None = None

    def tree(self) -> TileTree:
        """The tree, to be asked; this and every question to it may raise :class:`TileNeededError`."""
        if self._tree is None:
            self._tree = TileTree(self.size, self._read)
        return self._tree

    def add(self, name: TileName, hashes: bytes) -> None:
        """Take a tile that was fetched; raises :class:`LogUnavailableError` when it is not as wide as it must be."""
        if name.level is None or len(hashes) != name.width * HASH_BYTES:
            raise LogUnavailableError("the log answered with a tile of another width")
        self._tiles[name.level, name.index] = hashes

    def _read(self, level: int, index: int) -> bytes:
        known = self._tiles.get((level, index))
        if known is None:
            raise TileNeededError(TileName(level, index, tile_width(level, index, self.size)))
        return known


async def answer(tree: RemoteTree, fetch: Fetch, question: Callable[[], T]) -> T:
    """What ``question`` answers, once the tiles that it needs were fetched; raises what both raise."""
    while True:
        try:
            return question()
        except TileNeededError as needed:
            tree.add(needed.name, await fetch(needed.path))
