"""The way between nodes follows from the directory: the same for everyone, without loops, bounded, reversible."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.directory.card_rules import check_history
from keys.directory.cards import ContactPointCard, Hosting, NodeCard
from keys.directory.routes import MAX_HOPS, node_path
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import (
    CeremonyError,
    ForbiddenError,
    MalformedError,
    RelayLoopError,
    TooManyHopsError,
    UnknownNodeError,
)

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
KEYS = generate_node_keys("jp", ["127.0.0.1"], NOW)
DESK = generate_desk_keys()
NAMES = [f"n{letter}" for letter in "abcdefgh"]


def directory(relays: dict[str, str | None]) -> Directory:
    cards = [
        node_card(name, KEYS, f"test/{name}", NOW, name=name, urls=["https://127.0.0.1:1"], relay=relay)
        for name, relay in relays.items()
    ]
    return Directory(1, NOW + timedelta(days=1), cards, [])


def contact_point(*hosting: Hosting) -> ContactPointCard:
    where = Address.parse("24-7@va")
    return contact_point_card(where, DESK, NOW, office="O", agency="A", hosting=hosting)


def test_nodes_without_relay_reach_each_other_directly() -> None:
    assert node_path(directory({"jp": None, "fr": None}), "jp", "fr") == ("jp", "fr")


def test_the_way_goes_up_the_senders_relays_and_down_the_recipients() -> None:
    view = directory({"jp": None, "fr": None, "la": "jp", "ki": "fr", "tv": "ki"})
    assert node_path(view, "la", "tv") == ("la", "jp", "fr", "ki", "tv")


def test_the_way_turns_at_the_relay_that_both_sides_share() -> None:
    view = directory({"jp": None, "la": "jp", "ki": "jp", "tv": "ki"})
    assert node_path(view, "la", "ki") == ("la", "jp", "ki")
    assert node_path(view, "la", "jp") == ("la", "jp")
    assert node_path(view, "ki", "tv") == ("ki", "tv")
    assert node_path(view, "la", "la") == ("la",)


def test_relays_that_name_each_other_are_a_refused_loop() -> None:
    with pytest.raises(RelayLoopError):
        node_path(directory({"jp": None, "la": "ki", "ki": "la"}), "jp", "la")


def test_a_way_of_more_than_four_hops_is_refused() -> None:
    view = directory({"jp": None, "fr": None, "la": "jp", "ki": "fr", "tv": "ki", "nu": "la"})
    assert MAX_HOPS == 4
    with pytest.raises(TooManyHopsError):
        node_path(view, "nu", "tv")


def test_a_relay_that_the_directory_does_not_have_is_refused() -> None:
    with pytest.raises(UnknownNodeError):
        node_path(directory({"jp": None, "la": "zz"}), "jp", "la")


@pytest.mark.long
@given(st.lists(st.sampled_from([None, *range(8)]), min_size=8, max_size=8), st.integers(0, 7), st.integers(0, 7))
def test_every_way_is_without_repeats_bounded_and_its_own_reverse(
    relays: list[int | None], source: int, destination: int
) -> None:
    named = {
        name: None if at is None or at == n else NAMES[at]
        for n, (name, at) in enumerate(zip(NAMES, relays, strict=True))
    }
    view = directory(named)
    try:
        path = node_path(view, NAMES[source], NAMES[destination])
    except (RelayLoopError, TooManyHopsError):
        return
    assert path[0] == NAMES[source]
    assert path[-1] == NAMES[destination]
    assert len(set(path)) == len(path) <= MAX_HOPS + 1
    assert node_path(view, NAMES[destination], NAMES[source]) == path[::-1]


def test_a_contact_point_is_served_by_its_nations_node_unless_another_hosts_it() -> None:
    day = timedelta(days=1)
    card = contact_point(Hosting(node="de", since=NOW), Hosting(node="fr", since=NOW + day))
    assert [card.served_by(NOW + n * day / 2) for n in (-1, 0, 1, 2, 3)] == ["va", "de", "de", "fr", "fr"]


def test_a_node_may_state_only_what_happened_while_it_served() -> None:
    day = timedelta(days=1)
    moved = contact_point(Hosting(node="de", since=NOW), Hosting(node="fr", since=NOW + day))
    view = Directory(1, NOW + day, [], [moved])
    view.require_served(moved.address, "de", NOW + day / 2, NOW + 2 * day)
    with pytest.raises(ForbiddenError):
        view.require_served(moved.address, "de", NOW + day, NOW + 2 * day)
    with pytest.raises(ForbiddenError):
        view.require_served(moved.address, "fr", NOW, NOW + day / 2)


def test_hosting_entries_stand_in_the_order_of_their_time() -> None:
    with pytest.raises(MalformedError):
        contact_point(Hosting(node="de", since=NOW), Hosting(node="fr", since=NOW))


def test_who_hosted_a_contact_point_cannot_be_rewritten() -> None:
    before = contact_point(Hosting(node="de", since=NOW))
    other = contact_point(Hosting(node="fr", since=NOW))
    earlier = before.model_copy(
        update={"hosting": (*before.hosting, Hosting(node="fr", since=NOW - timedelta(days=1)))}
    )
    for after in (other, earlier, contact_point()):
        with pytest.raises(CeremonyError):
            check_history(before, after)
    later = contact_point(*before.hosting, Hosting(node="fr", since=NOW + timedelta(days=1)))
    check_history(before, later)


def test_cards_of_nodes_keep_their_relay() -> None:
    card: NodeCard = directory({"jp": None, "la": "jp"}).node("la")
    assert card.relay == "jp"
