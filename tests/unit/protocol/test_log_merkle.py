"""Merkle tree hashing and proofs against RFC 6962 and its known test tree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import ProofInvalidError
from protocol.log.merkle import (
    EMPTY_ROOT,
    InclusionVerifier,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)
from tests.worlds import naive_tree

# The test tree of certificate-transparency (merkletree tests), in use by all implementations of RFC 6962.
KNOWN_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
KNOWN_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
KNOWN_INCLUSION = [  # (index, size, path)
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
]

entry_lists = st.lists(st.binary(max_size=4), min_size=1, max_size=70)


def flip(data: bytes, bit: int) -> bytes:
    altered = bytearray(data)
    altered[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(altered)


def test_empty_tree_has_the_hash_of_nothing() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_known_tree_has_its_known_roots(size: int) -> None:
    assert naive_tree.root(KNOWN_LEAVES[:size]).hex() == KNOWN_ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "path"), KNOWN_INCLUSION)
def test_known_inclusion_paths_verify(index: int, size: int, path: list[str]) -> None:
    hashes = [bytes.fromhex(hash_) for hash_ in path]

    verify_inclusion(leaf_hash(KNOWN_LEAVES[index]), index, size, hashes, bytes.fromhex(KNOWN_ROOTS[size - 1]))

    assert naive_tree.inclusion_path(index, KNOWN_LEAVES[:size]) == hashes


def test_a_node_is_not_a_leaf() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")

    assert node_hash(left, right) != leaf_hash(left + right)


def test_every_proof_of_every_small_tree_verifies() -> None:
    entries = [bytes([number]) for number in range(33)]
    roots = [naive_tree.root(entries[:size]) for size in range(34)]
    for size in range(1, 34):
        for index in range(size):
            path = naive_tree.inclusion_path(index, entries[:size])
            verify_inclusion(leaf_hash(entries[index]), index, size, path, roots[size])
        for old in range(size + 1):
            verify_consistency(old, roots[old], size, roots[size], naive_tree.consistency_path(old, entries[:size]))


@given(entry_lists, st.data())
def test_inclusion_with_any_altered_part_refuses(entries: list[bytes], data: st.DataObject) -> None:
    size = len(entries)
    index = data.draw(st.integers(0, size - 1))
    bit = data.draw(st.integers(0, 255))
    path, root = naive_tree.inclusion_path(index, entries), naive_tree.root(entries)
    leaf = leaf_hash(entries[index])
    verify_inclusion(leaf, index, size, path, root)

    refused = [(flip(leaf, bit), path, root), (leaf, path, flip(root, bit))]
    refused += [(leaf, [*path[:at], flip(path[at], bit), *path[at + 1 :]], root) for at in range(len(path))]
    refused += [(leaf, [*path, root], root), (leaf, path[:-1], root)] if path else [(leaf, [root], root)]
    for altered_leaf, altered_path, altered_root in refused:
        with pytest.raises(ProofInvalidError):
            verify_inclusion(altered_leaf, index, size, altered_path, altered_root)


@given(st.integers(2, 60), st.data())
def test_inclusion_at_another_index_refuses(size: int, data: st.DataObject) -> None:
    entries = [bytes([number]) for number in range(size)]
    index, other = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))

    with pytest.raises(ProofInvalidError):
        verify_inclusion(
            leaf_hash(entries[index]), other, size, naive_tree.inclusion_path(index, entries), naive_tree.root(entries)
        )


@given(entry_lists, st.data())
def test_consistency_with_any_altered_part_refuses(entries: list[bytes], data: st.DataObject) -> None:
    size = len(entries)
    old = data.draw(st.integers(1, size))
    bit = data.draw(st.integers(0, 255))
    path = naive_tree.consistency_path(old, entries)
    old_root, root = naive_tree.root(entries[:old]), naive_tree.root(entries)
    verify_consistency(old, old_root, size, root, path)

    refused = [(flip(old_root, bit), root, path), (old_root, flip(root, bit), path), (old_root, root, [*path, root])]
    refused += [(old_root, root, [*path[:at], flip(path[at], bit), *path[at + 1 :]]) for at in range(len(path))]
    refused += [(old_root, root, path[:-1])] if path else []
    for altered_old, altered_root, altered_path in refused:
        with pytest.raises(ProofInvalidError):
            verify_consistency(old, altered_old, size, altered_root, altered_path)


@pytest.mark.parametrize(
    ("index", "size", "path"),
    [(0, 0, []), (-1, 1, []), (1, 1, []), (0, 1 << 64, []), (0, 2, [b"short"]), (0, 2, [leaf_hash(b"")] * 65)],
)
def test_impossible_inclusion_refuses(index: int, size: int, path: list[bytes]) -> None:
    with pytest.raises(ProofInvalidError):
        verify_inclusion(leaf_hash(b""), index, size, path, leaf_hash(b""))


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1), (0, 1 << 64)])
def test_impossible_consistency_refuses(old: int, new: int) -> None:
    with pytest.raises(ProofInvalidError):
        verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])


def test_a_false_empty_root_refuses() -> None:
    with pytest.raises(ProofInvalidError):
        verify_consistency(0, leaf_hash(b""), 1, leaf_hash(b""), [])


def test_two_trees_of_one_size_with_different_roots_refuse() -> None:
    with pytest.raises(ProofInvalidError):
        verify_consistency(1, leaf_hash(b"a"), 1, leaf_hash(b"b"), [])


@given(entry_lists, st.data())
def test_a_verifier_that_remembers_accepts_and_refuses_what_one_without_memory_does(
    entries: list[bytes], data: st.DataObject
) -> None:
    size, root = len(entries), naive_tree.root(entries)
    remembering = InclusionVerifier(size, root)
    for _ in range(12):
        index = data.draw(st.integers(0, size - 1))
        leaf, path = leaf_hash(entries[index]), naive_tree.inclusion_path(index, entries)
        change = data.draw(st.sampled_from(["none", "leaf", "index", "drop", "add", "hash"]))
        if change == "leaf":
            leaf = leaf_hash(b"another" + entries[index])
        elif change == "index":
            index = data.draw(st.integers(0, size))
        elif change == "drop":
            path = path[:-1]
        elif change == "add":
            path = [*path, bytes(32)]
        elif change == "hash" and path:
            place = data.draw(st.integers(0, len(path) - 1))
            path = [*path[:place], bytes(32), *path[place + 1 :]]

        assert verdict(remembering.verify, leaf, index, path) == verdict(
            lambda leaf, index, path: verify_inclusion(leaf, index, size, path, root), leaf, index, path
        )


def verdict(verify: Callable[[bytes, int, list[bytes]], None], leaf: bytes, index: int, path: list[bytes]) -> bool:
    """Whether the path is accepted."""
    try:
        verify(leaf, index, path)
    except ProofInvalidError:
        return False
    return True
