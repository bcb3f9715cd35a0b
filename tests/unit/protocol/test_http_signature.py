"""Signed requests: everything that matters is covered, and nothing unsigned, late or altered passes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.errors import ClockSkewError, ComityError, SignatureInvalidError, UnauthenticatedError, UnknownKeyError
from protocol.http.signature import KeyRef, SignedBody, sign_request, verify_request

NOW = datetime(2026, 11, 23, 3, 0, 0, 500_000, tzinfo=UTC)
SIGNER = Ed25519Signer(bytes([1]) * 32)
VERIFIER = Ed25519Verifier(SIGNER.public_key)
URL = "https://127.0.0.1:8443/v1/mailbox?after=7&limit=10"
POST_URL = "https://127.0.0.1:8443/v1/submit"
BODY = b"\x81\x01"
NONCE = bytes(range(16))


def resolve(ref: KeyRef) -> Ed25519Verifier:
    assert ref == KeyRef("24-7@jp", SIGNER.kid)
    return VERIFIER


def get_headers() -> dict[str, str]:
    return sign_request("GET", URL, None, "24-7@jp", SIGNER, NOW, NONCE)


def post_headers() -> dict[str, str]:
    return sign_request("POST", POST_URL, SignedBody(BODY, "application/cbor"), "24-7@jp", SIGNER, NOW, NONCE)


def test_a_signed_request_names_its_signer_and_nonce() -> None:
    got = verify_request("GET", URL, get_headers(), b"", NOW, resolve)
    assert (got.key_ref.holder, got.nonce) == ("24-7@jp", NONCE.hex())
    assert verify_request("POST", POST_URL, post_headers(), BODY, NOW, resolve).key_ref.kid == SIGNER.kid


@pytest.mark.parametrize(
    ("method", "url", "body"),
    [
        ("PUT", POST_URL, BODY),
        ("POST", POST_URL + "?x=1", BODY),
        ("POST", "https://127.0.0.1:8443/v1/transfer", BODY),
        ("POST", "https://127.0.0.1:9443/v1/submit", BODY),
        ("POST", POST_URL, BODY + b"\0"),
        ("POST", POST_URL, b""),
    ],
)
def test_a_request_other_than_the_signed_one_is_refused(method: str, url: str, body: bytes) -> None:
    with pytest.raises((SignatureInvalidError, UnauthenticatedError)):
        verify_request(method, url, post_headers(), body, NOW, resolve)


@pytest.mark.parametrize("name", ["Content-Type", "Content-Digest", "Signature-Input", "Signature"])
def test_a_request_without_one_of_its_headers_is_refused(name: str) -> None:
    headers = post_headers()
    del headers[name]
    with pytest.raises((SignatureInvalidError, UnauthenticatedError)):
        verify_request("POST", POST_URL, headers, BODY, NOW, resolve)


def test_a_body_added_to_a_request_that_was_signed_without_one_is_refused() -> None:
    with pytest.raises(UnauthenticatedError):
        verify_request("GET", URL, get_headers(), b"body", NOW, resolve)


@pytest.mark.parametrize("seconds", [-31, 60, 3600, -86400])
def test_a_clock_too_far_off_either_way_is_told_so(seconds: int) -> None:
    with pytest.raises(ClockSkewError):
        verify_request("GET", URL, get_headers(), b"", NOW + timedelta(seconds=seconds), resolve)


def test_what_is_wrong_with_the_key_reaches_the_caller() -> None:
    def unknown(ref: KeyRef) -> Ed25519Verifier:
        raise UnknownKeyError

    with pytest.raises(UnknownKeyError):
        verify_request("GET", URL, get_headers(), b"", NOW, unknown)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (";expires=", ";created2="),
        ('tag="comity/v1"', 'tag="other"'),
        ('alg="ed25519"', 'alg="hmac-sha256"'),
        ('"@query"', '"@status"'),
        (' "@query")', ")"),
        ("created=1795402800", 'created="1795402800"'),
        ("created=1795402800", "created=1795402801"),
        (";alg=", ";other=1;alg="),
        ('tag="comity/v1"', 'tag="comity/v1";tag="comity/v1"'),
    ],
)
def test_altered_signature_parameters_are_refused(old: str, new: str) -> None:
    headers = get_headers()
    assert old in headers["Signature-Input"]
    headers["Signature-Input"] = headers["Signature-Input"].replace(old, new)
    with pytest.raises((SignatureInvalidError, UnauthenticatedError)):
        verify_request("GET", URL, headers, b"", NOW, resolve)


@settings(max_examples=60)
@given(st.text(max_size=300), st.text(max_size=120))
def test_arbitrary_signature_headers_are_refused_with_a_typed_error(signature_input: str, signature: str) -> None:
    headers = {"Signature-Input": signature_input, "Signature": signature}
    with pytest.raises(ComityError):
        verify_request("GET", URL, headers, b"", NOW, resolve)


@given(st.text(max_size=80))
def test_a_key_reference_has_one_spelling(text: str) -> None:
    try:
        assert str(KeyRef.parse(text)) == text
    except ComityError:
        return


class _Nacl(HTTPSignatureAlgorithm):
    """Lets the independent implementation sign and verify with the same keys."""

    algorithm_id = "ed25519"

    def __init__(self, public_key: Any = None, private_key: Any = None, password: Any = None) -> None:
        self.public_key, self.private_key = public_key, private_key

    def sign(self, message: bytes) -> bytes:
        signature: bytes = self.private_key.sign(message)
        return signature

    def verify(self, signature: bytes, message: bytes) -> None:
        self.public_key.verify(message, signature)


class _Keys(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id: str) -> Any:
        return VERIFIER

    def resolve_private_key(self, key_id: str) -> Any:
        return SIGNER


@dataclass
class _Message:
    method: str
    url: str
    headers: dict[str, str]


@pytest.mark.parametrize(("method", "url", "body"), [("GET", URL, None), ("POST", POST_URL, BODY)])
def test_an_independent_implementation_verifies_our_signatures(method: str, url: str, body: bytes | None) -> None:
    now = datetime.now(UTC)  # that implementation judges the times by its own clock
    signed = None if body is None else SignedBody(body, "application/cbor")
    headers = sign_request(method, url, signed, "24-7@jp", SIGNER, now, NONCE)
    verifier = HTTPMessageVerifier(signature_algorithm=_Nacl, key_resolver=_Keys())
    results = verifier.verify(_Message(method, url, headers), expect_tag="comity/v1", body=body or b"")
    assert [result.parameters["keyid"] for result in results] == [f"24-7@jp/{SIGNER.kid.hex()}"]


@pytest.mark.parametrize(("method", "url", "body"), [("GET", URL, None), ("POST", POST_URL, BODY)])
def test_we_verify_the_signatures_of_an_independent_implementation(method: str, url: str, body: bytes | None) -> None:
    message = _Message(method, url, {} if body is None else {"Content-Type": "application/cbor"})
    components = ["@method", "@authority", "@path", "@query", *([] if body is None else ["content-type"])]
    HTTPMessageSigner(signature_algorithm=_Nacl, key_resolver=_Keys()).sign(
        message,
        key_id=f"24-7@jp/{SIGNER.kid.hex()}",
        created=NOW,
        expires=NOW + timedelta(seconds=60),
        nonce=NONCE.hex(),
        label="comity",
        tag="comity/v1",
        covered_component_ids=components,
        body=body,
    )
    assert verify_request(method, url, message.headers, body or b"", NOW, resolve).nonce == NONCE.hex()
