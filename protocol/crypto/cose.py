"""The parts of COSE (RFC 9052) that Comity uses: COSE_Sign1 and COSE_Encrypt with COSE-HPKE key encryption.

One suite and no negotiation: an object with another algorithm is not an object of this version. Header values that only
Comity defines have private-use numbers (below -65536); they stand here and nowhere else, so that moving to assigned
numbers is one edit and a new envelope version.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from protocol.crypto.signing import SIGNATURE_BYTES, Ed25519Verifier, Signer
from protocol.encoding import cbor, exact
from protocol.encoding.keyid import KID_BYTES
from protocol.errors import MalformedError, UnsupportedVersionError

TAG_SIGN1 = 18
TAG_ENCRYPT = 96

HEADER_ALG = 1
HEADER_CRIT = 2
HEADER_CONTENT_TYPE = 3
HEADER_KID = 4
HEADER_IV = 5
HEADER_ENCAPSULATED_KEY = -4  # "ek" of draft-ietf-cose-hpke

ALG_A256GCM = 3
ALG_ED25519 = -19  # RFC 9864, fully specified

# Private use until draft-ietf-cose-hpke and the hybrid KEM have assigned numbers.
ALG_HPKE_MLKEM768_X25519 = -70010
HEADER_ROUTING = -70001

IV_BYTES = 12
# Keys, values and containers: of an object with the most recipients, and of a header.
_MAX_ITEMS = 1_024
_MAX_HEADER_ITEMS = 64
_MAX_HEADER_BYTES = 8192

# The bytes of each object begin with these, and these stand between its parts.
_SIGN1_START = bytes.fromhex("d284")
_NO_UNPROTECTED = 0xA0
_SIGNATURE_HEAD = bytes.fromhex("5840")
_ENCRYPT_START = bytes.fromhex("d86084")
_ENCRYPTED_HEADER = bytes.fromhex("a4010302813a00011170054c")
_ROUTING_LABEL = bytes.fromhex("3a00011170")
_IV_AT = len(_ENCRYPTED_HEADER)
_ROUTING_AT = _IV_AT + IV_BYTES
_RECIPIENT_START = 0x83
_RECIPIENT = bytes((_RECIPIENT_START,))
_ENCAPSULATED_START = bytes.fromhex("a123")

_SIGNED = frozenset({HEADER_ALG, HEADER_CONTENT_TYPE, HEADER_KID})
_SEALED = frozenset({HEADER_ALG, HEADER_CRIT, HEADER_IV, HEADER_ROUTING})
_WRAPPED = frozenset({HEADER_ALG, HEADER_KID})


@dataclass(frozen=True, slots=True)
class Sign1:
    """A parsed COSE_Sign1. Parsed is not verified."""

    protected: bytes
    kid: bytes
    content_type: str
    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a COSE_Encrypt: the content key, sealed to the key ``kid``."""

    protected: bytes
    kid: bytes
    encapsulated: bytes
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class Encrypted:
    """A parsed COSE_Encrypt, with the raw routing header that its protected header carries."""

    protected: bytes
    iv: bytes
    routing: bytes
    ciphertext: bytes
    recipients: tuple[Recipient, ...]


# The bytes that are signed, or authenticated, begin with these.
_SIGNATURE1 = bytes.fromhex("84") + exact.put_text("Signature1")
_ENCRYPT = bytes.fromhex("83") + exact.put_text("Encrypt")
_HPKE_RECIPIENT = bytes.fromhex("84") + exact.put_text("HPKE Recipient") + exact.put_unsigned(ALG_A256GCM)


def _to_be_signed(protected: bytes, context: bytes, payload: bytes) -> bytes:
    # RFC 9052 §4.4; the external_aad holds the domain context of the object's type.
    return _SIGNATURE1 + exact.put_bytes(protected) + exact.put_bytes(context) + exact.put_bytes(payload)


def sign1(payload: bytes, content_type: str, context: bytes, signer: Signer) -> bytes:
    """The tagged COSE_Sign1 of ``payload`` in the domain ``context``."""
    protected = _signed_protected(content_type, signer.kid)
    signature = signer.sign(_to_be_signed(protected, context, payload))
    return b"".join(
        (_SIGN1_START, exact.put_bytes(protected), b"\xa0", exact.put_bytes(payload), _SIGNATURE_HEAD, signature)
    )


@lru_cache(maxsize=256)  # as of those who read it
def _signed_protected(content_type: str, kid: bytes) -> bytes:
    return cbor.encode({HEADER_ALG: ALG_ED25519, HEADER_CONTENT_TYPE: content_type, HEADER_KID: kid})


def parse_sign1(data: bytes, content_type: str, *, max_bytes: int) -> Sign1:
    """Take a COSE_Sign1 of ``content_type`` apart; raises :class:`MalformedError` and its kin."""
    if len(data) <= max_bytes:
        try:
            return _exact_sign1(data, content_type)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    protected, unprotected, payload, signature = _array(data, TAG_SIGN1, 4, max_bytes)
    if unprotected != {}:
        raise MalformedError("a signed object has no unprotected headers")
    kid = _kid_of(_bytes(protected, "protected header"), content_type)
    _bytes(payload, "payload")
    _bytes(signature, "signature", SIGNATURE_BYTES)
    return Sign1(protected, kid, content_type, payload, signature)


@lru_cache(maxsize=256)  # a signer writes the same header into every object of a type
def _kid_of(protected: bytes, content_type: str) -> bytes:
    header = _header(protected, _SIGNED)
    if header[HEADER_ALG] != ALG_ED25519:
        raise UnsupportedVersionError("the object is not signed with Ed25519")
    if header[HEADER_CONTENT_TYPE] != content_type:
        raise MalformedError(f"the signed object is not of type {content_type}")
    return _bytes(header[HEADER_KID], "kid", KID_BYTES)


def _exact_sign1(data: bytes, content_type: str) -> Sign1:
    """A COSE_Sign1 with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    protected, at = exact.byte_string(data, len(_SIGN1_START))
    if not data.startswith(_SIGN1_START) or data[at] != _NO_UNPROTECTED:
        raise exact.InexactError
    payload, at = exact.byte_string(data, at + 1)
    signature = data[at + len(_SIGNATURE_HEAD) :]
    if not data.startswith(_SIGNATURE_HEAD, at) or len(signature) != SIGNATURE_BYTES:
        raise exact.InexactError
    return Sign1(protected, _kid_of(protected, content_type), content_type, payload, signature)


def verify_sign1(signed: Sign1, context: bytes, verifier: Ed25519Verifier) -> None:
    """Return if the signature is ``verifier``'s in the domain ``context``; raises :class:`SignatureInvalidError`."""
    verifier.verify(_to_be_signed(signed.protected, context, signed.payload), signed.signature)


def encrypted_protected(iv: bytes, routing: bytes) -> bytes:
    """The protected header of a COSE_Encrypt: everything the content cipher authenticates.

    The routing header is critical: a reader that does not know it must not open the object (RFC 9052 §3.1).
    """
    if len(iv) != IV_BYTES:
        raise MalformedError(f"an iv has {IV_BYTES} bytes")
    return _ENCRYPTED_HEADER + iv + _ROUTING_LABEL + exact.put_bytes(routing)


@lru_cache(maxsize=256)
def recipient_protected(kid: bytes) -> bytes:
    """The protected header of one recipient."""
    return cbor.encode({HEADER_ALG: ALG_HPKE_MLKEM768_X25519, HEADER_KID: kid})


def content_aad(protected: bytes, context: bytes) -> bytes:
    """The additional data of the content cipher (Enc_structure, RFC 9052 §5.3)."""
    return _ENCRYPT + exact.put_bytes(protected) + exact.put_bytes(context)


def recipient_info(protected: bytes, extra: bytes) -> bytes:
    """The HPKE ``info`` of one recipient (Recipient_structure of draft-ietf-cose-hpke, key encryption)."""
    return _HPKE_RECIPIENT + exact.put_bytes(protected) + exact.put_bytes(extra)


def encode_encrypted(encrypted: Encrypted) -> bytes:
    """The tagged COSE_Encrypt."""
    parts = [_ENCRYPT_START, exact.put_bytes(encrypted.protected), b"\xa0", exact.put_bytes(encrypted.ciphertext)]
    parts.append(exact.head(0x80, len(encrypted.recipients)))
    for recipient in encrypted.recipients:
        parts += (_RECIPIENT, exact.put_bytes(recipient.protected), _ENCAPSULATED_START)
        parts += (exact.put_bytes(recipient.encapsulated), exact.put_bytes(recipient.ciphertext))
    return b"".join(parts)


def parse_encrypted(data: bytes, *, max_bytes: int) -> Encrypted:
    """Take a COSE_Encrypt apart; raises :class:`MalformedError` and its kin."""
    if len(data) <= max_bytes:
        try:
            return _exact_encrypted(data)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    protected, unprotected, ciphertext, recipients = _array(data, TAG_ENCRYPT, 4, max_bytes)
    if unprotected != {}:
        raise MalformedError("a sealed object has no unprotected headers")
    header = _header(protected, _SEALED)
    if header[HEADER_ALG] != ALG_A256GCM:
        raise UnsupportedVersionError("the content is not sealed with AES-256-GCM")
    if header[HEADER_CRIT] != [HEADER_ROUTING]:
        raise MalformedError("the critical headers are not exactly the routing header")
    if type(recipients) is not list:
        raise MalformedError("the recipients are not an array")
    return Encrypted(
        protected=protected,
        iv=_bytes(header[HEADER_IV], "iv", IV_BYTES),
        routing=_bytes(header[HEADER_ROUTING], "routing header"),
        ciphertext=_bytes(ciphertext, "ciphertext"),
        recipients=tuple(_recipient(item) for item in recipients),
    )


def _exact_encrypted(data: bytes) -> Encrypted:
    """A COSE_Encrypt with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    protected, at = exact.byte_string(data, len(_ENCRYPT_START))
    if not data.startswith(_ENCRYPT_START) or data[at] != _NO_UNPROTECTED:
        raise exact.InexactError
    if not protected.startswith(_ENCRYPTED_HEADER) or not protected.startswith(_ROUTING_LABEL, _ROUTING_AT):
        raise exact.InexactError
    routing, end = exact.byte_string(protected, _ROUTING_AT + len(_ROUTING_LABEL))
    if end != len(protected) or end > _MAX_HEADER_BYTES:
        raise exact.InexactError
    ciphertext, at = exact.byte_string(data, at + 1)
    count, at = exact.count(data, at)
    recipients = []
    for _ in range(count):
        recipient, at = _exact_recipient(data, at)
        recipients.append(recipient)
    if at != len(data):
        raise exact.InexactError
    return Encrypted(protected, protected[_IV_AT:_ROUTING_AT], routing, ciphertext, tuple(recipients))


def _exact_recipient(data: bytes, at: int) -> tuple[Recipient, int]:
    if data[at] != _RECIPIENT_START:
        raise exact.InexactError
    protected, at = exact.byte_string(data, at + 1)
    if not data.startswith(_ENCAPSULATED_START, at):
        raise exact.InexactError
    encapsulated, at = exact.byte_string(data, at + len(_ENCAPSULATED_START))
    ciphertext, at = exact.byte_string(data, at)
    return Recipient(protected, _wrapped_kid(protected), encapsulated, ciphertext), at


def _recipient(item: Any) -> Recipient:
    if type(item) is not list or len(item) != 3:
        raise MalformedError("a recipient is an array of three")
    protected, unprotected, ciphertext = item
    kid = _wrapped_kid(_bytes(protected, "protected header"))
    if type(unprotected) is not dict or set(unprotected) != {HEADER_ENCAPSULATED_KEY}:
        raise MalformedError("a recipient's unprotected header is its encapsulated key")
    return Recipient(
        protected=protected,
        kid=kid,
        encapsulated=_bytes(unprotected[HEADER_ENCAPSULATED_KEY], "encapsulated key"),
        ciphertext=_bytes(ciphertext, "recipient ciphertext"),
    )


def _array(data: bytes, tag: int, length: int, max_bytes: int) -> list[Any]:
    items = cbor.decode_tagged(tag, data, max_bytes=max_bytes, max_items=_MAX_ITEMS)
    if type(items) is not list or len(items) != length:
        raise MalformedError(f"the object is not an array of {length}")
    return items


def _header(protected: Any, labels: Set[int]) -> Mapping[int, Any]:
    header = cbor.decode(
        _bytes(protected, "protected header"), max_bytes=_MAX_HEADER_BYTES, max_depth=4, max_items=_MAX_HEADER_ITEMS
    )
    if type(header) is not dict or header.keys() != labels:
        raise MalformedError("the protected header does not hold exactly the headers of this version")
    return header


@lru_cache(maxsize=256)  # whoever seals to a key writes the same header into every message
def _wrapped_kid(protected: bytes) -> bytes:
    header = _header(protected, _WRAPPED)
    if header[HEADER_ALG] != ALG_HPKE_MLKEM768_X25519:
        raise UnsupportedVersionError("the recipient's algorithm is not MLKEM768-X25519")
    return _bytes(header[HEADER_KID], "kid", KID_BYTES)


def _bytes(value: Any, name: str, length: int | None = None) -> bytes:
    if type(value) is not bytes or (length is not None and len(value) != length):
        raise MalformedError(f"the {name} is not a byte string" + (f" of {length}" if length is not None else ""))
    return value
