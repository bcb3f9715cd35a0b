"""The form of cards: each change breaks one rule and is refused for that rule, and what is at an edge is taken."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from keys.directory.cards import (
    MAX_CARD_BYTES,
    MAX_CARD_ITEMS,
    AuditScope,
    CardStatus,
    Hosting,
    LogCard,
    WitnessCard,
    card_to_bytes,
    make_node_card,
    parse_contact_point_card,
    parse_node_card,
)
from keys.members.federation import contact_point_card, node_card, with_revoked_key, with_status
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.encoding.keyid import key_id
from protocol.errors import MalformedError, RevokedError, TooLargeError, WeakKeyError
from protocol.log.merkle import EMPTY_ROOT, leaf_hash

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
STEP = timedelta(milliseconds=1)
TEXT, LATER_TEXT = "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z"
SMALL_ORDER = "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o="
ONE, OTHER = UUID("01a20b16-cef1-7175-a0cc-88f5831eaab2"), UUID("01a20b16-cef1-7175-a0cc-88f5831eaab3")
DESK, NODE = generate_desk_keys(), generate_node_keys("jp", ["127.0.0.1"], NOW)
FRESH = generate_node_keys("jp", ["127.0.0.1"], NOW)
OFFICE = contact_point_card(Address("24-7", "jp"), DESK, NOW, office="Office", agency="Agency")
CARD = node_card("jp", NODE, "test/jp", NOW, name="jp", urls=["https://127.0.0.1:1"])
Change = Callable[[dict[str, Any]], object]


def written(value: Any) -> Any:
    return json.loads(value.model_dump_json(by_alias=True, exclude_none=True))


FRESH_LOG = written(FRESH.log_card("test/jp", NOW))
FRESH_WITNESS = {**written(FRESH.witness_card("test/jp", NOW)), "valid_until": LATER_TEXT}
SEALING = written(OFFICE.sealing_keys[0])
SIGNING = written(OFFICE.signing_keys[0])


def short_key(card: dict[str, Any]) -> None:
    raw = base64.b64decode(SEALING["public"])[:-1]
    public = base64.b64encode(raw).decode()
    card["sealing_keys"] = [{**SEALING, "public": public, "kid": key_id("mlkem768-x25519", raw).hex()}]


def entry(**changes: Any) -> Change:
    return lambda card: card["signing_keys"][0].update(changes)


def many(card: dict[str, Any]) -> None:
    card["more"] = [0] * MAX_CARD_ITEMS


OFFICE_RULES: dict[str, tuple[Change, str | None]] = {
    "nothing": (lambda _: None, None),
    "a key id in capitals": (entry(kid=SIGNING["kid"].upper()), "lower-case"),
    "the key id of another key": (entry(kid="00" * 16), "not the one of this key"),
    "a key that ends when it begins": (entry(valid_until=SIGNING["valid_from"]), "ends before it begins"),
    "a key that ends before it begins": (entry(valid_until="2020-01-01T00:00:00Z"), "ends before it begins"),
    "a sealing key of another length": (short_key, "a sealing key has"),
    "a control character": (lambda card: card.update(office="a\x1bb"), "control characters"),
    "a signing key that seals": (lambda card: card.update(signing_keys=[SEALING]), "keys of this list are ed25519"),
    "a sealing key that signs": (lambda card: card.update(sealing_keys=[SIGNING]), "keys of this list are mlkem768"),
    "a signing key twice": (lambda card: card.update(signing_keys=[SIGNING, SIGNING]), "a key is listed twice"),
    "a sealing key twice": (lambda card: card.update(sealing_keys=[SEALING, SEALING]), "a key is listed twice"),
    "no sealing key": (lambda card: card.update(sealing_keys=[]), "has a sealing key"),
    "no sealing key of an auditor": (lambda card: card.update(sealing_keys=[], functions=["audit"]), None),
    "a scope of nobody who audits": (
        lambda card: card.update(audit_scope={"since": TEXT}),
        "only the card of an auditor",
    ),
    "a scope of an auditor": (
        lambda card: card.update(audit_scope={"since": TEXT}, functions=["exchange", "audit"]),
        None,
    ),
    "itself as its deputy": (
        lambda card: card.update(deputy="24-7@jp"),
        "card: Value error, a contact point is not its own",
    ),
    "another deputy": (lambda card: card.update(deputy="night@jp"), None),
    "two hosts at a time": (
        lambda card: card.update(hosting=[{"node": "fr", "since": TEXT}, {"node": "us", "since": TEXT}]),
        "in the order of their time",
    ),
    "hosts one after the other": (
        lambda card: card.update(hosting=[{"node": "fr", "since": TEXT}, {"node": "us", "since": LATER_TEXT}]),
        None,
    ),
    "a scope of nothing": (lambda card: card.update(audit_scope={}, functions=["audit"]), "limits nothing"),
    "a scope that ends when it begins": (
        lambda card: card.update(audit_scope={"since": TEXT, "until": TEXT}, functions=["audit"]),
        "ends before it begins",
    ),
    "a scope that begins and ends": (
        lambda card: card.update(audit_scope={"since": TEXT, "until": LATER_TEXT}, functions=["audit"]),
        None,
    ),
    "a scope of a message that is none": (
        lambda card: card.update(
            audit_scope={"messages": ["6b1d5f7e-0000-4000-8000-000000000000"]}, functions=["audit"]
        ),
        "version 7",
    ),
    **{
        f"a scope by {name} alone": (
            lambda card, scope={name: value}: card.update(audit_scope=scope, functions=["audit"]),  # type: ignore[misc]
            None,
        )
        for name, value in (("nodes", ["fr"]), ("messages", [str(ONE)]), ("since", TEXT), ("until", TEXT))
    },
}


def former(**changes: Any) -> Change:
    return lambda card: card.update(previous_logs=[{**FRESH_LOG, **changes}])


def witness(**changes: Any) -> Change:
    return lambda card: card["witness"].update(changes)


def before(**changes: Any) -> Change:
    return lambda card: card.update(previous_witnesses=[{**FRESH_WITNESS, **changes}])


ROOT, EMPTY = (base64.b64encode(root).decode() for root in (leaf_hash(b"root"), EMPTY_ROOT))
SHORT = base64.b64encode(bytes(31)).decode()
NODE_RULES: dict[str, tuple[Change, str | None]] = {
    "nothing": (lambda _: None, None),
    "former keys of its log": (former(), None),
    "a former log of another nation": (former(origin="test/fr"), "ends in /jp"),
    "former keys that end at a size": (former(final_size=3, final_root=ROOT), None),
    "former keys that end at nothing": (former(final_size=0, final_root=EMPTY), None),
    "former keys that end at nothing with a root": (former(final_size=0, final_root=ROOT), "not that of an empty log"),
    "a final size without its root": (former(final_size=3), "go together"),
    "a final root without its size": (former(final_root=ROOT), "go together"),
    "a final root of another length": (former(final_size=3, final_root=SHORT), "a root has 32 bytes"),
    "an ML-DSA-44 key of a log of another length": (former(ml_dsa_44=SHORT), "an ML-DSA-44 key has"),
    "one key of two logs": (former(ed25519=written(CARD.log)["ed25519"]), "have the same key"),
    "present keys of the log with an end": (
        lambda card: card["log"].update(final_size=3, final_root=ROOT),
        "have no final size",
    ),
    "a signing key that seals": (lambda card: card.update(signing_keys=[SEALING]), "keys of this list are ed25519"),
    "neither a URL nor a relay": (lambda card: card.update(urls=[]), "has a URL or a relay"),
    "a relay alone": (lambda card: card.update(urls=[], tls_certificates=[], relay="fr"), None),
    "a URL without a certificate": (lambda card: card.update(tls_certificates=[]), "has a TLS certificate"),
    "itself as its relay": (lambda card: card.update(relay="jp"), "not its own relay"),
    "no witness": (lambda card: card.pop("witness"), None),
    "a witness of another nation": (witness(name="test/witness/fr"), "ends in /witness/jp"),
    "a witness with the name of its log": (
        lambda card: [card["log"].update(origin="test/witness/jp")],
        "is the origin of a log",
    ),
    "an ML-DSA-44 key of a witness of another length": (witness(ml_dsa_44=SHORT), "an ML-DSA-44 key has"),
    "a witness that ends": (witness(valid_until=LATER_TEXT), "have no end"),
    "a former witness": (before(), None),
    "a former witness that ended when it began": (before(valid_until=FRESH_WITNESS["valid_from"]), None),
    "a former witness that ended before it began": (
        before(valid_until="2020-01-01T00:00:00Z"),
        "end before they begin",
    ),
    "a former witness with the present key": (before(ed25519=written(CARD.witness)["ed25519"]), "no other purpose"),
    "a witness with a key of the log": (witness(ml_dsa_44=written(CARD.log)["ml_dsa_44"]), "no other purpose"),
    "a witness with the key that signs": (
        witness(ed25519=written(CARD.signing_keys[0])["public"]),
        "no other purpose",
    ),
    "a former witness without an end and none now": (
        lambda card: [before(valid_until=None)(card), card.pop("witness")],
        "have an end when there are no present ones",
    ),
    "a former witness and none now": (lambda card: [before()(card), card.pop("witness")], None),
    "an auditor twice": (
        lambda card: card.update(foreign_auditors=[{"auditor": "a@fr", "reads": "all"}] * 2),
        "listed twice",
    ),
    "an auditor of its own": (
        lambda card: card.update(foreign_auditors=[{"auditor": "a@jp", "reads": "all"}]),
        "not a foreign one",
    ),
    "an auditor with a scope who reads all": (
        lambda card: card.update(foreign_auditors=[{"auditor": "a@fr", "reads": "all", "scope": {"since": TEXT}}]),
        "and only then",
    ),
    "an auditor with a scope": (
        lambda card: card.update(foreign_auditors=[{"auditor": "a@fr", "reads": "scoped", "scope": {"since": TEXT}}]),
        None,
    ),
    "an auditor with a scope of nodes": (
        lambda card: card.update(foreign_auditors=[{"auditor": "a@fr", "reads": "scoped", "scope": {"nodes": ["jp"]}}]),
        "names no nodes",
    ),
}


def judged(card: Any, change: Change, reason: str | None) -> None:
    """The card with the change is read, or (``reason``) refused."""
    value = written(card)
    change(value)
    parse = parse_node_card if card is CARD else parse_contact_point_card
    encoded = json.dumps(value).encode()
    if reason is None:
        parse(encoded)
    else:
        with pytest.raises(MalformedError, match=reason) as refusal:
            parse(encoded)
        assert refusal.value.detail.startswith("the card is not valid: ")
        reasons = refusal.value.detail.split("; ")
        assert len([one for one in reasons if "at least 1 item" not in one]) == 1  # and for no other


@pytest.mark.parametrize(("change", "reason"), OFFICE_RULES.values(), ids=OFFICE_RULES)
def test_an_offices_card_is_refused_for_the_rule_that_it_breaks(change: Change, reason: str | None) -> None:
    judged(OFFICE, change, reason)


@pytest.mark.parametrize(("change", "reason"), NODE_RULES.values(), ids=NODE_RULES)
def test_a_nodes_card_is_refused_for_the_rule_that_it_breaks(change: Change, reason: str | None) -> None:
    judged(CARD, change, reason)


@pytest.mark.parametrize("place", [("log",), ("witness",), ("signing_keys", 0)], ids=["log", "witness", "signing"])
def test_no_key_of_small_order_is_on_a_card(place: tuple[Any, ...]) -> None:
    value = written(CARD)
    member = value
    for step in place:
        member = member[step]
    raw = base64.b64decode(SMALL_ORDER)
    member.update(
        {"public": SMALL_ORDER, "kid": key_id("ed25519", raw).hex()} if len(place) > 1 else {"ed25519": SMALL_ORDER}
    )
    with pytest.raises(WeakKeyError):
        parse_node_card(json.dumps(value).encode())


def test_a_refusal_names_the_place_or_the_card() -> None:
    with pytest.raises(MalformedError, match=r"valid: signing_keys\.0: Value error"):
        judged(OFFICE, entry(kid="00" * 16), None)
    with pytest.raises(MalformedError, match="valid: card: Value error, a node is not its own relay"):
        make_node_card(**{name: getattr(CARD, name) for name in type(CARD).model_fields} | {"relay": "jp"})


def test_a_card_is_as_long_as_it_may_be_and_no_longer() -> None:
    room = MAX_CARD_BYTES - len(card_to_bytes(OFFICE))
    longest = OFFICE.model_copy(update={"office": OFFICE.office + "x" * room})
    assert len(card_to_bytes(longest)) == MAX_CARD_BYTES
    with pytest.raises(TooLargeError):
        card_to_bytes(longest.model_copy(update={"office": longest.office + "x"}))
    padded = card_to_bytes(OFFICE) + b" " * room
    assert parse_contact_point_card(padded) == OFFICE
    with pytest.raises(TooLargeError):
        parse_contact_point_card(padded + b" ")


def test_a_card_has_no_more_items_than_it_may() -> None:
    with pytest.raises(TooLargeError):
        judged(OFFICE, many, None)


# --- When what counts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "counts"),
    [(NOW - STEP, False), (NOW, True), (LATER - STEP, True), (LATER, False)],
)
def test_a_key_counts_from_its_beginning_and_until_its_end_or_revocation(at: datetime, counts: bool) -> None:
    for one in (
        DESK.signing_entry(NOW, LATER),
        DESK.signing_entry(NOW, LATER + STEP).model_copy(update={"revoked_at": LATER}),
        with_revoked_key(OFFICE, SIGNING_KID, LATER).signing_keys[0].model_copy(update={"valid_from": NOW}),
    ):
        assert one.is_valid(at) is counts
        if counts:
            one.require_valid(at)
        else:
            with pytest.raises(RevokedError):
                one.require_valid(at)


SIGNING_KID = OFFICE.signing_keys[0].kid


@pytest.mark.parametrize(
    ("until", "at", "counts"),
    [
        (None, NOW - STEP, False),
        (None, NOW, True),
        (None, LATER, True),
        (LATER, LATER - STEP, True),
        (LATER, LATER, False),
        (LATER, NOW - STEP, False),
    ],
)
def test_a_cosignature_counts_from_the_beginning_of_its_keys_and_until_their_end(
    until: datetime | None, at: datetime, counts: bool
) -> None:
    keys: WitnessCard = NODE.witness_card("test/jp", NOW).model_copy(update={"valid_until": until})
    assert keys.counts_at(at) is counts


def test_former_keys_of_a_log_count_up_to_their_final_head() -> None:
    keys: LogCard = NODE.log_card("test/jp", NOW)
    assert keys.final is None
    final = keys.model_copy(update={"final_size": 3, "final_root": leaf_hash(b"root")}).final
    assert final is not None
    assert (final.origin, final.size, final.root) == ("test/jp", 3, leaf_hash(b"root"))


@pytest.mark.parametrize(
    ("scope", "at", "message", "covered"),
    [
        (AuditScope(since=NOW), NOW, ONE, True),
        (AuditScope(since=NOW), NOW - STEP, ONE, False),
        (AuditScope(until=NOW), NOW, ONE, False),
        (AuditScope(until=NOW), NOW - STEP, ONE, True),
        (AuditScope(since=NOW, until=LATER), LATER, ONE, False),
        (AuditScope(messages=(ONE,)), NOW, ONE, True),
        (AuditScope(messages=(ONE,)), NOW, OTHER, False),
        (AuditScope(messages=(ONE,), since=NOW), NOW - STEP, ONE, False),
        (AuditScope(nodes=("fr",)), NOW, ONE, True),
    ],
)
def test_a_scope_covers_what_every_part_of_it_leaves(
    scope: AuditScope, at: datetime, message: UUID, covered: bool
) -> None:
    assert scope.covers(at, message) is covered


def test_a_scope_names_every_node_unless_it_names_some() -> None:
    assert AuditScope(since=NOW).names_node("fr")
    assert AuditScope(nodes=("fr",)).names_node("fr")
    assert not AuditScope(nodes=("fr",)).names_node("us")


def test_a_holder_may_act_until_its_status_ends_it() -> None:
    OFFICE.require_active(LATER)
    suspended = with_status(OFFICE, CardStatus.SUSPENDED, LATER)
    suspended.require_active(LATER - STEP)
    with pytest.raises(RevokedError):
        suspended.require_active(LATER)


def test_an_office_is_served_by_the_host_of_the_time() -> None:
    moved = OFFICE.model_copy(update={"hosting": (Hosting(node="fr", since=NOW), Hosting(node="us", since=LATER))})
    served = {NOW - STEP: "jp", NOW: "fr", LATER - STEP: "fr", LATER: "us"}
    assert {at: moved.served_by(at) for at in served} == served
    for start, end, nodes in (
        (None, NOW - STEP, {"jp"}),
        (None, NOW, {"jp", "fr"}),
        (NOW - STEP, NOW - STEP, {"jp"}),
        (NOW - STEP, NOW, {"jp", "fr"}),
        (NOW, NOW, {"fr"}),
        (NOW + STEP, LATER - STEP, {"fr"}),
        (NOW + STEP, LATER, {"fr", "us"}),
        (LATER, LATER, {"us"}),
    ):
        assert moved.served_between(start, end) == nodes
