"""Writes ``processing-log.json``: entries of an office's processing log, and its signed head (docs/protocol.md, 4.3).

Run as ``python -m tests.vectors.make_record_vectors``. Nothing in it is random.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from exchange.office.processing_log import origin_of
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.ids import new_message_id
from protocol.log.checkpoint import Checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import NoteSignature, SignatureType, VerifierKey, format_vkey, serialize_note
from protocol.log.tiles import TileTree
from protocol.processing_log import Operation, ProcessingRecord
from tests.vectors.make_witness_vectors import write

TARGET = Path(__file__).with_name("processing-log.json")
SEED = bytes(range(64, 96))
ADDRESS = Address.parse("24-7@jp")
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def records() -> list[ProcessingRecord]:
    """One entry for each operation, with every field in at least one of them."""
    message, thread = new_message_id(AT, bytes(10)), new_message_id(AT, bytes(9) + b"\1")

    def record(number: int, operation: Operation, act: str, **more: Any) -> ProcessingRecord:
        at = AT + timedelta(minutes=number)
        return ProcessingRecord(operation, at, "Duty Officer", act, number.to_bytes(16, "big"), **more)

    of = {"message": message, "digest": bytes(range(128, 160)), "thread": thread}
    return [
        record(0, Operation.COLLECTION, "sync", **of),
        record(1, Operation.CONSULTATION, "show", purpose="case_work", reason="due today", **of),
        record(2, Operation.COMBINATION, "search", purpose="case_work", count=3),
        record(3, Operation.ALTERATION, "note", thread=thread),
        record(4, Operation.DISCLOSURE, "export", purpose="answer", recipients=("Regional court", "Defence"), **of),
        record(5, Operation.ERASURE, "erase", thread=thread, ground="retention", count=7),
    ]


def vectors() -> dict[str, Any]:
    """All vectors; byte strings are hex, the head text."""
    signer, tree = Ed25519Signer(SEED), TileTree(0, lambda level, index: b"")
    entries = [record.to_bytes() for record in records()]
    for entry in entries:
        tree.append(leaf_hash(entry))
    key = VerifierKey(origin_of(ADDRESS), SignatureType.ED25519, signer.public_key)
    text = Checkpoint(key.name, tree.size, tree.root()).text
    return {
        "address": str(ADDRESS),
        "ed25519_seed": SEED.hex(),
        "vkey": format_vkey(key),
        "entries": [entry.hex() for entry in entries],
        "leaf_hashes": [leaf_hash(entry).hex() for entry in entries],
        "root": tree.root().hex(),
        "head": serialize_note(text, (NoteSignature(key.name, key.key_id, signer.sign(text.encode())),)).decode(),
    }


if __name__ == "__main__":
    write(TARGET, vectors())
