"""The published envelope vectors say what the code does, and the code says what the RFCs' vectors say."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.keyid import ed25519_kid, seal_kid
from protocol.encoding.padme import pad
from protocol.envelope import (
    ENVELOPE_CONTEXT,
    SEALED_CONTEXT,
    SEALED_TYPE,
    VerifiedEnvelope,
    commitment_of,
    open_envelope,
    parse_envelope,
    verify_envelope,
)
from protocol.errors import NonCanonicalError, SignatureInvalidError
from protocol.routing import decode_routing, encode_routing
from tests.vectors import make_envelope_vectors as maker

VECTORS = Path(__file__).parents[2] / "vectors"


def load(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return loaded


ALL = load("envelope.json")
SIGNER = Ed25519Signer(bytes.fromhex(ALL["signing_seed"]))
SALT, CONTENT_KEY, IV = (bytes.fromhex(ALL[name]) for name in ("salt", "content_key", "iv"))
each_envelope = pytest.mark.parametrize("vector", ALL["envelopes"], ids=lambda vector: vector["name"])


def verified(vector: dict[str, Any]) -> VerifiedEnvelope:
    return verify_envelope(
        parse_envelope(bytes.fromhex(vector["envelope"])), Ed25519Verifier(bytes.fromhex(ALL["signing_key"]))
    )


def test_the_script_still_makes_every_value_that_is_not_random() -> None:
    assert maker.fixed_part(maker.vectors()) == maker.fixed_part(ALL)


def test_signing_key_and_kid_follow_from_the_seed() -> None:
    assert SIGNER.public_key.hex() == ALL["signing_key"]
    assert ed25519_kid(SIGNER.public_key).hex() == ALL["signing_kid"]
    named = sha256(b"comity/v1/key-id\0ed25519\0" + SIGNER.public_key).digest()[:16]
    assert named.hex() == ALL["signing_kid"]


@each_envelope
def test_each_recipient_opens_the_envelope(vector: dict[str, Any]) -> None:
    for recipient in vector["recipients"]:
        opener = HybridOpener(bytes.fromhex(recipient["sealing_seed"]))
        assert opener.public_key.hex() == recipient["sealing_key"]
        assert opener.kid.hex() == recipient["kid"] == seal_kid(opener.public_key).hex()

        opened = open_envelope(
            verified(vector), Address.parse(recipient["address"]), {opener.kid: opener}, from_ms(vector["created"])
        )

        assert opened.content.hex() == vector["content"]
        assert opened.salt == SALT


@each_envelope
def test_each_sealed_key_opens_under_the_info_of_the_vector(vector: dict[str, Any]) -> None:
    for recipient in vector["recipients"]:
        protected = bytes.fromhex(recipient["protected"])
        extra = cbor.encode(["comity/v1/wrap", bytes.fromhex(vector["sealed_protected"]), SIGNER.kid])
        sealed = bytes.fromhex(recipient["encapsulated_key"] + recipient["wrapped_key"])

        info = cose.recipient_info(protected, extra)

        assert (extra.hex(), info.hex()) == (recipient["extra"], recipient["info"])
        assert HybridOpener(bytes.fromhex(recipient["sealing_seed"])).open(sealed, info) == CONTENT_KEY


@each_envelope
def test_routing_header_and_commitment_are_recomputed(vector: dict[str, Any]) -> None:
    routing = decode_routing(bytes.fromhex(vector["routing_header"]))

    assert encode_routing(routing).hex() == vector["routing_header"]
    assert (str(routing.id), str(routing.sender)) == (vector["id"], vector["from"])
    assert [str(address) for address in routing.recipients] == vector["to"]
    assert (to_ms(routing.created), to_ms(routing.expires)) == (vector["created"], vector["expires"])
    assert (routing.ack_by and to_ms(routing.ack_by)) == vector["ack_by"]
    assert int(routing.priority) == vector["priority"]
    content = bytes.fromhex(vector["content"])
    assert routing.commitment.hex() == vector["commitment"] == commitment_of(SALT, content).hex()
    assert sha256(b"comity/v1/commitment\0" + SALT + content).hexdigest() == vector["commitment"]


@each_envelope
def test_padding_additional_data_and_ciphertext_are_recomputed(vector: dict[str, Any]) -> None:
    plaintext = pad(SALT, bytes.fromhex(vector["content"]))
    protected = cose.encrypted_protected(IV, bytes.fromhex(vector["routing_header"]))
    aad = cose.content_aad(protected, SEALED_CONTEXT)

    assert (len(plaintext), sha256(plaintext).hexdigest()) == (vector["plaintext_length"], vector["plaintext_sha256"])
    assert (protected.hex(), aad.hex()) == (vector["sealed_protected"], vector["content_aad"])
    assert AESGCM(CONTENT_KEY).encrypt(IV, plaintext, aad).hex() == vector["ciphertext"]


@each_envelope
def test_the_envelope_is_built_again_from_its_parts(vector: dict[str, Any]) -> None:
    recipients = tuple(
        cose.Recipient(*(bytes.fromhex(part[name]) for name in ("protected", "kid", "encapsulated_key", "wrapped_key")))
        for part in vector["recipients"]
    )
    protected, routing, ciphertext = (
        bytes.fromhex(vector[name]) for name in ("sealed_protected", "routing_header", "ciphertext")
    )
    payload = cose.encode_encrypted(cose.Encrypted(protected, IV, routing, ciphertext, recipients))
    signed_protected = bytes.fromhex(vector["signed_protected"])
    to_be_signed = cbor.encode(["Signature1", signed_protected, bytes.fromhex(vector["external_aad"]), payload])

    assert vector["external_aad"] == ENVELOPE_CONTEXT.hex()
    assert sha256(to_be_signed).hexdigest() == vector["sig_structure_sha256"]
    assert SIGNER.sign(to_be_signed).hex() == vector["signature"]
    data = cose.sign1(payload, SEALED_TYPE, ENVELOPE_CONTEXT, SIGNER)
    assert data.hex() == vector["envelope"]
    assert sha256(data).hexdigest() == vector["envelope_digest"] == verified(vector).digest.hex()


# RFC 8032 §7.1, tests 1 to 3: seed, public key, message, signature.
RFC_8032 = [
    pytest.param(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe2465"
        "5141438e7a100b",
        id="test 1",
    ),
    pytest.param(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb0"
        "0d291612bb0c00",
        id="test 2",
    ),
    pytest.param(
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc0"
        "27beceea1ec40a",
        id="test 3",
    ),
]


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC_8032)
def test_signing_follows_rfc_8032(seed: str, public_key: str, message: str, signature: str) -> None:
    signer = Ed25519Signer(bytes.fromhex(seed))
    verifier = Ed25519Verifier(bytes.fromhex(public_key))

    assert signer.public_key.hex() == public_key
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    verifier.verify(bytes.fromhex(message), bytes.fromhex(signature))
    with pytest.raises(SignatureInvalidError):
        verifier.verify(bytes.fromhex(message) + b"\0", bytes.fromhex(signature))


@pytest.mark.parametrize("vector", load("xwing.json")["vectors"], ids=["first", "second", "third"])
def test_a_sealing_key_follows_from_its_seed_as_x_wing_says(vector: dict[str, str]) -> None:
    opener = HybridOpener(bytes.fromhex(vector["seed"]))

    assert opener.public_key.hex() == vector["public_key"]
    assert opener.open(SealingKey(opener.public_key).seal(b"content key", b"info"), b"info") == b"content key"


# RFC 8949 appendix A: the rows whose values the protocol uses.
RFC_8949 = [
    (0, "00"),
    (1, "01"),
    (10, "0a"),
    (23, "17"),
    (24, "1818"),
    (25, "1819"),
    (100, "1864"),
    (1000, "1903e8"),
    (1000000, "1a000f4240"),
    (1000000000000, "1b000000e8d4a51000"),
    (18446744073709551615, "1bffffffffffffffff"),
    (-18446744073709551616, "3bffffffffffffffff"),
    (-1, "20"),
    (-10, "29"),
    (-100, "3863"),
    (-1000, "3903e7"),
    (False, "f4"),
    (True, "f5"),
    (None, "f6"),
    (b"", "40"),
    (bytes.fromhex("01020304"), "4401020304"),
    ("", "60"),
    ("a", "6161"),
    ("IETF", "6449455446"),
    ('"\\', "62225c"),
    ("\u00fc", "62c3bc"),
    ("\u6c34", "63e6b0b4"),
    ("\U00010151", "64f0908591"),
    ([], "80"),
    ([1, 2, 3], "83010203"),
    ([1, [2, 3], [4, 5]], "8301820203820405"),
    (list(range(1, 26)), "98190102030405060708090a0b0c0d0e0f101112131415161718181819"),
    ({}, "a0"),
    ({1: 2, 3: 4}, "a201020304"),
    ({"a": 1, "b": [2, 3]}, "a26161016162820203"),
    (["a", {"b": "c"}], "826161a161626163"),
    ({"a": "A", "b": "B", "c": "C", "d": "D", "e": "E"}, "a56161614161626142616361436164614461656145"),
]


@pytest.mark.parametrize(("value", "encoded"), RFC_8949, ids=[encoded for _, encoded in RFC_8949])
def test_cbor_follows_rfc_8949_appendix_a(value: object, encoded: str) -> None:
    assert cbor.encode(value).hex() == encoded
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert decoded == value
    assert type(decoded) is type(value)


@pytest.mark.parametrize("encoded", ["1800", "190001", "1a00000001", "1b0000000000000001", "380a", "580101", "780161"])
def test_cbor_refuses_a_longer_form_of_an_appendix_a_value(encoded: str) -> None:
    with pytest.raises(NonCanonicalError):
        cbor.decode(bytes.fromhex(encoded))
