"""The right edge of a growing tree: enough to append leaves and to know the root, and nothing more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.errors import MalformedError
from protocol.log.merkle import EMPTY_ROOT, HASH_BYTES, node_hash


@dataclass(frozen=True, slots=True)
class Frontier:
    """A tree of ``size`` leaves by its complete subtrees, the largest first: one for each bit of the size.

    Raises :class:`MalformedError` when the subtrees are not so many.
    """

    size: int = 0
    subtrees: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or len(self.subtrees) != self.size.bit_count():
            raise MalformedError("a tree has one complete subtree for each bit of its size")
        if any(len(hash_) != HASH_BYTES for hash_ in self.subtrees):
            raise MalformedError(f"a hash of the tree has {HASH_BYTES} bytes")

    def append(self, leaf: bytes) -> Frontier:
        """The tree with one more leaf hash."""
        return self.extended((leaf,))

    def extended(self, leaves: Iterable[bytes]) -> Frontier:
        """The tree with more leaf hashes."""
        subtrees, size = list(self.subtrees), self.size
        for leaf in leaves:
            merges, hash_ = size, leaf
            while merges & 1:  # a subtree of the same height stands before it
                hash_ = node_hash(subtrees.pop(), hash_)
                merges >>= 1
            subtrees.append(hash_)
            size += 1
        return Frontier(size, tuple(subtrees))

    def root(self) -> bytes:
        """The root (RFC 6962 §2.1)."""
        if not self.subtrees:
            return EMPTY_ROOT
        *others, running = self.subtrees
        for hash_ in reversed(others):
            running = node_hash(hash_, running)
        return running
