"""The releasing officer's signature, inside the seal.

Signed is ``"comity/v1/officer" 0x00 || content``, where ``content`` is the UTF-8 JSON of the message with 86 letters
``A`` in the place of the signature. The signature (Ed25519) stands there as base64url without padding; its text occurs
in the content once. So a reader needs no canonical form of JSON: it puts the letters back and verifies.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace

from protocol.crypto.signing import Ed25519Verifier, Signer, check_ed25519_public_key
from protocol.errors import SignatureInvalidError, WeakKeyError
from protocol.messages.parse import ComposedMessage, parse_message
from protocol.messages.schema.base import Message

PLACEHOLDER = "A" * 86
KEY_CHARS = 43
_DOMAIN = b"comity/v1/officer\0"


def key_text(public_key: bytes) -> str:
    """A public key (32 bytes) as messages write it."""
    return urlsafe_b64encode(public_key).rstrip(b"=").decode()


def sign_as_officer(composed: ComposedMessage, signer: Signer) -> ComposedMessage:
    """The message with the officer's signature; its ``officer`` has the signer's key and the placeholder.

    Raises :class:`SignatureInvalidError` when it has not.
    """
    officer = composed.message.officer
    placeholder = PLACEHOLDER.encode()
    if officer.key != key_text(signer.public_key) or officer.signature != PLACEHOLDER:
        raise SignatureInvalidError("the message does not name the officer who signs it")
    if composed.content.count(placeholder) != 1:
        raise SignatureInvalidError("the place of the officer's signature is not the only one of its form")
    signature = urlsafe_b64encode(signer.sign(_DOMAIN + composed.content)).rstrip(b"=")
    content = composed.content.replace(placeholder, signature)
    return replace(composed, message=parse_message(content), content=content)


def verify_officer(message: Message, content: bytes) -> bool:
    """Whether the content of ``message`` is signed by the officer it names: False when it has no such signature.

    Raises :class:`SignatureInvalidError` for a signature that is wrong, :class:`WeakKeyError` for a key that is none.
    """
    officer = message.officer
    if officer.key is None or officer.signature is None:
        return False
    verify_officer_signature(officer.key, officer.signature, content)
    return True


def verify_officer_signature(key: str, signature: str, content: bytes) -> None:
    """Return if the signature, as the content writes it, is over this content; raises as :func:`verify_officer`."""
    if len(key) != KEY_CHARS or len(signature) != len(PLACEHOLDER) or not signature.isascii():
        raise SignatureInvalidError("the officer's key or signature does not have the length of its kind")
    if content.count(signature.encode()) != 1:
        raise SignatureInvalidError("the officer's signature does not stand in the content once")
    public_key = _decoded(key)
    check_ed25519_public_key(public_key)
    signed = content.replace(signature.encode(), PLACEHOLDER.encode())
    try:
        Ed25519Verifier(public_key).verify(_DOMAIN + signed, _decoded(signature))
    except SignatureInvalidError as problem:
        raise SignatureInvalidError("the officer's signature is not over this content") from problem


def _decoded(text: str) -> bytes:
    """The bytes of canonical base64url without padding."""
    try:
        value = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as problem:
        raise WeakKeyError("the officer's key or signature is not base64url") from problem
    if urlsafe_b64encode(value).rstrip(b"=").decode() != text:
        raise SignatureInvalidError("the officer's key or signature is not in its canonical form")
    return value
