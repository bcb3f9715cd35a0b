"""Proofs against a naive tree: one of another size, place or prefix verifies only where the two proofs are the same."""

from __future__ import annotations

from protocol.errors import ProofInvalidError
from protocol.log.merkle import InclusionVerifier, leaf_hash, prefix_root, verify_consistency, verify_inclusion
from tests.worlds import naive_tree

LARGEST = 13
ENTRIES = [bytes([number]) for number in range(LARGEST + 1)]
ROOTS = [naive_tree.root(ENTRIES[:size]) for size in range(LARGEST + 1)]
PATHS = {
    (index, size): naive_tree.inclusion_path(index, ENTRIES[:size])
    for size in range(1, LARGEST + 1)
    for index in range(size)
}
PROOFS = {
    (old, new): naive_tree.consistency_path(old, ENTRIES[:new])
    for new in range(1, LARGEST + 1)
    for old in range(new + 1)
}


def shape(index: int, size: int) -> list[bool]:
    """On which side the siblings of a leaf's way to the root stand, from the leaf up (RFC 6962 §2.1.1)."""
    if size == 1:
        return []
    middle = 1 << (size - 1).bit_length() - 1
    if index < middle:
        return [*shape(index, middle), True]
    return [*shape(index - middle, size - middle), False]


def included(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    try:
        verify_inclusion(leaf, index, size, path, root)
    except ProofInvalidError:
        return False
    return True


def consistent(old: int, old_root: bytes, new: int, new_root: bytes, path: list[bytes]) -> bool:
    try:
        verify_consistency(old, old_root, new, new_root, path)
    except ProofInvalidError:
        return False
    return True


def test_a_path_verifies_at_another_place_only_where_the_way_to_the_root_is_the_same() -> None:
    for (index, size), path in PATHS.items():
        leaf, root = leaf_hash(ENTRIES[index]), ROOTS[size]
        for other, other_size in PATHS:
            same = shape(other, other_size) == shape(index, size)
            assert included(leaf, other, other_size, path, root) == same, (index, size, other, other_size)


def test_a_path_never_leads_to_the_root_of_a_prefix_or_of_a_longer_tree() -> None:
    for (index, size), path in PATHS.items():
        for other in range(LARGEST + 1):
            if other != size:
                assert not included(leaf_hash(ENTRIES[index]), index, max(size, other), path, ROOTS[other])
                assert not included(leaf_hash(ENTRIES[index]), index, size, path, ROOTS[other])


def test_a_path_that_is_cut_or_lengthened_does_not_verify() -> None:
    for (index, size), path in PATHS.items():
        leaf, root = leaf_hash(ENTRIES[index]), ROOTS[size]
        assert not included(leaf, index, size, [*path, root], root)
        if path:
            assert not included(leaf, index, size, path[:-1], root)
            assert not included(leaf, index, size, path[1:], root)


def test_what_one_path_proved_does_not_help_another_leaf() -> None:
    for size in range(1, LARGEST + 1):
        verifier = InclusionVerifier(size, ROOTS[size])
        for index in range(size):
            verifier.verify(leaf_hash(ENTRIES[index]), index, PATHS[index, size])
        for index in range(size):
            for other in range(size):
                if other != index:
                    try:
                        verifier.verify(leaf_hash(ENTRIES[index]), other, PATHS[other, size])
                    except ProofInvalidError:
                        continue
                    raise AssertionError((size, index, other))


def test_a_consistency_proof_verifies_between_other_roots_never() -> None:
    for (old, new), path in PROOFS.items():
        assert consistent(old, ROOTS[old], new, ROOTS[new], path)
        for other in range(LARGEST + 1):
            if other != old:
                assert not consistent(old, ROOTS[other], new, ROOTS[new], path)
            if other != new and old != 0:  # every tree begins with the empty one
                assert not consistent(old, ROOTS[old], new, ROOTS[other], path)


def test_a_consistency_proof_verifies_for_other_sizes_only_where_that_tree_has_the_same_nodes() -> None:
    for (old, new), path in PROOFS.items():
        for (other_old, other_new), own in PROOFS.items():
            if consistent(other_old, ROOTS[other_old], other_new, ROOTS[other_new], path):
                assert own == path, (old, new, other_old, other_new)


def test_the_root_of_a_prefix_is_that_of_the_naive_tree_and_of_no_other_size() -> None:
    for (old, new), path in PROOFS.items():
        if 0 < old < new:
            nodes = [ROOTS[old], *path] if old & (old - 1) == 0 else path
            assert prefix_root(old, new, ROOTS[new], nodes) == ROOTS[old]
            for size in (0, new, new + 1):
                try:
                    prefix_root(size, new, ROOTS[new], nodes)
                except ProofInvalidError:
                    continue
                raise AssertionError((old, new, size))
