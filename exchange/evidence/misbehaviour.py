"""Making proof of a log's lie from what a desk or an auditor holds, and keeping it as a file.

Missing parts come from the accused log itself, or from a mirror of it: hashes that prove something only when they
lead to what the log signed. So nobody need be believed for a proof to hold.
"""

from __future__ import annotations

from pathlib import Path

from keys.local.files import write_file
from protocol.errors import StorageFullError
from protocol.log.checkpoint import LogVerifier, parse_checkpoint
from protocol.log.remote import Fetch, RemoteTree, answer
from protocol.misbehaviour.proof import Proof, encode_proof, file_name, proof_digest
from protocol.misbehaviour.search import about_receipt, between_checkpoints, misdated
from protocol.receipt import Receipt

FOLDER = "misbehaviour"


async def contradiction(
    held: Receipt | bytes, head: bytes, verifier: LogVerifier, fetch: Fetch, known: RemoteTree | None = None
) -> Proof | None:
    """The proof that a log's ``head`` contradicts a receipt or a checkpoint that it gave; None when it does not.

    ``fetch`` gets the tiles of the larger of both trees, by their paths below the log's prefix; ``known`` holds what
    was fetched of that tree before. Raises what ``fetch`` raises, and :class:`ProofInvalidError` when the tiles do not
    lead to what was signed: then nothing is known either way.
    """
    note = held.checkpoint if isinstance(held, Receipt) else held
    size = max(parse_checkpoint(note).size, parse_checkpoint(head).size)
    tree = known if known is not None and known.size == size else RemoteTree(size)

    def compare() -> Proof | None:
        if isinstance(held, Receipt):
            return misdated(held, [head], verifier) or about_receipt(held, head, verifier, tree.tree)
        return between_checkpoints(held, head, verifier, tree.tree)

    return await answer(tree, fetch, compare)


def keep_proof(folder: Path, proof: Proof) -> Path:
    """Write a proof file into ``folder``, durably; where it lies. Raises :class:`StorageFullError`."""
    written = encode_proof(proof)
    path = folder / file_name(proof.origin, proof.kind, proof_digest(written))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(path, written)
    except OSError as problem:
        raise StorageFullError(f"the proof {path} cannot be written: {problem.strerror}") from problem
    return path
