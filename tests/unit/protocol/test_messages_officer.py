"""The releasing officer's signature: each rule of its place, length and form, by contents that are signed anyway."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from protocol.crypto.signing import Ed25519Signer
from protocol.errors import ComityError, SignatureInvalidError, WeakKeyError
from protocol.messages.officer_signature import (
    PLACEHOLDER,
    key_text,
    sign_as_officer,
    verify_officer,
    verify_officer_signature,
)
from protocol.messages.parse import ComposedMessage, compose_message, parse_message

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "messages" / "contact.test.json"
SIGNER, OTHER = Ed25519Signer(b"\x05" * 32), Ed25519Signer(b"\x06" * 32)
KEY = key_text(SIGNER.public_key)
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def composed(key: str = KEY, signature: str = PLACEHOLDER, **changes: Any) -> ComposedMessage:
    officer = {"name": "Kim", "role": "Inspector", "key": key, "signature": signature}
    return compose_message({**json.loads(EXAMPLE.read_text("utf-8")), **changes, "officer": officer}, sender="24-7@jp")


def resigned(content: bytes) -> tuple[str, bytes]:
    """The signature over content that has the placeholder somewhere, and the content with it."""
    raw = SIGNER.sign(b"comity/v1/officer\0" + content)
    text = urlsafe_b64encode(raw).rstrip(b"=").decode()
    return text, content.replace(PLACEHOLDER.encode(), text.encode())


def twin(text: str) -> str:
    """Another text that decodes to the same bytes: the last letter has bits that stand for nothing."""
    return text[:-1] + LETTERS[LETTERS.index(text[-1]) ^ 1]


def refused(kind: type[ComityError], part: str, key: str, signature: str, content: bytes) -> None:
    with pytest.raises(kind, match=part) as raised:
        verify_officer_signature(key, signature, content)
    assert type(raised.value) is kind


def test_an_officer_signs_what_names_the_officer_and_has_one_place_for_the_signature() -> None:
    signed = sign_as_officer(composed(), SIGNER)
    assert verify_officer(signed.message, signed.content)
    wrong = [composed(key=key_text(OTHER.public_key)), composed(signature="B" * 86)]
    for message in wrong:
        with pytest.raises(SignatureInvalidError, match="does not name the officer"):
            sign_as_officer(message, SIGNER)
    for twice in (composed(own_reference=PLACEHOLDER), composed(own_reference="x" + PLACEHOLDER)):
        with pytest.raises(SignatureInvalidError, match="not the only one"):
            sign_as_officer(twice, SIGNER)
    elsewhere = replace(composed(), content=b"{}")
    with pytest.raises(SignatureInvalidError, match="not the only one"):
        sign_as_officer(elsewhere, SIGNER)


def test_a_message_without_an_officers_signature_is_not_signed_by_one() -> None:
    plain = compose_message(json.loads(EXAMPLE.read_text("utf-8")), sender="24-7@jp")
    assert verify_officer(plain.message, plain.content) is False
    signed = sign_as_officer(composed(), SIGNER)
    for half in ("key", "signature"):
        officer = signed.message.officer.model_copy(update={half: None})
        assert verify_officer(signed.message.model_copy(update={"officer": officer}), signed.content) is False
    placeholder = composed()
    with pytest.raises(SignatureInvalidError):
        verify_officer(placeholder.message, placeholder.content)


def test_a_signature_is_of_its_officer_over_its_content_and_stands_there_once() -> None:
    signature, content = resigned(composed().content)
    verify_officer_signature(KEY, signature, content)
    assert verify_officer(parse_message(content), content)
    mismatch = "not over this content"
    refused(SignatureInvalidError, mismatch, key_text(OTHER.public_key), signature, content)
    refused(SignatureInvalidError, mismatch, KEY, signature, content.replace(b"Kim", b"Lee"))
    refused(SignatureInvalidError, mismatch, KEY, signature, content + b" ")
    refused(SignatureInvalidError, "once", KEY, signature, content.replace(signature.encode(), b"x"))
    # Signed with two places: whoever put the letters back would not know which was the signature's.
    twice, both = resigned(composed(own_reference=PLACEHOLDER).content)
    assert both.count(twice.encode()) == 2
    refused(SignatureInvalidError, "once", KEY, twice, both)
    other = parse_message(content.replace(b"Kim", b"Lee"))
    with pytest.raises(SignatureInvalidError):
        verify_officer(other, content.replace(b"Kim", b"Lee"))


def test_keys_and_signatures_have_their_length_and_one_form() -> None:
    signature, content = resigned(composed().content)
    length = "length of its kind"
    for key in (KEY[:-1], KEY + "A", ""):
        refused(SignatureInvalidError, length, key, signature, content)
    for text in (signature[:-1], signature + "A", "", "é" * 86):
        refused(SignatureInvalidError, length, KEY, text, content + text.encode())
    # A content that is signed with the key written otherwise, and a signature written otherwise.
    twin_key = twin(KEY)
    other, with_twin = resigned(composed(key=twin_key).content)
    refused(SignatureInvalidError, "canonical form", twin_key, other, with_twin)
    turned = twin(signature)
    refused(SignatureInvalidError, "canonical form", KEY, turned, content.replace(signature.encode(), turned.encode()))
    refused(SignatureInvalidError, "canonical form", "!" * 43, signature, content)
    refused(WeakKeyError, ".", "A" * 43, signature, content)


def test_a_key_of_small_order_signs_nothing_although_its_signature_fits() -> None:
    # The neutral element as key, and as point of the signature with zero: it fits every content.
    neutral = key_text(b"\1" + bytes(31))
    signature = urlsafe_b64encode(b"\1" + bytes(63)).rstrip(b"=").decode()
    content = composed(key=neutral).content.replace(PLACEHOLDER.encode(), signature.encode())
    refused(WeakKeyError, ".", neutral, signature, content)
