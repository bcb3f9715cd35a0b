from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from node.store.sqlite._batch_paths import batch_paths
from protocol.log.tiles import TileTree


def tree_of(size: int) -> TileTree:
    stored: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: stored[level, index])
    for index in range(size):
        tree.append(sha256(index.to_bytes(4, "big")).digest())
    stored.update({(level, index): hashes for level, index, hashes in tree.take_changed_tiles()})
    return tree


@given(st.integers(0, 1100), st.integers(0, 600))
def test_paths_of_a_batch_are_those_of_the_tree(first: int, count: int) -> None:
    tree = tree_of(first + count)
    hashes = [sha256((first + at).to_bytes(4, "big")).digest() for at in range(count)]

    paths = batch_paths(tree, first, hashes)

    assert paths == [tuple(tree.inclusion_path(first + at)) for at in range(count)]
