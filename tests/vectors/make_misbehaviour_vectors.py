"""Writes ``misbehaviour.json``: a proof of each kind against one log (docs/misbehaviour.md).

Run as ``python -m tests.vectors.make_misbehaviour_vectors``. The ML-DSA-44 signatures in the proofs are randomised: a
run keeps the file unless something else changes. ``--anew`` writes it in any case.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from protocol.log.merkle import leaf_hash
from protocol.log.note import parse_note
from protocol.misbehaviour.proof import MisbehaviourKind, Proof, encode_proof, notes_of
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
from protocol.misbehaviour.verify import verify_proof
from tests.vectors.make_witness_vectors import write
from tests.worlds.forged_log import ORIGIN, VERIFIER, entries, entry, later, receipt, signed, tree_of

TARGET = Path(__file__).with_name("misbehaviour.json")
RANDOMISED = ("proofs",)


def proofs() -> dict[MisbehaviourKind, Proof]:
    """One of each kind."""
    true, held = entries(7), receipt(entries(7)[:5], 3)
    forked = [*true[:3], entry(99), *true[4:], *entries(3)]
    tree, grown = tree_of(forked), signed(forked, later(1))
    early, late = [*true, entry(50, later(-3600))], [*true, entry(51, later(3600))]
    return {
        MisbehaviourKind.TWO_TREES: prove_two_trees(signed(true), signed(forked[:7]), VERIFIER),
        MisbehaviourKind.FORK: prove_fork(signed(true[:5]), grown, tree.prefix_nodes(5), VERIFIER),
        MisbehaviourKind.INDEX_TWICE: prove_index_twice(held, receipt(forked, 3), VERIFIER),
        MisbehaviourKind.REWRITTEN: prove_rewritten(
            held, leaf_hash(forked[3]), tree.inclusion_path(3), grown, VERIFIER
        ),
        MisbehaviourKind.DROPPED: prove_dropped(receipt(true[:5], 1), grown, tree.prefix_nodes(5), VERIFIER),
        MisbehaviourKind.SHRUNK: prove_shrunk(signed(true), signed(true[:5], later(1)), VERIFIER),
        MisbehaviourKind.BACK_DATED: prove_back_dated(receipt(early, 7, later(1)), signed(true), VERIFIER),
        MisbehaviourKind.POST_DATED: prove_post_dated(receipt(late, 7), VERIFIER),
    }


def vectors() -> dict[str, Any]:
    """All vectors; byte strings are hex."""
    made = proofs()
    return {
        "origin": ORIGIN,
        "vkeys": list(VERIFIER.vkeys),
        "says": [_says(proof) for proof in made.values()],
        "proofs": {kind.value: encode_proof(proof).hex() for kind, proof in made.items()},
    }


def _says(proof: Proof) -> dict[str, Any]:
    """What a proof is about: all of it but signatures."""
    proved = verify_proof(proof, VERIFIER)
    return {
        "kind": proof.kind.value,
        "checkpoints": [parse_note(note).text for note in notes_of(proof)],
        "seconds": [int(seen.signed_at.timestamp()) for seen in proved.checkpoints if seen.signed_at is not None],
        "index": proved.index,
    }


if __name__ == "__main__":
    if "--anew" in sys.argv:
        TARGET.unlink(missing_ok=True)
    write(TARGET, vectors(), RANDOMISED)
