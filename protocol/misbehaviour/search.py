"""Finding what contradicts what: statements of one log, two at a time, to a proof or to None.

Where hashes of the tree are needed, they come from ``tree``: that of the larger checkpoint, wherever its tiles are. It
is not trusted. These functions raise :class:`ProofInvalidError` when it does not lead to the root that was signed, and
what the tree raises when it cannot be asked: then nothing is proved, in either direction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from protocol.log.checkpoint import LogVerifier, VerifiedCheckpoint, verify_checkpoint
from protocol.log.merkle import leaf_hash, prefix_root, verify_inclusion
from protocol.log.tiles import TileTree
from protocol.misbehaviour.proof import Proof
from protocol.misbehaviour.prove import (
    prove_back_dated,
    prove_dropped,
    prove_fork,
    prove_index_twice,
    prove_post_dated,
    prove_rewritten,
    prove_shrunk,
    prove_two_trees,
)
from protocol.misbehaviour.verify import entry_time, is_early, is_late
from protocol.receipt import Receipt

Tree = Callable[[], TileTree]


def between_checkpoints(one: bytes, other: bytes, verifier: LogVerifier, tree: Tree) -> Proof | None:
    """The proof that two checkpoints contradict each other, in whatever order they were signed."""
    known = [verify_checkpoint(note, verifier) for note in (one, other)]
    small, large = sorted(known, key=lambda seen: seen.checkpoint.size)
    if small.checkpoint.size == large.checkpoint.size:
        same = small.checkpoint.root == large.checkpoint.root
        return None if same else prove_two_trees(one, other, verifier)
    if _signed_after(small, large):
        return prove_shrunk(large.note, small.note, verifier)
    if small.checkpoint.size == 0:
        return None
    nodes = _prefix(small, large, tree)
    return prove_fork(small.note, large.note, nodes, verifier) if nodes else None


def between_receipts(one: Receipt, other: Receipt, verifier: LogVerifier) -> Proof | None:
    """The proof that two receipts contradict each other by themselves: one index, two entries; or one size, two trees.

    It shows hashes only.
    """
    first, second = (verify_checkpoint(receipt.checkpoint, verifier) for receipt in (one, other))
    if one.index == other.index and one.leaf != other.leaf:
        return prove_index_twice(one, other, verifier)
    if first.checkpoint.size == second.checkpoint.size and first.checkpoint.root != second.checkpoint.root:
        return prove_two_trees(one.checkpoint, other.checkpoint, verifier)
    return None


def about_receipt(receipt: Receipt, head: bytes, verifier: LogVerifier, tree: Tree) -> Proof | None:
    """The proof that the log under ``head``, which was signed later, does not hold what it receipted.

    As ``rewritten`` where another leaf stands at its index, else as ``dropped``; as what the two checkpoints alone show
    where the log is no larger than the receipt's tree.
    """
    under, now = verify_checkpoint(receipt.checkpoint, verifier), verify_checkpoint(head, verifier)
    if now.checkpoint.size <= under.checkpoint.size or _signed_after(under, now):
        return between_checkpoints(receipt.checkpoint, head, verifier, tree)
    nodes = _prefix(under, now, tree)
    if not nodes:
        return None
    # The other leaf is in a tile: the path to it proves that it is the tree's.
    found = tree().inclusion_path(receipt.index)
    other = tree().leaf(receipt.index)
    verify_inclusion(other, receipt.index, now.checkpoint.size, found, now.checkpoint.root)
    if other != leaf_hash(receipt.leaf):
        return prove_rewritten(receipt, other, found, head, verifier)
    return prove_dropped(receipt, head, nodes, verifier)


def misdated(receipt: Receipt, known: Iterable[bytes], verifier: LogVerifier) -> Proof | None:
    """The proof that an entry's time is false, by its own checkpoint or by one of the ``known`` checkpoints."""
    at = entry_time(receipt.leaf)
    under = verify_checkpoint(receipt.checkpoint, verifier)
    if is_late(at, under.signed_at):
        return prove_post_dated(receipt, verifier)
    for note in known:
        if is_early(at, receipt.index, verify_checkpoint(note, verifier)):
            return prove_back_dated(receipt, note, verifier)
    return None


def _signed_after(later: VerifiedCheckpoint, earlier: VerifiedCheckpoint) -> bool:
    return later.signed_at is not None and earlier.signed_at is not None and later.signed_at > earlier.signed_at


def _prefix(small: VerifiedCheckpoint, large: VerifiedCheckpoint, tree: Tree) -> list[bytes]:
    """The nodes that show another root than the small tree's; none when it is the large one's prefix."""
    nodes = tree().prefix_nodes(small.checkpoint.size)
    old, new = small.checkpoint, large.checkpoint
    return [] if prefix_root(old.size, new.size, new.root, nodes) == old.root else nodes
