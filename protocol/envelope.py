"""The envelope: committed to, encrypted, signed once.

::

    Envelope  = COSE_Sign1  { Ed25519, key id, content type } ( Sealed )
    Sealed    = COSE_Encrypt { A256GCM, routing header } ( ciphertext, recipients[] )
    plaintext = salt(32) || length(4, big-endian) || content || zeros up to the Padmé size
    commitment (in the routing header) = SHA-256("comity/v1/commitment" 0x00 || salt || content)

Three states, three types: :class:`Envelope` is well formed, :class:`VerifiedEnvelope` is its sender's, and
:class:`OpenedMessage` is what a recipient may look at. A function that takes the later type needs no check of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.hpke import ENCAPSULATED_BYTES, Opener, SealingKey
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding import cbor
from protocol.encoding.padme import SALT_BYTES, pad, unpad
from protocol.errors import (
    CommitmentMismatchError,
    MalformedError,
    NotARecipientError,
    OpenFailedError,
    SignatureInvalidError,
    TooLargeError,
)
from protocol.routing import Routing, check_time, decode_routing, encode_routing

# A request of 1,000 targets fits, and the envelope holds the fullest content to the most recipients.
MAX_ENVELOPE_BYTES = 1280 * 1024
MAX_CONTENT_BYTES = 1024 * 1024
KEY_BYTES = 32
DIGEST_BYTES = 32

SEALED_TYPE = "application/vnd.comity.sealed+cose"
ENVELOPE_CONTEXT = b"comity/v1/envelope"
SEALED_CONTEXT = b"comity/v1/sealed"
WRAP_CONTEXT = "comity/v1/wrap"
COMMITMENT_DOMAIN = b"comity/v1/commitment\0"

_WRAPPED_KEY_BYTES = KEY_BYTES + 16


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed envelope. ``kid`` and ``routing.sender`` claim who signed it; that is not yet known."""

    raw: bytes
    digest: bytes
    routing: Routing
    signed: cose.Sign1
    sealed: cose.Encrypted

    @property
    def kid(self) -> bytes:
        """The id of the key that claims to have signed."""
        return self.signed.kid


@dataclass(frozen=True, slots=True)
class VerifiedEnvelope:
    """An envelope whose signature is that of a key of its sender."""

    envelope: Envelope

    @property
    def raw(self) -> bytes:
        """The bytes as they were received: what is stored, forwarded and digested."""
        return self.envelope.raw

    @property
    def digest(self) -> bytes:
        """SHA-256 of :attr:`raw`."""
        return self.envelope.digest

    @property
    def routing(self) -> Routing:
        """The routing header, which the sender signed."""
        return self.envelope.routing


@dataclass(frozen=True, slots=True)
class OpenedMessage:
    """Content that is proved to be what the sender signed and committed to, for this recipient."""

    verified: VerifiedEnvelope
    recipient: Address
    content: bytes
    salt: bytes

    def __repr__(self) -> str:
        return f"OpenedMessage(id={self.verified.routing.id}, recipient={self.recipient})"


def commitment_of(salt: bytes, content: bytes) -> bytes:
    """The commitment to ``content`` under ``salt``: what the log binds, and what a disclosure is checked against."""
    return sha256(COMMITMENT_DOMAIN + salt + content).digest()


def check_disclosure(envelope: Envelope, salt: bytes, content: bytes) -> None:
    """Return if ``content`` is what ``envelope`` committed to; raises :class:`CommitmentMismatchError`."""
    if len(salt) != SALT_BYTES or not compare_digest(commitment_of(salt, content), envelope.routing.commitment):
        raise CommitmentMismatchError


def seal(
    content: bytes,
    routing: Routing,
    signer: Signer,
    sealing_keys: Mapping[Address, SealingKey],
    random: Callable[[int], bytes],
) -> bytes:
    """Commit to, encrypt and sign ``content``: the envelope's bytes.

    ``routing.commitment`` is replaced by the commitment made here. ``sealing_keys`` holds one key for each recipient.
    ``random(n)`` gives n random bytes: salt (32), content key (32) and nonce (12), in this order, fresh for each call.
    Raises :class:`TooLargeError`, :class:`MalformedError` or :class:`WeakKeyError`.
    """
    if len(content) > MAX_CONTENT_BYTES:
        raise TooLargeError(f"the content has {len(content)} bytes; the limit is {MAX_CONTENT_BYTES}")
    if set(sealing_keys) != set(routing.recipients):
        raise MalformedError("there is not exactly one sealing key for each recipient")
    salt, content_key, iv = random(SALT_BYTES), random(KEY_BYTES), random(cose.IV_BYTES)
    header = encode_routing(routing, commitment_of(salt, content))
    protected = cose.encrypted_protected(iv, header)
    ciphertext = AESGCM(content_key).encrypt(iv, pad(salt, content), cose.content_aad(protected, SEALED_CONTEXT))
    recipients = tuple(
        _wrap(content_key, sealing_keys[address], protected, signer.kid) for address in routing.recipients
    )
    sealed = cose.encode_encrypted(cose.Encrypted(protected, iv, header, ciphertext, recipients))
    return cose.sign1(sealed, SEALED_TYPE, ENVELOPE_CONTEXT, signer)


def parse_envelope(data: bytes) -> Envelope:
    """The envelope in ``data``, checked for everything that needs no key.

    Raises :class:`MalformedError`, :class:`NonCanonicalError`, :class:`TooLargeError` or
    :class:`UnsupportedVersionError`.
    """
    signed = cose.parse_sign1(data, SEALED_TYPE, max_bytes=MAX_ENVELOPE_BYTES)
    sealed = cose.parse_encrypted(signed.payload, max_bytes=MAX_ENVELOPE_BYTES)
    routing = decode_routing(sealed.routing)
    # One sealed key for each recipient: nobody is addressed who cannot open, and nobody opens who is not addressed.
    if len(sealed.recipients) != len(routing.recipients):
        raise MalformedError("there is not one sealed key for each recipient")
    kids = {recipient.kid for recipient in sealed.recipients}
    if len(kids) != len(sealed.recipients):
        raise MalformedError("two recipients name the same key")
    for recipient in sealed.recipients:
        if len(recipient.encapsulated) != ENCAPSULATED_BYTES or len(recipient.ciphertext) != _WRAPPED_KEY_BYTES:
            raise MalformedError("a sealed key does not have the length of this suite")
    return Envelope(data, sha256(data).digest(), routing, signed, sealed)


def verify_envelope(envelope: Envelope, verifier: Ed25519Verifier) -> VerifiedEnvelope:
    """The envelope as its sender's.

    ``verifier`` is the key that the directory lists for ``envelope.routing.sender`` under ``envelope.kid``. Raises
    :class:`SignatureInvalidError`.
    """
    if verifier.kid != envelope.kid:
        raise SignatureInvalidError("the key is not the one that the envelope names")
    cose.verify_sign1(envelope.signed, ENVELOPE_CONTEXT, verifier)
    return VerifiedEnvelope(envelope)


def open_envelope(
    verified: VerifiedEnvelope, recipient: Address, openers: Mapping[bytes, Opener], now: datetime | None
) -> OpenedMessage:
    """What the sender committed to, for ``recipient``, whose keys are ``openers`` by key id.

    ``now`` is checked against the message's life; ``None`` opens a message that was accepted while it was alive.
    That it was not seen before is for the caller to check: only it knows what it saw. Raises
    :class:`NotARecipientError`, :class:`ExpiredError`, :class:`NotYetValidError`, :class:`OpenFailedError` or
    :class:`CommitmentMismatchError`.
    """
    envelope = verified.envelope
    if recipient not in envelope.routing.recipients:
        raise NotARecipientError(f"the message is not addressed to {recipient}")
    if now is not None:
        check_time(envelope.routing, now)
    # Addresses and sealed keys stand in the same order, so the key must be the one at the recipient's own place.
    own = envelope.sealed.recipients[envelope.routing.recipients.index(recipient)]
    opener = openers.get(own.kid)
    if opener is None:
        raise NotARecipientError(f"the message is not sealed to a key that {recipient} holds")
    content_key = opener.open(own.encapsulated + own.ciphertext, _wrap_info(own.protected, envelope))
    aad = cose.content_aad(envelope.sealed.protected, SEALED_CONTEXT)
    try:
        plaintext = AESGCM(content_key).decrypt(envelope.sealed.iv, envelope.sealed.ciphertext, aad)
    except (InvalidTag, ValueError) as problem:
        raise OpenFailedError("the sealed content was altered") from problem
    salt, content = unpad(plaintext)
    check_disclosure(envelope, salt, content)
    return OpenedMessage(verified, recipient, content, salt)


def _wrap(content_key: bytes, key: SealingKey, sealed_protected: bytes, sender_kid: bytes) -> cose.Recipient:
    protected = cose.recipient_protected(key.kid)
    wrapped = key.seal(content_key, _info(protected, sealed_protected, sender_kid))
    return cose.Recipient(protected, key.kid, wrapped[:ENCAPSULATED_BYTES], wrapped[ENCAPSULATED_BYTES:])


def _wrap_info(recipient_protected: bytes, envelope: Envelope) -> bytes:
    return _info(recipient_protected, envelope.sealed.protected, envelope.kid)


def _info(recipient_protected: bytes, sealed_protected: bytes, sender_kid: bytes) -> bytes:
    # Binds each sealed key to the routing header and to the signing key: whoever re-signs, re-addresses or moves it
    # into another message changes the info, and the key no longer opens.
    return cose.recipient_info(recipient_protected, cbor.encode([WRAP_CONTEXT, sealed_protected, sender_kid]))
