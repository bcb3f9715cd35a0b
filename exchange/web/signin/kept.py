"""What was typed into a form that could not be sent, because the session was locked or had ended.

It is sealed to the officer's key: this process holds it, and only the officer who signs in again opens it. It lives in
memory alone, and no passphrase is among it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from protocol.encoding import cbor
from protocol.encoding.phrase import phrase
from protocol.errors import FormError

MAX_BYTES = 1024 * 1024
_SECRET = frozenset({"code", "totp", "secret", "_token"})
_PASSPHRASES = "passphrase"


def is_secret(name: str) -> bool:
    """Whether a field of that name holds a secret, which is neither kept nor shown again: all whose name begins so."""
    return name in _SECRET or name.startswith(_PASSPHRASES)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form: where it was to go (``action``), the page that it stands on (``back``), and its fields in order."""

    action: str
    back: str
    fields: tuple[tuple[str, str], ...]

    @property
    def fields_json(self) -> str:
        """The fields for a script of the page."""
        return json.dumps(self.fields)

    @classmethod
    def of(cls, action: str, back: str, fields: Iterable[tuple[str, object]]) -> KeptForm:
        """Without what is secret, and without files."""
        kept = ((name, value) for name, value in fields if isinstance(value, str) and not is_secret(name))
        return cls(action, back, tuple((name, value) for name, value in kept if name not in {"_action", "_back"}))


@dataclass(frozen=True, slots=True)
class FormBox:
    """Seals forms for one officer. ``own``: the key of a desk without officers, where this process is the officer."""

    public: bytes
    own: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, seed: bytes) -> FormBox:
        """For the officer with that key (32 bytes); for the one person of a desk without officers (none)."""
        if seed:
            return cls(bytes(SigningKey(seed).verify_key.to_curve25519_public_key()))
        made = PrivateKey(os.urandom(32))
        return cls(bytes(made.public_key), bytes(made))

    def is_of(self, public_key: bytes) -> bool:
        """Whether it seals for the officer with that public key (32 bytes)."""
        return self.public == bytes(VerifyKey(public_key).to_curve25519_public_key())

    def seal(self, form: KeptForm) -> bytes | None:
        """The form sealed; None for one that is too large to be kept."""
        content = cbor.encode([form.action, form.back, [list(pair) for pair in form.fields]])
        return SealedBox(PublicKey(self.public)).encrypt(content) if len(content) <= MAX_BYTES else None

    def open(self, sealed: bytes, seed: bytes) -> KeptForm:
        """The form; raises :class:`FormError` for another officer's."""
        key = PrivateKey(self.own) if self.own else SigningKey(seed).to_curve25519_private_key()
        try:
            action, back, fields = cbor.decode(SealedBox(key).decrypt(sealed))
        except CryptoError:
            raise FormError(phrase("what was typed is another officer's")) from None
        return KeptForm(action, back, tuple((name, value) for name, value in fields))
