"""Writes ``witness.json``: cosignatures of a witness on the checkpoint of ``log.json`` (docs/protocol.md, section 5.4).

Run as ``python -m tests.vectors.make_witness_vectors``. All of it is deterministic but the ML-DSA-44 signatures: a run
that would change nothing else keeps the file.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from protocol.log._cosignature import ed25519_message, mldsa_message
from protocol.log.checkpoint import SoftLogSigner, parse_checkpoint
from protocol.log.note import format_signatures
from protocol.log.witness import SoftWitnessSigner, cosign, with_lines

FOLDER = Path(__file__).parent
TARGET = FOLDER / "witness.json"
NAME = "node.example/witness/fr"
ED25519_SEED = bytes(range(96, 128))
MLDSA_SEED = bytes(range(128, 160))
AT = datetime(2026, 11, 23, 3, 0, 7, tzinfo=UTC)
RANDOMISED = ("lines", "cosigned")


def vectors() -> dict[str, Any]:
    """All vectors; byte strings are hex, notes and lines text."""
    log = json.loads((FOLDER / "log.json").read_text(encoding="utf-8"))
    note = log["checkpoint"].encode()
    witness, seconds = SoftWitnessSigner(NAME, ED25519_SEED, MLDSA_SEED), int(AT.timestamp())
    head = parse_checkpoint(note)
    lines = cosign(head, witness, AT)
    return {
        "name": NAME,
        "ed25519_seed": ED25519_SEED.hex(),
        "ml_dsa_44_seed": MLDSA_SEED.hex(),
        "vkeys": list(witness.verifier.vkeys),
        "seconds": seconds,
        "ed25519_signed_message": ed25519_message(head.text, seconds).hex(),
        "ml_dsa_44_signed_message": mldsa_message(NAME, seconds, head.origin, head.size, head.root).hex(),
        "ed25519_line": format_signatures(lines[:1]),
        "lines": format_signatures(lines),
        "cosigned": with_lines(note, lines).decode(),
    }


def log_signer() -> SoftLogSigner:
    """The signer of ``log.json``."""
    log = json.loads((FOLDER / "log.json").read_text(encoding="utf-8"))
    return SoftLogSigner(log["origin"], bytes.fromhex(log["ed25519_seed"]), bytes.fromhex(log["ml_dsa_44_seed"]))


def write(target: Path, made: dict[str, Any], randomised: tuple[str, ...] = ()) -> None:
    """Write a file unless only what is randomised would differ."""
    if target.exists():
        kept = json.loads(target.read_text(encoding="utf-8"))
        if made | {name: kept.get(name) for name in randomised} == kept:
            return
    target.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(TARGET, vectors(), RANDOMISED)
