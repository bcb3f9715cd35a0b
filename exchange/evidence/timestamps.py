"""RFC 3161 timestamps: that something existed at a time, by the word of an authority that is nobody's here.

A token is verified before it is kept: granted, our nonce, our imprint, signed by a certificate for timestamping that
the signature itself names (RFC 5035), that leads to a given root and was valid at the time in the token. Whether that
certificate was revoked is not asked. Every token that OpenSSL verifies is accepted: also certificates in another order
than DER's, which is how most authorities and OpenSSL itself send them, and SHA-384 and SHA-512.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from hashlib import new as new_hash
from typing import Any, ClassVar

from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
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
_HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_SIGNING_CERTIFICATE = ("signing_certificate_v2", "signing_certificate")
_GRANTED = 0
_STATUS = {1: "granted with changes", 2: "rejected", 3: "waiting", 4: "revocation warning", 5: "revoked"}
_REFUSALS = (VerificationError, ValueError, TypeError, LookupError, AttributeError, OverflowError)


class _Response(core.Sequence):  # type: ignore[misc]
    """TimeStampResp of RFC 3161 §2.4.2, with the token left out where there is none."""

    _fields: ClassVar = [("status", tsp.PKIStatusInfo), ("time_stamp_token", cms.ContentInfo, {"optional": True})]


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
    answer = await _post(_checked(url), request.as_bytes())
    response = _decoded(answer)
    if response.status != _GRANTED:
        raise TimestampInvalidError(f"the authority answered: {_STATUS.get(response.status, 'unknown status')}")
    token = _token_of(answer)
    _verify(response, token, stamped, roots, request.nonce)
    return token


def verify_token(token: bytes, stamped: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """When ``stamped`` existed, by the token (DER) and the authority's roots; :class:`TimestampInvalidError`."""
    response = _decoded(_tlv(0x30, _tlv(0x30, b"\x02\x01\x00") + token))  # a response: status granted, and the token
    return _verify(response, token, stamped, roots, None)


def _verify(
    response: TimeStampResponse,
    token: bytes,
    stamped: bytes,
    roots: Sequence[x509.Certificate],
    nonce: int | None,
) -> datetime:
    try:
        said = response.tst_info
        kind = _HASHES.get(said.message_imprint.hash_algorithm.dotted_string)
        if kind is None:
            raise TimestampInvalidError("the token is over another kind of hash than SHA-256, SHA-384 and SHA-512")
        digest = new_hash(kind, stamped).digest()
        if said.message_imprint.message != digest:
            raise TimestampInvalidError("the token is about something else")
        if nonce is not None and said.nonce != nonce:
            raise TimestampInvalidError("the token does not hold the nonce that was asked with: it may be an old one")
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify(response, digest)
        _check_signer(token)
    except _REFUSALS as problem:
        raise TimestampInvalidError(
            "the token is not signed by a certificate for timestamping that leads to a given root and was valid then"
        ) from problem
    return said.gen_time


def _check_signer(token: bytes) -> None:
    """Return if the signature names the certificate that made it, and this is for timestamping and nothing else.

    RFC 3161 §2.4.2 and RFC 5035: without that name another certificate of the same key could be shown in its place.
    """
    signed = cms.ContentInfo.load(token, strict=True)["content"]
    (signer,) = signed["signer_infos"]
    named = signer["sid"].chosen
    own = [
        choice.chosen
        for choice in signed["certificates"]
        if choice.name == "certificate"
        and (choice.chosen.issuer.dump(), choice.chosen.serial_number)
        == (named["issuer"].dump(), named["serial_number"].native)
    ]
    if len(own) != 1:
        raise TimestampInvalidError("the token does not hold exactly one certificate of its signer")
    attributes = {attribute["type"].native: attribute["values"] for attribute in signer["signed_attrs"]}
    ids = [attributes[name] for name in _SIGNING_CERTIFICATE if name in attributes]
    if not ids:
        raise TimestampInvalidError("the token does not name the certificate that signed it (RFC 5035)")
    for values in ids:
        first = values[0]["certs"][0]
        kind = first["hash_algorithm"]["algorithm"].native if "hash_algorithm" in first else "sha1"
        if first["cert_hash"].native != new_hash(kind, own[0].dump(), usedforsecurity=False).digest():
            raise TimestampInvalidError("the token names another certificate than the one that signed it (RFC 5035)")
    _check_purpose(x509.load_der_x509_certificate(own[0].dump()))


def _check_purpose(certificate: x509.Certificate) -> None:
    # RFC 3161 §2.3, and what OpenSSL makes of it: for timestamping alone, with a key that signs.
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if list(purposes) != [ExtendedKeyUsageOID.TIME_STAMPING]:
        raise TimestampInvalidError("the certificate that signed the token is for more than timestamping")
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return
    others = usage.key_encipherment or usage.data_encipherment or usage.key_agreement or usage.key_cert_sign
    if others or usage.crl_sign or not (usage.digital_signature or usage.content_commitment):
        raise TimestampInvalidError("the certificate that signed the token is for more than signing")


def _decoded(response: bytes) -> TimeStampResponse:
    try:
        return decode_timestamp_response(_in_order(response))
    except _REFUSALS as problem:
        raise TimestampInvalidError("the authority's answer is not a timestamp response in DER") from problem


def _token_of(response: bytes) -> bytes:
    """The token as the authority sent it."""
    return bytes(_Response.load(response, strict=True)["time_stamp_token"].dump())


def _in_order(response: bytes) -> bytes:
    """The same response with the certificates (which no signature covers) in the order that DER asks for."""
    token: Any = _Response.load(response, strict=True)["time_stamp_token"]
    if token.native is None:
        return response  # the authority refused
    signed = token["content"]
    for name in ("certificates", "crls"):
        listed = [choice.dump() for choice in signed[name]] if signed[name].native is not None else []
        response = response.replace(b"".join(listed), b"".join(sorted(listed)), 1)
    return response


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
    import aiohttp

    from keys.transport.tls import public_context

    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    where = f"the timestamp authority {url.host}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S)) as session,
            session.post(url, data=query, headers=headers, ssl=public_context(), allow_redirects=False) as answer,
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
