"""Every rule of what may follow a published card: each change breaks one rule, and is refused for that and no other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys.directory.card_rules import check_cards, check_history
from keys.directory.cards import (
    Card,
    CardStatus,
    ContactPointCard,
    Hosting,
    KeyEntry,
    LogCard,
    NodeCard,
    WitnessCard,
    card_to_bytes,
    parse_contact_point_card,
    parse_node_card,
)
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import CeremonyError, ComityError
from protocol.log.merkle import leaf_hash

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
STEP = timedelta(milliseconds=1)
JP, FR = (
    node_card(
        node, generate_node_keys(node, ["127.0.0.1"], NOW), f"test/{node}", NOW, name=node, urls=["https://x.example"]
    )
    for node in ("jp", "fr")
)
FRESH = node_card(
    "jp", generate_node_keys("jp", ["127.0.0.1"], NOW), "test/jp", NOW, name="jp", urls=["https://x.example"]
)
DESK, OTHER = (
    contact_point_card(Address.parse(text), generate_desk_keys(), NOW, office="Office", agency="Agency")
    for text in ("24-7@jp", "archive@jp")
)


def changed(card: Any, **changes: Any) -> Any:
    """The card with other fields, as its own nation could publish it later: well-formed, and read back."""
    made = card.model_copy(update={"updated_at": LATER, **changes})
    parse = parse_node_card if isinstance(card, NodeCard) else parse_contact_point_card
    return parse(card_to_bytes(made))


def key(entry: KeyEntry, **changes: Any) -> KeyEntry:
    return entry.model_copy(update=changes)


def refused(before: Card, after: Card, words: str) -> None:
    """It may not follow, for the reason that ``words`` say."""
    with pytest.raises(CeremonyError, match=words):
        check_history(before, after)


# --- Status and time ---


def test_a_revoked_card_stays_revoked() -> None:
    gone = changed(DESK, status=CardStatus.REVOKED, status_since=NOW)
    check_history(gone, changed(gone, updated_at=LATER))
    for status in (CardStatus.ACTIVE, CardStatus.SUSPENDED):
        refused(gone, changed(gone, status=status), "was revoked")
    suspended = changed(DESK, status=CardStatus.SUSPENDED, status_since=NOW)
    check_history(suspended, changed(suspended, status=CardStatus.ACTIVE))


def test_no_card_follows_a_newer_one() -> None:
    check_history(DESK, changed(DESK, updated_at=DESK.updated_at))
    refused(DESK, changed(DESK, updated_at=DESK.updated_at - STEP), "older than the published one")


# --- Keys ---

SIGNING = DESK.signing_keys[0]
SEALING = DESK.sealing_keys[0]
REVOKED = changed(DESK, signing_keys=(key(SIGNING, revoked_at=LATER),))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (DESK, {"signing_keys": OTHER.signing_keys}, "drops key"),
        (DESK, {"sealing_keys": OTHER.sealing_keys}, "drops key"),
        (DESK, {"signing_keys": (key(SIGNING, valid_from=SIGNING.valid_from + STEP),)}, "since when key"),
        (DESK, {"signing_keys": (key(SIGNING, valid_from=SIGNING.valid_from - STEP),)}, "since when key"),
        (DESK, {"signing_keys": (key(SIGNING, valid_until=LATER - STEP),)}, "in the past"),
        (REVOKED, {"signing_keys": (SIGNING,)}, "takes back the revocation"),
        (REVOKED, {"signing_keys": (key(SIGNING, revoked_at=LATER + STEP),)}, "takes back the revocation"),
    ],
)
def test_what_a_card_said_of_a_key_stays(before: ContactPointCard, after: dict[str, Any], words: str) -> None:
    refused(before, changed(before, **after), words)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DESK, {"signing_keys": (key(SIGNING, valid_until=LATER),)}),
        (DESK, {"signing_keys": (key(SIGNING, valid_until=SIGNING.valid_until + STEP),)}),
        (DESK, {"signing_keys": (key(SIGNING, revoked_at=NOW),)}),
        (REVOKED, {"signing_keys": (key(SIGNING, revoked_at=LATER),)}),
        (REVOKED, {"signing_keys": (key(SIGNING, revoked_at=LATER - STEP),)}),
    ],
)
def test_a_key_may_end_from_now_on_and_be_revoked_for_the_past(before: ContactPointCard, after: dict[str, Any]) -> None:
    check_history(before, changed(before, **after))


def test_a_key_that_had_ended_before_may_keep_its_end() -> None:
    ended = changed(DESK, signing_keys=(key(SIGNING, valid_until=LATER),))
    later = LATER + timedelta(days=9)
    check_history(ended, changed(ended, updated_at=later))
    earlier = (key(SIGNING, valid_until=LATER - STEP),)
    refused(ended, changed(ended, updated_at=later, signing_keys=earlier), "in the past")


def test_only_a_sealing_key_and_only_after_its_end_may_leave_the_card() -> None:
    ends = {"sealing_keys": (key(SEALING, valid_until=LATER), *OTHER.sealing_keys)}
    before = changed(DESK, **ends, updated_at=NOW)
    without = {"sealing_keys": OTHER.sealing_keys}
    check_history(before, changed(before, **without, updated_at=LATER))
    refused(before, changed(before, **without, updated_at=LATER - STEP), "drops key")
    revoked = changed(DESK, sealing_keys=(key(SEALING, revoked_at=LATER), *OTHER.sealing_keys), updated_at=NOW)
    check_history(revoked, changed(revoked, **without, updated_at=LATER))
    signing = (key(SIGNING, valid_until=LATER), *OTHER.signing_keys)
    signed = changed(DESK, signing_keys=signing, updated_at=NOW)
    refused(signed, changed(signed, signing_keys=OTHER.signing_keys, updated_at=LATER), "drops key")
    node = JP.signing_keys[0]
    served = changed(JP, signing_keys=(key(node, valid_until=LATER), *FRESH.signing_keys), updated_at=NOW)
    refused(served, changed(served, signing_keys=FRESH.signing_keys, updated_at=LATER), "drops key")


# --- Who hosts an office ---


def test_an_office_moves_from_now_on_and_keeps_where_it_was() -> None:
    first, second = Hosting(node="fr", since=NOW), Hosting(node="us", since=LATER)
    hosted = changed(DESK, hosting=(first,), updated_at=NOW)
    check_history(DESK, changed(DESK, hosting=(Hosting(node="fr", since=DESK.updated_at),)))
    check_history(hosted, changed(hosted, hosting=(first, second)))
    for hosting in ((), (second,), (Hosting(node="us", since=NOW),), (Hosting(node="fr", since=NOW + STEP),)):
        refused(hosted, changed(hosted, hosting=hosting), "changes who hosted it")
    moved = changed(hosted, hosting=(first,), updated_at=LATER)
    back = Hosting(node="us", since=LATER - STEP)
    refused(moved, changed(moved, hosting=(first, back), updated_at=LATER), "in the past")


# --- Logs and witnesses of a node ---

FORMER_LOG = JP.log.model_copy(update={"final_size": 3, "final_root": leaf_hash(b"end")})
FORMER_WITNESS = JP.witness.model_copy(update={"valid_until": LATER}) if JP.witness else None


def logs(present: LogCard, *former: LogCard) -> dict[str, Any]:
    return {"log": present, "previous_logs": former}


def witnesses(present: WitnessCard | None, *former: WitnessCard | None) -> dict[str, Any]:
    return {"witness": present, "previous_witnesses": former}


ROTATED = changed(JP, **logs(FRESH.log, FORMER_LOG), **witnesses(FRESH.witness, FORMER_WITNESS))


def log(**changes: Any) -> dict[str, Any]:
    return logs(FRESH.log, FORMER_LOG.model_copy(update=changes))


def witness(**changes: Any) -> dict[str, Any]:
    assert FORMER_WITNESS is not None
    return witnesses(FRESH.witness, FORMER_WITNESS.model_copy(update=changes))


def _ml_dsa(of: NodeCard) -> bytes:
    assert of.witness is not None
    return of.witness.ml_dsa_44


NODE_RULES: dict[str, tuple[NodeCard, dict[str, Any], str]] = {
    "a log's keys dropped": (JP, logs(FRESH.log), "drops keys of the log"),
    "former keys of a log dropped": (ROTATED, logs(FRESH.log), "drops keys of the log"),
    "a log renamed": (JP, logs(JP.log.model_copy(update={"origin": "other/jp"})), "drops keys of the log"),
    "another ML-DSA-44 key of a log": (JP, logs(JP.log.model_copy(update={"ml_dsa_44": FR.log.ml_dsa_44})), "it said"),
    "a log's keys since another time": (JP, logs(JP.log.model_copy(update={"valid_from": NOW - STEP})), "it said"),
    "another final size": (ROTATED, log(final_size=4), "up to where"),
    "another final root": (ROTATED, log(final_root=leaf_hash(b"other")), "up to where"),
    "no final size any more": (ROTATED, log(final_size=None, final_root=None), "up to where"),
    "a witness's keys dropped": (JP, witnesses(FRESH.witness), "drops keys of its witness"),
    "a witness dropped": (JP, witnesses(None), "drops keys of its witness"),
    "another ML-DSA-44 key of a witness": (ROTATED, witness(ml_dsa_44=_ml_dsa(FR)), "of keys of its witness"),
    "a witness's keys since another time": (ROTATED, witness(valid_from=NOW - STEP), "of keys of its witness"),
    "more time for a witness": (ROTATED, witness(valid_until=LATER + STEP), "more time"),
    "time without end for a witness": (ROTATED, witness(valid_until=None), "more time"),
}


@pytest.mark.parametrize(("before", "after", "words"), NODE_RULES.values(), ids=NODE_RULES)
def test_what_a_node_said_of_its_logs_and_witness_stays(before: NodeCard, after: dict[str, Any], words: str) -> None:
    refused(before, changed(before, **after), words)


def test_former_keys_of_a_node_may_end_and_end_earlier() -> None:
    check_history(JP, ROTATED)
    check_history(ROTATED, changed(ROTATED))
    check_history(ROTATED, changed(ROTATED, **witness(valid_until=LATER - STEP)))
    open_end = changed(JP, **logs(FRESH.log, JP.log))
    check_history(open_end, changed(open_end, **log()))


# --- One holder for each key, log and witness ---


def test_a_card_is_checked_as_its_nations_and_by_what_was_published() -> None:
    check_cards("jp", [JP, DESK], {}, [FR])
    with pytest.raises(CeremonyError, match="about the same holder"):
        check_cards("jp", [DESK, DESK], {}, [FR])
    for card in (JP, DESK):
        with pytest.raises(CeremonyError, match="it belongs to jp"):
            check_cards("fr", [card], {}, [])
    with pytest.raises(CeremonyError, match="older than the published one"):
        check_cards("jp", [DESK], {DESK.holder: changed(DESK)}, [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda: {"signing_keys": FR.signing_keys}, "key .* is on the cards of"),
        (lambda: witnesses(JP.witness and JP.witness.model_copy(update={"ed25519": FR.witness.ed25519})), "witness"),
        (lambda: witnesses(JP.witness and JP.witness.model_copy(update={"ml_dsa_44": _ml_dsa(FR)})), "witness"),
    ],
    ids=["signing key", "Ed25519 key of a witness", "ML-DSA-44 key of a witness"],
)
def test_what_is_on_another_nations_card_is_on_no_other(change: Callable[[], dict[str, Any]], words: str) -> None:
    with pytest.raises(CeremonyError, match=words):
        check_cards("jp", [changed(JP, **change())], {}, [FR])


def test_a_key_of_an_unchanged_card_or_of_another_office_is_on_no_other() -> None:
    copied = changed(OTHER, sealing_keys=DESK.sealing_keys)
    with pytest.raises(CeremonyError, match="is on the cards of"):
        check_cards("jp", [copied], {DESK.holder: DESK}, [])
    with pytest.raises(CeremonyError, match="is on the cards of"):
        check_cards("jp", [copied, DESK], {}, [])
    check_cards("jp", [changed(DESK)], {DESK.holder: DESK}, [])


def test_a_certificate_that_nobody_could_read_is_not_published() -> None:
    with pytest.raises(ComityError):
        check_cards("jp", [changed(JP, tls_certificates=(b"no certificate",))], {}, [])
