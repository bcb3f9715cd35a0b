"""RFC 3161 timestamps: that something existed at a time, by the word of an authority that is nobody's here.

A token is verified before it is kept: granted, our nonce, our imprint, signed by a certificate for timestamping that
leads to a given root, valid at the time in the token. Whether that certificate was revoked is not asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256

import aiohttp
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from yarl import URL

from protocol.errors import MalformedError, TimestampInvalidError, TimestampUnavailableError, UsageError

MAX_RESPONSE_BYTES = 256 * 1024
MAX_ROOTS = 64
TIMEOUT_S = 30
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = 0
_STATUS = {1: "granted with changes", 2: "rejected", 3: "waiting", 4: "revocation warning", 5: "revoked"}
_REFUSALS = (VerificationError, ValueError, TypeError, OverflowError)


def load_roots(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates in a PEM file, 1 to 64; raises :class:`MalformedError`."""
    try:
        roots = tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as problem:
        raise MalformedError("the file of the authority's roots is not PEM certificates") from problem
    if not 1 <= len(roots) <= MAX_ROOTS:
        raise MalformedError(f"an authority has 1 to {MAX_ROOTS} roots")
    return roots


async def request_timestamp(url: str, stamped: bytes, roots: Sequence[x509.Certificate]) -> bytes:
    """A token over ``stamped`` (the bytes; their SHA-256 is what is sent) from the authority at ``url``, as DER.

    Raises :class:`UsageError` for a URL that cannot be asked, :class:`TimestampUnavailableError`,
    :class:`TimestampInvalidError`.
    """
    request = (
        TimestampRequestBuilder()
        .data(stamped)
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    response = _decoded(await _post(_checked(url), request.as_bytes()))
    if response.status != _GRANTED:
        raise TimestampInvalidError(f"the authority answered: {_STATUS.get(response.status, 'unknown status')}")
    _verify(response, stamped, roots, request.nonce)
    return response.time_stamp_token()


def verify_token(token: bytes, stamped: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """When ``stamped`` existed, by the token (DER) and the authority's roots; :class:`TimestampInvalidError`."""
    response = _decoded(_tlv(0x30, _tlv(0x30, b"\x02\x01\x00") + token))  # a response: status granted, and the token
    return _verify(response, stamped, roots, None)


def _verify(
    response: TimeStampResponse, stamped: bytes, roots: Sequence[x509.Certificate], nonce: int | None
) -> datetime:
    try:
        said = response.tst_info
        if said.message_imprint.hash_algorithm.dotted_string != _SHA256:
            raise TimestampInvalidError("the token is over another kind of hash than SHA-256")
        if said.message_imprint.message != sha256(stamped).digest():
            raise TimestampInvalidError("the token is about something else")
        if nonce is not None and said.nonce != nonce:
            raise TimestampInvalidError("the token does not hold the nonce that was asked with: it may be an old one")
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify(response, sha256(stamped).digest())
    except _REFUSALS as problem:
        raise TimestampInvalidError(
            "the token is not signed by a certificate for timestamping that leads to a given root and was valid then"
        ) from problem
    return said.gen_time


def _decoded(response: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(response)
    except _REFUSALS as problem:
        raise TimestampInvalidError("the authority's answer is not a timestamp response in DER") from problem


def _checked(url: str) -> URL:
    try:
        parsed = URL(url)
    except ValueError as problem:
        raise UsageError("the authority's address is not a URL") from problem
    # Tokens are signed, so plain http is no danger to them; most authorities offer nothing else.
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.user or parsed.password:
        raise UsageError("write the authority as an http or https URL without a password")
    return parsed


async def _post(url: URL, query: bytes) -> bytes:
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    where = f"the timestamp authority {url.host}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.post(url, data=query, headers=headers, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise TimestampUnavailableError(f"{where} answers with HTTP status {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(65_536):
                body += chunk
                if len(body) > MAX_RESPONSE_BYTES:
                    raise TimestampInvalidError(f"{where} answers with more than {MAX_RESPONSE_BYTES} bytes")
            return bytes(body)
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        raise TimestampUnavailableError(f"{where} cannot be reached ({type(problem).__name__})") from problem


def _tlv(tag: int, content: bytes) -> bytes:
    """DER (X.690 §8.1)."""
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    size = (len(content).bit_length() + 7) // 8
    return bytes([tag, 0x80 | size]) + len(content).to_bytes(size, "big") + content
