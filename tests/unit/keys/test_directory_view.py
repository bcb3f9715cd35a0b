"""The view: signatures are judged at their instant, and each kind of absence has its own refusal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys.directory.cards import CardStatus, ContactPointCard, NodeCard
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card, with_revoked_key, with_status
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import RevokedError, UnknownContactPointError, UnknownKeyError, UnknownNodeError

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
OFFICE = Address("24-7", "kr")
DESK = generate_desk_keys()
NODE = generate_node_keys("kr", ["127.0.0.1"], NOW)
KID = DESK.signer().kid


def _office(**more: Any) -> ContactPointCard:
    return contact_point_card(OFFICE, DESK, NOW, office="Office", agency="Police", **more)


def _node(**more: Any) -> NodeCard:
    return node_card("kr", NODE, "test/kr", NOW, name="Korea", urls=["https://127.0.0.1:8443"], **more)


def _directory(office: ContactPointCard | None = None, node: NodeCard | None = None) -> Directory:
    return Directory(7, NOW + 24 * HOUR, [node or _node()], [office or _office()], problems={"fr": "it expired"})


def test_signature_verifies_under_the_key_that_the_directory_names() -> None:
    verifier = _directory().signing_key("24-7@kr", KID, NOW)
    verifier.verify(b"message", DESK.signer().sign(b"message"))
    _directory().signing_key("kr", NODE.signer().kid, NOW).verify(b"message", NODE.signer().sign(b"message"))


def test_look_up_gives_the_same_loaded_key_each_time() -> None:
    directory = _directory()
    assert directory.signing_key("24-7@kr", KID, NOW) is directory.signing_key("24-7@kr", KID, NOW)
    assert directory.sealing_key(OFFICE, NOW) is directory.sealing_key(OFFICE, NOW)


def test_key_of_another_holder_is_unknown() -> None:
    with pytest.raises(UnknownKeyError):
        _directory().signing_key("kr", KID, NOW)
    with pytest.raises(UnknownKeyError):
        _directory().signing_key("24-7@kr", DESK.opener().kid, NOW)


@pytest.mark.parametrize(
    ("holder", "refusal"),
    [
        ("br", UnknownNodeError),
        ("24-7@br", UnknownNodeError),
        ("day@kr", UnknownContactPointError),
        ("24-7@kr@kr", UnknownContactPointError),
        ("24-7@KR", UnknownContactPointError),
        ("24-7@kr", UnknownKeyError),
        ("kr", UnknownKeyError),
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
    directory.signing_key("24-7@kr", KID, NOW + HOUR - timedelta(milliseconds=1))
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@kr", KID, NOW + HOUR)


def test_key_is_refused_outside_its_validity() -> None:
    entry = DESK.signing_entry(NOW, NOW + HOUR)
    directory = _directory(_office(signing_keys=(entry,)))
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@kr", KID, NOW - timedelta(milliseconds=1))
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@kr", KID, NOW + HOUR)


@pytest.mark.parametrize("status", [CardStatus.SUSPENDED, CardStatus.REVOKED])
def test_suspended_office_signed_validly_before_but_not_since(status: CardStatus) -> None:
    directory = _directory(with_status(_office(), status, NOW + HOUR))
    directory.signing_key("24-7@kr", KID, NOW)
    directory.sealing_key(OFFICE, NOW)
    for look_up in (
        lambda: directory.signing_key("24-7@kr", KID, NOW + HOUR),
        lambda: directory.sealing_key(OFFICE, NOW + HOUR),
        lambda: directory.require_active("24-7@kr", NOW + HOUR),
    ):
        with pytest.raises(RevokedError, match=status.value):
            look_up()
    assert directory.contact_point(OFFICE).status is status


def test_suspended_nation_is_suspended_with_all_its_offices() -> None:
    directory = _directory(node=with_status(_node(), CardStatus.SUSPENDED, NOW + HOUR))
    directory.signing_key("24-7@kr", KID, NOW)
    with pytest.raises(RevokedError):
        directory.signing_key("24-7@kr", KID, NOW + HOUR)
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
    assert directory.node_of_origin("test/kr") == "kr"
    assert directory.origin("kr") == "test/kr"
    verifier = directory.log_verifier("test/kr")
    assert verifier.origin == "test/kr"
    assert directory.log_verifier("test/kr") is verifier
    assert directory.log_verifier("kr").origin == "test/kr"
    for unknown in ("test/fr", "br"):
        with pytest.raises(UnknownNodeError):
            directory.log_verifier(unknown)
    with pytest.raises(UnknownNodeError):
        directory.node_of_origin("test/fr")


def test_earlier_log_of_a_node_stays_verifiable() -> None:
    earlier = generate_node_keys("kr", ["127.0.0.1"], NOW).log_card("old/kr", NOW - HOUR)
    directory = _directory(node=_node(previous_logs=(earlier,)))
    assert directory.node_of_origin("old/kr") == "kr"
    assert directory.log_verifier("old/kr").origin == "old/kr"


def test_node_without_an_address_of_its_own_is_reached_by_relay() -> None:
    card = node_card("kr", NODE, "test/kr", NOW, name="Korea", relay="fr")
    with pytest.raises(UnknownNodeError, match="relay"):
        _directory(node=card).url("kr")
    assert _directory().url("kr") == "https://127.0.0.1:8443"
    assert _directory().tls_certificates("kr") == [NODE.tls.certificate]
