"""The view: signatures are judged at their instant, and each kind of absence has its own refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys.directory.cards import CardStatus, ContactPointCard, Hosting, NodeCard
from keys.directory.view import Directory, NationsRead, SignedFacts
from keys.members.federation import contact_point_card, node_card, with_revoked_key, with_status
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.errors import (
    ForbiddenError,
    MalformedError,
    RevokedError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.event import DESK_EVENTS, Event, EventName, LoggedAt
from protocol.files.logged import LoggedFiles

FILES = LoggedFiles(bytes(32), None, 1, bytes(32))
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
OFFICE = Address("24-7", "jp")
DESK = generate_desk_keys()
NODE = generate_node_keys("jp", ["127.0.0.1"], NOW)
KID = DESK.signer().kid
MESSAGE = new_message_id(NOW, bytes(10))


def _office(**more: Any) -> ContactPointCard:
    return contact_point_card(OFFICE, DESK, NOW, office="Office", agency="Police", **more)


def _node(**more: Any) -> NodeCard:
    return node_card("jp", NODE, "test/jp", NOW, name="Japan", urls=["https://127.0.0.1:8443"], **more)


def _directory(office: ContactPointCard | None = None, node: NodeCard | None = None) -> Directory:
    return Directory(
        7, NOW + 24 * HOUR, [node or _node()], [office or _office()], read=NationsRead(problems={"fr": "it expired"})
    )


def test_signature_verifies_under_the_key_that_the_directory_names() -> None:
    verifier = _directory().signing_key("24-7@jp", KID, NOW)
    verifier.verify(b"message", DESK.signer().sign(b"message"))
    _directory().signing_key("jp", NODE.signer().kid, NOW).verify(b"message", NODE.signer().sign(b"message"))


def test_look_up_gives_the_same_loaded_key_each_time() -> None:
    directory = _directory()
    assert directory.signing_key("24-7@jp", KID, NOW) is directory.signing_key("24-7@jp", KID, NOW)
    assert directory.sealing_key(OFFICE, NOW) is directory.sealing_key(OFFICE, NOW)


def test_key_of_another_holder_is_unknown() -> None:
    with pytest.raises(UnknownKeyError):
        _directory().signing_key("jp", KID, NOW)
    with pytest.raises(UnknownKeyError):
        _directory().signing_key("24-7@jp", DESK.opener().kid, NOW)


@pytest.mark.parametrize(
    ("holder", "refusal"),
    [
        ("br", UnknownNodeError),
        ("24-7@br", UnknownNodeError),
        ("day@jp", UnknownContactPointError),
        ("24-7@jp@jp", UnknownContactPointError),
        ("24-7@JP", UnknownContactPointError),
        ("24-7@jp", UnknownKeyError),
        ("jp", UnknownKeyError),
    ],
)
def test_each_absence_has_its_own_refusal(holder: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        _directory().signing_key(holder, bytes(16), NOW)


def test_nation_left_out_says_why() -> None:
    with pytest.raises(UnknownNodeError, match="it expired"):
        _directory().node("fr")


def test_revoked_key_is_accepted_before_and_refused_from_its_revocation() -> None:
    directory = _directory(with_revoked_key(_office(), KID, NOW + HOUR))
    directory.signing_key("24-7@jp", KID, NOW + HOUR - timedelta(milliseconds=1))
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@jp", KID, NOW + HOUR)


def test_key_is_refused_outside_its_validity() -> None:
    entry = DESK.signing_entry(NOW, NOW + HOUR)
    directory = _directory(_office(signing_keys=(entry,)))
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@jp", KID, NOW - timedelta(milliseconds=1))
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@jp", KID, NOW + HOUR)


@pytest.mark.parametrize("status", [CardStatus.SUSPENDED, CardStatus.REVOKED])
def test_suspended_office_signed_validly_before_but_not_since(status: CardStatus) -> None:
    directory = _directory(with_status(_office(), status, NOW + HOUR))
    directory.signing_key("24-7@jp", KID, NOW)
    directory.sealing_key(OFFICE, NOW)
    for look_up in (
        lambda: directory.signing_key("24-7@jp", KID, NOW + HOUR),
        lambda: directory.sealing_key(OFFICE, NOW + HOUR),
        lambda: directory.require_active("24-7@jp", NOW + HOUR),
    ):
        with pytest.raises(RevokedError, match=status.value):
            look_up()
    assert directory.contact_point(OFFICE).status is status


def test_suspended_nation_is_suspended_with_all_its_offices() -> None:
    directory = _directory(node=with_status(_node(), CardStatus.SUSPENDED, NOW + HOUR))
    directory.signing_key("24-7@jp", KID, NOW)
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@jp", KID, NOW + HOUR)
    with pytest.raises(RevokedError):
        directory.sealing_key(OFFICE, NOW + HOUR)


def test_newest_valid_sealing_key_is_used() -> None:
    older, newer = generate_desk_keys(), generate_desk_keys()
    keys = (
        older.sealing_entry(NOW - 2 * HOUR, NOW + 10 * HOUR),
        newer.sealing_entry(NOW, NOW + 10 * HOUR),
        generate_desk_keys().sealing_entry(NOW + 5 * HOUR, NOW + 10 * HOUR),
    )
    card = _office(sealing_keys=keys)
    assert _directory(card).sealing_key(OFFICE, NOW).kid == newer.opener().kid
    assert _directory(card).sealing_key(OFFICE, NOW - HOUR).kid == older.opener().kid
    revoked = with_revoked_key(card, newer.opener().kid, NOW)
    assert _directory(revoked).sealing_key(OFFICE, NOW).kid == older.opener().kid
    with pytest.raises(RevokedError, match="no sealing key"):
        _directory(card).sealing_key(OFFICE, NOW + 11 * HOUR)


def test_auditor_receives_nothing() -> None:
    directory = _directory(_office(functions=["audit"], sealing_keys=()))
    with pytest.raises(UnknownKeyError, match="does not receive"):
        directory.sealing_key(OFFICE, NOW)


def test_log_is_found_by_origin_and_by_node() -> None:
    directory = _directory()
    assert directory.node_of_origin("test/jp") == "jp"
    assert directory.origin("jp") == "test/jp"
    verifier = directory.log_verifier("test/jp")
    assert verifier.origin == "test/jp"
    assert directory.log_verifier("test/jp") is verifier
    assert directory.log_verifier("jp").origin == "test/jp"
    for unknown in ("test/fr", "br"):
        with pytest.raises(UnknownNodeError):
            directory.log_verifier(unknown)
    with pytest.raises(UnknownNodeError):
        directory.node_of_origin("test/fr")


def test_earlier_log_of_a_node_stays_verifiable() -> None:
    earlier = generate_node_keys("jp", ["127.0.0.1"], NOW).log_card("old/jp", NOW - HOUR)
    directory = _directory(node=_node(previous_logs=(earlier,)))
    assert directory.node_of_origin("old/jp") == "jp"
    assert directory.log_verifier("old/jp").origin == "old/jp"


def test_node_without_an_address_of_its_own_is_reached_by_relay() -> None:
    card = node_card("jp", NODE, "test/jp", NOW, name="Japan", relay="fr")
    with pytest.raises(UnknownNodeError, match="relay"):
        _directory(node=card).url("jp")
    assert _directory().url("jp") == "https://127.0.0.1:8443"
    assert _directory().tls_certificates("jp") == [NODE.tls.certificate]


# --- Offices that another nation's node hosts ---

HOSTED = (Hosting(node="fr", since=NOW),)


def test_an_office_without_a_node_of_its_nation_acts_where_another_hosts_it() -> None:
    hosted = Directory(7, NOW, [], [_office(hosting=HOSTED)])
    assert hosted.require_active("24-7@jp", NOW).holder == "24-7@jp"
    assert hosted.sealing_key(OFFICE, NOW).kid == DESK.opener().kid
    assert hosted.legal_profile("jp") is None
    with pytest.raises(UnknownContactPointError):
        hosted.contact_point(Address("day", "jp"))
    own = Directory(7, NOW, [], [_office()], read=NationsRead(problems={"jp": "it expired"}))
    for look_up in (
        lambda: own.signing_key("24-7@jp", KID, NOW),
        lambda: own.sealing_key(OFFICE, NOW),
        lambda: own.require_active("24-7@jp", NOW),
    ):
        with pytest.raises(UnknownNodeError, match="it expired"):
            look_up()


def test_a_nation_that_is_suspended_is_suspended_with_an_office_that_another_hosts() -> None:
    suspended = with_status(_node(), CardStatus.SUSPENDED, NOW + HOUR)
    directory = _directory(_office(hosting=HOSTED), suspended)
    directory.require_active("24-7@jp", NOW)
    with pytest.raises(RevokedError, match="jp is suspended"):
        directory.require_active("24-7@jp", NOW + HOUR)


def test_a_node_states_only_what_happened_while_it_served() -> None:
    directory = _directory(_office(hosting=(Hosting(node="fr", since=NOW + HOUR),)))
    directory.require_served(OFFICE, "jp", None, NOW)
    directory.require_served(OFFICE, "fr", NOW, NOW + HOUR)
    with pytest.raises(ForbiddenError):
        directory.require_served(OFFICE, "fr", NOW, NOW)


@pytest.mark.parametrize("name", [name for name in EventName if name not in DESK_EVENTS])
def test_of_each_event_the_log_that_may_hold_it_is_known(name: EventName) -> None:
    directory = _directory()
    event = Event(
        name=name,
        message_id=MESSAGE,
        digest=bytes(32),
        salt=bytes(16),
        at=NOW,
        recipient=OFFICE,
        reasons=("too_large",) if name.negative else (),
        files=FILES if name.of_files else None,
    )
    other = Address("24-7", "br")
    # The office is served by jp: of an event at one of its nodes no other log may tell, on the way any may.
    for place, sender, node, allowed in (
        (LoggedAt.SENDERS_NODE, OFFICE, "jp", True),
        (LoggedAt.SENDERS_NODE, OFFICE, "fr", False),
        (LoggedAt.SENDERS_NODE, None, "fr", True),
        (LoggedAt.RECIPIENTS_NODE, other, "jp", True),
        (LoggedAt.RECIPIENTS_NODE, other, "fr", False),
        (LoggedAt.RECIPIENTS_NODE, None, "fr", False),
        (LoggedAt.ON_THE_WAY, OFFICE, "fr", True),
    ):
        if name.logged_at is place and allowed:
            directory.require_may_log(event, node, sender, None)
        elif name.logged_at is place:
            with pytest.raises(ForbiddenError):
                directory.require_may_log(event, node, sender, None)


def test_a_message_that_a_clock_ahead_dated_after_the_event_is_judged_by_the_event() -> None:
    moved = _office(hosting=(Hosting(node="fr", since=NOW),))
    directory = Directory(7, NOW, [], [moved])
    before, after = NOW - timedelta(minutes=1), NOW + timedelta(minutes=1)
    directory.require_served(OFFICE, "jp", after, before)
    with pytest.raises(ForbiddenError):
        directory.require_served(OFFICE, "fr", after, before)
    with pytest.raises(ForbiddenError):
        directory.require_served(OFFICE, "jp", after, after)


def test_who_made_a_message_matters_at_the_senders_node_and_where_the_recipient_was_hosted() -> None:
    hosted = Directory(7, NOW, [], [_office(hosting=HOSTED)])
    for name in (name for name in EventName if name not in DESK_EVENTS):
        reasons = ("x",) if name.negative else ()
        files = FILES if name.of_files else None
        event = Event(name, NOW, MESSAGE, bytes(32), bytes(16), recipient=OFFICE, reasons=reasons, files=files)
        place = name.logged_at
        assert _directory().needs_origin(event) is (place is LoggedAt.SENDERS_NODE)
        assert hosted.needs_origin(event) is (place is not LoggedAt.ON_THE_WAY)


def test_an_event_at_the_recipients_node_names_the_recipient() -> None:
    event = Event(EventName.ContentConsignment, NOW, MESSAGE, bytes(32), bytes(16))
    with pytest.raises(MalformedError):
        _directory().require_may_log(event, "jp", OFFICE, None)


def test_what_a_desk_states_stands_in_its_own_nodes_log_alone() -> None:
    assert {name.logged_at for name in DESK_EVENTS} == {LoggedAt.RECIPIENTS_NODE}


# --- What a directory says of itself ---


def test_a_key_has_ended_when_it_or_its_holder_or_its_nation_has() -> None:
    assert not _directory().has_ended(OFFICE, KID)
    assert not Directory(7, NOW, [], [_office(hosting=HOSTED)]).has_ended(OFFICE, KID)
    for ended in (
        _directory(with_revoked_key(_office(), KID, NOW + HOUR)),
        _directory(with_status(_office(), CardStatus.SUSPENDED, NOW + HOUR)),
        _directory(node=with_status(_node(), CardStatus.SUSPENDED, NOW + HOUR)),
    ):
        assert ended.has_ended(OFFICE, KID)
    for kid in (bytes(16), DESK.opener().kid):
        with pytest.raises(UnknownKeyError):
            _directory().has_ended(OFFICE, kid)


def test_a_directory_is_stale_from_its_end_on() -> None:
    directory = _directory()
    assert not directory.is_stale(directory.expires_at - timedelta(milliseconds=1))
    assert directory.is_stale(directory.expires_at)


def test_what_a_directory_is_told_of_itself_it_tells() -> None:
    profile = object()
    told = Directory(
        7, NOW, [_node()], [], SignedFacts(expiries={"root": NOW}), NationsRead({"jp": profile}, {"fr": "x"})
    )  # type: ignore[dict-item]
    assert (dict(told.expiries), dict(told.problems), told.legal_profile("jp")) == ({"root": NOW}, {"fr": "x"}, profile)
    bare = Directory(7, NOW, [_node()], [])
    assert (dict(bare.expiries), dict(bare.problems), bare.legal_profile("jp")) == ({}, {}, None)


def test_a_look_up_of_a_nation_that_was_not_read_asks_for_it() -> None:
    wanted: list[str] = []
    directory = Directory(7, NOW, [_node()], [], read=NationsRead(unread=["fr"], want=wanted.append))
    for look_up in (
        lambda: directory.node("fr"),
        lambda: directory.contact_point(Address("24-7", "fr")),
        lambda: directory.signing_key("24-7@fr", KID, NOW),
        lambda: directory.legal_profile("fr"),
        lambda: directory.node_of_origin("test/fr"),
        directory.require_all_read,
    ):
        wanted.clear()
        with pytest.raises(UnknownNodeError, match="read yet"):
            look_up()
        assert wanted == ["fr"]
    with pytest.raises(UnknownNodeError, match="no node of the directory"):
        directory.node_of_origin("test/de")
