"""What a nation may publish on its cards, given what it and the others published before.

A client must live with whatever was signed; these rules keep mistakes from being signed at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from keys.directory.cards import (
    Card,
    CardStatus,
    ContactPointCard,
    KeyEntry,
    LogCard,
    NodeCard,
    WitnessCard,
    card_to_bytes,
)
from keys.transport.tls import check_certificate
from protocol.crypto.hpke import SealingKey
from protocol.errors import CeremonyError


def check_cards(node: str, changed: Sequence[Card], before: Mapping[str, Card], others: Iterable[Card]) -> None:
    """Check the ``changed`` cards of ``node`` against its cards ``before`` (by holder) and the ``others``' cards.

    Raises :class:`CeremonyError`, :class:`WeakKeyError`, :class:`MalformedError` or :class:`TooLargeError`.
    """
    holders = [card.holder for card in changed]
    if len(set(holders)) != len(holders):
        raise CeremonyError("two cards are about the same holder")
    for card in changed:
        owner = card_node(card)
        if owner != node:
            raise CeremonyError(f"{node} cannot sign the card of {card.holder}: it belongs to {owner}")
        card_to_bytes(card)
        _check_material(card)
        if card.holder in before:
            check_history(before[card.holder], card)
    after = {**before, **{card.holder: card for card in changed}}
    _check_unique([*after.values(), *others])


def card_node(card: Card) -> str:
    """The nation a card belongs to."""
    return card.node if isinstance(card, NodeCard) else card.address.node


def check_history(before: Card, after: Card) -> None:
    """A card's past cannot be rewritten: keys stay, revocations stay, ``revoked`` is final.

    Raises :class:`CeremonyError`.
    """
    if before.status is CardStatus.REVOKED and after.status is not CardStatus.REVOKED:
        raise CeremonyError(f"{before.holder} was revoked; it gets a new address")
    if after.updated_at < before.updated_at:
        raise CeremonyError(f"the card of {before.holder} is older than the published one")
    entries = {entry.kid: entry for entry in after.all_keys()}
    for entry in before.all_keys():
        if not _is_over(before, entry, after.updated_at):
            _check_entry_history(before.holder, entry, entries.get(entry.kid), after.updated_at)
    if isinstance(before, ContactPointCard) and isinstance(after, ContactPointCard):
        if after.hosting[: len(before.hosting)] != before.hosting:
            raise CeremonyError(f"the card of {before.holder} changes who hosted it; old receipts need it")
        if any(entry.since < before.updated_at for entry in after.hosting[len(before.hosting) :]):
            raise CeremonyError(f"the card of {before.holder} moves it to another node in the past")
    if isinstance(before, NodeCard) and isinstance(after, NodeCard):
        for log in before.logs():
            _check_log_history(before.holder, log, after)
        for witness in before.witnesses():
            _check_witness_history(before.holder, witness, after, after.updated_at)


def _check_log_history(holder: str, before: LogCard, after: NodeCard) -> None:
    kept = [log for log in after.logs() if (log.origin, log.ed25519) == (before.origin, before.ed25519)]
    if not kept:
        raise CeremonyError(f"the card of {holder} drops keys of the log {before.origin}; old receipts need them")
    (log,) = kept
    if (log.ml_dsa_44, log.valid_from) != (before.ml_dsa_44, before.valid_from):
        raise CeremonyError(f"the card of {holder} changes what it said of keys of the log {before.origin}")
    if before.final is not None and log.final != before.final:
        raise CeremonyError(f"the card of {holder} changes up to where former keys of {before.origin} count")


def _check_witness_history(holder: str, before: WitnessCard, after: NodeCard, changed_at: datetime) -> None:
    kept = [entry for entry in after.witnesses() if (entry.name, entry.ed25519) == (before.name, before.ed25519)]
    if not kept:
        raise CeremonyError(f"the card of {holder} drops keys of its witness; what they cosigned needs them")
    (entry,) = kept
    if (entry.ml_dsa_44, entry.valid_from) != (before.ml_dsa_44, before.valid_from):
        raise CeremonyError(f"the card of {holder} changes what it said of keys of its witness")
    if before.valid_until is not None and (entry.valid_until is None or entry.valid_until > before.valid_until):
        raise CeremonyError(f"the card of {holder} gives ended keys of its witness more time")


def _is_over(card: Card, entry: KeyEntry, at: datetime) -> bool:
    """Whether nothing needs the key any more: a sealing key, which proves nothing, after its end."""
    return isinstance(card, ContactPointCard) and entry in card.sealing_keys and entry.ended_at <= at


def _check_entry_history(holder: str, before: KeyEntry, after: KeyEntry | None, changed_at: datetime) -> None:
    if after is None:
        raise CeremonyError(f"the card of {holder} drops key {before.kid.hex()}; old signatures need it")
    if before.valid_from != after.valid_from:
        raise CeremonyError(f"the card of {holder} changes since when key {before.kid.hex()} is valid")
    if after.valid_until < min(before.valid_until, changed_at):
        raise CeremonyError(f"the card of {holder} ends key {before.kid.hex()} in the past; revoke it instead")
    if before.revoked_at is not None and (after.revoked_at is None or after.revoked_at > before.revoked_at):
        raise CeremonyError(f"the card of {holder} takes back the revocation of key {before.kid.hex()}")


def _check_material(card: Card) -> None:
    if isinstance(card, ContactPointCard):
        for entry in card.sealing_keys:
            SealingKey(entry.public)
    else:
        for certificate in card.tls_certificates:
            check_certificate(certificate)


def _check_unique(cards: Iterable[Card]) -> None:
    """One holder per key and per log, across the federation."""
    key_holders: dict[bytes, str] = {}
    origins: dict[str, str] = {}
    witness_keys: dict[bytes, str] = {}
    for card in cards:
        for entry in card.all_keys():
            other = key_holders.setdefault(entry.kid, card.holder)
            if other != card.holder:
                raise CeremonyError(f"key {entry.kid.hex()} is on the cards of {other} and {card.holder}")
        for origin in {log.origin for log in card.logs()} if isinstance(card, NodeCard) else ():
            if origins.setdefault(origin, card.holder) != card.holder:
                raise CeremonyError(f"the log {origin} is on the cards of {origins[origin]} and {card.holder}")
        for key in _witness_keys(card):
            if witness_keys.setdefault(key, card.holder) != card.holder:
                raise CeremonyError(f"a key of a witness is on the cards of {witness_keys[key]} and {card.holder}")


def _witness_keys(card: Card) -> set[bytes]:
    witnesses = card.witnesses() if isinstance(card, NodeCard) else ()
    return {key for entry in witnesses for key in (entry.ed25519, entry.ml_dsa_44)}
