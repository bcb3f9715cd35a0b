"""The smallest parts of the wire: names, ids, instants and keys have one form, and each rule says its own cause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from protocol.address import MISTAKEN_COUNTRIES, Address, check_new_country, check_new_node
from protocol.crypto.mldsa import ML_DSA_44_PUBLIC_BYTES, ML_DSA_44_SEED_BYTES, MLDSA44Signer, MLDSA44Verifier
from protocol.crypto.signing import (
    PUBLIC_BYTES,
    SIGNATURE_BYTES,
    Ed25519Signer,
    Ed25519Verifier,
    check_ed25519_public_key,
)
from protocol.encoding.ids import RANDOM_BYTES, is_message_id, new_message_id, parse_message_id
from protocol.encoding.instants import to_ms
from protocol.errors import (
    InvalidAddressError,
    MalformedError,
    SignatureInvalidError,
    UsageError,
    WeakKeyError,
)

EARLY = new_message_id(datetime(1970, 1, 2, tzinfo=UTC), bytes(RANDOM_BYTES)).bytes  # begins with zeros
SIGNER = Ed25519Signer(bytes([1]) * 32)
# Of order 8, and the prime itself: not points of the prime-order subgroup in their one form.
SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
NOT_REDUCED = bytes.fromhex("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f")


@pytest.mark.parametrize(
    ("check", "text", "cause"),
    [
        (check_new_node, "uk", "did you mean gb"),
        (check_new_node, "el", "did you mean gr"),
        (check_new_node, "zz", "a country of ISO 3166"),
        (check_new_country, "UK", "did you mean GB"),
        (check_new_country, "el", "did you mean GR"),
        (check_new_country, "ZZ", "its two letters"),
        (check_new_country, "europol", "its two letters"),
    ],
)
def test_a_new_member_is_not_made_under_a_code_that_is_no_country(check: Callable[[str], str], text: str, cause: str):
    with pytest.raises(UsageError, match=cause):
        check(text)


def test_a_new_member_is_a_country_or_an_organisation_with_a_longer_name():
    assert [check_new_node(name) for name in ("jp", "xk", "europol", "zzz")] == ["jp", "xk", "europol", "zzz"]
    assert [check_new_country(code) for code in ("JP", "jp", "XK")] == ["JP", "JP", "XK"]
    assert set(MISTAKEN_COUNTRIES) == {"UK", "EL"}


@pytest.mark.parametrize(
    ("text", "cause"),
    [("24-7", "one @"), ("", "one @"), ("24-7@", "a node is named"), ("@jp", "a contact point"), ("a@b@jp", "a node")],
)
def test_an_address_has_one_at_sign_between_two_names(text: str, cause: str):
    with pytest.raises(InvalidAddressError, match=cause):
        Address.parse(text)


@pytest.mark.parametrize("random", [b"", bytes(RANDOM_BYTES - 1), bytes(RANDOM_BYTES + 1)])
def test_a_message_id_is_made_of_exactly_its_random_bytes(random: bytes):
    with pytest.raises(ValueError, match="10 random bytes"):
        new_message_id(datetime(2026, 1, 1, tzinfo=UTC), random)


@pytest.mark.parametrize(
    "raw",
    [EARLY[1:], b"\0" + EARLY, b"", EARLY + b"\0", list(EARLY), bytearray(EARLY), str(EARLY), None, 7],
)
def test_a_message_id_is_exactly_sixteen_bytes(raw: object):
    assert is_message_id(parse_message_id(EARLY))
    with pytest.raises(MalformedError, match="16 bytes"):
        parse_message_id(raw)


def test_an_instant_on_the_wire_begins_with_1970_wherever_it_was_written():
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert to_ms(epoch) == 0
    assert to_ms(datetime(1970, 1, 1, 9, tzinfo=timezone(timedelta(hours=9)))) == 0
    with pytest.raises(MalformedError, match="before 1970"):
        to_ms(epoch - timedelta(microseconds=1))
    with pytest.raises(MalformedError, match="needs its offset"):
        to_ms(epoch.replace(tzinfo=None))


@pytest.mark.parametrize("size", [0, PUBLIC_BYTES - 1, PUBLIC_BYTES + 1])
def test_an_ed25519_key_has_exactly_its_size(size: int):
    for check in (check_ed25519_public_key, Ed25519Verifier):
        with pytest.raises(WeakKeyError):
            check(bytes(size))


@pytest.mark.parametrize("key", [SMALL_ORDER, NOT_REDUCED, bytes(PUBLIC_BYTES), b"\1" + bytes(PUBLIC_BYTES - 1)])
def test_a_key_under_which_anything_may_verify_is_refused(key: bytes):
    check_ed25519_public_key(SIGNER.public_key)
    with pytest.raises(WeakKeyError):
        check_ed25519_public_key(key)


def test_a_signature_of_another_size_is_refused_as_that():
    verifier = Ed25519Verifier(SIGNER.public_key)
    signature = SIGNER.sign(b"message")
    verifier.verify(b"message", signature)
    for wrong in (b"", signature[:-1], signature + b"\0", signature + b"message"):
        with pytest.raises(SignatureInvalidError, match=f"{SIGNATURE_BYTES} bytes"):
            verifier.verify(b"message", wrong)


@pytest.mark.parametrize("size", [0, ML_DSA_44_PUBLIC_BYTES - 1, ML_DSA_44_PUBLIC_BYTES + 1])
def test_a_post_quantum_key_of_another_size_is_refused_as_that(size: int):
    with pytest.raises(WeakKeyError, match=f"has {ML_DSA_44_PUBLIC_BYTES} bytes"):
        MLDSA44Verifier(bytes(size))


def test_a_post_quantum_seed_has_its_size_and_its_key_signs_what_it_signed():
    signer = MLDSA44Signer(bytes(ML_DSA_44_SEED_BYTES))
    verifier, signature = MLDSA44Verifier(signer.public_key), signer.sign(b"message")
    verifier.verify(b"message", signature)
    for message, wrong in ((b"other", signature), (b"message", signature[:-1]), (b"message", bytes(len(signature)))):
        with pytest.raises(SignatureInvalidError):
            verifier.verify(message, wrong)
    for size in (0, ML_DSA_44_SEED_BYTES - 1, ML_DSA_44_SEED_BYTES + 1):
        with pytest.raises(WeakKeyError, match=f"seed has {ML_DSA_44_SEED_BYTES} bytes"):
            MLDSA44Signer(bytes(size))
