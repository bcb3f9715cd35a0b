"""Signed requests: RFC 9421 HTTP message signatures with Ed25519, the only way to authenticate to a node.

Covered components are always ``@method``, ``@authority``, ``@path`` and ``@query``, and with a body ``content-type``
and ``content-digest`` (RFC 9530, SHA-256), in this order. Parameters are always ``created``, ``expires``, ``nonce``,
``keyid``, ``alg`` and ``tag``, in any order. ``keyid`` is ``<holder>/<key id in hex>``: the holder is the address of a
contact point or the name of a node. The label is ``comity``, and there is no other signature.

A body whose parts prove themselves (segments of files) may go without ``content-digest``: then it is read, sent and
kept part by part, and hashed once.

One profile without options needs no general implementation of the RFC: a general one costs a millisecond a request,
more than all that a node does with a message. The tests compare with one.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from urllib.parse import urlsplit

from protocol.address import Address, parse_node
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding.keyid import KID_BYTES
from protocol.errors import ClockSkewError, MalformedError, UnauthenticatedError

TAG = "comity/v1"
LABEL = "comity"
LIFETIME = timedelta(seconds=60)
MAX_FUTURE_SKEW = timedelta(seconds=30)
NONCE_BYTES = 16

_COMPONENTS = '("@method" "@authority" "@path" "@query")'
_PROVEN_COMPONENTS = '("@method" "@authority" "@path" "@query" "content-type")'
_BODY_COMPONENTS = '("@method" "@authority" "@path" "@query" "content-type" "content-digest")'
_PARAMETER_NAMES = {"created", "expires", "nonce", "keyid", "alg", "tag"}
_ALGORITHM = "ed25519"
_NOT_COVERED = "the signature does not cover exactly what this protocol covers"
_MAX_INPUT_CHARS = 1024
# RFC 8941 integers and strings, of which only those without escapes occur here.
_PARAMETER = re.compile(r';([a-z]+)=(?:([0-9]{1,12})|"([A-Za-z0-9@/._-]{1,200})")')
_SIGNATURE = re.compile(r"comity=:([A-Za-z0-9+/]{86}==):\Z")
_NONCE = re.compile(rf"[0-9a-f]{{{2 * NONCE_BYTES}}}\Z")
_CONTENT_DIGEST = re.compile(r"sha-256=:[A-Za-z0-9+/]{43}=:\Z")
# A field value may not bring line breaks into the signature base.
_FIELD_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?\Z")


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key of a holder: ``holder`` is an address (``24-7@jp``) or a node (``jp``)."""

    holder: str
    kid: bytes

    @classmethod
    def parse(cls, text: str) -> KeyRef:
        """Read ``<holder>/<32 hex digits>``; raises :class:`MalformedError`."""
        holder, slash, hexadecimal = text.partition("/")
        try:
            kid = bytes.fromhex(hexadecimal)
        except ValueError as problem:
            raise MalformedError("a key reference ends in the key id in hexadecimal") from problem
        if not slash or len(kid) != KID_BYTES or hexadecimal != kid.hex():
            raise MalformedError("a key reference is <holder>/<key id in 32 lower-case hex digits>")
        if "@" in holder:
            Address.parse(holder)
        else:
            parse_node(holder)
        return cls(holder, kid)

    def __str__(self) -> str:
        return f"{self.holder}/{self.kid.hex()}"


@dataclass(frozen=True, slots=True)
class AuthenticatedRequest:
    """Who signed a request's head. The nonce must still be checked against those seen until ``expires``, and the body,
    if there is one, by :meth:`require_body`: ``content_digest`` is what the signer says of it, None without a body, and
    for one that is to prove itself, which only its reader can judge."""

    key_ref: KeyRef
    nonce: str
    created: datetime
    expires: datetime
    content_digest: str | None = None

    def require_body(self, body: bytes) -> None:
        """Return if ``body`` is the one that was signed; raises :class:`UnauthenticatedError`."""
        self.require_digest(sha256(body).digest() if body else None)

    def require_digest(self, digest: bytes | None) -> None:
        """As :meth:`require_body`, by the body's SHA-256; None for no body."""
        said = self.content_digest
        if said is None and digest is not None:
            raise UnauthenticatedError(_NOT_COVERED)
        if said is not None and (digest is None or not compare_digest(said, _digest_field(digest))):
            raise UnauthenticatedError("the content digest is not the body's")


@dataclass(frozen=True, slots=True)
class SignedBody:
    """The body of a request with the value of its ``Content-Type``, which the signature covers too."""

    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class ProvenBody:
    """A body whose parts prove themselves: the signature covers the value of its ``Content-Type`` alone."""

    content_type: str


def sign_request(
    method: str,
    url: str,
    body: SignedBody | ProvenBody | None,
    holder: str,
    signer: Signer,
    now: datetime,
    nonce: bytes,
) -> dict[str, str]:
    """The headers to send: ``Signature-Input``, ``Signature``, and with a body ``Content-Type`` and ``Content-Digest``.

    A body that proves itself has no ``Content-Digest``.
    ``url`` is absolute and percent-encoded as it will be sent; ``nonce`` is 16 fresh random bytes.
    """
    created = int(now.timestamp())
    headers = _body_headers(body)
    parameters = (
        f"{_covered(headers)};created={created};"
        f'expires={created + int(LIFETIME.total_seconds())};nonce="{nonce.hex()}";'
        f'keyid="{KeyRef(holder, signer.kid)}";alg="{_ALGORITHM}";tag="{TAG}"'
    )
    signature = signer.sign(_signature_base(method, url, headers, parameters))
    headers["Signature-Input"] = f"{LABEL}={parameters}"
    headers["Signature"] = f"{LABEL}=:{b64encode(signature).decode('ascii')}:"
    return headers


def _body_headers(body: SignedBody | ProvenBody | None) -> dict[str, str]:
    if body is None:
        return {}
    if isinstance(body, ProvenBody):
        return {"Content-Type": body.content_type}
    return {"Content-Type": body.content_type, "Content-Digest": _digest_field(sha256(body.content).digest())}


def _covered(headers: Mapping[str, str]) -> str:
    if "Content-Digest" in headers:
        return _BODY_COMPONENTS
    return _PROVEN_COMPONENTS if headers else _COMPONENTS


def verify_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    resolve: Callable[[KeyRef], Ed25519Verifier],
) -> AuthenticatedRequest:
    """Who signed the request, body and all; see :func:`verify_head`."""
    request = verify_head(method, url, headers, now, resolve, has_body=bool(body))
    request.require_body(body)
    return request


def verify_head(
    method: str,
    url: str,
    headers: Mapping[str, str],
    now: datetime,
    resolve: Callable[[KeyRef], Ed25519Verifier],
    *,
    has_body: bool,
) -> AuthenticatedRequest:
    """Who signed the request, if everything that must be covered is covered and holds; no body is needed for that.

    ``url`` is the absolute URL that the client used; ``headers`` gives each field once; ``resolve`` looks a key up in
    the directory and raises what is wrong with it. Raises :class:`UnauthenticatedError`, :class:`ClockSkewError`,
    :class:`SignatureInvalidError`, or what ``resolve`` raises.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    parameters, signature = _parse(fields)
    proven = has_body and parameters.startswith(_PROVEN_COMPONENTS)
    form = _PROVEN_COMPONENTS if proven else _BODY_COMPONENTS if has_body else _COMPONENTS
    values = _parameters(parameters.removeprefix(form))
    covered = _said_of_body(fields, proven=proven) if has_body else {}
    request = _judge(values, now, covered.get("content-digest"))
    resolve(request.key_ref).verify(_signature_base(method, url, covered, parameters), signature)
    return request


def _parse(fields: Mapping[str, str]) -> tuple[str, bytes]:
    """The signature parameters as they were sent, and the signature."""
    given = fields.get("signature-input", "")
    if not given.startswith(f"{LABEL}=(") or len(given) > _MAX_INPUT_CHARS:
        raise UnauthenticatedError(f"the request has no signature labelled {LABEL}")
    matched = _SIGNATURE.match(fields.get("signature", ""))
    if matched is None:
        raise UnauthenticatedError("the request's signature is not 64 bytes under its label")
    try:
        return given.removeprefix(f"{LABEL}="), b64decode(matched[1], validate=True)
    except Base64Error as problem:
        raise UnauthenticatedError("the request's signature is not in base64") from problem


def _parameters(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    end = 0
    for matched in _PARAMETER.finditer(text):
        if matched.start() != end or matched[1] in values:
            break
        if (matched[2] is not None) != (matched[1] in {"created", "expires"}):
            break
        values[matched[1]] = matched[2] if matched[2] is not None else matched[3]
        end = matched.end()
    if end != len(text) or set(values) != _PARAMETER_NAMES:
        raise UnauthenticatedError(_NOT_COVERED)
    if values["alg"] != _ALGORITHM or values["tag"] != TAG:
        raise UnauthenticatedError("the signature is of another algorithm or for another use")
    return values


def _said_of_body(fields: Mapping[str, str], *, proven: bool) -> dict[str, str]:
    """What the signer says of the body: its type and, unless it proves itself, its digest."""
    if not _FIELD_VALUE.match(fields.get("content-type", "")):
        raise UnauthenticatedError("a request with a body says its content type")
    if proven:
        return {"content-type": fields["content-type"]}
    digest = fields.get("content-digest", "")
    if not _CONTENT_DIGEST.match(digest):
        raise UnauthenticatedError("a request with a body says its SHA-256 as content digest")
    return {"content-type": fields["content-type"], "content-digest": digest}


def _digest_field(digest: bytes) -> str:
    return f"sha-256=:{b64encode(digest).decode('ascii')}:"


def _signature_base(method: str, url: str, fields: Mapping[str, str], parameters: str) -> bytes:
    # RFC 9421 §2.5
    parts = urlsplit(url)
    authority = parts.netloc.lower().removesuffix(":443")
    lines = [
        f'"@method": {method}',
        f'"@authority": {authority}',
        f'"@path": {parts.path or "/"}',
        f'"@query": ?{parts.query}',
    ]
    by_name = {name.lower(): value for name, value in fields.items()}
    lines += [f'"{name}": {by_name[name]}' for name in ("content-type", "content-digest") if name in by_name]
    lines.append(f'"@signature-params": {parameters}')
    base = "\n".join(lines)
    if base.count("\n") != len(lines) - 1 or not base.isascii():
        raise UnauthenticatedError("the request holds characters that a signature cannot cover")
    return base.encode("ascii")


def _judge(values: Mapping[str, str], now: datetime, digest: str | None) -> AuthenticatedRequest:
    try:
        created = datetime.fromtimestamp(int(values["created"]), UTC)
        expires = datetime.fromtimestamp(int(values["expires"]), UTC)
    except (OverflowError, ValueError, OSError) as problem:
        raise UnauthenticatedError("the signature's times are not instants") from problem
    if not timedelta(0) < expires - created <= LIFETIME:
        raise UnauthenticatedError(f"a signature lives at most {LIFETIME.seconds} s")
    if created - now > MAX_FUTURE_SKEW or now >= expires:
        raise ClockSkewError("the signature's time and this machine's clock are too far apart")
    nonce = values["nonce"]
    if not _NONCE.match(nonce):
        raise UnauthenticatedError(f"the nonce is {NONCE_BYTES} bytes in hexadecimal")
    return AuthenticatedRequest(KeyRef.parse(values["keyid"]), nonce, created, expires, digest)
