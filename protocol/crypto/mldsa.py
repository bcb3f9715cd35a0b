"""ML-DSA-44 (FIPS 204) with an empty context, made and checked by the cryptography library."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from protocol.errors import PlatformUnfitError, SignatureInvalidError, WeakKeyError

ML_DSA_44_SEED_BYTES = 32
ML_DSA_44_PUBLIC_BYTES = 1312
ML_DSA_44_SIGNATURE_BYTES = 2420
_UNFIT = "this build of the cryptography library has no ML-DSA-44"


class MLDSA44Signer:
    """A signer whose private key is in this process's memory; raises :class:`WeakKeyError` for a seed of another size.

    Raises :class:`PlatformUnfitError` where the library cannot do it.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != ML_DSA_44_SEED_BYTES:
            raise WeakKeyError(f"an ML-DSA-44 seed has {ML_DSA_44_SEED_BYTES} bytes")
        try:
            self._key = MLDSA44PrivateKey.from_seed_bytes(seed)
        except UnsupportedAlgorithm as problem:
            raise PlatformUnfitError(_UNFIT) from problem
        self.public_key = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """The 2,420-byte signature over ``message``."""
        return self._key.sign(message)

    def __repr__(self) -> str:
        return f"MLDSA44Signer({self.public_key[:8].hex()})"


class MLDSA44Verifier:
    """Checks signatures of one public key; keep it, loading the key is not free.

    Raises :class:`WeakKeyError` for what is no such key, :class:`PlatformUnfitError` where the library cannot do it.
    """

    __slots__ = ("_key", "public_key")

    def __init__(self, public_key: bytes) -> None:
        if len(public_key) != ML_DSA_44_PUBLIC_BYTES:
            raise WeakKeyError(f"an ML-DSA-44 public key has {ML_DSA_44_PUBLIC_BYTES} bytes")
        try:
            self._key = MLDSA44PublicKey.from_public_bytes(public_key)
        except ValueError as problem:
            raise WeakKeyError("the ML-DSA-44 public key is not one") from problem
        except UnsupportedAlgorithm as problem:
            raise PlatformUnfitError(_UNFIT) from problem
        self.public_key = public_key

    def verify(self, message: bytes, signature: bytes) -> None:
        """Return if ``signature`` is this key's over ``message``; raises :class:`SignatureInvalidError`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature as problem:
            raise SignatureInvalidError from problem

    def __repr__(self) -> str:
        return f"MLDSA44Verifier({self.public_key[:8].hex()})"
