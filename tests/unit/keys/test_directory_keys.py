"""Keys of the directory: one form each, one id each, and a holder who can be named."""

from __future__ import annotations

from typing import Any

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature

from keys.directory.metadata.tuf_key import DirectoryPublicKey, DirectorySigner
from keys.members.identity import generate_directory_key
from protocol.crypto.signing import SIGNATURE_BYTES
from protocol.errors import CeremonyError, WeakKeyError

SIGNER = generate_directory_key("AR").signer()
KEY = SIGNER.public_key
CLASSICAL = SIGNER.classical()
SMALL_ORDER = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def test_a_key_is_read_as_it_was_written_with_all_that_stands_in_it() -> None:
    for key in (
        KEY,
        CLASSICAL.public_key,
        DirectoryPublicKey(KEY.public),
        DirectoryPublicKey(KEY.public, "x", {"a": 1}),
    ):
        assert DirectoryPublicKey.from_dict(key.keyid, key.to_dict()) == key


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"keyval": ["public"]}, "has one member, public"),
        ({"keyval": {}}, "has one member, public"),
        ({"keyval": {**KEY.keyval, "private": "00"}}, "has one member, public"),
        ({"keyval": {"public": 7}}, "has one member, public"),
        ({"keyval": {"public": "zz"}}, None),
        ({"keyval": {"public": KEY.keyval["public"].upper()}}, "not the one of this key"),
        ({"keyval": {"public": KEY.keyval["public"][:-2]}}, "an ML-DSA-44 public key has"),
        ({"keyval": {"public": SMALL_ORDER.hex() + KEY.keyval["public"][64:]}}, None),
        ({"scheme": "ed25519"}, "not the one of this key"),
        ({"keytype": "ed25519"}, None),
    ],
)
def test_a_key_of_another_form_is_not_loaded(changes: dict[str, Any], why: str | None) -> None:
    with pytest.raises(ValueError, match=why):
        DirectoryPublicKey.from_dict(KEY.keyid, {**KEY.to_dict(), **changes})


def test_a_key_has_one_id() -> None:
    with pytest.raises(ValueError, match="not the one of this key"):
        DirectoryPublicKey.from_dict("0" * 64, KEY.to_dict())


def test_weak_keys_are_refused() -> None:
    for public, second in (
        (SMALL_ORDER, None),
        (SMALL_ORDER, KEY.ml_dsa_44),
        (KEY.public, b""),
        (KEY.public, bytes(7)),
    ):
        with pytest.raises(WeakKeyError):
            DirectoryPublicKey(public, "AR", ml_dsa_44=second)


@pytest.mark.parametrize("fields", [{}, {"x-comity-holder": ""}, {"x-comity-holder": 7}, {"x-comity-holder": None}])
def test_a_key_without_a_holders_name_is_called_by_its_id(fields: dict[str, Any]) -> None:
    assert DirectoryPublicKey(KEY.public, unrecognized_fields=fields).holder == CLASSICAL.public_key.keyid[:16]
    assert KEY.holder == "AR"


@pytest.mark.parametrize("name", ["", "A" * 121, "A\n", "A\u202eB", " A", "A "])
def test_a_holder_is_named_so_that_it_can_be_read(name: str) -> None:
    secret = generate_directory_key("AR")
    with pytest.raises(CeremonyError, match="1 to 120 printable characters"):
        DirectorySigner(name, secret.signer()._signer)
    assert DirectorySigner("A" * 120, secret.signer()._signer).public_key.holder == "A" * 120


def test_a_signature_counts_with_all_its_parts() -> None:
    hybrid, single = SIGNER.sign(b"data"), CLASSICAL.sign(b"data")
    KEY.verify_signature(hybrid, b"data")
    CLASSICAL.public_key.verify_signature(single, b"data")
    raw = bytes.fromhex(hybrid.signature)
    other = bytes.fromhex(SIGNER.sign(b"other").signature)
    for wrong in (raw[:SIGNATURE_BYTES] + other[SIGNATURE_BYTES:], other[:SIGNATURE_BYTES] + raw[SIGNATURE_BYTES:]):
        with pytest.raises(UnverifiedSignatureError):
            KEY.verify_signature(Signature(KEY.keyid, wrong.hex()), b"data")
    with pytest.raises(UnverifiedSignatureError):
        CLASSICAL.public_key.verify_signature(single, b"other")
    with pytest.raises(VerificationError):
        KEY.verify_signature(Signature(KEY.keyid, "zz"), b"data")
