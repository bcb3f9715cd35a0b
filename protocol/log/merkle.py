"""Merkle tree hashing and the verification of proofs (RFC 6962 §2.1; verification as RFC 9162 §2.1.3 and §2.1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest

from protocol.errors import ProofInvalidError

HASH_BYTES = 32
# A tree has at most 2^64 - 1 leaves, so no path has more hashes than this.
MAX_PATH_HASHES = 64
# The specifications leave 64 bits; a number is kept in signed ones everywhere (databases, other languages).
MAX_SIZE = (1 << 63) - 1

_BYTES = frozenset({bytes})
_HASH_SIZE = frozenset({HASH_BYTES})
_NO_HASH = f"a hash of the tree has {HASH_BYTES} bytes"

# Inner nodes of one tree that are remembered, about 1 KB each: more than those of a batch of receipts.
MAX_PROVED = 2048

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf: ``SHA-256(00 || entry)``."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node: ``SHA-256(01 || left || right)``."""
    return sha256(b"\x01" + left + right).digest()


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Return if ``path`` leads from the leaf hash ``leaf`` at ``index`` to the root of the tree of ``size`` leaves.

    The path runs from the leaf's sibling to the root's child. Raises :class:`ProofInvalidError`.
    """
    InclusionVerifier(size, root).verify(leaf, index, path)


class InclusionVerifier:
    """Verifies inclusion in one tree, that of ``size`` leaves under ``root``, and remembers the inner nodes it proved.

    Leaves that were logged together have most of their paths in common: such a path needs a hash or two of its own.
    At most :data:`MAX_PROVED` of them: who shows many leaves of one large tree must not fill this program's memory.
    """

    __slots__ = ("_proved", "_root", "_size")

    def __init__(self, size: int, root: bytes) -> None:
        _require_hash(root)
        self._size = size
        self._root = root
        # By level and place: the hash of a node that was proved to be in the tree, and the path from there to the root.
        self._proved: dict[tuple[int, int], tuple[bytes, Sequence[bytes]]] = {}

    def verify(self, leaf: bytes, index: int, path: Sequence[bytes]) -> None:
        """As :func:`verify_inclusion`, for a leaf of this tree."""
        if not 0 <= index < self._size <= MAX_SIZE:
            raise ProofInvalidError("the index is not inside the tree")
        _require_length(path)
        _require_hash(leaf)
        # RFC 9162 §2.1.3.2: `node` is our place among the nodes of a level, `last` the place of the level's last node.
        node, last, level, running = index, self._size - 1, 0, leaf
        walked: list[tuple[tuple[int, int], bytes]] = []
        for used, sibling in enumerate(path, 1):
            if last == 0:
                raise ProofInvalidError("the path is longer than the tree is high")
            _require_hash(sibling)  # what is the same as was proved before was looked at then
            if node & 1 or node == last:
                running = node_hash(sibling, running)
                while not node & 1 and node:  # levels on which the right edge has no sibling
                    node >>= 1
                    last >>= 1
                    level += 1
            else:
                running = node_hash(running, sibling)
            node >>= 1
            last >>= 1
            level += 1
            if self._proved.get((level, node)) == (running, path[used:]):
                break
            walked.append(((level, node), running))
        else:
            if last != 0:
                raise ProofInvalidError("the path is shorter than the tree is high")
            if not compare_digest(running, self._root):
                raise ProofInvalidError("the path does not lead to the root")
        if len(self._proved) + len(walked) > MAX_PROVED:
            self._proved.clear()
        for used, (place, hash_) in enumerate(walked, 1):
            self._proved[place] = (hash_, path[used:])


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Return if the new tree is the old one with leaves appended; raises :class:`ProofInvalidError`."""
    if not 0 <= old_size <= new_size <= MAX_SIZE:
        raise ProofInvalidError("the old tree is larger than the new one")
    _check_hashes(path, old_root, new_root)
    if old_size in (0, new_size):
        _verify_trivial(old_size, old_root, new_size, new_root, path)
        return
    # A complete old tree is itself the first node, and the proof leaves it out.
    nodes = [old_root, *path] if old_size & (old_size - 1) == 0 else path
    running_old, running_new = _consistency_roots(old_size, new_size, nodes)
    if not compare_digest(running_old, old_root):
        raise ProofInvalidError("the proof does not lead to the old root")
    if not compare_digest(running_new, new_root):
        raise ProofInvalidError("the proof does not lead to the new root")


def prefix_root(old_size: int, new_size: int, new_root: bytes, nodes: Sequence[bytes]) -> bytes:
    """The root that the first ``old_size`` leaves of the tree of ``new_size`` leaves under ``new_root`` have.

    ``nodes`` are the hashes of a consistency proof, the complete old tree included where RFC 6962 leaves it out. Only
    one list of hashes leads to ``new_root``: the answer is no claim of whoever gives them. 0 < old size < new size.
    Raises :class:`ProofInvalidError`.
    """
    if not 0 < old_size < new_size <= MAX_SIZE:
        raise ProofInvalidError("a prefix of a tree has fewer leaves than the tree, and at least one")
    _check_hashes(nodes, new_root)
    running_old, running_new = _consistency_roots(old_size, new_size, nodes)
    if not compare_digest(running_new, new_root):
        raise ProofInvalidError("the proof does not lead to the new root")
    return running_old


def _consistency_roots(old_size: int, new_size: int, nodes: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The two roots that the proof leads to (RFC 9162 §2.1.4.2), for 0 < old size < new size."""
    if not nodes:
        raise ProofInvalidError("the proof is empty")
    node, last = old_size - 1, new_size - 1
    while node & 1:
        node >>= 1
        last >>= 1
    running_old = running_new = nodes[0]
    for hash_ in nodes[1:]:
        if last == 0:
            raise ProofInvalidError("the proof is longer than the tree is high")
        if node & 1 or node == last:
            running_old = node_hash(hash_, running_old)
            running_new = node_hash(hash_, running_new)
            while not node & 1 and node:
                node >>= 1
                last >>= 1
        else:
            running_new = node_hash(running_new, hash_)
        node >>= 1
        last >>= 1
    if last != 0:
        raise ProofInvalidError("the proof is shorter than the tree is high")
    return running_old, running_new


def _verify_trivial(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """A tree extends itself and the empty tree, without any proof."""
    if path:
        raise ProofInvalidError("the proof is longer than the tree is high")
    if old_size == 0 and old_root != EMPTY_ROOT:
        raise ProofInvalidError("the old root is not that of an empty tree")
    if old_size == new_size and not compare_digest(old_root, new_root):
        raise ProofInvalidError("two trees of one size have different roots")


def _require_length(path: Sequence[bytes]) -> None:
    if len(path) > MAX_PATH_HASHES:
        raise ProofInvalidError(f"a path has at most {MAX_PATH_HASHES} hashes")


def _require_hash(value: bytes) -> None:
    if type(value) is not bytes or len(value) != HASH_BYTES:
        raise ProofInvalidError(_NO_HASH)


def _check_hashes(path: Sequence[bytes], *ends: bytes) -> None:
    _require_length(path)
    if not (_BYTES.issuperset(map(type, path)) and _HASH_SIZE.issuperset(map(len, path))):
        raise ProofInvalidError(_NO_HASH)
    if not (_BYTES.issuperset(map(type, ends)) and _HASH_SIZE.issuperset(map(len, ends))):
        raise ProofInvalidError(_NO_HASH)
