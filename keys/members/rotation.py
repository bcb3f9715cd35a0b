"""A node changes its TLS, request-signing, log and witness keys while its partners go on trusting it.

Three steps, each of which can be repeated, and between them what only the nation can do::

    begin    new keys in the keystore beside the old ones, and a card that lists both   -> the nation publishes it
    switch   the new keys replace the old ones, which are destroyed                     -> the node is restarted
    finish   a card on which the old keys have ended                                    -> the nation publishes it

Nobody ever sees a key that the card does not list: before the switch the card must be in the node's own verified
directory. After the finish a stolen old key serves no TLS connection, signs no request, signs no tree that is
larger than the log was then, and makes no cosignature that says it is newer.

A node that was made without witness keys gets them in the same three steps.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from keys.directory.cards import KeyEntry, LogCard, NodeCard, WitnessCard, make_node_card
from keys.members.identity import KEY_LIFETIME, SEED_BYTES, TLS_CERTIFICATE, witness_name
from keys.secrets.keystore import (
    FORMER_LOG_KEYS,
    KEY_LABEL,
    WITNESS_NAME,
    WRAPPED,
    Entry,
    Keystore,
    Purpose,
    former_log_keys_text,
    witness_wrap_purpose,
    wrap_purpose,
)
from keys.secrets.token import Token
from keys.transport.tls import certificate_hosts, make_certificate
from protocol.crypto.mldsa import MLDSA44Signer
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.keyid import ED25519
from protocol.errors import CheckpointInvalidError, RotationError
from protocol.log.checkpoint import open_checkpoint


class RotatedPart(StrEnum):
    """What is rotated."""

    TLS = "tls"
    SIGNING = "signing"
    LOG = "log"
    WITNESS = "witness"


_NEXT = "next-"
_ML_DSA_PUBLIC = "public"
_NAMES: dict[RotatedPart, tuple[str, ...]] = {
    RotatedPart.TLS: (Purpose.TLS, TLS_CERTIFICATE),
    RotatedPart.SIGNING: (Purpose.HTTP,),
    RotatedPart.LOG: (Purpose.LOG_ED25519, Purpose.LOG_ML_DSA_44),
    RotatedPart.WITNESS: (Purpose.WITNESS_ED25519, Purpose.WITNESS_ML_DSA_44),
}


def begun(keystore: Keystore) -> list[RotatedPart]:
    """The parts whose next keys wait in the keystore."""
    return [part for part, names in _NAMES.items() if _NEXT + names[0] in keystore]


def begin(
    keystore: Keystore, card: NodeCard, parts: Collection[RotatedPart], now: datetime, token: Token | None = None
) -> NodeCard:
    """Make the next keys of ``parts`` that are not there yet, save them, and return ``card`` with all of them.

    ``card`` is the published one. With a ``token`` the Ed25519 keys are made in it. Raises :class:`KeystoreError`.
    """
    for part in RotatedPart:
        if part in parts and part not in begun(keystore):
            _MAKE[part](keystore, card, now, token)
    keystore.save()
    return _with_next(keystore, card, now)


def switch(keystore: Keystore, card: NodeCard, now: datetime) -> list[RotatedPart]:
    """Put the next keys in the place of the present ones, which are gone when this returns; the parts switched.

    ``card`` is the published one. Raises :class:`RotationError` when nothing was begun or ``card`` lacks a key.
    """
    parts = begun(keystore)
    if not parts:
        raise RotationError("no new keys were begun")
    for part in parts:
        _require_listed(keystore, card, part, now)
    for part in parts:
        for name in _NAMES[part]:
            entry = keystore.entry(_NEXT + name)
            metadata = {key: value for key, value in entry.metadata.items() if key != _ML_DSA_PUBLIC}
            if name == Purpose.LOG_ED25519:
                present = keystore.log_signer(entry.metadata["origin"]).verifier
                metadata[FORMER_LOG_KEYS] = former_log_keys_text(present.ed25519_public, present.mldsa_public)
            keystore.put(Entry(name, entry.purpose, entry.secret, entry.created_at, metadata), replace=True)
            keystore.remove(_NEXT + name)
    keystore.save()
    return parts


def finish(keystore: Keystore, card: NodeCard, checkpoint: bytes, now: datetime) -> NodeCard | None:
    """``card``, the published one, with every replaced key ended; None if there is none.

    ``checkpoint`` is the log's last one. Raises :class:`RotationError` when keys wait to be switched, and when the node
    did not sign with the new log keys yet.
    """
    if begun(keystore):
        raise RotationError("new keys wait in the keystore: switch to them first")
    changes: dict[str, Any] = {}
    certificate = keystore.secret(TLS_CERTIFICATE, Purpose.TLS)
    if len(card.tls_certificates) > 1 and certificate in card.tls_certificates:
        changes["tls_certificates"] = (certificate,)
    present = keystore.signer(Purpose.HTTP).public_key
    keys = tuple(entry if entry.public == present else _ended(entry, now) for entry in card.signing_keys)
    if keys != card.signing_keys:
        changes["signing_keys"] = keys
    logs = _closed_logs(keystore, card, checkpoint)
    if logs != card.previous_logs:
        changes["previous_logs"] = logs
    if any(entry.valid_until is None for entry in card.previous_witnesses):
        changes["previous_witnesses"] = tuple(_ended_witness(entry, now) for entry in card.previous_witnesses)
    return _changed(card, changes, now) if changes else None


# --- New keys ---


def _make_tls(keystore: Keystore, card: NodeCard, now: datetime, _: Token | None) -> None:
    hosts = certificate_hosts(keystore.secret(TLS_CERTIFICATE, Purpose.TLS))
    made = make_certificate(card.node, hosts, now)
    keystore.put(Entry(_NEXT + Purpose.TLS, Purpose.TLS, made.key_pem, now))
    keystore.put(Entry(_NEXT + TLS_CERTIFICATE, Purpose.TLS, made.certificate, now))


def _make_signing(keystore: Keystore, card: NodeCard, now: datetime, token: Token | None) -> None:
    secret, metadata = _new_ed25519(f"{card.node} http", now, token)
    keystore.put(Entry(_NEXT + Purpose.HTTP, Purpose.HTTP, secret, now, metadata))


def _make_log(keystore: Keystore, card: NodeCard, now: datetime, token: Token | None) -> None:
    for entry in new_log_entries(card.node, card.log.origin, now, token):
        keystore.put(replace(entry, name=_NEXT + entry.name))


def new_log_entries(node: str, origin: str, now: datetime, token: Token | None) -> tuple[Entry, Entry]:
    """New keys for the log ``origin``, as entries under their purposes' names; with a ``token`` made in it."""
    return _new_pair(RotatedPart.LOG, f"{node} log", {"origin": origin}, wrap_purpose(origin), now, token)


def _make_witness(keystore: Keystore, card: NodeCard, now: datetime, token: Token | None) -> None:
    name = card.witness.name if card.witness is not None else witness_name(card.log.origin)
    wrapped_for = witness_wrap_purpose(name)
    for entry in _new_pair(RotatedPart.WITNESS, f"{card.node} witness", {WITNESS_NAME: name}, wrapped_for, now, token):
        keystore.put(replace(entry, name=_NEXT + entry.name))


def _new_pair(
    part: RotatedPart, label: str, whose: dict[str, str], wrapped_for: bytes, now: datetime, token: Token | None
) -> tuple[Entry, Entry]:
    """New keys of both kinds, under their purposes' names; ``whose`` is the metadata of both entries."""
    ed25519, mldsa = (Purpose(name) for name in _NAMES[part])
    secret, metadata = _new_ed25519(label, now, token)
    seed = os.urandom(SEED_BYTES)
    # A wrapped seed does not show its public key, which the card needs until the switch.
    public = MLDSA44Signer(seed).public_key.hex()
    more = {**whose, _ML_DSA_PUBLIC: public}
    if token is not None:
        seed, more = token.wrap(wrapped_for, seed), {**more, WRAPPED: "aes-256-gcm"}
    return (
        Entry(ed25519, ed25519, secret, now, {**whose, **metadata}),
        Entry(mldsa, mldsa, seed, now, more),
    )


def _new_ed25519(label: str, now: datetime, token: Token | None) -> tuple[bytes, dict[str, str]]:
    """What the keystore keeps of a new key, and the metadata that says where the rest is."""
    if token is None:
        return os.urandom(SEED_BYTES), {}
    dated = f"{label} {now:%Y%m%d%H%M%S}"
    return token.generate(dated), {KEY_LABEL: dated}


_MAKE = {
    RotatedPart.TLS: _make_tls,
    RotatedPart.SIGNING: _make_signing,
    RotatedPart.LOG: _make_log,
    RotatedPart.WITNESS: _make_witness,
}


# --- Cards ---


def _with_next(keystore: Keystore, card: NodeCard, now: datetime) -> NodeCard:
    changes: dict[str, Any] = {}
    parts = begun(keystore)
    if RotatedPart.TLS in parts:
        certificate = keystore.secret(_NEXT + TLS_CERTIFICATE)
        if card.tls_certificates and certificate not in card.tls_certificates:
            changes["tls_certificates"] = (*card.tls_certificates, certificate)
    if RotatedPart.SIGNING in parts:
        entry = keystore.entry(_NEXT + Purpose.HTTP)
        public = _public(entry)
        if public not in {key.public for key in card.signing_keys}:
            made = KeyEntry.of(ED25519, public, entry.created_at, entry.created_at + KEY_LIFETIME)
            changes["signing_keys"] = (*card.signing_keys, made)
    if RotatedPart.LOG in parts:
        log = _next_log(keystore)
        if log.ed25519 != card.log.ed25519:
            changes["log"] = log
            changes["previous_logs"] = (card.log, *card.previous_logs)
    if RotatedPart.WITNESS in parts:
        witness = _next_witness(keystore)
        if card.witness is None or witness.ed25519 != card.witness.ed25519:
            changes["witness"] = witness
            before = () if card.witness is None else (card.witness,)
            changes["previous_witnesses"] = (*before, *card.previous_witnesses)
    return _changed(card, changes, now) if changes else card


def _next_log(keystore: Keystore) -> LogCard:
    ed25519, mldsa = keystore.entry(_NEXT + Purpose.LOG_ED25519), keystore.entry(_NEXT + Purpose.LOG_ML_DSA_44)
    return LogCard(
        origin=ed25519.metadata["origin"],
        ed25519=_public(ed25519),
        ml_dsa_44=bytes.fromhex(mldsa.metadata[_ML_DSA_PUBLIC]),
        valid_from=ed25519.created_at,
    )


def _next_witness(keystore: Keystore) -> WitnessCard:
    ed25519, mldsa = keystore.entry(_NEXT + Purpose.WITNESS_ED25519), keystore.entry(_NEXT + Purpose.WITNESS_ML_DSA_44)
    return WitnessCard(
        name=ed25519.metadata[WITNESS_NAME],
        ed25519=_public(ed25519),
        ml_dsa_44=bytes.fromhex(mldsa.metadata[_ML_DSA_PUBLIC]),
        valid_from=ed25519.created_at,
    )


def _public(entry: Entry) -> bytes:
    """The public key of an Ed25519 entry; of one in a token that is all that is kept here."""
    return entry.secret if KEY_LABEL in entry.metadata else Ed25519Signer(entry.secret).public_key


def _require_listed(keystore: Keystore, card: NodeCard, part: RotatedPart, now: datetime) -> None:
    match part:
        case RotatedPart.TLS:
            # A node that nobody reaches has no certificate on its card.
            certificate = keystore.secret(_NEXT + TLS_CERTIFICATE)
            listed = not card.tls_certificates or certificate in card.tls_certificates
        case RotatedPart.SIGNING:
            public = _public(keystore.entry(_NEXT + Purpose.HTTP))
            listed = any(key.public == public and key.is_valid(now) for key in card.signing_keys)
        case RotatedPart.LOG:
            listed = card.log.ed25519 == _next_log(keystore).ed25519
        case RotatedPart.WITNESS:
            listed = card.witness is not None and card.witness.ed25519 == _next_witness(keystore).ed25519
    if not listed:
        raise RotationError(
            f"the published card of {card.node} does not list the new {part} key yet: "
            "have the nation publish it, and wait until this node has the new directory"
        )


def _ended(entry: KeyEntry, now: datetime) -> KeyEntry:
    return entry if entry.ended_at <= now else entry.model_copy(update={"valid_until": now})


def _ended_witness(entry: WitnessCard, now: datetime) -> WitnessCard:
    return entry if entry.valid_until is not None else entry.model_copy(update={"valid_until": now})


def _closed_logs(keystore: Keystore, card: NodeCard, checkpoint: bytes) -> tuple[LogCard, ...]:
    """The former logs of the card, those with keys that this node replaced closed at the head of ``checkpoint``."""
    if not any(_is_open(log, card) for log in card.previous_logs):
        return card.previous_logs
    try:
        head = open_checkpoint(checkpoint, keystore.log_signer(card.log.origin).verifier.present())
    except CheckpointInvalidError as problem:
        raise RotationError("the node did not sign with its new log keys yet: restart it first") from problem
    final = {"final_size": head.size, "final_root": head.root}
    return tuple(log.model_copy(update=final) if _is_open(log, card) else log for log in card.previous_logs)


def _is_open(log: LogCard, card: NodeCard) -> bool:
    return log.origin == card.log.origin and log.final is None


def _changed(card: NodeCard, changes: dict[str, Any], now: datetime) -> NodeCard:
    fields = {name: getattr(card, name) for name in type(card).model_fields}
    return make_node_card(**{**fields, **changes, "updated_at": now})
