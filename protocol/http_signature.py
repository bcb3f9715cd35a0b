"""Signed requests: RFC 9421 HTTP message signatures with Ed25519, the only way to authenticate to a node.

Covered components are always ``@method``, ``@authority``, ``@path`` and ``@query``, and with a body ``content-type``
and ``content-digest`` (RFC 9530, SHA-256). Parameters are always ``created``, ``expires``, ``nonce``, ``keyid``,
``alg`` and ``tag``. ``keyid`` is ``<holder>/<key id in hex>``: the holder is the address of a contact point or the name
of a node.

The signature base is built by the http-message-signatures library; keys and time are ours, since Ed25519 is always
verified by libsodium here and since a pure function does not read a clock. Whether a nonce was seen is for the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from protocol.address import Address, parse_node
from protocol.errors import ClockSkewError, ComityError, MalformedError, UnauthenticatedError
from protocol.keyid import KID_BYTES
from protocol.signing import Ed25519Verifier, Signer

TAG = "comity/v1"
LABEL = "comity"
LIFETIME = timedelta(seconds=60)
MAX_FUTURE_SKEW = timedelta(seconds=30)
NONCE_BYTES = 16

_COMPONENTS = ("@method", "@authority", "@path", "@query")
_BODY_COMPONENTS = (*_COMPONENTS, "content-type", "content-digest")
_PARAMETERS = {"created", "expires", "nonce", "keyid", "alg", "tag"}


@dataclass(frozen=True, slots=True)
class KeyRef:
    """A key of a holder: ``holder`` is an address (``24-7@kr``) or a node (``kr``)."""

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
    """Who signed a request. The nonce must still be checked against those seen until ``expires``."""

    key_ref: KeyRef
    nonce: str
    created: datetime
    expires: datetime


class _LibsodiumEd25519(HTTPSignatureAlgorithm):
    algorithm_id = "ed25519"

    def __init__(self, public_key: Any = None, private_key: Any = None, password: Any = None) -> None:
        self._verifier: Ed25519Verifier | None = public_key
        self._signer: Signer | None = private_key

    def sign(self, message: bytes) -> bytes:
        if self._signer is None:
            raise UnauthenticatedError("no key to sign the request with")
        return self._signer.sign(message)

    def verify(self, signature: bytes, message: bytes) -> None:
        if self._verifier is None:
            raise UnauthenticatedError("no key to verify the request with")
        self._verifier.verify(message, signature)


class _OneSigner(HTTPSignatureKeyResolver):
    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def resolve_private_key(self, key_id: str) -> Any:
        return self._signer


class _Lookup(HTTPSignatureKeyResolver):
    def __init__(self, resolve: Callable[[KeyRef], Ed25519Verifier]) -> None:
        self._resolve = resolve

    def resolve_public_key(self, key_id: str) -> Any:
        return self._resolve(KeyRef.parse(key_id))


class _TimelessVerifier(HTTPMessageVerifier):
    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        """Nothing: :func:`verify_request` judges the times by the instant it is given."""


@dataclass(slots=True)
class _Request:
    method: str
    url: str
    headers: dict[str, str]


def sign_request(
    method: str,
    url: str,
    body: bytes | None,
    content_type: str | None,
    holder: str,
    signer: Signer,
    now: datetime,
    nonce: bytes,
) -> dict[str, str]:
    """The headers to send: ``Signature-Input``, ``Signature``, and with a body ``Content-Type`` and ``Content-Digest``.

    ``url`` is absolute and percent-encoded as it will be sent; ``nonce`` is 16 fresh random bytes.
    """
    headers = {} if content_type is None else {"Content-Type": content_type}
    message = _Request(method, url, headers)
    HTTPMessageSigner(signature_algorithm=_LibsodiumEd25519, key_resolver=_OneSigner(signer)).sign(
        message,
        key_id=str(KeyRef(holder, signer.kid)),
        created=now,
        expires=now + LIFETIME,
        nonce=nonce.hex(),
        label=LABEL,
        tag=TAG,
        covered_component_ids=_COMPONENTS if body is None else (*_COMPONENTS, "content-type"),
        body=body,
    )
    return headers


def verify_request(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    resolve: Callable[[KeyRef], Ed25519Verifier],
) -> AuthenticatedRequest:
    """Who signed the request, if everything that must be covered is covered and holds.

    ``url`` is the absolute URL that the client used; ``headers`` gives each field once; ``resolve`` looks a key up in
    the directory and raises what is wrong with it. Raises :class:`UnauthenticatedError`, :class:`ClockSkewError`,
    :class:`SignatureInvalidError`, or what ``resolve`` raises.
    """
    verifier = _TimelessVerifier(signature_algorithm=_LibsodiumEd25519, key_resolver=_Lookup(resolve))
    try:
        results = verifier.verify(
            _Request(method, url, dict(headers)),
            max_age=None,
            expect_tag=TAG,
            require_components=_BODY_COMPONENTS if body else _COMPONENTS,
            body=body,
        )
    except HTTPMessageSignaturesException as problem:
        if isinstance(problem.__cause__, ComityError):
            raise problem.__cause__ from None
        raise UnauthenticatedError(f"the request's signature does not hold: {_first_line(problem)}") from problem
    if len(results) != 1:
        raise UnauthenticatedError("the request has more than one signature of this protocol")
    return _judge(results[0].parameters, now)


def _judge(parameters: Mapping[str, Any], now: datetime) -> AuthenticatedRequest:
    if set(parameters) != _PARAMETERS:
        raise UnauthenticatedError("the signature does not have exactly the parameters of this protocol")
    try:
        created = datetime.fromtimestamp(parameters["created"], UTC)
        expires = datetime.fromtimestamp(parameters["expires"], UTC)
    except (OverflowError, ValueError, OSError) as problem:
        raise UnauthenticatedError("the signature's times are not instants") from problem
    if not timedelta(0) < expires - created <= LIFETIME:
        raise UnauthenticatedError(f"a signature lives at most {LIFETIME.seconds} s")
    if created - now > MAX_FUTURE_SKEW or now >= expires:
        raise ClockSkewError("the signature's time and this machine's clock are too far apart")
    nonce = parameters["nonce"]
    if len(nonce) != 2 * NONCE_BYTES:
        raise UnauthenticatedError(f"the nonce is {NONCE_BYTES} bytes in hexadecimal")
    return AuthenticatedRequest(KeyRef.parse(parameters["keyid"]), nonce, created, expires)


def _first_line(problem: HTTPMessageSignaturesException) -> str:
    # The library's texts name header fields and parameters, never values of the body or keys.
    return str(problem).splitlines()[0][:200] if str(problem) else type(problem).__name__
