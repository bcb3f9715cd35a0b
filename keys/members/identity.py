"""New keys for desks, nodes and directory key holders, and where each is kept in a keystore.

Every key has one purpose. Secrets are made by the operating system's generator and live in dataclasses whose ``repr``
does not show them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from keys.directory.cards import KeyEntry, LogCard, WitnessCard
from keys.directory.metadata.tuf_key import DirectoryPublicKey, DirectorySigner
from keys.secrets.keystore import (
    KEY_LABEL,
    WITNESS_NAME,
    WRAPPED,
    Entry,
    Keystore,
    Purpose,
    directory_wrap_purpose,
    witness_wrap_purpose,
    wrap_purpose,
)
from keys.secrets.token import Token
from keys.transport.tls import TlsIdentity, make_certificate
from protocol.crypto.hpke import HybridOpener
from protocol.crypto.mldsa import MLDSA44Signer
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.keyid import ED25519, MLKEM768_X25519
from protocol.errors import KeystoreError

SEED_BYTES = 32
KEY_LIFETIME = timedelta(days=2 * 365)


@dataclass(frozen=True, slots=True)
class DeskKeys:
    """The secrets of one contact point: sign, open, encrypt its database, blind its index."""

    sign_seed: bytes = field(repr=False)
    seal_seed: bytes = field(repr=False)
    database_key: bytes = field(repr=False)
    index_key: bytes = field(repr=False)

    def signer(self) -> Ed25519Signer:
        """The desk's signer."""
        return Ed25519Signer(self.sign_seed)

    def opener(self) -> HybridOpener:
        """The desk's opener."""
        return HybridOpener(self.seal_seed)

    def signing_entry(self, valid_from: datetime, valid_until: datetime) -> KeyEntry:
        """What the card says about the signing key."""
        return KeyEntry.of(ED25519, self.signer().public_key, valid_from, valid_until)

    def sealing_entry(self, valid_from: datetime, valid_until: datetime) -> KeyEntry:
        """What the card says about the sealing key."""
        return KeyEntry.of(MLKEM768_X25519, self.opener().public_key, valid_from, valid_until)

    def store(self, keystore: Keystore, now: datetime) -> None:
        """Put all four under their purposes' names; the caller saves. Raises :class:`KeystoreError` if one is there."""
        keystore.put(Entry(Purpose.SIGN, Purpose.SIGN, self.sign_seed, now))
        keystore.put(Entry(Purpose.SEAL, Purpose.SEAL, self.seal_seed, now))
        keystore.put(Entry(Purpose.DATABASE, Purpose.DATABASE, self.database_key, now))
        keystore.put(Entry(Purpose.INDEX, Purpose.INDEX, self.index_key, now))


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """The secrets of one node: sign requests, sign the log (twice), cosign others' logs (twice), serve TLS."""

    sign_seed: bytes = field(repr=False)
    log_ed25519_seed: bytes = field(repr=False)
    log_mldsa_seed: bytes = field(repr=False)
    witness_ed25519_seed: bytes = field(repr=False)
    witness_mldsa_seed: bytes = field(repr=False)
    tls: TlsIdentity

    def signer(self) -> Ed25519Signer:
        """The signer of the node's HTTP requests."""
        return Ed25519Signer(self.sign_seed)

    def signing_entry(self, valid_from: datetime, valid_until: datetime) -> KeyEntry:
        """What the card says about the HTTP signing key."""
        return KeyEntry.of(ED25519, self.signer().public_key, valid_from, valid_until)

    def log_card(self, origin: str, valid_from: datetime) -> LogCard:
        """What the card says about the log."""
        return LogCard(
            origin=origin,
            ed25519=Ed25519Signer(self.log_ed25519_seed).public_key,
            ml_dsa_44=MLDSA44Signer(self.log_mldsa_seed).public_key,
            valid_from=valid_from,
        )

    def witness_card(self, origin: str, valid_from: datetime) -> WitnessCard:
        """What the card says about the witness of the node whose log is ``origin``."""
        return WitnessCard(
            name=witness_name(origin),
            ed25519=Ed25519Signer(self.witness_ed25519_seed).public_key,
            ml_dsa_44=MLDSA44Signer(self.witness_mldsa_seed).public_key,
            valid_from=valid_from,
        )

    def store(self, keystore: Keystore, origin: str, now: datetime) -> None:
        """Put all under their purposes' names; the caller saves. Raises :class:`KeystoreError` if one is there."""
        keystore.put(Entry(Purpose.HTTP, Purpose.HTTP, self.sign_seed, now))
        log = {"origin": origin}
        keystore.put(Entry(Purpose.LOG_ED25519, Purpose.LOG_ED25519, self.log_ed25519_seed, now, log))
        keystore.put(Entry(Purpose.LOG_ML_DSA_44, Purpose.LOG_ML_DSA_44, self.log_mldsa_seed, now, log))
        witness = {WITNESS_NAME: witness_name(origin)}
        keystore.put(Entry(Purpose.WITNESS_ED25519, Purpose.WITNESS_ED25519, self.witness_ed25519_seed, now, witness))
        keystore.put(Entry(Purpose.WITNESS_ML_DSA_44, Purpose.WITNESS_ML_DSA_44, self.witness_mldsa_seed, now, witness))
        keystore.put(Entry(Purpose.TLS, Purpose.TLS, self.tls.key_pem, now))
        keystore.put(Entry(TLS_CERTIFICATE, Purpose.TLS, self.tls.certificate, now))


@dataclass(frozen=True, slots=True)
class TokenNodeKeys:
    """As :class:`NodeKeys`, with the Ed25519 keys in a token, and the ML-DSA-44 seeds encrypted by it.

    The TLS key stays in the keystore: it opens connections, it proves nothing afterwards.
    """

    sign_label: str
    sign_public: bytes
    log_label: str
    log_public: bytes
    log_mldsa_public: bytes
    log_mldsa_wrapped: bytes = field(repr=False)
    witness_label: str
    witness_public: bytes
    witness_mldsa_public: bytes
    witness_mldsa_wrapped: bytes = field(repr=False)
    tls: TlsIdentity

    def signing_entry(self, valid_from: datetime, valid_until: datetime) -> KeyEntry:
        """What the card says about the HTTP signing key."""
        return KeyEntry.of(ED25519, self.sign_public, valid_from, valid_until)

    def log_card(self, origin: str, valid_from: datetime) -> LogCard:
        """What the card says about the log."""
        return LogCard(origin=origin, ed25519=self.log_public, ml_dsa_44=self.log_mldsa_public, valid_from=valid_from)

    def witness_card(self, origin: str, valid_from: datetime) -> WitnessCard:
        """What the card says about the witness of the node whose log is ``origin``."""
        return WitnessCard(
            name=witness_name(origin),
            ed25519=self.witness_public,
            ml_dsa_44=self.witness_mldsa_public,
            valid_from=valid_from,
        )

    def store(self, keystore: Keystore, origin: str, now: datetime) -> None:
        """As :meth:`NodeKeys.store`; of the keys in the token only names and public keys are kept."""
        log = {"origin": origin}
        sign = {KEY_LABEL: self.sign_label}
        keystore.put(Entry(Purpose.HTTP, Purpose.HTTP, self.sign_public, now, sign))
        keystore.put(
            Entry(Purpose.LOG_ED25519, Purpose.LOG_ED25519, self.log_public, now, {**log, KEY_LABEL: self.log_label})
        )
        wrapped = {**log, WRAPPED: "aes-256-gcm"}
        keystore.put(Entry(Purpose.LOG_ML_DSA_44, Purpose.LOG_ML_DSA_44, self.log_mldsa_wrapped, now, wrapped))
        kept = {WITNESS_NAME: witness_name(origin), KEY_LABEL: self.witness_label}
        keystore.put(Entry(Purpose.WITNESS_ED25519, Purpose.WITNESS_ED25519, self.witness_public, now, kept))
        kept = {WITNESS_NAME: witness_name(origin), WRAPPED: "aes-256-gcm"}
        keystore.put(Entry(Purpose.WITNESS_ML_DSA_44, Purpose.WITNESS_ML_DSA_44, self.witness_mldsa_wrapped, now, kept))
        keystore.put(Entry(Purpose.TLS, Purpose.TLS, self.tls.key_pem, now))
        keystore.put(Entry(TLS_CERTIFICATE, Purpose.TLS, self.tls.certificate, now))


TLS_CERTIFICATE = "tls-certificate"


@dataclass(frozen=True, slots=True)
class DirectoryKey:
    """The secret of one holder of a directory role: a government's root key, a registry key, a nation's key.

    ``ml_dsa_44_seed`` makes the key hybrid; a key that was made before there was one has none.
    """

    holder: str
    seed: bytes = field(repr=False)
    ml_dsa_44_seed: bytes | None = field(default=None, repr=False)

    def signer(self) -> DirectorySigner:
        """Signs directory metadata as this holder."""
        second = None if self.ml_dsa_44_seed is None else MLDSA44Signer(self.ml_dsa_44_seed)
        return DirectorySigner(self.holder, Ed25519Signer(self.seed), second)

    def public(self) -> DirectoryPublicKey:
        """What the others enrol."""
        return self.signer().public_key

    def store(self, keystore: Keystore, name: str, now: datetime) -> None:
        """Put the key under ``name``; the caller saves."""
        secret = self.seed + (self.ml_dsa_44_seed or b"")
        keystore.put(Entry(name, Purpose.DIRECTORY, secret, now, {"holder": self.holder}))


def generate_desk_keys() -> DeskKeys:
    """New secrets for a contact point."""
    return DeskKeys(*(os.urandom(SEED_BYTES) for _ in range(4)))


def generate_node_keys(node: str, hosts: list[str], now: datetime) -> NodeKeys:
    """New secrets for a node whose server is reached under ``hosts`` (DNS names or IP addresses)."""
    sign, log_ed25519, log_mldsa, witness_ed25519, witness_mldsa = (os.urandom(SEED_BYTES) for _ in range(5))
    tls = make_certificate(node, hosts, now)
    return NodeKeys(sign, log_ed25519, log_mldsa, witness_ed25519, witness_mldsa, tls)


def generate_node_keys_in(token: Token, node: str, origin: str, hosts: list[str], now: datetime) -> TokenNodeKeys:
    """As :func:`generate_node_keys`, in ``token``: keys ``<node> http``, ``<node> log``, ``<node> witness``."""
    mldsa_seed, witness_seed = os.urandom(SEED_BYTES), os.urandom(SEED_BYTES)
    sign, log, witness = f"{node} http", f"{node} log", f"{node} witness"
    return TokenNodeKeys(
        sign,
        token.generate(sign),
        log,
        token.generate(log),
        MLDSA44Signer(mldsa_seed).public_key,
        token.wrap(wrap_purpose(origin), mldsa_seed),
        witness,
        token.generate(witness),
        MLDSA44Signer(witness_seed).public_key,
        token.wrap(witness_wrap_purpose(witness_name(origin)), witness_seed),
        make_certificate(node, hosts, now),
    )


def store_directory_key_in(token: Token, keystore: Keystore, holder: str, label: str, now: datetime) -> None:
    """A new directory key for ``holder`` in ``token`` under ``label``; the keystore gets its name. The caller saves.

    The ML-DSA-44 seed, which tokens do not make, is encrypted by the token and kept in the keystore.
    """
    if holder in keystore:
        raise KeystoreError(f"the keystore already holds {holder!r}")
    public = token.generate(label)
    wrapped = token.wrap(directory_wrap_purpose(holder), os.urandom(SEED_BYTES))
    metadata = {"holder": holder, KEY_LABEL: label, WRAPPED: "aes-256-gcm"}
    keystore.put(Entry(holder, Purpose.DIRECTORY, public + wrapped, now, metadata))


def witness_name(origin: str) -> str:
    """The name of the witness of the node whose log is ``origin``: ``<authority>/witness/<node>``."""
    authority, _, node = origin.rpartition("/")
    return f"{authority}/witness/{node}"


def generate_directory_key(holder: str) -> DirectoryKey:
    """A new directory key for ``holder`` (the name that a missing signature is reported under)."""
    return DirectoryKey(holder, os.urandom(SEED_BYTES), os.urandom(SEED_BYTES))


def directory_signer(keystore: Keystore, name: str) -> DirectorySigner:
    """The directory key kept under ``name``; raises :class:`KeystoreError`."""
    holder = keystore.entry(name).metadata.get("holder", name)
    return DirectorySigner(holder, keystore.signer(name), keystore.second_signer(name))


def tls_identity(keystore: Keystore) -> TlsIdentity:
    """The node's TLS key and certificate; raises :class:`KeystoreError`."""
    return TlsIdentity(keystore.secret(Purpose.TLS, Purpose.TLS), keystore.secret(TLS_CERTIFICATE, Purpose.TLS))
