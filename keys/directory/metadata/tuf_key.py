"""Keys that sign directory metadata: Ed25519 with ML-DSA-44 beside it, or Ed25519 alone.

``ed25519-ml-dsa-44`` (scheme ``ed25519-ml-dsa-44/1``) is *one* key of one holder: ``keyval.public`` is the hexadecimal
of both public keys, one after the other, and a signature is that of both signatures. It counts only if both verify, so
a forger has to break both. Two key objects instead would be two shares of one holder.

Both sign ``"comity/v1/directory-signature" 0x00`` followed by the role's canonical JSON: neither half can be taken for
the signature of an Ed25519 key, which signs the canonical JSON itself in TUF's usual form.

The TUF library would verify with OpenSSL and take the key id on trust. Here a key id must be the SHA-256 of the key's
canonical form, so that no role can list one key under two ids and reach its threshold alone, and a small-order key
does not load. ``x-comity-holder`` names who holds the key; it is signed with the metadata that lists it.
"""

from __future__ import annotations

import json
from functools import lru_cache
from hashlib import sha256
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, SecretsHandler, Signature
from securesystemslib.signer import Signer as TufSigner

from protocol.crypto.mldsa import ML_DSA_44_PUBLIC_BYTES, MLDSA44Signer, MLDSA44Verifier
from protocol.crypto.signing import PUBLIC_BYTES, SIGNATURE_BYTES, Ed25519Verifier, Signer, check_ed25519_public_key
from protocol.errors import CeremonyError, SignatureInvalidError, WeakKeyError

ED25519 = "ed25519"
HYBRID = "ed25519-ml-dsa-44"
HYBRID_SCHEME = "ed25519-ml-dsa-44/1"
HOLDER_FIELD = "x-comity-holder"
MAX_HOLDER_CHARS = 120

_DOMAIN = b"comity/v1/directory-signature\0"
_SCHEMES = {ED25519: ED25519, HYBRID: HYBRID_SCHEME}


@lru_cache(maxsize=8_192)
def _require_strong(public: bytes) -> None:
    """Raises :class:`WeakKeyError`; remembered, for the same keys are read with each version of the member list."""
    check_ed25519_public_key(public)


class DirectoryPublicKey(Key):
    """A public key of a directory role; immutable in use, equal by content. Hybrid with ``ml_dsa_44``."""

    def __init__(
        self,
        public: bytes,
        holder: str = "",
        unrecognized_fields: dict[str, Any] | None = None,
        *,
        ml_dsa_44: bytes | None = None,
    ) -> None:
        _require_strong(public)
        if ml_dsa_44 is not None and len(ml_dsa_44) != ML_DSA_44_PUBLIC_BYTES:
            raise WeakKeyError(f"an ML-DSA-44 public key has {ML_DSA_44_PUBLIC_BYTES} bytes")
        fields = dict(unrecognized_fields or {})
        if holder:
            fields[HOLDER_FIELD] = holder
        kind = ED25519 if ml_dsa_44 is None else HYBRID
        keyval = {"public": (public + (ml_dsa_44 or b"")).hex()}
        super().__init__(_key_id(kind, keyval), kind, _SCHEMES[kind], keyval, fields)
        self._verifier = Ed25519Verifier(public)
        self.ml_dsa_44 = ml_dsa_44

    @property
    def holder(self) -> str:
        """Who holds the private key, or the beginning of the key id."""
        holder = self.unrecognized_fields.get(HOLDER_FIELD)
        return holder if isinstance(holder, str) and holder else self.keyid[:16]

    @property
    def public(self) -> bytes:
        """The 32 bytes of the Ed25519 key."""
        return self._verifier.public_key

    @property
    def parts(self) -> tuple[bytes, ...]:
        """Every public key in it: no part may be part of another key."""
        return (self.public,) if self.ml_dsa_44 is None else (self.public, self.ml_dsa_44)

    @property
    def is_hybrid(self) -> bool:
        """Whether a signature needs ML-DSA-44 too."""
        return self.ml_dsa_44 is not None

    def classical(self) -> DirectoryPublicKey:
        """The holder's Ed25519 key as a key of its own, for roles that are signed with Ed25519 alone."""
        return DirectoryPublicKey(self.public, unrecognized_fields=self.unrecognized_fields)

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> DirectoryPublicKey:
        """Read a key from metadata; raises ``ValueError`` as the TUF library expects."""
        fields = dict(key_dict)
        keyval, kind, scheme = fields.pop("keyval"), fields.pop("keytype"), fields.pop("scheme")
        if not isinstance(keyval, dict) or set(keyval) != {"public"} or not isinstance(keyval["public"], str):
            raise ValueError("a directory key has one member, public")
        raw = bytes.fromhex(keyval["public"])
        second = raw[PUBLIC_BYTES:] if kind == HYBRID else None
        try:
            key = cls(raw[:PUBLIC_BYTES] if kind == HYBRID else raw, unrecognized_fields=fields, ml_dsa_44=second)
        except WeakKeyError as problem:
            raise ValueError(problem.detail) from problem
        if (key.keyid, key.keyval, key.keytype, key.scheme) != (keyid, keyval, kind, scheme):
            raise ValueError("the key id is not the one of this key")
        return key

    def to_dict(self) -> dict[str, Any]:
        """The key as metadata writes it."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Return if ``signature`` is this key's over ``data``, in both parts; raises ``UnverifiedSignatureError``."""
        try:
            raw = bytes.fromhex(signature.signature)
        except ValueError as problem:
            raise VerificationError("the signature is not hexadecimal") from problem
        try:
            if self.ml_dsa_44 is None:
                self._verifier.verify(data, raw)
            else:
                self._verifier.verify(_DOMAIN + data, raw[:SIGNATURE_BYTES])
                MLDSA44Verifier(self.ml_dsa_44).verify(_DOMAIN + data, raw[SIGNATURE_BYTES:])
        except (SignatureInvalidError, WeakKeyError) as problem:
            raise UnverifiedSignatureError(f"not a signature of {self.holder}") from problem


class DirectorySigner(TufSigner):
    """Signs directory metadata with protocol signers, wherever these keep their keys; hybrid with ``ml_dsa_44``."""

    def __init__(self, holder: str, signer: Signer, ml_dsa_44: MLDSA44Signer | None = None) -> None:
        if not 0 < len(holder) <= MAX_HOLDER_CHARS or not holder.isprintable() or holder != holder.strip():
            raise CeremonyError(f"a key holder is named by 1 to {MAX_HOLDER_CHARS} printable characters")
        self._signer = signer
        self._ml_dsa_44 = ml_dsa_44
        second = None if ml_dsa_44 is None else ml_dsa_44.public_key
        self._public_key = DirectoryPublicKey(signer.public_key, holder, ml_dsa_44=second)

    @property
    def public_key(self) -> DirectoryPublicKey:
        """The public part, with the holder's name."""
        return self._public_key

    def classical(self) -> DirectorySigner:
        """The same holder signing with Ed25519 alone."""
        return DirectorySigner(self._public_key.holder, self._signer)

    def sign(self, payload: bytes) -> Signature:
        """The signature over ``payload`` (canonical JSON of a role)."""
        if self._ml_dsa_44 is None:
            raw = self._signer.sign(payload)
        else:
            raw = self._signer.sign(_DOMAIN + payload) + self._ml_dsa_44.sign(_DOMAIN + payload)
        return Signature(self._public_key.keyid, raw.hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> DirectorySigner:
        """Private keys come from a keystore, never from a URI: always raises ``ValueError``."""
        raise ValueError("directory keys are not loaded by URI")

    def __repr__(self) -> str:
        return f"DirectorySigner({self._public_key.holder!r})"


def _key_id(kind: str, keyval: dict[str, str]) -> str:
    """TUF's usual key id: SHA-256 of the key's canonical JSON (ASCII only here, so plain sorted JSON is canonical)."""
    members = {"keytype": kind, "scheme": _SCHEMES[kind], "keyval": keyval}
    return sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def register_key_type() -> None:
    """Make the TUF library load directory keys as :class:`DirectoryPublicKey`, and no other kind of key.

    This is the library's documented way to add a key type; its table is global to the process. Its own kinds are taken
    out, ``ml-dsa`` among them: a key of another kind would be a second share of a holder beside the one it has.
    """
    KEY_FOR_TYPE_AND_SCHEME.clear()
    for kind, scheme in _SCHEMES.items():
        KEY_FOR_TYPE_AND_SCHEME[kind, scheme] = DirectoryPublicKey
