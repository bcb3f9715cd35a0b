"""Inclusion paths of leaves that were appended together.

Neighbours share most of their paths: the leaves are cut into aligned blocks of a power of two, the path above a block
is taken from the tree once, and the part inside is hashed here.
"""

from __future__ import annotations

from collections.abc import Sequence

from protocol.log.merkle import node_hash
from protocol.log.tiles import TileTree

_MAX_HEIGHT = 8


def batch_paths(tree: TileTree, first: int, leaf_hashes: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """The paths of ``leaf_hashes``, the tree's leaves from index ``first`` on, in the tree as it is."""
    paths: list[tuple[bytes, ...]] = []
    end = first + len(leaf_hashes)
    at = first
    while at < end:
        height = _block_height(at, end)
        block = leaf_hashes[at - first : at - first + (1 << height)]
        above = tuple(tree.inclusion_path(at)[height:])
        paths += [inside + above for inside in _paths_inside(block)]
        at += 1 << height
    return paths


def _block_height(at: int, end: int) -> int:
    """The height of the largest aligned block that begins at ``at`` and ends by ``end``."""
    aligned = (at & -at).bit_length() - 1 if at else _MAX_HEIGHT
    return min(aligned, (end - at).bit_length() - 1, _MAX_HEIGHT)


def _paths_inside(block: Sequence[bytes]) -> list[tuple[bytes, ...]]:
    """The path of each leaf to the root of a complete block, built from the root down."""
    levels = [list(block)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[at], below[at + 1]) for at in range(0, len(below), 2)])
    paths: list[tuple[bytes, ...]] = [()]
    for level in reversed(levels[:-1]):
        paths = [(level[at ^ 1], *paths[at >> 1]) for at in range(len(level))]
    return paths
