"""Cards: strict once read, and nothing weak or oversized gets in."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys.directory.cards import (
    MAX_CARD_BYTES,
    ContactPointCard,
    KeyEntry,
    Limb,
    NodeCard,
    Performance,
    card_to_bytes,
    make_contact_point_card,
    parse_contact_point_card,
    parse_node_card,
)
from keys.local.strict_json import require_unique_members
from keys.members.federation import contact_point_card, node_card, with_foreign_auditors, with_revoked_key
from keys.members.identity import DeskKeys, NodeKeys, generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.keyid import ed25519_kid
from protocol.errors import ComityError, MalformedError, RevokedError, TooLargeError, WeakKeyError
from protocol.messages.versions import versions_read

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ADDRESS = Address("24-7", "jp")
DESK: DeskKeys = generate_desk_keys()
NODE: NodeKeys = generate_node_keys("jp", ["127.0.0.1"], NOW)
SMALL_ORDER = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def _office(**more: Any) -> ContactPointCard:
    return contact_point_card(ADDRESS, DESK, NOW, office="24/7 office", agency="Police", **more)


def _node(**more: Any) -> NodeCard:
    return node_card("jp", NODE, "federation/jp", NOW, name="Japan", urls=["https://127.0.0.1:8443"], **more)


def _altered(card: ContactPointCard | NodeCard, **changes: Any) -> bytes:
    members = json.loads(card_to_bytes(card))
    members.update(changes)
    return json.dumps(members).encode()


_NODE_BYTES = card_to_bytes(_node())
_OFFICE_BYTES = card_to_bytes(_office(phones=["+82 2 1234 5678"]))


def test_cards_survive_their_encoding() -> None:
    office = _office(
        languages=["ko", "en-GB"],
        hours=[{"days": ["mon", "fri"], "opens": "09:00", "closes": "18:00"}],
        time_zone="Asia/Tokyo",
        phones=["+82 2 1234 5678"],
        competences=["preservation"],
        accepted_languages=["ja", "en"],
        performs={"preservation": "carries_out", "locating_suspects": "cannot"},
        functions=["exchange", "audit"],
        deputy="night@jp",
        escalation_contact="Head of unit",
    )
    assert parse_contact_point_card(card_to_bytes(office)) == office
    assert parse_node_card(card_to_bytes(_node(relay="fr"))) == _node(relay="fr")


def test_encoding_of_a_card_has_no_nulls_and_names_its_schema() -> None:
    members = json.loads(card_to_bytes(_office()))
    assert members["schema"] == "comity/contact-point-card/1"
    assert None not in members.values()
    assert members["status_since"] == "2026-11-23T03:00:00.000Z"


def test_unknown_fields_are_ignored_and_unknown_schemas_refused() -> None:
    assert parse_contact_point_card(_altered(_office(), favourite_colour="blue")) == _office()
    with pytest.raises(MalformedError, match="schema"):
        parse_contact_point_card(_altered(_office(), schema="comity/contact-point-card/2"))


def test_small_order_key_is_refused() -> None:
    with pytest.raises(WeakKeyError):
        KeyEntry.of("ed25519", SMALL_ORDER, NOW, NOW + timedelta(days=1))
    entry = {
        "kid": ed25519_kid(SMALL_ORDER).hex(),
        "algorithm": "ed25519",
        "public": base64.b64encode(SMALL_ORDER).decode(),
        "valid_from": "2026-01-01T00:00:00Z",
        "valid_until": "2027-01-01T00:00:00Z",
    }
    with pytest.raises(WeakKeyError):
        parse_contact_point_card(_altered(_office(), signing_keys=[entry]))


def test_small_order_log_key_is_refused() -> None:
    members = json.loads(card_to_bytes(_node()))
    members["log"]["ed25519"] = base64.b64encode(SMALL_ORDER).decode()
    with pytest.raises(WeakKeyError):
        parse_node_card(json.dumps(members).encode())


def test_key_id_of_another_key_is_refused() -> None:
    members = json.loads(card_to_bytes(_office()))
    members["signing_keys"][0]["kid"] = "00" * 16
    with pytest.raises(MalformedError, match="key id"):
        parse_contact_point_card(json.dumps(members).encode())


def test_oversized_card_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(TooLargeError):
        parse_contact_point_card(b" " * (MAX_CARD_BYTES + 1))


def test_oversized_card_is_refused_when_written() -> None:
    entry = DESK.sealing_entry(NOW, NOW + timedelta(days=1))
    card = _office().model_copy(update={"sealing_keys": (entry,) * 40})
    with pytest.raises(TooLargeError):
        card_to_bytes(card)


@pytest.mark.parametrize(
    "change",
    [
        {"address": "24-7"},
        {"address": "24-7@JP"},
        {"languages": []},
        {"languages": ["English"]},
        {"phones": ["call me"]},
        {"hours": "sometimes"},
        {"hours": [{"days": ["mon"], "opens": "25:00", "closes": "26:00"}]},
        {"status": "asleep"},
        {"functions": ["everything"]},
        {"office": "two\nlines"},
        {"signing_keys": []},
        {"sealing_keys": []},
        {"deputy": "24-7@jp"},
        {"updated_at": "2026-11-23T03:00:00"},
    ],
)
def test_bad_field_of_an_office_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError, match="the card is not valid"):
        parse_contact_point_card(_altered(_office(), **change))


@pytest.mark.parametrize(
    "change",
    [
        {"urls": ["http://127.0.0.1"]},
        {"urls": ["https://host/path"]},
        {"urls": []},
        {"tls_certificates": []},
        {"relay": "jp"},
        {"country": "Japan"},
        {"node": "fr"},
    ],
)
def test_bad_field_of_a_node_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse_node_card(_altered(_node(), **change))


def test_a_member_that_stands_twice_makes_the_whole_card_refused() -> None:
    encoded = card_to_bytes(_node())
    twice = encoded.replace(b'"name":', b'"name":"Another","name":', 1)
    assert twice != encoded
    with pytest.raises(MalformedError, match="twice"):
        parse_node_card(twice)
    office = card_to_bytes(_office())
    nested = office.replace(b'"algorithm":"ed25519"', b'"algorithm":"ed25519","algorithm":"ed25519"', 1)
    with pytest.raises(MalformedError, match="twice"):
        parse_contact_point_card(nested)


_NAME = re.compile(rb'"([A-Za-z0-9_.-]+)":')
# What may stand before a member, by its name, and in place of its colon.
_BEFORE = [
    b'"%b":1,',
    b'"%b" :1,',
    b'"unknown":1,',
    b'"\\":":1,',
    b'"%b":{"a":1,"a":2},',
    b'"unknown":"\\":\\":",',
    b"",
]
_COLONS = [b'":', b'" :', b'"\n:', b'": ', b'"  :']


@given(
    node=st.booleans(),
    edits=st.lists(st.tuples(st.integers(0, 80), st.sampled_from(_BEFORE), st.sampled_from(_COLONS)), max_size=4),
)
@settings(max_examples=120, deadline=None)
def test_a_card_is_refused_for_a_member_that_stands_twice_wherever_and_however_it_is_written(
    node: bool, edits: list[tuple[int, bytes, bytes]]
) -> None:
    encoded = _NODE_BYTES if node else _OFFICE_BYTES
    for which, before, colon in edits:
        names = list(_NAME.finditer(encoded))
        place = names[which % len(names)]
        added = before.replace(b"%b", place[1]) + place[0][:-2] + colon
        encoded = encoded[: place.start()] + added + encoded[place.end() :]
    assert (_refusal(require_unique_members, encoded) == "twice") == (
        _refusal(parse_node_card if node else parse_contact_point_card, encoded) == "twice"
    )


def _refusal(read: Callable[[bytes], object], encoded: bytes) -> str:
    """Why it is refused: a member stands twice, or something else does not do; empty where it is taken."""
    try:
        read(encoded)
    except MalformedError as problem:
        return "twice" if "twice" in problem.detail else "other"
    return ""


@pytest.mark.parametrize("card", ["_NODE_BYTES", "_OFFICE_BYTES"])
def test_a_card_as_it_is_published_is_read_once(card: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def again(_: bytes) -> None:
        raise AssertionError("it was read a second time")

    monkeypatch.setattr("keys.directory.cards.require_unique_members", again)
    (parse_node_card if card == "_NODE_BYTES" else parse_contact_point_card)(globals()[card])


_READS_ALL = {"auditor": "audit@fr", "reads": "all"}
_ONE_MESSAGE = {"messages": ["01a20b16-cef1-7175-a0cc-88f5831eaab2"]}


@pytest.mark.parametrize(
    "entries",
    [
        [_READS_ALL, _READS_ALL],
        [_READS_ALL, {"auditor": "audit@fr", "reads": "nothing"}],
        [{"auditor": "audit@jp", "reads": "all"}],
        [{"auditor": "audit", "reads": "all"}],
        [{"auditor": "audit@fr"}],
        [{"auditor": "audit@fr", "reads": "everything"}],
        [{"auditor": "audit@fr", "reads": "scoped"}],
        [{"auditor": "audit@fr", "reads": "scoped", "scope": {}}],
        [{"auditor": "audit@fr", "reads": "scoped", "scope": {"nodes": ["jp"]}}],
        [{"auditor": "audit@fr", "reads": "all", "scope": _ONE_MESSAGE}],
        [{"auditor": "audit@fr", "reads": "nothing", "scope": _ONE_MESSAGE}],
        [{"auditor": f"a{number}@fr", "reads": "all"} for number in range(65)],
        _READS_ALL,
    ],
)
def test_a_word_on_foreign_auditors_that_could_be_read_in_two_ways_is_refused(entries: object) -> None:
    with pytest.raises(MalformedError):
        parse_node_card(_altered(_node(), foreign_auditors=entries))


def test_what_foreign_auditors_may_read_survives_the_card_and_can_be_taken_back() -> None:
    scoped = {"auditor": "inspect@us", "reads": "scoped", "scope": _ONE_MESSAGE}
    card = with_foreign_auditors(_node(), {"audit@fr": _READS_ALL, "inspect@us": scoped}, NOW)
    read = parse_node_card(card_to_bytes(card))
    assert read == card
    assert [(str(entry.auditor), entry.reads) for entry in read.foreign_auditors] == [
        ("audit@fr", "all"),
        ("inspect@us", "scoped"),
    ]
    closed = with_foreign_auditors(card, {"audit@fr": {"auditor": "audit@fr", "reads": "nothing"}}, NOW)
    assert [entry.reads for entry in closed.foreign_auditors] == ["scoped", "nothing"]
    assert with_foreign_auditors(closed, {"audit@fr": None, "inspect@us": None}, NOW).foreign_auditors == ()


def test_node_cannot_claim_the_log_of_another() -> None:
    with pytest.raises(MalformedError, match="/jp"):
        node_card("jp", NODE, "federation/fr", NOW, name="Japan", urls=["https://127.0.0.1:8443"])


def test_auditor_needs_no_sealing_key() -> None:
    assert _office(functions=["audit"], sealing_keys=[]).sealing_keys == ()


def test_refusal_does_not_repeat_what_the_card_said() -> None:
    with pytest.raises(MalformedError) as refusal:
        parse_contact_point_card(_altered(_office(), phones=["call me at secret place"]))
    assert "secret place" not in str(refusal.value)


def test_missing_fields_are_all_named() -> None:
    with pytest.raises(MalformedError) as refusal:
        make_contact_point_card(address="24-7@jp")
    for name in ("office", "agency", "languages", "signing_keys"):
        assert name in str(refusal.value)


def test_key_counts_from_its_start_until_its_end_or_revocation() -> None:
    entry = DESK.signing_entry(NOW, NOW + timedelta(days=2))
    entry.require_valid(NOW)
    entry.require_valid(NOW + timedelta(days=2) - timedelta(milliseconds=1))
    for instant in (NOW - timedelta(milliseconds=1), NOW + timedelta(days=2)):
        with pytest.raises(RevokedError):
            entry.require_valid(instant)
    revoked = with_revoked_key(_office(), entry.kid, NOW + timedelta(days=1)).signing_keys[0]
    revoked.require_valid(NOW + timedelta(days=1) - timedelta(milliseconds=1))
    with pytest.raises(RevokedError, match="revoked at"):
        revoked.require_valid(NOW + timedelta(days=1))


@settings(max_examples=150, deadline=None)
@given(position=st.integers(min_value=0), byte=st.integers(0, 255))
def test_any_altered_byte_gives_a_card_or_a_typed_refusal(position: int, byte: int) -> None:
    encoded = bytearray(ENCODED)
    encoded[position % len(encoded)] = byte
    try:
        card = parse_contact_point_card(bytes(encoded))
    except ComityError:
        return
    assert isinstance(card, ContactPointCard)


ENCODED = card_to_bytes(_office())


# --- What a desk reads and an office declares --------------------------------------------------------------------


def test_the_card_of_a_desk_says_what_it_reads_and_that_of_an_auditor_does_not() -> None:
    assert _office().reads == versions_read()
    assert _office(functions=["audit"], sealing_keys=()).reads is None
    # A card that says nothing is one of a desk from before.
    members = json.loads(card_to_bytes(_office()))
    del members["reads"]
    assert parse_contact_point_card(json.dumps(members).encode()).reads is None


def test_cards_that_say_the_same_of_what_they_read_share_it_and_others_keep_their_own_word_and_order() -> None:
    first, again = (parse_contact_point_card(card_to_bytes(_office())) for _ in range(2))
    assert first.reads is again.reads
    assert first.reads is not None
    turned = dict(reversed(first.reads.items()))
    for said in (turned, turned | {"note": (1, 9)}, {name: first.reads[name] for name in turned if name != "note"}):
        card = parse_contact_point_card(_altered(_office(), reads=said))
        assert card.reads == said
        assert list(card.reads or ()) == list(said)
        assert card_to_bytes(parse_contact_point_card(card_to_bytes(card))) == card_to_bytes(card)


def test_what_a_program_says_of_its_reading_is_not_remembered_for_others() -> None:
    said = {"note": [1]}
    made = make_contact_point_card(**_office().model_dump() | {"reads": said})
    said["note"] = [1, 2]
    later = make_contact_point_card(**_office().model_dump() | {"reads": said})
    assert (made.reads, later.reads) == ({"note": (1,)}, {"note": (1, 2)})


@pytest.mark.parametrize(
    "changes",
    [
        {"reads": {"preservation.request": [2, 1]}},
        {"reads": {"preservation.request": [1, 1]}},
        {"reads": {"preservation.request": [0]}},
        {"reads": {"preservation.request": []}},
        {"reads": {"Preservation Request": [1]}},
        {"reads": {f"type-{number}": [1] for number in range(300)}},
        {"performs": {"preservation": "perhaps"}},
        {"performs": {"espionage": "carries_out"}},
        {"performs": {}},
        {"accepted_languages": []},
        {"accepted_languages": ["English"]},
    ],
)
def test_a_card_that_declares_what_nobody_can_act_on_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        parse_contact_point_card(_altered(_office(), **changes))


def test_limbs_and_performances_are_those_of_the_lists() -> None:
    for name, kind in (("contact_function", Limb), ("performance", Performance)):
        assert [entry.code for entry in load_codes(name).entries] == [member.value for member in kind]
