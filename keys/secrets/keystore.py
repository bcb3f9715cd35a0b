"""The keystore: one encrypted file that holds every secret of a desk, a node or a directory key holder.

Format, version 1: one canonical CBOR map (RFC 8949 §4.2.1)::

    1 version      uint, 1
    2 derivation   text, "argon2id13" (RFC 9106, libsodium's crypto_pwhash)
    3 passes       uint, Argon2id opslimit, 1..8
    4 memory       uint, Argon2id memlimit in bytes, 8 MiB..1 GiB
    5 salt         bytes, 16
    6 nonce        bytes, 24, fresh for every save
    7 ciphertext   bytes, XChaCha20-Poly1305-IETF

The key is ``Argon2id(passphrase, salt, passes, memory)``, 32 bytes. The associated data is
``"comity/v1/keystore" 0x00`` followed by the canonical CBOR of members 1 to 6, so no parameter can be altered. The
plaintext is the canonical CBOR of ``[[name, purpose, secret, created (Unix ms), {text: text}], ...]``, sorted by name.

The file has mode 0600; a looser one is refused. It is replaced whole (temporary file, fsync, rename, fsync of the
folder). Writers hold an advisory lock on ``<file>.lock`` and refuse to overwrite what another writer saved since they
read it.
"""

from __future__ import annotations

import hmac
import os
import stat
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError
from nacl.pwhash import argon2id

from keys.local.files import PRIVATE_MODE, locked, write_file
from keys.secrets.token import Token
from protocol.crypto.hpke import HybridOpener
from protocol.crypto.mldsa import MLDSA44Signer
from protocol.crypto.signing import SEED_BYTES, Ed25519Signer, Signer
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ComityError, KeystoreError, KeystoreLockedError
from protocol.log.checkpoint import FormerLogKeys, LogVerifier, SoftLogSigner
from protocol.log.witness import SoftWitnessSigner

VERSION = 1
FILE_NAME = "keystore.cbor"  # in a home folder
DERIVATION = "argon2id13"
MAX_FILE_BYTES = 1_048_576
MAX_ENTRIES = 1_024
MAX_SECRET_BYTES = 65_536
MAX_NAME_CHARS = 120

# Metadata of an entry whose Ed25519 key is in a token: the key's label there. Its "secret" is the public key.
KEY_LABEL = "token-key"
# Metadata of a log's Ed25519 key: the public keys before it, by which the log's last checkpoint may still be signed.
FORMER_LOG_KEYS = "former-log-keys"
# Metadata of a witness's keys: its name.
WITNESS_NAME = "witness"
# Metadata of an entry whose secret a token encrypted.
WRAPPED = "token-wrapped"

_DOMAIN = b"comity/v1/keystore\0"
_SALT_BYTES = 16
_NONCE_BYTES = 24
_KEY_BYTES = 32


class Purpose(StrEnum):
    """What a secret is for. A key has one purpose."""

    SIGN = "sign"
    SEAL = "seal"
    DATABASE = "database"
    INDEX = "index"
    HTTP = "http"
    LOG_ED25519 = "log-ed25519"
    LOG_ML_DSA_44 = "log-ml-dsa-44"
    WITNESS_ED25519 = "witness-ed25519"
    WITNESS_ML_DSA_44 = "witness-ml-dsa-44"
    TLS = "tls"
    DIRECTORY = "directory"


@dataclass(frozen=True, slots=True)
class Derivation:
    """How costly a guess of the passphrase is: Argon2id ``passes`` over ``memory_bytes``."""

    passes: int = argon2id.OPSLIMIT_MODERATE
    memory_bytes: int = argon2id.MEMLIMIT_MODERATE

    def __post_init__(self) -> None:
        # The lower bound keeps guessing costly, the upper keeps a planted file from exhausting this machine.
        if not 1 <= self.passes <= 8 or not 8 * 1_048_576 <= self.memory_bytes <= 1_024 * 1_048_576:
            raise KeystoreError("Argon2id takes 1 to 8 passes over 8 MiB to 1 GiB")


STANDARD = Derivation()
# For demonstrations and tests: milliseconds per guess instead of most of a second.
FAST = Derivation(passes=1, memory_bytes=8 * 1_048_576)


@dataclass(frozen=True, slots=True)
class Entry:
    """One secret. Its ``repr`` shows what it is for, never what it is."""

    name: str
    purpose: Purpose
    secret: bytes = field(repr=False)
    created_at: datetime
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= MAX_NAME_CHARS:
            raise KeystoreError(f"an entry is named by 1 to {MAX_NAME_CHARS} characters")
        if len(self.secret) > MAX_SECRET_BYTES:
            raise KeystoreError(f"a secret has at most {MAX_SECRET_BYTES} bytes")


class Keystore:
    """The opened keystore. Changes are in memory until :meth:`save`; the derived key stays in memory for saving."""

    __slots__ = ("_derivation", "_digest", "_entries", "_key", "_salt", "_token", "path")

    def __init__(self, path: Path, derivation: Derivation, salt: bytes, key: bytes, token: Token | None = None) -> None:
        self.path = path
        self._token = token
        self._derivation = derivation
        self._salt = salt
        self._key = key
        self._entries: dict[str, Entry] = {}
        self._digest: bytes | None = None

    @classmethod
    def create(cls, path: Path, passphrase: bytes, derivation: Derivation = STANDARD) -> Keystore:
        """Write a new, empty keystore; raises :class:`KeystoreError` when the file exists or cannot be written."""
        if path.exists() or path.is_symlink():
            raise KeystoreError(f"{path} already exists; choose another file")
        salt = os.urandom(_SALT_BYTES)
        keystore = cls(path, derivation, salt, _derive(passphrase, salt, derivation))
        keystore.save()
        return keystore

    @classmethod
    def open(cls, path: Path, passphrase: bytes, token: Token | None = None) -> Keystore:
        """Read and decrypt; ``token`` holds the keys that entries only name.

        Raises :class:`KeystoreError` for the file, :class:`KeystoreLockedError` for the rest.
        """
        content = _read_private(path)
        header, ciphertext = _parse_file(content)
        derivation = Derivation(header[3], header[4])
        key = _derive(passphrase, header[5], derivation)
        keystore = cls(path, derivation, header[5], key, token)
        try:
            plaintext = crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, _associated(header), header[6], key)
        except CryptoError as problem:
            raise KeystoreLockedError from problem
        keystore._entries = {entry.name: entry for entry in _parse_entries(plaintext)}
        keystore._digest = sha256(content).digest()
        return keystore

    def reload(self) -> bool:
        """Read the file again where another program replaced it; whether it did. Changes that were not saved are lost.

        Raises :class:`KeystoreError` for the file, :class:`KeystoreLockedError` when the passphrase is another one now.
        """
        content = _read_private(self.path)
        digest = sha256(content).digest()
        if self._digest is not None and hmac.compare_digest(digest, self._digest):
            return False
        header, ciphertext = _parse_file(content)
        try:
            plaintext = crypto_aead_xchacha20poly1305_ietf_decrypt(
                ciphertext, _associated(header), header[6], self._key
            )
        except CryptoError as problem:
            raise KeystoreLockedError("another program changed the passphrase: start this one again") from problem
        self._entries = {entry.name: entry for entry in _parse_entries(plaintext)}
        self._digest = digest
        return True

    # --- Changing ---

    def put(self, entry: Entry, *, replace: bool = False) -> None:
        """Add an entry; raises :class:`KeystoreError` when the name is taken and ``replace`` is not asked for."""
        if entry.name in self._entries and not replace:
            raise KeystoreError(f"the keystore already holds {entry.name!r}")
        if len(self._entries) >= MAX_ENTRIES and entry.name not in self._entries:
            raise KeystoreError(f"a keystore holds at most {MAX_ENTRIES} entries")
        self._entries[entry.name] = entry

    def remove(self, name: str) -> None:
        """Drop an entry; raises :class:`KeystoreError` when there is none of that name."""
        self.entry(name)
        del self._entries[name]

    def change_passphrase(self, passphrase: bytes, derivation: Derivation = STANDARD) -> None:
        """Derive a new key with a new salt; takes effect with :meth:`save`."""
        self._salt = os.urandom(_SALT_BYTES)
        self._derivation = derivation
        self._key = _derive(passphrase, self._salt, derivation)

    def save(self) -> None:
        """Write durably; raises :class:`KeystoreError` when another writer was faster or the file cannot be written."""
        content = self._encrypt()
        try:
            with locked(self._lock_path(), self._busy):
                self._require_unchanged()
                write_file(self.path, content, mode=PRIVATE_MODE)
        except OSError as problem:
            raise KeystoreError(f"cannot write {self.path}: {problem.strerror}") from problem
        self._digest = sha256(content).digest()

    # --- Reading ---

    def __iter__(self) -> Iterator[Entry]:
        return iter(sorted(self._entries.values(), key=lambda entry: entry.name))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def entry(self, name: str) -> Entry:
        """The entry of that name; raises :class:`KeystoreError`."""
        try:
            return self._entries[name]
        except KeyError:
            raise KeystoreError(f"the keystore holds no {name!r}") from None

    def secret(self, name: str, purpose: Purpose | None = None) -> bytes:
        """The secret bytes; raises :class:`KeystoreError` when absent or kept for another ``purpose``."""
        entry = self.entry(name)
        if purpose is not None and entry.purpose is not purpose:
            raise KeystoreError(f"{name!r} is kept for {entry.purpose}, not for {purpose}")
        return entry.secret

    def signer(self, name: str = Purpose.SIGN) -> Signer:
        """The Ed25519 signer of an entry that signs: a desk's, a node's HTTP key or a directory key.

        Raises :class:`KeystoreError` also when the key is in a token and there is none.
        """
        entry = self.entry(name)
        if entry.purpose not in {Purpose.SIGN, Purpose.HTTP, Purpose.DIRECTORY}:
            raise KeystoreError(f"{name!r} is kept for {entry.purpose}, not for signing")
        return self._ed25519(entry)

    def second_signer(self, name: str) -> MLDSA44Signer | None:
        """The ML-DSA-44 signer of a directory key, None for one without; raises :class:`KeystoreError`.

        Its seed stands behind the Ed25519 seed (behind the public key where a token holds that one).
        """
        entry = self.entry(name)
        seed = self.secret(name, Purpose.DIRECTORY)[SEED_BYTES:]
        if seed and WRAPPED in entry.metadata:
            seed = self._need_token(entry).unwrap(directory_wrap_purpose(entry.metadata.get("holder", name)), seed)
        return MLDSA44Signer(seed) if seed else None

    def opener(self, name: str = Purpose.SEAL) -> HybridOpener:
        """The opener of one sealing key."""
        return HybridOpener(self.secret(name, Purpose.SEAL))

    def openers(self) -> Mapping[bytes, HybridOpener]:
        """Every sealing key of this desk by key id: during a rotation several count at once."""
        openers = (HybridOpener(entry.secret) for entry in self if entry.purpose is Purpose.SEAL)
        return MappingProxyType({opener.kid: opener for opener in openers})

    def log_signer(self, origin: str) -> SoftLogSigner:
        """The signer of the node's log; raises :class:`KeystoreError` when the keys are for another origin."""
        for name in (Purpose.LOG_ED25519, Purpose.LOG_ML_DSA_44):
            kept_for = self.entry(name).metadata.get("origin", origin)
            if kept_for != origin:
                raise KeystoreError(f"the log keys are for {kept_for}, not for {origin}")
        seed = self.entry(Purpose.LOG_ML_DSA_44)
        plain = self._need_token(seed).unwrap(wrap_purpose(origin), seed.secret) if WRAPPED in seed.metadata else None
        ed25519 = self.entry(Purpose.LOG_ED25519)
        return SoftLogSigner(origin, self._ed25519(ed25519), plain or seed.secret, _former_log_keys(origin, ed25519))

    def witness_signer(self) -> SoftWitnessSigner | None:
        """What this node cosigns others' logs with, None if it has no such keys; raises :class:`KeystoreError`."""
        if Purpose.WITNESS_ED25519 not in self:
            return None
        ed25519, seed = self.entry(Purpose.WITNESS_ED25519), self.entry(Purpose.WITNESS_ML_DSA_44)
        name = ed25519.metadata.get(WITNESS_NAME)
        if name is None:
            raise KeystoreError("the keystore does not say which witness its keys are of")
        wrapped = WRAPPED in seed.metadata
        plain = self._need_token(seed).unwrap(witness_wrap_purpose(name), seed.secret) if wrapped else seed.secret
        return SoftWitnessSigner(name, self._ed25519(ed25519), plain)

    def __repr__(self) -> str:
        return f"Keystore({str(self.path)!r}, {len(self._entries)} entries)"

    # --- Inside ---

    def _ed25519(self, entry: Entry) -> Signer:
        label, secret = entry.metadata.get(KEY_LABEL), entry.secret
        if entry.purpose is Purpose.DIRECTORY:
            secret = secret[:SEED_BYTES]  # the rest is the second key's
        return Ed25519Signer(secret) if label is None else self._need_token(entry).signer(label, secret)

    def _need_token(self, entry: Entry) -> Token:
        if self._token is None:
            raise KeystoreError(f"the key {entry.name!r} is in a hardware token: name the token's file")
        return self._token

    def _lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def _busy(self) -> ComityError:
        return KeystoreError(f"another program is writing {self.path}; try again")

    def _require_unchanged(self) -> None:
        if self._digest is None:
            if self.path.exists():
                raise KeystoreError(f"{self.path} already exists; choose another file")
        elif not hmac.compare_digest(sha256(_read_private(self.path)).digest(), self._digest):
            raise KeystoreError(f"{self.path} was changed by another program; open it again")

    def _encrypt(self) -> bytes:
        header: dict[int, Any] = {
            1: VERSION,
            2: DERIVATION,
            3: self._derivation.passes,
            4: self._derivation.memory_bytes,
            5: self._salt,
            6: os.urandom(_NONCE_BYTES),
        }
        plaintext = cbor.encode(
            [[e.name, str(e.purpose), e.secret, to_ms(e.created_at), dict(e.metadata)] for e in self],
        )
        sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, _associated(header), header[6], self._key)
        return cbor.encode({**header, 7: sealed})


def former_log_keys_text(ed25519: bytes, ml_dsa_44: bytes) -> str:
    """What a log key's entry says, under :data:`FORMER_LOG_KEYS`, of the public keys it replaced."""
    return f"{b64encode(ed25519).decode()} {b64encode(ml_dsa_44).decode()}"


def _former_log_keys(origin: str, entry: Entry) -> tuple[FormerLogKeys, ...]:
    text = entry.metadata.get(FORMER_LOG_KEYS)
    if text is None:
        return ()
    ed25519, ml_dsa_44 = (b64decode(part) for part in text.split(" "))
    return (FormerLogKeys(LogVerifier(origin, ed25519, ml_dsa_44)),)


def wrap_purpose(origin: str) -> bytes:
    """What a log's wrapped ML-DSA-44 seed is bound to in the token."""
    return b"log-ml-dsa-44\0" + origin.encode()


def witness_wrap_purpose(name: str) -> bytes:
    """What a witness's wrapped ML-DSA-44 seed is bound to in the token."""
    return b"witness-ml-dsa-44\0" + name.encode()


def directory_wrap_purpose(holder: str) -> bytes:
    """What the wrapped ML-DSA-44 seed of a directory key is bound to in the token."""
    return b"directory-ml-dsa-44\0" + holder.encode()


def _associated(header: Mapping[int, Any]) -> bytes:
    return _DOMAIN + cbor.encode(dict(header))


def _derive(passphrase: bytes, salt: bytes, derivation: Derivation) -> bytes:
    if not passphrase:
        raise KeystoreLockedError("the passphrase is empty")
    return argon2id.kdf(_KEY_BYTES, passphrase, salt, opslimit=derivation.passes, memlimit=derivation.memory_bytes)


def _read_private(path: Path) -> bytes:
    """The bytes of a regular file that only its owner can read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as problem:
        raise KeystoreError(f"cannot read {path}: {problem.strerror}") from problem
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise KeystoreError(f"{path} is not a regular file")
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise KeystoreError(f"others can read or write {path}: run chmod 600 on it")
        if status.st_size > MAX_FILE_BYTES:
            raise KeystoreError(f"{path} is larger than a keystore can be")
        return file.read(MAX_FILE_BYTES + 1)


def _parse_file(content: bytes) -> tuple[dict[int, Any], bytes]:
    """Header (members 1 to 6) and ciphertext, their types and bounds checked before any work is done with them."""
    try:
        members = cbor.decode(content, max_bytes=MAX_FILE_BYTES)
    except ComityError as problem:
        raise KeystoreLockedError("the keystore file is damaged or not a keystore") from problem
    if not isinstance(members, dict) or set(members) != {1, 2, 3, 4, 5, 6, 7}:
        raise KeystoreLockedError("the keystore file is damaged or not a keystore")
    ciphertext = members.pop(7)
    fits = (
        members[1] == VERSION
        and members[2] == DERIVATION
        and type(members[3]) is int
        and type(members[4]) is int
        and isinstance(members[5], bytes)
        and len(members[5]) == _SALT_BYTES
        and isinstance(members[6], bytes)
        and len(members[6]) == _NONCE_BYTES
        and isinstance(ciphertext, bytes)
    )
    if not fits:
        raise KeystoreLockedError("the keystore file is damaged or of another version")
    try:
        Derivation(members[3], members[4])
    except KeystoreError as problem:
        raise KeystoreLockedError("the keystore file's Argon2id parameters are out of bounds") from problem
    return members, ciphertext


def _parse_entries(plaintext: bytes) -> list[Entry]:
    rows = cbor.decode(plaintext, max_bytes=MAX_FILE_BYTES)
    try:
        return [
            Entry(name, Purpose(purpose), secret, from_ms(created), MappingProxyType(dict(metadata)))
            for name, purpose, secret, created, metadata in rows
        ]
    except (TypeError, ValueError) as problem:
        raise KeystoreLockedError("the keystore was written by another version of this program") from problem
