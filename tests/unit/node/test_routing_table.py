"""Where a node sends a message on to, and what it refuses, follows from the directory and from who handed it over."""

from datetime import UTC, datetime, timedelta

import pytest

from keys.directory.cards import CardStatus, ContactPointCard, Function, Hosting, NodeCard
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from node.peers.routes import onward_route, route
from protocol.address import Address
from protocol.errors import (
    ForbiddenError,
    NotOnRouteError,
    RelayLoopError,
    RevokedError,
    TooManyHopsError,
    UnknownContactPointError,
)

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
NODE = generate_node_keys("jp", ["127.0.0.1"], NOW)
DESK = generate_desk_keys()
# jp and de are open; fr is behind de, la behind fr; va has no node and lives at fr.
RELAYS = {"jp": None, "de": None, "fr": "de", "la": "fr"}


def at(node: str) -> Address:
    return Address("24-7", node)


def directory(relays: dict[str, str | None] | None = None, **changes: CardStatus) -> Directory:
    relays = RELAYS if relays is None else relays
    nodes: list[NodeCard] = [
        node_card(name, NODE, f"test/{name}", NOW, name=name, urls=["https://127.0.0.1:1"], relay=relay).model_copy(
            update={"status": changes.get(name, CardStatus.ACTIVE)}
        )
        for name, relay in relays.items()
    ]
    points: list[ContactPointCard] = [
        contact_point_card(at(name), DESK, NOW, office="O", agency="A") for name in relays
    ]
    hosting = (Hosting(node="fr", since=NOW),)
    points.append(contact_point_card(at("va"), DESK, NOW, office="O", agency="A", hosting=hosting))
    return Directory(1, NOW + timedelta(days=1), nodes, points)


def test_a_message_is_handed_to_the_first_node_on_each_way() -> None:
    way = route("jp", [at("jp"), at("de"), at("fr"), at("la"), at("va")], directory(), NOW)
    assert way.local == (at("jp"),)
    assert dict(way.onward) == {"de": (at("de"), at("fr"), at("la"), at("va"))}
    assert dict(route("la", [at("jp")], directory(), NOW).onward) == {"fr": (at("jp"),)}


def test_a_hosted_recipient_is_local_at_the_host() -> None:
    assert route("fr", [at("va")], directory(), NOW).local == (at("va"),)


def test_each_node_on_the_way_takes_its_own_and_hands_on_the_rest() -> None:
    everyone = [at("de"), at("fr"), at("la"), at("va")]
    first = onward_route("de", "jp", at("jp"), everyone, directory(), NOW)
    assert (first.local, dict(first.onward)) == ((at("de"),), {"fr": (at("fr"), at("la"), at("va"))})
    second = onward_route("fr", "de", at("jp"), everyone, directory(), NOW)
    assert (second.local, dict(second.onward)) == ((at("fr"), at("va")), {"la": (at("la"),)})


@pytest.mark.parametrize(
    ("own", "peer", "recipient"),
    [("fr", "jp", "fr"), ("fr", "la", "fr"), ("jp", "de", "fr"), ("de", "fr", "la"), ("la", "de", "la")],
)
def test_what_the_directory_does_not_send_this_way_is_refused(own: str, peer: str, recipient: str) -> None:
    with pytest.raises(NotOnRouteError):
        onward_route(own, peer, at("jp"), [at(recipient)], directory(), NOW)


def test_a_loop_or_too_long_a_way_is_refused_at_submission_and_on_the_way() -> None:
    loop = directory({"jp": None, "de": "fr", "fr": "de"})
    with pytest.raises(RelayLoopError):
        route("jp", [at("fr")], loop, NOW)
    with pytest.raises(RelayLoopError):
        onward_route("de", "jp", at("jp"), [at("fr")], loop, NOW)
    deep = directory({"jp": None, "de": None, "fr": "de", "la": "fr", "ki": "la", "tv": "ki"})
    assert dict(route("jp", [at("ki")], deep, NOW).onward) == {"de": (at("ki"),)}
    with pytest.raises(TooManyHopsError):
        route("jp", [at("tv")], deep, NOW)


def test_a_way_that_is_broken_for_one_recipient_does_not_cost_the_others_theirs() -> None:
    view = directory({"jp": None, "de": None, "fr": "la", "la": "fr"})
    way = onward_route("de", "jp", at("jp"), [at("de"), at("la"), Address("24-7", "zz")], view, NOW)
    assert (way.local, dict(way.onward)) == ((at("de"),), {})


def test_a_suspended_node_on_the_way_stops_a_message_before_it_leaves() -> None:
    with pytest.raises(RevokedError):
        route("jp", [at("la")], directory(fr=CardStatus.SUSPENDED), NOW)
    with pytest.raises(RevokedError):
        onward_route("de", "jp", at("jp"), [at("la")], directory(fr=CardStatus.SUSPENDED), NOW)


def test_a_recipient_of_ours_that_nobody_knows_is_refused_as_unknown() -> None:
    with pytest.raises(UnknownContactPointError):
        onward_route("fr", "de", at("jp"), [Address("nobody", "fr")], directory(), NOW)


def test_a_contact_point_that_does_not_exchange_messages_gets_none() -> None:
    auditor = contact_point_card(at("fr"), DESK, NOW, office="O", agency="A", functions=(Function.AUDIT,))
    nodes = [
        node_card(name, NODE, f"test/{name}", NOW, name=name, urls=["https://127.0.0.1:1"]) for name in ("jp", "fr")
    ]
    view = Directory(1, NOW, nodes, [auditor, contact_point_card(at("jp"), DESK, NOW, office="O", agency="A")])
    with pytest.raises(ForbiddenError):
        onward_route("fr", "jp", at("jp"), [at("fr")], view, NOW)
