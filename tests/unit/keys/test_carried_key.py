"""What was carried by hand counts when its key did, and not any more once that key or its holder was revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from keys.directory.cards import CardStatus
from keys.directory.carried_signatures import carried_key, hands_that_hold
from keys.directory.view import Directory
from keys.members.federation import node_card
from keys.members.identity import NodeKeys, generate_node_keys
from protocol.bundle import write_hand
from protocol.bundle_sizes import MAX_HANDS
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import ComityError, NotYetValidError, RevokedError, UnknownKeyError
from tests.worlds.altered import one_bit_off

MADE = datetime(2026, 11, 1, tzinfo=UTC)
CREATED = MADE + timedelta(days=10)
NOW = CREATED + timedelta(days=5)
STEP = timedelta(milliseconds=1)
KEYS: NodeKeys = generate_node_keys("gr", ["127.0.0.1"], MADE)
CARD = node_card("gr", KEYS, "test.example/gr", MADE, name="Greece", urls=["https://127.0.0.1:1"])
(ENTRY,) = CARD.signing_keys


def judged(created: datetime, now: datetime, *, kid: bytes = ENTRY.kid, **changes: object) -> type[ComityError] | None:
    """Why the key does not count, for a card whose only signing key has ``changes``."""
    status = changes.pop("status", CARD.status)
    since = changes.pop("status_since", CARD.status_since)
    entry = ENTRY.model_copy(update=changes)
    card = CARD.model_copy(update={"signing_keys": (entry,), "status": status, "status_since": since})
    try:
        verifier = carried_key(Directory(1, NOW, [card], []), "gr", kid, created, now)
    except ComityError as problem:
        return type(problem)
    assert verifier.kid == kid
    return None


def test_a_key_that_counted_when_the_bundle_was_made_counts_although_it_ended_on_the_way() -> None:
    assert judged(CREATED, NOW) is None
    assert judged(CREATED, NOW, valid_until=CREATED + timedelta(days=1)) is None


@pytest.mark.parametrize("changes", [{"valid_from": CREATED + STEP}, {"valid_until": CREATED}])
def test_a_key_that_did_not_count_when_the_bundle_was_made_does_not(changes: dict[str, object]) -> None:
    assert judged(CREATED, NOW, **changes) is RevokedError


def test_a_key_that_was_revoked_on_the_way_does_not_count() -> None:
    assert judged(CREATED, NOW, revoked_at=NOW + STEP) is None
    assert judged(CREATED, NOW, revoked_at=NOW) is RevokedError
    assert judged(CREATED, NOW, revoked_at=CREATED + STEP) is RevokedError


def test_a_holder_that_was_suspended_on_the_way_does_not_count() -> None:
    assert judged(CREATED, NOW, status=CardStatus.SUSPENDED, status_since=CREATED + STEP) is RevokedError


def test_a_bundle_of_the_future_is_refused_but_for_the_difference_of_clocks() -> None:
    assert judged(NOW + timedelta(minutes=5), NOW) is None
    assert judged(NOW + timedelta(minutes=5) + STEP, NOW) is NotYetValidError


def test_a_key_that_the_card_does_not_list_is_unknown() -> None:
    assert judged(CREATED, NOW, kid=bytes(16)) is UnknownKeyError


DIGEST = bytes(range(32))
SIGNER = KEYS.signer()


def hand(number: int, *, digest: bytes = DIGEST, signer: Ed25519Signer = SIGNER, sender: str = "gr") -> bytes:
    """What the holder says of its trip with this number."""
    return write_hand(digest, sender, "fr", CREATED + number * STEP, signer)


def test_of_who_carried_files_only_what_its_signer_said_of_this_message_is_passed_on() -> None:
    directory = Directory(1, NOW, [CARD], [])
    good = [hand(2), hand(0), hand(1)]
    forged = [
        hand(3, signer=Ed25519Signer(bytes(32))),
        hand(3, digest=bytes(32)),
        hand(3, sender="fr"),
        one_bit_off(hand(3)),
        hand(3) + b"\0",
        b"no hand",
        write_hand(DIGEST, "gr", "fr", NOW + timedelta(days=1), SIGNER),
    ]
    kept = hands_that_hold([*forged, *good, *good], DIGEST, directory, NOW)
    assert kept == (hand(0), hand(1), hand(2))
    many = [hand(number) for number in range(MAX_HANDS + 3)]
    assert hands_that_hold(many, DIGEST, directory, NOW) == tuple(many[-MAX_HANDS:])
