"""Another implementation of RFC 6962 trees gives the same roots and the same proofs: pymerkle."""

from __future__ import annotations

import pytest

from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from tests.interop.pymerkle_log import tree_of_pymerkle


@pytest.mark.parametrize("size", [1, 2, 7, 64, 255, 256, 257, 1000])
def test_pymerkle_builds_the_same_root_and_the_same_proofs(size: int) -> None:
    entries = [str(number).encode() * (number % 4) for number in range(size)]
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    for entry in entries:
        tree.append(leaf_hash(entry))
    tiles |= {(level, index): hashes for level, index, hashes in tree.take_changed_tiles()}

    theirs = tree_of_pymerkle(entries)

    assert theirs.root == tree.root()
    assert theirs.inclusion == [tree.inclusion_path(index) for index in range(size)]
