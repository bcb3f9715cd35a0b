"""Ed25519 (RFC 8032), made and checked by libsodium through PyNaCl.

Verification is libsodium's everywhere: other libraries accept some small-order keys and signatures that libsodium
refuses, and two verifiers that disagree could be played against each other.
"""

from __future__ import annotations

from typing import Protocol

from nacl.bindings import crypto_core_ed25519_is_valid_point, crypto_sign_open
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from protocol.encoding.keyid import ed25519_kid
from protocol.errors import SignatureInvalidError, WeakKeyError

SEED_BYTES = 32
PUBLIC_BYTES = 32
SIGNATURE_BYTES = 64


class Signer(Protocol):
    """Signs with one Ed25519 private key, wherever that key is kept."""

    @property
    def kid(self) -> bytes:
        """The key id, 16 bytes."""

    @property
    def public_key(self) -> bytes:
        """The public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over ``message``."""


class Ed25519Signer:
    """A signer whose private key is in this process's memory."""

    __slots__ = ("_key", "kid", "public_key")

    def __init__(self, seed: bytes) -> None:
        self._key = SigningKey(seed)
        self.public_key = bytes(self._key.verify_key)
        self.kid = ed25519_kid(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over ``message``."""
        return self._key.sign(message).signature

    def seed(self) -> bytes:
        """The 32 bytes that it was made of, to be kept as secret as the signer is."""
        return bytes(self._key)

    def __repr__(self) -> str:
        return f"Ed25519Signer(kid={self.kid.hex()})"


class Ed25519Verifier:
    """Checks signatures of one public key."""

    __slots__ = ("kid", "public_key")

    def __init__(self, public_key: bytes) -> None:
        if type(public_key) is not bytes or len(public_key) != PUBLIC_BYTES:
            raise WeakKeyError(f"an Ed25519 public key has {PUBLIC_BYTES} bytes")
        self.public_key = public_key
        self.kid = ed25519_kid(public_key)

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` is this key's over ``message``; raises :class:`SignatureInvalidError`."""
        if len(signature) != SIGNATURE_BYTES:
            raise SignatureInvalidError(f"an Ed25519 signature has {SIGNATURE_BYTES} bytes")
        try:
            crypto_sign_open(signature + message, self.public_key)
        except BadSignatureError as problem:
            raise SignatureInvalidError from problem

    def __repr__(self) -> str:
        return f"Ed25519Verifier(kid={self.kid.hex()})"


def check_ed25519_public_key(public_key: bytes) -> None:
    """Return if the key is a canonical point of the prime-order subgroup; raises :class:`WeakKeyError`.

    Called when a key enters the directory, so that no card can carry a key under which anything verifies.
    """
    if len(public_key) != PUBLIC_BYTES or not crypto_core_ed25519_is_valid_point(public_key):
        raise WeakKeyError("the Ed25519 key is not a canonical point of the prime-order subgroup")
