"""Writes ``bundle.json``: one bundle part of each kind with its sections, for other implementations to check against.

Run as ``python -m tests.vectors.make_bundle_vectors``. Nothing in it is random.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from protocol.bundle import BundleAnswer, BundleVerdict, Contents, FilesHad, write_bundle
from protocol.bundle_sizes import DEFAULT_PART_BYTES
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.instants import to_ms
from protocol.http.wire import MailboxEntry
from protocol.receipt import Receipt

SEED = bytes(range(32))
CREATED = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
RECEIPT = Receipt(b"a log entry", 7, (bytes([1]) * 32, bytes([2]) * 32), b"a checkpoint note\n")
KEY = sha256(b"an envelope").digest()

CASES: dict[str, tuple[str, str, Contents]] = {
    "empty": ("jp", "fr", Contents()),
    "node to node": (
        "jp",
        "fr",
        Contents(
            directory={"metadata/timestamp.json": b"{}"},
            answers=(BundleAnswer(KEY, (RECEIPT,)), BundleAnswer(bytes(32), (), '{"type":"urn:comity:error:expired"}')),
            verdicts=(BundleVerdict(KEY), BundleVerdict(bytes(32), '{"type":"urn:comity:error:not-found"}')),
            passed_on=(RECEIPT,),
            envelopes=(b"an envelope", b"another"),
        ),
    ),
    "with evidence files held": (
        "fr",
        "jp",
        Contents(files=(FilesHad(KEY, (((0, 3), (5, 1)), (), ((70_000, 4_096),))), FilesHad(bytes(32), ((),)))),
    ),
    "desk to node": ("24-7@ki", "ki", Contents(envelopes=(b"an envelope",), statements=(b"a statement",), after=41)),
    "node to desk": (
        "ki",
        "24-7@ki",
        Contents(mailbox=(MailboxEntry(42, b"an envelope", (RECEIPT,)), MailboxEntry(43, None, (RECEIPT,))), after=41),
    ),
}


def vectors() -> dict[str, Any]:
    """The content of the file."""
    signer = Ed25519Signer(SEED)
    parts = []
    for name, (sender, recipient, contents) in CASES.items():
        (part,) = write_bundle(sender, recipient, CREATED, contents, signer, DEFAULT_PART_BYTES)
        parts.append({"name": name, "from": sender, "to": recipient, "part": part.hex()})
    return {"signing_seed": SEED.hex(), "signing_kid": signer.kid.hex(), "created": to_ms(CREATED), "parts": parts}


if __name__ == "__main__":
    path = Path(__file__).with_name("bundle.json")
    path.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
