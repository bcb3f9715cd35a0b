"""Writes ``log.json``: vectors of the log's formats for other implementations (docs/protocol.md, section 5).

Run it from the repository's root: ``python tests/vectors/make_log_vectors.py``. All of it is deterministic but the
ML-DSA-44 signatures, which are randomised: a run that would change nothing else keeps the file.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.ids import new_message_id
from protocol.event import Event, EventName, LeafReference, encode_event
from protocol.log._cosignature import mldsa_message
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.layout import encode_bundle, entries_path, tile_path
from protocol.log.merkle import leaf_hash
from protocol.log.proof import encode_tlog_proof
from protocol.log.tiles import TileTree
from protocol.receipt import Receipt, encode_receipts
from protocol.statement import DeskStatement, sign_statement

TARGET = Path(__file__).with_name("log.json")

ORIGIN = "node.example/log/jp"
ED25519_SEED = bytes(range(32))
MLDSA_SEED = bytes(range(32, 64))
DESK_SEED = bytes(range(64, 96))
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ID = new_message_id(AT, bytes(10))
DIGEST = bytes(range(128, 160))
RECIPIENT = Address.parse("24-7@jp")


def events() -> list[Event]:
    """One event of each shape."""
    desk = Ed25519Signer(DESK_SEED)
    handover = sign_statement(DeskStatement(EventName.ContentHandover, ID, DIGEST, RECIPIENT, AT), desk)
    reference = LeafReference("node.example/log/fr", 7, bytes(range(32)))
    return [
        Event(EventName.SubmissionAcceptance, AT, ID, DIGEST, _salt(0)),
        Event(EventName.RelayAcceptance, AT, ID, DIGEST, _salt(1), peer="fr"),
        Event(EventName.RelayAcceptance, AT, ID, DIGEST, _salt(2), peer="fr", reference=reference),
        Event(EventName.ContentConsignment, AT, ID, DIGEST, _salt(3), recipient=RECIPIENT),
        Event(EventName.RelayFailure, AT, ID, DIGEST, _salt(4), peer="fr", reasons=("expired", "no-route")),
        Event(EventName.ContentHandover, AT, ID, DIGEST, _salt(5), recipient=RECIPIENT, statement=handover),
    ]


def vectors() -> dict[str, Any]:
    """All vectors; byte strings are hex, notes and proofs text."""
    signer = SoftLogSigner(ORIGIN, ED25519_SEED, MLDSA_SEED)
    leaves = [encode_event(event) for event in events()]
    tree = TileTree(0, lambda level, index: b"")
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    size, root = tree.size, tree.root()
    note = sign_checkpoint(Checkpoint(ORIGIN, size, root), signer, AT)
    receipts = [Receipt(leaf, index, tuple(tree.inclusion_path(index)), note) for index, leaf in enumerate(leaves)]
    return {
        "origin": ORIGIN,
        "ed25519_seed": ED25519_SEED.hex(),
        "ml_dsa_44_seed": MLDSA_SEED.hex(),
        "vkeys": list(signer.verifier.vkeys),
        "desk_ed25519_seed": DESK_SEED.hex(),
        "events": [_event(event, leaf) for event, leaf in zip(events(), leaves, strict=True)],
        "roots": [tree.root(at).hex() for at in range(size + 1)],
        "inclusion": [[hash_.hex() for hash_ in tree.inclusion_path(index)] for index in range(size)],
        "consistency_to_last": [[hash_.hex() for hash_ in tree.consistency_path(old)] for old in range(size + 1)],
        "tile": {"path": tile_path(0, 0, size), "content": b"".join(leaf_hash(leaf) for leaf in leaves).hex()},
        "bundle": {"path": entries_path(0, size), "content": encode_bundle(leaves).hex()},
        "tile_paths": {tile_path(level, index, width): [level, index, width] for level, index, width in _TILES},
        "checkpoint_seconds": int(AT.timestamp()),
        "ml_dsa_44_signed_message": mldsa_message(ORIGIN, int(AT.timestamp()), ORIGIN, size, root).hex(),
        "checkpoint": note.decode(),
        "tlog_proof_of_entry_3": encode_tlog_proof(3, receipts[3].path, note).decode(),
        "receipts_of_entries_3_and_5": encode_receipts([receipts[3], receipts[5]]).hex(),
    }


_TILES = [(0, 0, 256), (0, 273, 112), (1, 1234067, 256), (2, 1000, 1)]
_RANDOMISED = ("checkpoint", "tlog_proof_of_entry_3", "receipts_of_entries_3_and_5")


def _salt(number: int) -> bytes:
    return number.to_bytes(16, "big")


def _event(event: Event, leaf: bytes) -> dict[str, Any]:
    return {"name": event.name.value, "uri": event.name.uri, "entry": leaf.hex(), "leaf_hash": leaf_hash(leaf).hex()}


def main() -> None:
    """Write the file unless only signatures would differ."""
    made = vectors()
    if TARGET.exists():
        kept = json.loads(TARGET.read_text())
        if made | {name: kept.get(name) for name in _RANDOMISED} == kept:
            return
    TARGET.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
