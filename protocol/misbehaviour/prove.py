"""Making proofs: one function a kind, each from what a partner holds. Each returns what it verified.

Every function raises as :func:`protocol.misbehaviour.verify.verify_proof` does when its parts prove nothing. Notes are
cut down to the accused log's own lines: who cosigned them is nobody's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from protocol.log.checkpoint import LogVerifier
from protocol.log.merkle import leaf_hash
from protocol.misbehaviour.proof import (
    BackDated,
    Dropped,
    Fork,
    IndexTwice,
    PostDated,
    Proof,
    Rewritten,
    Shrunk,
    TwoTrees,
)
from protocol.misbehaviour.verify import own_lines, verify_proof
from protocol.receipt import Receipt

ProofT = TypeVar("ProofT", bound=Proof)


def prove_two_trees(first: bytes, second: bytes, verifier: LogVerifier) -> TwoTrees:
    """Of two checkpoints of one size."""
    return _verified(TwoTrees(verifier.origin, own_lines(first, verifier), own_lines(second, verifier)), verifier)


def prove_fork(first: bytes, second: bytes, nodes: Sequence[bytes], verifier: LogVerifier) -> Fork:
    """Of two checkpoints; ``nodes`` are the second's, as :meth:`~protocol.log.tiles.TileTree.prefix_nodes` says."""
    notes = own_lines(first, verifier), own_lines(second, verifier)
    return _verified(Fork(verifier.origin, *notes, tuple(nodes)), verifier)


def prove_shrunk(first: bytes, second: bytes, verifier: LogVerifier) -> Shrunk:
    """Of a checkpoint and a smaller one that was signed later."""
    return _verified(Shrunk(verifier.origin, own_lines(first, verifier), own_lines(second, verifier)), verifier)


def prove_index_twice(one: Receipt, other: Receipt, verifier: LogVerifier) -> IndexTwice:
    """Of two receipts for one index; shows hashes only."""
    return _verified(
        IndexTwice(
            verifier.origin,
            own_lines(one.checkpoint, verifier),
            own_lines(other.checkpoint, verifier),
            one.index,
            leaf_hash(one.leaf),
            one.path,
            leaf_hash(other.leaf),
            other.path,
        ),
        verifier,
    )


def prove_rewritten(
    receipt: Receipt, leaf: bytes, path: Sequence[bytes], checkpoint: bytes, verifier: LogVerifier
) -> Rewritten:
    """Of a receipt, and the leaf hash that stands at its index under a checkpoint not signed before, with its path."""
    return _verified(
        Rewritten(
            verifier.origin,
            own_lines(receipt.checkpoint, verifier),
            own_lines(checkpoint, verifier),
            receipt.index,
            receipt.leaf,
            receipt.path,
            leaf,
            tuple(path),
        ),
        verifier,
    )


def prove_dropped(receipt: Receipt, checkpoint: bytes, nodes: Sequence[bytes], verifier: LogVerifier) -> Dropped:
    """Of a receipt, and a larger checkpoint not signed before that does not begin with the receipt's tree."""
    return _verified(
        Dropped(
            verifier.origin,
            own_lines(receipt.checkpoint, verifier),
            own_lines(checkpoint, verifier),
            tuple(nodes),
            receipt.index,
            receipt.leaf,
            receipt.path,
        ),
        verifier,
    )


def prove_back_dated(receipt: Receipt, checkpoint: bytes, verifier: LogVerifier) -> BackDated:
    """Of a receipt, and a checkpoint that was signed without its entry, after the time that the entry says."""
    return _verified(
        BackDated(
            verifier.origin,
            own_lines(receipt.checkpoint, verifier),
            own_lines(checkpoint, verifier),
            receipt.index,
            receipt.leaf,
            receipt.path,
        ),
        verifier,
    )


def prove_post_dated(receipt: Receipt, verifier: LogVerifier) -> PostDated:
    """Of one receipt."""
    return _verified(
        PostDated(verifier.origin, own_lines(receipt.checkpoint, verifier), receipt.index, receipt.leaf, receipt.path),
        verifier,
    )


def _verified(proof: ProofT, verifier: LogVerifier) -> ProofT:
    verify_proof(proof, verifier)
    return proof
