"""Writes ``envelope.json``: vectors of the envelope for other implementations (docs/protocol.md, section 2).

Run it from the repository's root: ``python tests/vectors/make_envelope_vectors.py``. All of it is deterministic but the
HPKE encapsulation, which is random, and with it the encapsulated and wrapped keys, the signature, and the envelope: a
run that would change nothing else keeps the file.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from protocol.address import Address
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import to_ms
from protocol.encoding.padme import pad
from protocol.envelope import (
    ENVELOPE_CONTEXT,
    SEALED_CONTEXT,
    WRAP_CONTEXT,
    parse_envelope,
    seal,
)
from protocol.routing import Priority, Routing

TARGET = Path(__file__).with_name("envelope.json")

SIGNING_SEED = bytes(range(32))
SALT = bytes(range(0x40, 0x60))
CONTENT_KEY = bytes(range(0x60, 0x80))
IV = bytes(range(0x80, 0x8C))
CREATED = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SENDER = Address.parse("24-7@fr")

# Address and sealing seed of each recipient, in the order of the routing header.
_ONE = (("24-7@jp", bytes(range(0x20, 0x40))),)
_THREE = (("24-7@gr", b"\x01" * 32), ("24-7@jp", bytes(range(0x20, 0x40))), ("mla@jp", b"\x02" * 32))
_CASES = (
    ("one recipient, smallest padding", _ONE, b'{"type":"preservation.request"}', Priority.ROUTINE, None),
    ("three recipients, acknowledgement due", _THREE, "보전 요청 ".encode() * 40, Priority.EMERGENCY, 24),
    ("no content", _ONE, b"", Priority.URGENT, None),
)


def vectors() -> dict[str, Any]:
    """All vectors; byte strings are hex, instants Unix milliseconds."""
    signer = Ed25519Signer(SIGNING_SEED)
    return {
        "signing_seed": SIGNING_SEED.hex(),
        "signing_key": signer.public_key.hex(),
        "signing_kid": signer.kid.hex(),
        "salt": SALT.hex(),
        "content_key": CONTENT_KEY.hex(),
        "iv": IV.hex(),
        "envelopes": [_envelope(number, signer, *case) for number, case in enumerate(_CASES)],
    }


def _envelope(
    number: int,
    signer: Ed25519Signer,
    name: str,
    seeds: tuple[tuple[str, bytes], ...],
    content: bytes,
    priority: Priority,
    ack_hours: int | None,
) -> dict[str, Any]:
    openers = {Address.parse(address): HybridOpener(seed) for address, seed in seeds}
    routing = Routing(
        id=new_message_id(CREATED, number.to_bytes(10, "big")),
        sender=SENDER,
        recipients=tuple(openers),
        created=CREATED,
        expires=CREATED + timedelta(days=90),
        priority=priority,
        ack_by=None if ack_hours is None else CREATED + timedelta(hours=ack_hours),
        commitment=bytes(32),
    )
    keys = {address: SealingKey(opener.public_key) for address, opener in openers.items()}
    fixed = iter((SALT, CONTENT_KEY, IV))
    data = seal(content, routing, signer, keys, lambda _: next(fixed))
    made = parse_envelope(data)
    plaintext = pad(SALT, content)
    to_be_signed = cbor.encode(["Signature1", made.signed.protected, ENVELOPE_CONTEXT, made.signed.payload])
    return {
        "name": name,
        "content": content.hex(),
        "id": str(routing.id),
        "from": str(SENDER),
        "to": [address for address, _ in seeds],
        "created": to_ms(routing.created),
        "expires": to_ms(routing.expires),
        "priority": int(priority),
        "ack_by": None if routing.ack_by is None else to_ms(routing.ack_by),
        "commitment": made.routing.commitment.hex(),
        "routing_header": made.sealed.routing.hex(),
        "plaintext_length": len(plaintext),
        "plaintext_sha256": sha256(plaintext).hexdigest(),
        "sealed_protected": made.sealed.protected.hex(),
        "content_aad": cbor.encode(["Encrypt", made.sealed.protected, SEALED_CONTEXT]).hex(),
        "ciphertext": made.sealed.ciphertext.hex(),
        "recipients": [
            _recipient(address, seed, sealed, made.sealed.protected, signer.kid)
            for (address, seed), sealed in zip(seeds, made.sealed.recipients, strict=True)
        ],
        "signed_protected": made.signed.protected.hex(),
        "external_aad": ENVELOPE_CONTEXT.hex(),
        "sig_structure_sha256": sha256(to_be_signed).hexdigest(),
        "signature": made.signed.signature.hex(),
        "envelope": data.hex(),
        "envelope_digest": made.digest.hex(),
    }


def _recipient(address: str, seed: bytes, sealed: Any, sealed_protected: bytes, sender_kid: bytes) -> dict[str, str]:
    extra = cbor.encode([WRAP_CONTEXT, sealed_protected, sender_kid])
    return {
        "address": address,
        "sealing_seed": seed.hex(),
        "sealing_key": HybridOpener(seed).public_key.hex(),
        "kid": sealed.kid.hex(),
        "protected": sealed.protected.hex(),
        "extra": extra.hex(),
        "info": cbor.encode(["HPKE Recipient", 3, sealed.protected, extra]).hex(),
        "encapsulated_key": sealed.encapsulated.hex(),
        "wrapped_key": sealed.ciphertext.hex(),
    }


RANDOMISED = frozenset(
    {"encapsulated_key", "wrapped_key", "sig_structure_sha256", "signature", "envelope", "envelope_digest"}
)


def fixed_part(value: Any) -> Any:
    """``value`` without what the random encapsulation changes."""
    if isinstance(value, dict):
        return {name: fixed_part(inner) for name, inner in value.items() if name not in RANDOMISED}
    if isinstance(value, list):
        return [fixed_part(inner) for inner in value]
    return value


def main() -> None:
    """Write the file unless only the encapsulation would differ."""
    made = vectors()
    if TARGET.exists() and fixed_part(json.loads(TARGET.read_text())) == fixed_part(made):
        return
    TARGET.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
