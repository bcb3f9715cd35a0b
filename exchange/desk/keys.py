"""A desk's keys change hands: sealing keys by a schedule published ahead, the signing key when that is wanted.

A thief of a desk can open what was sealed to the private keys it holds. So sealing keys are short-lived: several are
published ahead, each sender uses the newest that counts, and the private key is destroyed once nothing sealed to it can
still be on its way. Earlier messages stay closed, also to somebody who recorded them and takes the desk later.

All functions take the contact point's *published* card, and those that make one return it for the nation to publish.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from keys.directory.cards import (
    DEFAULT_FILES_BYTES,
    ContactPointCard,
    FilesCard,
    Function,
    KeyEntry,
    make_contact_point_card,
)
from keys.members.identity import KEY_LIFETIME, SEED_BYTES
from keys.secrets.keystore import Entry, Keystore, Purpose
from protocol.crypto.hpke import HybridOpener
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.keyid import ED25519, MLKEM768_X25519, key_id
from protocol.encoding.phrase import phrase
from protocol.errors import RotationError
from protocol.files.sealed_file import SUITE
from protocol.messages.schema.languages import language_tag

# How long a key still counts after the next one began: senders whose directory is not fresh use it that long.
OVERLAP = timedelta(days=7)
MAX_SEALING_KEYS = 16
NEXT_SIGN = "next-sign"


class KeyState(StrEnum):
    """Where a key stands."""

    UNPUBLISHED = "unpublished"  # here, and not on the published card
    FUTURE = "future"  # published, and not valid yet
    VALID = "valid"
    ENDED = "ended"  # its time is over, or it was revoked


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key of the desk. ``private`` is whether the desk holds it; times are None for one that is not published."""

    kid: bytes
    purpose: Purpose
    state: KeyState
    private: bool
    valid_from: datetime | None = None
    ends: datetime | None = None


def key_rows(keystore: Keystore, card: ContactPointCard, now: datetime) -> list[KeyRow]:
    """Every key that the desk holds or the card lists, the newest last."""
    held = _held(keystore)
    listed = [(Purpose.SIGN, entry) for entry in card.signing_keys]
    listed += [(Purpose.SEAL, entry) for entry in card.sealing_keys]
    rows = [
        KeyRow(entry.kid, purpose, _state(entry, now), entry.kid in held, entry.valid_from, entry.ended_at)
        for purpose, entry in sorted(listed, key=lambda item: item[1].valid_from)
    ]
    on_card = {row.kid for row in rows}
    return rows + [
        KeyRow(kid, entry.purpose, KeyState.UNPUBLISHED, True) for kid, entry in held.items() if kid not in on_card
    ]


# --- Sealing keys ---


def plan(keystore: Keystore, card: ContactPointCard, count: int, period: timedelta, now: datetime) -> ContactPointCard:
    """Make ``count`` sealing keys, one after the other for ``period`` each, save them, and return the card with them.

    Keys that were made and never published are published first, at their turn. Raises :class:`RotationError` when the
    card has no place for so many.
    """
    waiting = _unpublished(keystore, card)
    kept = [entry for entry in card.sealing_keys if entry.ended_at > now or entry.kid in _held(keystore)]
    if len(kept) + max(count, len(waiting)) > MAX_SEALING_KEYS:
        raise RotationError(
            phrase(
                "a card has at most so many sealing keys: {most}; this one has {count}: plan fewer, or retire ended "
                "ones first",
                most=MAX_SEALING_KEYS,
                count=len(kept),
            )
        )
    for _ in range(count - len(waiting)):
        seed = os.urandom(SEED_BYTES)
        name = f"{Purpose.SEAL}-{HybridOpener(seed).kid.hex()[:16]}"
        waiting.append(Entry(name, Purpose.SEAL, seed, now))
        keystore.put(waiting[-1])
    keystore.save()
    begins = max([now, *(entry.valid_from + period for entry in kept if entry.revoked_at is None)])
    made = []
    for number, entry in enumerate(waiting):
        start = begins + number * period
        public = HybridOpener(entry.secret).public_key
        made.append(KeyEntry.of(MLKEM768_X25519, public, start, start + period + OVERLAP))
    return _changed(card, {"sealing_keys": _shortened([*kept, *made], now)}, now)


def retire(
    keystore: Keystore, card: ContactPointCard, grace: timedelta, now: datetime, kid: bytes | None = None
) -> list[bytes]:
    """Destroy the private sealing keys that ended at least ``grace`` ago, or the one that is named; their key ids.

    They are gone from the keystore's file when this returns. A key that is named goes at once. Raises
    :class:`RotationError` for one that is not held here, or that others may seal to now or later.
    """
    held = {key: entry for key, entry in _held(keystore).items() if entry.purpose is Purpose.SEAL}
    ends = {entry.kid: entry.ended_at for entry in card.sealing_keys}
    if kid is not None:
        if kid not in held:
            raise RotationError(phrase("this desk holds no sealing key {key}", key=kid.hex()))
        if kid in ends and ends[kid] > now:
            raise RotationError(
                phrase("others may seal to key {key} until it ends or is revoked on the card", key=kid.hex())
            )
        over = [kid]
    else:
        over = [key for key in held if key in ends and ends[key] + grace <= now]
    if not set(held) - set(over):
        raise RotationError(phrase("the desk would have no sealing key left: plan new ones first"))
    for key in over:
        keystore.remove(held[key].name)
    if over:
        keystore.save()
    return over


# --- The signing key ---


def begin_signing(keystore: Keystore, card: ContactPointCard, now: datetime) -> ContactPointCard:
    """Make the next signing key unless it is there, save it, and return the card that lists it too."""
    if NEXT_SIGN not in keystore:
        keystore.put(Entry(NEXT_SIGN, Purpose.SIGN, os.urandom(SEED_BYTES), now))
        keystore.save()
    entry = keystore.entry(NEXT_SIGN)
    public = Ed25519Signer(entry.secret).public_key
    if any(key.public == public for key in card.signing_keys):
        return card
    made = KeyEntry.of(ED25519, public, entry.created_at, entry.created_at + KEY_LIFETIME)
    return _changed(card, {"signing_keys": (*card.signing_keys, made)}, now)


def switch_signing(keystore: Keystore, card: ContactPointCard, now: datetime) -> ContactPointCard:
    """Sign with the next key from now on; the old one is gone. Returns the card on which that one has ended.

    Raises :class:`RotationError` when no next key was made, or the card does not list it.
    """
    if NEXT_SIGN not in keystore:
        raise RotationError(phrase("no new signing key was begun"))
    entry = keystore.entry(NEXT_SIGN)
    public = Ed25519Signer(entry.secret).public_key
    if not any(key.public == public and key.is_valid(now) for key in card.signing_keys):
        raise RotationError(
            phrase("the published card does not list the new signing key yet: have the nation publish it")
        )
    keystore.put(Entry(Purpose.SIGN, Purpose.SIGN, entry.secret, entry.created_at), replace=True)
    keystore.remove(NEXT_SIGN)
    keystore.save()
    keys = [
        key if key.public == public or key.ended_at <= now else key.model_copy(update={"valid_until": now})
        for key in card.signing_keys
    ]
    return _changed(card, {"signing_keys": tuple(keys)}, now)


# --- The rest of the card ---


def refreshed(
    card: ContactPointCard,
    now: datetime,
    *,
    accepted_languages: Sequence[str] = (),
    performs: Mapping[str, str] | None = None,
) -> ContactPointCard:
    """The card as this version of Comity says it: with the message types and versions that it reads.

    ``accepted_languages`` replaces the languages that the card declares, where any are given; ``performs`` changes the
    limbs of Art. 35.1 that it names, and leaves the others. Raises :class:`MalformedError` for what no card may say.
    """
    changes: dict[str, Any] = {}
    if accepted_languages:
        changes["accepted_languages"] = tuple(language_tag(language, known=True) for language in accepted_languages)
    if performs:
        changes["performs"] = {**(card.performs or {}), **performs}
    return _changed(card, changes, now)


def is_behind(card: ContactPointCard) -> bool:
    """Whether the published card says less, or other, than this program reads: others then write older versions."""
    from protocol.messages.versions import versions_read

    return Function.EXCHANGE in card.functions and (card.reads != versions_read() or card.files is None)


# --- Inside ---


def _held(keystore: Keystore) -> dict[bytes, Entry]:
    """The desk's private keys that sign and open, by key id."""
    held = {}
    for entry in keystore:
        if entry.purpose is Purpose.SEAL:
            held[HybridOpener(entry.secret).kid] = entry
        elif entry.purpose is Purpose.SIGN:
            held[key_id(ED25519, Ed25519Signer(entry.secret).public_key)] = entry
    return held


def _unpublished(keystore: Keystore, card: ContactPointCard) -> list[Entry]:
    """Sealing keys that were planned and never published, the oldest first."""
    listed = {entry.kid for entry in card.sealing_keys}
    waiting = [entry for kid, entry in _held(keystore).items() if entry.purpose is Purpose.SEAL and kid not in listed]
    return sorted(waiting, key=lambda entry: (entry.created_at, entry.name))


def _state(entry: KeyEntry, now: datetime) -> KeyState:
    if entry.ended_at <= now:
        return KeyState.ENDED
    return KeyState.FUTURE if entry.valid_from > now else KeyState.VALID


def _shortened(entries: Sequence[KeyEntry], now: datetime) -> tuple[KeyEntry, ...]:
    """Each key ends when the next one has been in use for the overlap; nothing is changed that lies in the past."""
    ordered = sorted(entries, key=lambda entry: entry.valid_from)
    done = []
    for number, entry in enumerate(ordered):
        later = [other.valid_from for other in ordered[number + 1 :]]
        end = min(entry.valid_until, min(later) + OVERLAP) if later else entry.valid_until
        done.append(entry.model_copy(update={"valid_until": end}) if end > now else entry)
    return tuple(done)


def _changed(card: ContactPointCard, changes: dict[str, Any], now: datetime) -> ContactPointCard:
    from protocol.messages.versions import versions_read

    fields = {name: getattr(card, name) for name in type(card).model_fields}
    if Function.EXCHANGE in card.functions:
        fields["reads"] = versions_read()
        fields["files"] = card.files or FilesCard(versions=(SUITE,), max_total_bytes=DEFAULT_FILES_BYTES)
    return make_contact_point_card(**{**fields, **changes, "updated_at": now})
