"""Sealing to one key: HPKE (RFC 9180) base mode with MLKEM768-X25519, HKDF-SHA256 and AES-256-GCM.

The hybrid stays secret as long as either half does: X25519 against today's attackers, ML-KEM-768 against those who
record now and compute later. The private key is kept as its 32-byte seed, expanded as X-Wing does
(SHAKE256, 96 bytes: 64 for ML-KEM, 32 for X25519). ``aad`` is always empty: what must be bound goes into ``info``.
"""

from __future__ import annotations

from hashlib import shake_256
from typing import Protocol

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from protocol.encoding.keyid import seal_kid
from protocol.errors import OpenFailedError, PlatformUnfitError, WeakKeyError

SEED_BYTES = 32
_MLKEM_PUBLIC_BYTES = 1184
_MLKEM_SEED_BYTES = 64
PUBLIC_BYTES = _MLKEM_PUBLIC_BYTES + 32
ENCAPSULATED_BYTES = 1088 + 32

_SUITE = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)


class Opener(Protocol):
    """Opens what was sealed to one hybrid key, wherever its private part is kept."""

    @property
    def kid(self) -> bytes:
        """The key id, 16 bytes."""

    @property
    def public_key(self) -> bytes:
        """ML-KEM-768 public key followed by the X25519 public key, 1,216 bytes."""

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """The plaintext of ``sealed`` (encapsulated key, then ciphertext); raises :class:`OpenFailedError`."""


class HybridOpener:
    """An opener whose private key is in this process's memory."""

    __slots__ = ("_key", "kid", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise WeakKeyError(f"a sealing seed has {SEED_BYTES} bytes")
        expanded = shake_256(seed).digest(_MLKEM_SEED_BYTES + 32)
        mlkem = MLKEM768PrivateKey.from_seed_bytes(expanded[:_MLKEM_SEED_BYTES])
        x25519 = X25519PrivateKey.from_private_bytes(expanded[_MLKEM_SEED_BYTES:])
        self._key = MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public_key = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()
        self.kid = seal_kid(self.public_key)

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """The plaintext of ``sealed`` (encapsulated key, then ciphertext); raises :class:`OpenFailedError`."""
        try:
            return _SUITE.decrypt(sealed, self._key, info)
        except (InvalidTag, ValueError) as problem:
            raise OpenFailedError("the key inside does not open under this routing and sender") from problem

    def __repr__(self) -> str:
        return f"HybridOpener(kid={self.kid.hex()})"


class SealingKey:
    """A recipient's public key; keep it, loading the key is not free."""

    __slots__ = ("_key", "kid", "public_key")

    def __init__(self, public_key: bytes) -> None:
        if len(public_key) != PUBLIC_BYTES:
            raise WeakKeyError(f"a sealing key has {PUBLIC_BYTES} bytes")
        try:
            mlkem = MLKEM768PublicKey.from_public_bytes(public_key[:_MLKEM_PUBLIC_BYTES])
            x25519 = X25519PublicKey.from_public_bytes(public_key[_MLKEM_PUBLIC_BYTES:])
        except ValueError as problem:
            raise WeakKeyError("the sealing key is not a valid hybrid key") from problem
        self._key = MLKEM768X25519PublicKey(mlkem, x25519)
        self.public_key = public_key
        self.kid = seal_kid(public_key)

    def seal(self, plaintext: bytes, info: bytes) -> bytes:
        """Encapsulated key (1,120 bytes) followed by the ciphertext; raises :class:`WeakKeyError`."""
        try:
            return _SUITE.encrypt(plaintext, self._key, info)
        except ValueError as problem:
            # X25519 with a small-order point gives the all-zero secret, which RFC 9180 §7.1.4 refuses.
            raise WeakKeyError("the sealing key gives no shared secret") from problem

    def __repr__(self) -> str:
        return f"SealingKey(kid={self.kid.hex()})"


def check_platform() -> None:
    """Return if this machine can seal and open; raises :class:`PlatformUnfitError`.

    ML-KEM comes with the cryptography wheel, not with every OpenSSL: programs call this before anything else.
    """
    try:
        opener = HybridOpener(bytes(SEED_BYTES))
        sealed = SealingKey(opener.public_key).seal(b"comity", b"check")
    except UnsupportedAlgorithm as problem:
        raise PlatformUnfitError("this build of the cryptography package has no ML-KEM-768") from problem
    if opener.open(sealed, b"check") != b"comity":
        raise PlatformUnfitError("the hybrid key encapsulation does not work on this machine")
