"""The published vectors say what the code does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from protocol.event import decode_event, encode_event
from protocol.log._cosignature import mldsa_message
from protocol.log.checkpoint import SoftLogSigner, open_checkpoint, verify_checkpoint
from protocol.log.layout import decode_bundle, parse_tile_path, tile_path
from protocol.log.merkle import leaf_hash, verify_consistency, verify_inclusion
from protocol.log.proof import decode_tlog_proof
from protocol.receipt import ReceiptVerifier, decode_receipts, encode_receipts

VECTORS = Path(__file__).parents[2] / "vectors"


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / "log.json").read_text(encoding="utf-8"))
    return loaded


@pytest.fixture(scope="module")
def signer(vectors: dict[str, Any]) -> SoftLogSigner:
    seeds = (bytes.fromhex(vectors[name]) for name in ("ed25519_seed", "ml_dsa_44_seed"))
    return SoftLogSigner(vectors["origin"], *seeds)


def test_entries_and_leaf_hashes(vectors: dict[str, Any]) -> None:
    for vector in vectors["events"]:
        entry = bytes.fromhex(vector["entry"])
        event = decode_event(entry)
        assert (event.name, event.name.uri) == (vector["name"], vector["uri"])
        assert encode_event(event) == entry
        assert leaf_hash(entry).hex() == vector["leaf_hash"]


def test_proofs_lead_to_the_roots(vectors: dict[str, Any]) -> None:
    roots = [bytes.fromhex(root) for root in vectors["roots"]]
    size = len(roots) - 1
    for index, path in enumerate(vectors["inclusion"]):
        leaf = bytes.fromhex(vectors["events"][index]["leaf_hash"])
        verify_inclusion(leaf, index, size, [bytes.fromhex(hash_) for hash_ in path], roots[size])
    for old, path in enumerate(vectors["consistency_to_last"]):
        verify_consistency(old, roots[old], size, roots[size], [bytes.fromhex(hash_) for hash_ in path])


def test_tile_and_bundle(vectors: dict[str, Any]) -> None:
    assert decode_bundle(bytes.fromhex(vectors["bundle"]["content"])) == [
        bytes.fromhex(vector["entry"]) for vector in vectors["events"]
    ]
    assert vectors["tile"]["content"] == "".join(vector["leaf_hash"] for vector in vectors["events"])
    assert parse_tile_path(vectors["bundle"]["path"]).width == parse_tile_path(vectors["tile"]["path"]).width == 6
    for path, (level, index, width) in vectors["tile_paths"].items():
        assert tile_path(level, index, width) == path


def test_checkpoint_and_its_signed_message(vectors: dict[str, Any], signer: SoftLogSigner) -> None:
    verified = verify_checkpoint(vectors["checkpoint"].encode(), signer.verifier)

    assert list(signer.verifier.vkeys) == vectors["vkeys"]
    assert verified.signed_at == datetime.fromtimestamp(vectors["checkpoint_seconds"], UTC)
    checkpoint = verified.checkpoint
    assert (checkpoint.size, checkpoint.root.hex()) == (6, vectors["roots"][6])
    message = mldsa_message(
        signer.origin, vectors["checkpoint_seconds"], signer.origin, checkpoint.size, checkpoint.root
    )
    assert message.hex() == vectors["ml_dsa_44_signed_message"]


def test_receipts_and_proof(vectors: dict[str, Any], signer: SoftLogSigner) -> None:
    encoded = bytes.fromhex(vectors["receipts_of_entries_3_and_5"])
    receipts = decode_receipts(encoded)
    verified = [ReceiptVerifier(lambda _: signer.verifier).verify(receipt) for receipt in receipts]
    proof = decode_tlog_proof(vectors["tlog_proof_of_entry_3"].encode())

    assert [receipt.index for receipt in verified] == [3, 5]
    assert verified[1].statement is not None
    assert encode_receipts(receipts) == encoded
    assert (proof.index, proof.path) == (3, receipts[0].path)
    assert open_checkpoint(proof.checkpoint, signer.verifier).size == 6
