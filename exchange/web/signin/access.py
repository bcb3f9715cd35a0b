"""How officers read and sign in in a browser: their language and zone, passkeys, and the secret of one-time codes.

A passkey that can (WebAuthn's extension ``prf``) keeps the officer's key: what the authenticator computes, and only
after its holder was verified, is the key that the officer's key is wrapped under. It is never stored. The secret of
one-time codes guards the sign-in alone: it wraps nothing, since this machine knows it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.store.database import SealedDatabase
from protocol.crypto.signing import SEED_BYTES, Ed25519Signer
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, PasskeyError

MAX_PASSKEYS = 16
MAX_NAME = 64
PRF_BYTES = 32
_NONCE_BYTES = 12
_WRAP = b"comity/v1/web-passkey\0"
_PRF_INPUT = b"comity/v1/web-passkey-prf\0"


@dataclass(frozen=True, slots=True)
class WebProfile:
    """What an officer set. ``language`` and ``zone`` empty: as the browser and the office say. ``totp`` is the secret
    of codes (base32, empty: none), ``totp_step`` the last time step whose code was used: none is good twice.
    """

    language: str = ""
    zone: str = ""
    sound: bool = True
    totp: str = field(default="", repr=False)
    totp_step: int = 0

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode([self.language, self.zone, self.sound, self.totp, self.totp_step])

    @classmethod
    def from_bytes(cls, value: bytes) -> WebProfile:
        """The value of :meth:`to_bytes`."""
        return cls(*cbor.decode(value))


@dataclass(frozen=True, slots=True)
class Passkey:
    """One passkey. ``key`` is its public key (COSE), ``count`` what its authenticator counted last.

    ``wrapped`` is the officer's key, None where the authenticator cannot keep it; ``signs_as`` the public key of the
    officer that was wrapped: an officer with another key by now adds the passkey anew.
    """

    credential: bytes
    officer: str
    name: str
    added_at: datetime
    key: bytes
    count: int
    wrapped: bytes | None = field(repr=False)
    signs_as: bytes
    used_at: datetime | None = None

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        used = to_ms(self.used_at) if self.used_at is not None else None
        whole = [self.credential, self.officer, self.name, to_ms(self.added_at), self.key, self.count]
        return cbor.encode([*whole, self.wrapped, self.signs_as, used])

    @classmethod
    def from_bytes(cls, value: bytes) -> Passkey:
        """The value of :meth:`to_bytes`."""
        credential, officer, name, added, key, count, wrapped, signs_as, used = cbor.decode(value)
        at = from_ms(used) if used is not None else None
        return cls(credential, officer, name, from_ms(added), key, count, wrapped, signs_as, at)


class WebAccess:
    """The table of what officers set, and of their passkeys. Blocking; runs in the desk's thread."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def profile(self, officer: str) -> WebProfile:
        """What an officer set; the defaults where nothing was."""
        row = self._officer(officer)
        rows = self._database.all("SELECT sealed FROM web_officer WHERE id = ?", (row,))
        return (
            WebProfile.from_bytes(self._cipher.open(b"web_officer.sealed", row, rows[0][0])) if rows else WebProfile()
        )

    def put_profile(self, officer: str, profile: WebProfile) -> None:
        """Keep what an officer set, inside a transaction."""
        row = self._officer(officer)
        self._database.execute(
            "INSERT INTO web_officer (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"web_officer.sealed", row, profile.to_bytes())),
        )

    def take_step(self, officer: str, step: int) -> bool:
        """Use the code of a time step; False where that one, or a later one, was used: one transaction."""
        with self._database.transaction():
            profile = self.profile(officer)
            if step <= profile.totp_step:
                return False
            self.put_profile(officer, replace(profile, totp_step=step))
            return True

    def passkeys(self, officer: str) -> list[Passkey]:
        """The passkeys of an officer, the oldest first."""
        rows = self._database.all("SELECT id, sealed FROM web_passkey WHERE officer = ?", (self._officer(officer),))
        return sorted((self._opened(*row) for row in rows), key=lambda one: one.added_at)

    def passkey(self, credential: bytes) -> Passkey:
        """The passkey of that id; raises :class:`NotFoundError`."""
        row = self._credential(credential)
        rows = self._database.all("SELECT sealed FROM web_passkey WHERE id = ?", (row,))
        if not rows:
            raise NotFoundError(phrase("this desk knows no such passkey"))
        return self._opened(row, rows[0][0])

    def put_passkey(self, passkey: Passkey) -> None:
        """Keep a passkey, inside a transaction."""
        row = self._credential(passkey.credential)
        self._database.execute(
            "INSERT INTO web_passkey (id, officer, sealed) VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._officer(passkey.officer), self._cipher.seal(b"web_passkey.sealed", row, passkey.to_bytes())),
        )

    def remove_passkey(self, credential: bytes) -> None:
        """Forget a passkey, inside a transaction."""
        self._database.execute("DELETE FROM web_passkey WHERE id = ?", (self._credential(credential),))

    def _opened(self, row: bytes, sealed: bytes) -> Passkey:
        return Passkey.from_bytes(self._cipher.open(b"web_passkey.sealed", row, sealed))

    def _officer(self, officer: str) -> bytes:
        return self._cipher.blind(b"web-officer", officer.encode())

    def _credential(self, credential: bytes) -> bytes:
        return self._cipher.blind(b"web-passkey", credential)


def prf_input(desk: str) -> bytes:
    """What passkeys of that desk are asked to compute over (32 bytes): the same for all, as each has its own secret."""
    from hashlib import sha256

    return sha256(_PRF_INPUT + desk.encode()).digest()


def wrap_seed(seed: bytes, output: bytes, credential: bytes, desk: str) -> bytes:
    """An officer's key (32 bytes) under what the passkey computed (32 bytes), for that credential and desk alone."""
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(_key(output, credential, desk)).encrypt(nonce, seed, _WRAP)


def unwrap_seed(wrapped: bytes, output: bytes, credential: bytes, desk: str) -> bytes:
    """The officer's key; raises :class:`PasskeyError` where the passkey computed something else."""
    nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
    try:
        seed = AESGCM(_key(output, credential, desk)).decrypt(nonce, sealed, _WRAP)
    except (InvalidTag, ValueError):
        raise PasskeyError(phrase("this passkey does not open the officer's key")) from None
    if len(seed) != SEED_BYTES:
        raise PasskeyError(phrase("this passkey does not open the officer's key"))
    return seed


def public_key_of(seed: bytes) -> bytes:
    """The public key (32 bytes) of an officer's key."""
    return Ed25519Signer(seed).public_key


def _key(output: bytes, credential: bytes, desk: str) -> bytes:
    # RFC 5869; the credential's id and the desk are in info with their lengths, so that no two of them meet.
    if len(output) != PRF_BYTES:
        raise PasskeyError(phrase("the passkey gave nothing to open the officer's key with"))
    info = _WRAP + len(credential).to_bytes(2, "big") + credential + desk.encode()
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(output)
