"""Requests that are rightly signed and break exactly one rule of the profile: each is refused for that rule alone."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256, sha512

import pytest

from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.errors import (
    ClockSkewError,
    ComityError,
    InvalidAddressError,
    MalformedError,
    SignatureInvalidError,
    UnauthenticatedError,
)
from protocol.http.signature import KeyRef, SignedBody, sign_request, verify_head, verify_request
from tests.unit.protocol.test_http_signature import BODY, NOW, POST_URL, SIGNER, VERIFIER

CREATED = int(NOW.timestamp())
BASE = ("@method", "@authority", "@path", "@query", "content-type", "content-digest")


def digest_of(body: bytes, name: str = "sha-256") -> str:
    hashed = sha256(body) if name == "sha-256" else sha512(body)
    return f"{name}=:{b64encode(hashed.digest()).decode()}:"


@dataclass
class Made:
    """A request as any signer may make it: whatever is set here is signed as it stands."""

    components: tuple[str, ...] = BASE
    parameters: dict[str, str] = field(
        default_factory=lambda: {
            "created": str(CREATED),
            "expires": str(CREATED + 60),
            "nonce": f'"{bytes(range(16)).hex()}"',
            "keyid": f'"24-7@jp/{SIGNER.kid.hex()}"',
            "alg": '"ed25519"',
            "tag": '"comity/v1"',
        }
    )
    content_type: str | None = "application/cbor"
    content_digest: str | None = digest_of(BODY)
    label: str = "comity"
    body: bytes = BODY
    signer: Ed25519Signer = SIGNER
    signed_as: str | None = None
    trailing: str = ""

    def headers(self) -> dict[str, str]:
        values = {
            "@method": "POST",
            "@authority": "127.0.0.1:8443",
            "@path": "/v1/submit",
            "@query": "?",
            "@scheme": "https",
            "content-type": self.content_type or "",
            "content-digest": self.content_digest or "",
            "date": "today",
        }
        inner = " ".join(f'"{name}"' for name in self.components)
        said = f"({inner})" + "".join(f";{name}={value}" for name, value in self.parameters.items())
        said += self.trailing
        lines = [f'"{name}": {values[name]}' for name in self.components]
        base = "\n".join([*lines, f'"@signature-params": {self.signed_as or said}']).encode()
        signature = b64encode(self.signer.sign(base)).decode()
        headers = {"Signature-Input": f"{self.label}={said}", "Signature": f"{self.label}=:{signature}:"}
        if self.content_type is not None:
            headers["Content-Type"] = self.content_type
        if self.content_digest is not None:
            headers["Content-Digest"] = self.content_digest
        return headers


def resolve(ref: KeyRef) -> Ed25519Verifier:
    return VERIFIER


def judged(made: Made) -> object:
    return verify_request("POST", POST_URL, made.headers(), made.body, NOW, resolve)


def parameter(name: str, value: str | None) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        if value is None:
            del made.parameters[name]
        else:
            made.parameters[name] = value

    return change


def setting(name: str, value: object) -> Callable[[Made], None]:
    def change(made: Made) -> None:
        setattr(made, name, value)

    return change


COVERED = "the signature does not cover exactly what this protocol covers"
OTHER_USE = "the signature is of another algorithm or for another use"
LIFE = "a signature lives at most 60 s"
CLOCK = "the signature's time and this machine's clock are too far apart"
NO_INSTANT = "the signature's times are not instants"
NONCE = "the nonce is 16 bytes in hexadecimal"
NO_DIGEST = "a request with a body says its SHA-256 as content digest"
NO_TYPE = "a request with a body says its content type"
UNLABELLED = "the request has no signature labelled comity"
KEYID = "a key reference is <holder>/<key id in 32 lower-case hex digits>"

RULES: list[tuple[str, Callable[[Made], None], type[ComityError], str]] = [
    ("life over 60 s", parameter("expires", str(CREATED + 61)), UnauthenticatedError, LIFE),
    ("no life", parameter("expires", str(CREATED)), UnauthenticatedError, LIFE),
    ("ends before it begins", parameter("expires", str(CREATED - 1)), UnauthenticatedError, LIFE),
    (
        "no instant",
        parameter("created", "999999999999"),
        UnauthenticatedError,
        "the signature's times are not instants",
    ),
    ("tag", parameter("tag", '"comity/v2"'), UnauthenticatedError, OTHER_USE),
    ("algorithm", parameter("alg", '"ecdsa-p256-sha256"'), UnauthenticatedError, OTHER_USE),
    ("short nonce", parameter("nonce", f'"{bytes(15).hex()}"'), UnauthenticatedError, NONCE),
    ("long nonce", parameter("nonce", f'"{bytes(17).hex()}"'), UnauthenticatedError, NONCE),
    ("nonce not in hexadecimal", parameter("nonce", f'"{"g" * 32}"'), UnauthenticatedError, NONCE),
    ("nonce in capitals", parameter("nonce", f'"{"A" * 32}"'), UnauthenticatedError, NONCE),
    *(
        (f"without {name}", parameter(name, None), UnauthenticatedError, COVERED)
        for name in ("created", "expires", "nonce", "keyid", "alg", "tag")
    ),
    ("one parameter more", parameter("sub", '"x"'), UnauthenticatedError, COVERED),
    ("time as text", parameter("created", f'"{CREATED}"'), UnauthenticatedError, COVERED),
    ("nonce as number", parameter("nonce", "12"), UnauthenticatedError, COVERED),
    *(
        (
            f"{name} not covered",
            setting("components", tuple(other for other in BASE if other != name)),
            UnauthenticatedError,
            COVERED,
        )
        for name in BASE
    ),
    ("a parameter twice", setting("trailing", ';tag="comity/v1"'), UnauthenticatedError, COVERED),
    ("something after the parameters", setting("trailing", " x"), UnauthenticatedError, COVERED),
    ("more than is read at all", setting("trailing", ";" + "x" * 1_000), UnauthenticatedError, UNLABELLED),
    ("another order", setting("components", BASE[::-1]), UnauthenticatedError, COVERED),
    ("one component more", setting("components", (*BASE, "date")), UnauthenticatedError, COVERED),
    ("another component", setting("components", ("@scheme", *BASE[1:])), UnauthenticatedError, COVERED),
    ("label", setting("label", "sig1"), UnauthenticatedError, UNLABELLED),
    ("no content type", setting("content_type", ""), UnauthenticatedError, NO_TYPE),
    ("content type of another alphabet", setting("content_type", "application/cbor "), UnauthenticatedError, NO_TYPE),
    ("no digest", setting("content_digest", ""), UnauthenticatedError, NO_DIGEST),
    ("another hash", setting("content_digest", digest_of(BODY, "sha-512")), UnauthenticatedError, NO_DIGEST),
    (
        "two hashes",
        setting("content_digest", f"{digest_of(BODY)}, {digest_of(BODY, 'sha-512')}"),
        UnauthenticatedError,
        NO_DIGEST,
    ),
    (
        "digest of another body",
        setting("content_digest", digest_of(b"other")),
        UnauthenticatedError,
        "the content digest is not the body's",
    ),
    ("key id in capitals", parameter("keyid", f'"24-7@jp/{"A" * 32}"'), MalformedError, KEYID),
    ("short key id", parameter("keyid", '"24-7@jp/aabb"'), MalformedError, KEYID),
    (
        "key id that is no number",
        parameter("keyid", '"24-7@jp/xyz"'),
        MalformedError,
        "a key reference ends in the key id in hexadecimal",
    ),
    ("no key id", parameter("keyid", '"24-7@jp"'), MalformedError, KEYID),
    ("holder that is no address", parameter("keyid", f'"24-7@@jp/{SIGNER.kid.hex()}"'), InvalidAddressError, ""),
    ("holder that is no node", parameter("keyid", f'"JP/{SIGNER.kid.hex()}"'), InvalidAddressError, ""),
    ("key", setting("signer", Ed25519Signer(bytes(32))), SignatureInvalidError, ""),
]


def test_a_request_that_breaks_no_rule_is_accepted() -> None:
    judged(Made())
    reordered = Made()
    reordered.parameters = dict(reversed(reordered.parameters.items()))
    judged(reordered)


@pytest.mark.parametrize(("what", "change", "problem", "text"), RULES, ids=[rule[0] for rule in RULES])
def test_a_well_signed_request_that_breaks_one_rule_is_refused_for_that_rule_alone(
    what: str, change: Callable[[Made], None], problem: type[ComityError], text: str
) -> None:
    made = Made()
    change(made)
    with pytest.raises(problem) as caught:
        judged(made)
    assert type(caught.value) is problem
    assert caught.value.detail == text or not text


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(-31, False), (-30, True), (0, True), (59, True), (60, False), (86_400, False)]
)
def test_a_signature_counts_from_half_a_minute_before_its_time_until_it_expires(seconds: int, accepted: bool) -> None:
    now = NOW.replace(microsecond=0) + timedelta(seconds=seconds)
    headers = Made().headers()
    if accepted:
        verify_request("POST", POST_URL, headers, BODY, now, resolve)
        return
    with pytest.raises(ClockSkewError, match="too far apart"):
        verify_request("POST", POST_URL, headers, BODY, now, resolve)


def test_what_is_signed_is_what_is_said_and_not_another_reading_of_it() -> None:
    made = Made()
    made.signed_as = made.headers()["Signature-Input"].removeprefix("comity=").replace(";", "; ")
    with pytest.raises(SignatureInvalidError):
        judged(made)


def test_the_head_alone_authenticates_and_the_body_is_still_held_against_it() -> None:
    head = verify_head("POST", POST_URL, Made().headers(), NOW, resolve, has_body=True)
    head.require_body(BODY)
    for other in (b"", BODY + b"\0", b"other"):
        with pytest.raises(UnauthenticatedError, match="the content digest is not the body's"):
            head.require_body(other)


def test_a_head_without_a_body_allows_none() -> None:
    without = Made(components=BASE[:4], content_type=None, content_digest=None, body=b"")
    head = verify_head("POST", POST_URL, without.headers(), NOW, resolve, has_body=False)
    head.require_body(b"")
    with pytest.raises(UnauthenticatedError):
        head.require_body(BODY)
    with pytest.raises(UnauthenticatedError, match=COVERED):
        verify_head("POST", POST_URL, without.headers(), NOW, resolve, has_body=True)
    with pytest.raises(UnauthenticatedError, match=COVERED):
        verify_head("POST", POST_URL, Made().headers(), NOW, resolve, has_body=False)


@pytest.mark.parametrize(
    ("method", "url"), [("PO\nST", POST_URL), ("POST", POST_URL + "/\u00e9"), ("P\u00d6ST", POST_URL)]
)
def test_what_a_signature_cannot_cover_is_refused_as_that(method: str, url: str) -> None:
    with pytest.raises(UnauthenticatedError, match="characters that a signature cannot cover"):
        verify_head(method, url, Made().headers(), NOW, resolve, has_body=True)


def test_a_path_that_is_not_there_is_the_root_and_a_content_type_that_is_not_said_is_empty() -> None:
    made = sign_request("GET", "https://127.0.0.1:8443", None, "24-7@jp", SIGNER, NOW, bytes(16))
    verify_request("GET", "https://127.0.0.1:8443/", made, b"", NOW, lambda _: VERIFIER)
    untyped = sign_request("POST", POST_URL, SignedBody(BODY, ""), "24-7@jp", SIGNER, NOW, bytes(16))
    assert untyped["Content-Type"] == ""


def test_signature_parameters_of_exactly_the_limit_are_judged_by_what_they_say() -> None:
    for size, words in ((1024, "under its label"), (1025, "no signature labelled")):
        given = {"Signature-Input": "comity=(".ljust(size, "x"), "Signature": "comity=::"}
        with pytest.raises(UnauthenticatedError, match=words):
            verify_request("GET", POST_URL, given, b"", NOW, lambda _: VERIFIER)
