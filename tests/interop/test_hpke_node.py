"""Another implementation opens our envelopes and we open its: Node with @hpke/core, its X-Wing KEM and cborg.

The Node side is written from docs/protocol.md alone: HPKE, CBOR, Ed25519 and AES-GCM all come from other libraries than
ours, so a mistake that our sealing and our opening share does not pass here.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import to_ms
from protocol.envelope import (
    ENVELOPE_CONTEXT,
    MAX_CONTENT_BYTES,
    SEALED_TYPE,
    open_envelope,
    parse_envelope,
    seal,
    verify_envelope,
)
from protocol.errors import OpenFailedError
from protocol.routing import Priority, Routing
from tests.interop.node_program import NodeRefusedError, run_node

SIGNING_SEED = b"\x01" * 32
SIGNER = Ed25519Signer(SIGNING_SEED)
VERIFIER = Ed25519Verifier(SIGNER.public_key)
SEEDS = {Address.parse("24-7@jp"): b"\x02" * 32, Address.parse("mla@jp"): b"\x03" * 32}
OPENERS = {address: HybridOpener(seed) for address, seed in SEEDS.items()}
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ROUTING = Routing(
    id=new_message_id(NOW, bytes(10)),
    sender=Address.parse("24-7@fr"),
    recipients=tuple(SEEDS),
    created=NOW,
    expires=NOW + timedelta(days=90),
    priority=Priority.EMERGENCY,
    ack_by=NOW + timedelta(hours=24),
    commitment=bytes(32),
)
# Nothing, one beside the smallest padded size (512 = 36 + 476), text beyond ASCII, the largest a message may be.
CONTENTS = {
    "empty": b"",
    "fills the smallest padding": b"x" * 476,
    "is one longer": b"x" * 477,
    "holds Hangul": '{"제목": "보전 요청"}'.encode(),
    "has the greatest length": b"y" * MAX_CONTENT_BYTES,
}


def sealed_by_us(content: bytes) -> bytes:
    keys = {address: SealingKey(opener.public_key) for address, opener in OPENERS.items()}
    return seal(content, ROUTING, SIGNER, keys, os.urandom)


def open_with_node(envelope: bytes, recipient: Address, seed: bytes) -> dict[str, Any]:
    return run_node(
        "open.mjs",
        envelope=envelope.hex(),
        seed=seed.hex(),
        recipient=str(recipient),
        signing_key=SIGNER.public_key.hex(),
    )


def sealed_by_node(content: bytes) -> tuple[bytes, bytes]:
    assert ROUTING.ack_by is not None
    answer = run_node(
        "seal.mjs",
        content=content.hex(),
        seed=SIGNING_SEED.hex(),
        id=ROUTING.id.bytes.hex(),
        to=[str(address) for address in ROUTING.recipients],
        created=to_ms(ROUTING.created),
        expires=to_ms(ROUTING.expires),
        priority=int(ROUTING.priority),
        ack_by=to_ms(ROUTING.ack_by),
        keys=[OPENERS[address].public_key.hex() for address in ROUTING.recipients],
        **{"from": str(ROUTING.sender)},
    )
    return bytes.fromhex(answer["envelope"]), bytes.fromhex(answer["salt"])


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_node_opens_what_we_sealed(content: bytes) -> None:
    envelope = sealed_by_us(content)
    routing = parse_envelope(envelope).routing

    for address, seed in SEEDS.items():
        opened = open_with_node(envelope, address, seed)

        assert bytes.fromhex(opened["content"]) == content
        assert opened["sealing_key"] == OPENERS[address].public_key.hex()
        assert opened["routing"] == {
            "1": 1,
            "2": routing.id.bytes.hex(),
            "3": "24-7@fr",
            "4": ["24-7@jp", "mla@jp"],
            "5": to_ms(NOW),
            "6": to_ms(NOW + timedelta(days=90)),
            "7": 2,
            "8": to_ms(NOW + timedelta(hours=24)),
            "9": routing.commitment.hex(),
        }


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_we_open_what_node_sealed(content: bytes) -> None:
    data, salt = sealed_by_node(content)

    verified = verify_envelope(parse_envelope(data), VERIFIER)

    for address, opener in OPENERS.items():
        opened = open_envelope(verified, address, {opener.kid: opener}, NOW)
        assert (opened.content, opened.salt) == (content, salt)
        assert opened.verified.routing == Routing(
            **{name: getattr(ROUTING, name) for name in ROUTING.__slots__ if name != "commitment"},
            commitment=verified.routing.commitment,
        )


@pytest.mark.parametrize("place", [20, 200, 800, -100, -1])
def test_node_refuses_what_we_sealed_with_one_byte_altered(place: int) -> None:
    altered = bytearray(sealed_by_us(b"content"))
    altered[place] ^= 1
    address, seed = next(iter(SEEDS.items()))

    with pytest.raises(NodeRefusedError):
        open_with_node(bytes(altered), address, seed)


def test_node_refuses_a_key_of_another_recipient() -> None:
    first, second = SEEDS

    with pytest.raises(NodeRefusedError, match="sealed to another key"):
        open_with_node(sealed_by_us(b"content"), first, SEEDS[second])


def test_we_refuse_a_key_that_node_sealed_under_another_senders_signature() -> None:
    data, _ = sealed_by_node(b"content")
    thief = Ed25519Signer(b"\x09" * 32)
    address, opener = next(iter(OPENERS.items()))
    resigned = resign(data, thief)

    with pytest.raises(OpenFailedError):
        open_envelope(
            verify_envelope(parse_envelope(resigned), Ed25519Verifier(thief.public_key)),
            address,
            {opener.kid: opener},
            NOW,
        )


def resign(data: bytes, signer: Ed25519Signer) -> bytes:
    return cose.sign1(parse_envelope(data).signed.payload, SEALED_TYPE, ENVELOPE_CONTEXT, signer)
