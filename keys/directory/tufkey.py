"""Keys that sign directory metadata: Ed25519 in TUF's usual form, verified by libsodium like every other signature.

The TUF library would verify with OpenSSL and take the key id on trust. Here a key id must be the SHA-256 of the key's
canonical form, so that no role can list one key under two ids and reach its threshold alone, and a small-order key
does not load. ``x-comity-holder`` names who holds the key; it is signed with the metadata that lists it.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, SecretsHandler, Signature
from securesystemslib.signer import Signer as TufSigner

from protocol.errors import CeremonyError, SignatureInvalidError, WeakKeyError
from protocol.signing import Ed25519Verifier, Signer, check_ed25519_public_key

ED25519 = "ed25519"
HOLDER_FIELD = "x-comity-holder"
MAX_HOLDER_CHARS = 120


class DirectoryPublicKey(Key):
    """A public key of a directory role; immutable in use, equal by content."""

    def __init__(self, public: bytes, holder: str = "", unrecognized_fields: dict[str, Any] | None = None) -> None:
        check_ed25519_public_key(public)
        fields = dict(unrecognized_fields or {})
        if holder:
            fields[HOLDER_FIELD] = holder
        keyval = {"public": public.hex()}
        super().__init__(_key_id(keyval), ED25519, ED25519, keyval, fields)
        self._verifier = Ed25519Verifier(public)

    @property
    def holder(self) -> str:
        """Who holds the private key, or the beginning of the key id."""
        holder = self.unrecognized_fields.get(HOLDER_FIELD)
        return holder if isinstance(holder, str) and holder else self.keyid[:16]

    @property
    def public(self) -> bytes:
        """The 32 bytes of the key."""
        return self._verifier.public_key

    @classmethod
    def from_dict(cls, keyid: str, key_dict: dict[str, Any]) -> DirectoryPublicKey:
        """Read a key from metadata; raises ``ValueError`` as the TUF library expects."""
        fields = dict(key_dict)
        keyval = fields.pop("keyval")
        del fields["keytype"], fields["scheme"]
        if not isinstance(keyval, dict) or set(keyval) != {"public"} or not isinstance(keyval["public"], str):
            raise ValueError("an Ed25519 key has one member, public")
        try:
            key = cls(bytes.fromhex(keyval["public"]), unrecognized_fields=fields)
        except WeakKeyError as problem:
            raise ValueError(problem.detail) from problem
        if key.keyid != keyid or key.keyval != keyval:
            raise ValueError("the key id is not the one of this key")
        return key

    def to_dict(self) -> dict[str, Any]:
        """The key as metadata writes it."""
        return self._to_dict()

    def verify_signature(self, signature: Signature, data: bytes) -> None:
        """Return if ``signature`` is this key's over ``data``; raises ``UnverifiedSignatureError``."""
        try:
            raw = bytes.fromhex(signature.signature)
        except ValueError as problem:
            raise VerificationError("the signature is not hexadecimal") from problem
        try:
            self._verifier.verify(data, raw)
        except SignatureInvalidError as problem:
            raise UnverifiedSignatureError(f"not a signature of {self.holder}") from problem


class DirectorySigner(TufSigner):
    """Signs directory metadata with a protocol signer, wherever that keeps its key."""

    def __init__(self, holder: str, signer: Signer) -> None:
        if not 0 < len(holder) <= MAX_HOLDER_CHARS or not holder.isprintable():
            raise CeremonyError(f"a key holder is named by 1 to {MAX_HOLDER_CHARS} printable characters")
        self._signer = signer
        self._public_key = DirectoryPublicKey(signer.public_key, holder)

    @property
    def public_key(self) -> DirectoryPublicKey:
        """The public part, with the holder's name."""
        return self._public_key

    def sign(self, payload: bytes) -> Signature:
        """The signature over ``payload`` (canonical JSON of a role)."""
        return Signature(self._public_key.keyid, self._signer.sign(payload).hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: SecretsHandler | None = None
    ) -> DirectorySigner:
        """Private keys come from a keystore, never from a URI: always raises ``ValueError``."""
        raise ValueError("directory keys are not loaded by URI")

    def __repr__(self) -> str:
        return f"DirectorySigner({self._public_key.holder!r})"


def _key_id(keyval: dict[str, str]) -> str:
    """TUF's usual key id: SHA-256 of the key's canonical JSON (ASCII only here, so plain sorted JSON is canonical)."""
    members = {"keytype": ED25519, "scheme": ED25519, "keyval": keyval}
    return sha256(json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def register_key_type() -> None:
    """Make the TUF library load directory keys as :class:`DirectoryPublicKey`, and no other kind of key.

    This is the library's documented way to add a key type; its table is global to the process.
    """
    KEY_FOR_TYPE_AND_SCHEME.clear()
    KEY_FOR_TYPE_AND_SCHEME[ED25519, ED25519] = DirectoryPublicKey
