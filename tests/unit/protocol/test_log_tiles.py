"""The tile tree equals RFC 6962 as written, whatever is stored, reloaded, rolled back or evicted."""

from __future__ import annotations

from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.errors import LogUnavailableError, MalformedError
from protocol.log.layout import (
    TILE_BYTES,
    TILE_WIDTH,
    TileName,
    decode_bundle,
    encode_bundle,
    entries_path,
    parse_tile_path,
    tile_path,
    tile_width,
)
from protocol.log.merkle import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion
from protocol.log.tiles import TileTree
from tests.worlds import naive_tree

sizes = st.one_of(st.integers(0, 40), st.integers(250, 262), st.integers(500, 800))


def entry(number: int) -> bytes:
    return number.to_bytes(4, "big")


@lru_cache(maxsize=4096)
def naive_root(size: int) -> bytes:
    return naive_tree.root([entry(number) for number in range(size)])


class Store:
    """Rows of (level, index), as a database would keep them."""

    def __init__(self) -> None:
        self.rows: dict[tuple[int, int], bytes] = {}

    def read_tile(self, level: int, index: int) -> bytes:
        return self.rows[level, index]

    def save(self, tree: TileTree) -> None:
        self.rows |= {(level, index): hashes for level, index, hashes in tree.take_changed_tiles()}


def grow(tree: TileTree, to_size: int) -> None:
    while tree.size < to_size:
        tree.append(leaf_hash(entry(tree.size)))


def assert_same_tree(tree: TileTree, size: int) -> None:
    entries = [entry(number) for number in range(size)]
    assert tree.size == size
    assert tree.root() == naive_root(size)
    for index in {0, size // 2, size - 2, size - 1} & set(range(size)):
        assert tree.inclusion_path(index) == naive_tree.inclusion_path(index, entries)
    for old in {1, size // 3, size - 1, size} & set(range(1, size + 1)):
        assert tree.consistency_path(old) == naive_tree.consistency_path(old, entries)


def test_append_returns_the_index() -> None:
    tree = TileTree(0, Store().read_tile)

    assert [tree.append(leaf_hash(entry(number))) for number in range(3)] == [0, 1, 2]
    assert tree.size == 3


def test_empty_tree() -> None:
    tree = TileTree(0, Store().read_tile)

    assert tree.root() == EMPTY_ROOT
    assert tree.take_changed_tiles() == []
    assert tree.consistency_path(0) == []


@settings(max_examples=40, deadline=None)
@given(sizes)
def test_tree_equals_the_naive_tree(size: int) -> None:
    tree = TileTree(0, Store().read_tile)

    grow(tree, size)

    assert_same_tree(tree, size)


@settings(max_examples=30, deadline=None)
@given(st.lists(sizes, min_size=1, max_size=4), st.integers(1, 3))
def test_tree_reloaded_from_its_tiles_is_the_same(steps: list[int], cached: int) -> None:
    store, tree = Store(), TileTree(0, Store().read_tile)
    for size in sorted(steps):
        tree = TileTree(tree.size, store.read_tile, cached_tiles=cached)
        grow(tree, size)
        store.save(tree)

    reloaded = TileTree(tree.size, store.read_tile, cached_tiles=cached)

    assert_same_tree(reloaded, max(steps))
    assert_same_tree(tree, max(steps))
    assert reloaded.take_changed_tiles() == []


@settings(max_examples=40, deadline=None)
@given(sizes, st.integers(0, 600), st.integers(0, 600), st.booleans(), st.booleans())
def test_rollback_is_exact(size: int, undone: int, redone: int, saved: bool, taken: bool) -> None:
    store = Store()
    tree, straight = TileTree(0, store.read_tile), TileTree(0, store.read_tile)
    grow(tree, size)
    if saved:
        store.save(tree)
    before = dict(store.rows)

    snapshot = tree.snapshot()
    for number in range(undone):
        tree.append(leaf_hash(b"undone" + entry(number)))
    if taken:
        tree.take_changed_tiles()  # and the transaction that was to store them fails
    tree.rollback(snapshot)
    assert_same_tree(tree, size)
    grow(tree, size + redone)
    store.save(tree)

    assert_same_tree(tree, size + redone)
    grow(straight, size + redone)
    expected = {(level, index): hashes for level, index, hashes in straight.take_changed_tiles()}
    assert before.keys() <= store.rows.keys()
    assert store.rows == expected


def test_one_snapshot_serves_more_than_one_rollback() -> None:
    tree = TileTree(0, Store().read_tile)
    grow(tree, 255)
    snapshot = tree.snapshot()
    for _ in range(2):
        grow(tree, 600)
        tree.rollback(snapshot)

    assert_same_tree(tree, 255)


def test_rollback_forgets_tiles_of_the_undone_branch() -> None:
    store = Store()
    tree = TileTree(0, store.read_tile)
    snapshot = tree.snapshot()
    for number in range(300):
        tree.append(leaf_hash(b"undone" + entry(number)))
    tree.take_changed_tiles()
    tree.inclusion_path(0)
    tree.rollback(snapshot)
    grow(tree, 300)
    store.save(tree)

    assert_same_tree(tree, 300)


def test_a_snapshot_from_after_the_rollback_point_is_refused() -> None:
    tree = TileTree(0, Store().read_tile)
    first = tree.snapshot()
    grow(tree, 5)
    second = tree.snapshot()
    tree.rollback(first)

    with pytest.raises(ValueError, match="rolled back"):
        tree.rollback(second)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 700), st.data())
def test_every_proof_at_every_earlier_size_verifies(size: int, data: st.DataObject) -> None:
    store = Store()
    tree = TileTree(0, store.read_tile, cached_tiles=1)
    grow(tree, size)
    store.save(tree)
    at = data.draw(st.integers(1, size))
    old = data.draw(st.integers(0, at))
    index = data.draw(st.integers(0, at - 1))

    verify_inclusion(leaf_hash(entry(index)), index, at, tree.inclusion_path(index, at), naive_root(at))
    verify_consistency(old, naive_root(old), at, naive_root(at), tree.consistency_path(old, at))
    assert tree.root(at) == naive_root(at)


def test_three_levels_of_tiles() -> None:
    store = Store()
    size = 256 * 256 + 300
    tree = TileTree(0, store.read_tile, cached_tiles=2)
    while tree.size < size:
        grow(tree, min(size, tree.size + 1000))
        store.save(tree)
    reloaded = TileTree(size, store.read_tile, cached_tiles=2)

    # The example of tlog-tiles for 70,000 leaves, at this size.
    widths = {key: len(hashes) // 32 for key, hashes in store.rows.items() if len(hashes) != TILE_BYTES}
    assert widths == {(0, 257): 44, (1, 1): 1, (2, 0): 1}
    root = reloaded.root()
    assert root == tree.root()
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        verify_inclusion(leaf_hash(entry(index)), index, size, reloaded.inclusion_path(index), root)
    for old in (1, 256, 65_536, 65_537, size - 1):
        verify_consistency(old, reloaded.root(old), size, root, reloaded.consistency_path(old))


def test_changed_tiles_are_exactly_those_that_changed() -> None:
    tree = TileTree(0, Store().read_tile)
    grow(tree, 255)
    assert [(level, index, len(hashes)) for level, index, hashes in tree.take_changed_tiles()] == [(0, 0, 255 * 32)]

    grow(tree, 256)
    changed = [(level, index, len(hashes)) for level, index, hashes in tree.take_changed_tiles()]
    assert changed == [(0, 0, TILE_BYTES), (1, 0, 32)]

    grow(tree, 257)
    assert [(level, index, len(hashes)) for level, index, hashes in tree.take_changed_tiles()] == [(0, 1, 32)]
    assert tree.take_changed_tiles() == []


def test_store_that_is_ahead_of_the_size_is_read_up_to_the_size() -> None:
    store, tree = Store(), TileTree(0, Store().read_tile)
    grow(tree, 300)
    store.save(tree)

    assert_same_tree(TileTree(100, store.read_tile), 100)


def test_store_with_too_short_a_tile_is_refused() -> None:
    store, tree = Store(), TileTree(0, Store().read_tile)
    grow(tree, 300)
    store.save(tree)
    store.rows[0, 1] = store.rows[0, 1][:-1]

    with pytest.raises(LogUnavailableError):
        TileTree(300, store.read_tile)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (3, 3), (-1, 3), (0, 4), (0, -1)])
def test_path_outside_the_tree_is_refused(index: int, size: int) -> None:
    tree = TileTree(0, Store().read_tile)
    grow(tree, 3)

    with pytest.raises(LogUnavailableError):
        tree.inclusion_path(index, size)


@pytest.mark.parametrize(("old", "size"), [(4, None), (-1, None), (3, 2), (0, 4)])
def test_consistency_outside_the_tree_is_refused(old: int, size: int | None) -> None:
    tree = TileTree(0, Store().read_tile)
    grow(tree, 3)

    with pytest.raises(LogUnavailableError):
        tree.consistency_path(old, size)


# --- Layout ---


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("tile/0/000", TileName(0, 0)),
        ("tile/0/x001/x234/067", TileName(0, 1234067)),
        ("tile/1/x001/000.p/1", TileName(1, 1000, 1)),
        ("tile/63/999.p/255", TileName(63, 999, 255)),
        ("tile/entries/x001/234.p/17", TileName(None, 1234, 17)),
    ],
)
def test_tile_paths_of_the_specification(path: str, name: TileName) -> None:
    assert parse_tile_path(path) == name
    if name.level is None:
        assert entries_path(name.index, name.width) == path
    else:
        assert tile_path(name.level, name.index, name.width) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 60 + "999",
    ],
)
def test_other_spellings_of_tile_paths_are_refused(path: str) -> None:
    with pytest.raises(MalformedError):
        parse_tile_path(path)


@given(st.integers(0, 63), st.integers(0, (1 << 56) - 1), st.integers(1, 256))
def test_tile_path_round_trip(level: int, index: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, index, width)) == TileName(level, index, width)
    assert parse_tile_path(entries_path(index, width)) == TileName(None, index, width)


def test_tile_widths_of_the_specification_for_70000_leaves() -> None:
    assert tile_width(0, 272, 70_000) == TILE_WIDTH
    assert tile_width(0, 273, 70_000) == 112
    assert tile_width(0, 274, 70_000) == 0
    assert tile_width(1, 0, 70_000) == TILE_WIDTH
    assert tile_width(1, 1, 70_000) == 17
    assert tile_width(2, 0, 70_000) == 1
    assert tile_width(3, 0, 70_000) == 0


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_bundle_round_trip(entries: list[bytes]) -> None:
    assert decode_bundle(encode_bundle(entries)) == entries


@pytest.mark.parametrize(
    "data", [b"", b"\x00", b"\x00\x01", b"\x00\x00\x00", b"\x00\x00" * 257, b"\xff\xff" + b"x" * 10]
)
def test_malformed_bundles_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_bundle(data)


@pytest.mark.parametrize("entries", [[], [b""] * 257, [b"x" * 65_536]])
def test_bundles_beyond_the_limits_are_refused(entries: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        encode_bundle(entries)
