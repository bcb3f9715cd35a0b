"""The way between nodes follows from the directory: the same for everyone, without loops, bounded, reversible."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.directory.card_rules import check_history
from keys.directory.cards import ContactPointCard, FilesCard, Hosting, NodeCard, NodeFilesCard
from keys.directory.routes import MAX_HOPS, node_path, require_files
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card, with_files
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import (
    CeremonyError,
    FileNotSupportedError,
    ForbiddenError,
    MalformedError,
    RelayLoopError,
    TooManyHopsError,
    UnknownContactPointError,
    UnknownNodeError,
    UsageError,
)
from protocol.files.file_list import FileSet

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


# --- Who takes files -----------------------------------------------------------------------------------------------

TOKYO, PARIS = Address.parse("24-7@jp"), Address.parse("24-7@fr")
SET = FileSet(bytes(32), 2, 5_000)
TAKES, DESK_TAKES = NodeFilesCard(versions=(1,), max_total_bytes=5_000), FilesCard(versions=(1,), max_total_bytes=5_000)
WAY = {"jp": "la", "la": None, "ki": None, "fr": "ki"}


def takers(nodes: dict[str, NodeFilesCard | None], desk: FilesCard | None = DESK_TAKES, **more: Any) -> Directory:
    """The nodes of a way from jp by la and ki to fr, each with what its card says of files, and an office in fr."""
    said = dict.fromkeys(WAY, TAKES) | nodes
    cards = [
        node_card(
            name, KEYS, f"test/{name}", NOW, name=name, urls=["https://127.0.0.1:1"], relay=relay, files=said[name]
        )
        for name, relay in WAY.items()
    ]
    offices = [
        contact_point_card(one, DESK, NOW, office="O", agency="A", **{"files": desk, **(more if one == PARIS else {})})
        for one in (TOKYO, PARIS)
    ]
    return Directory(1, NOW + timedelta(days=1), cards, offices)


def cannot(view: Directory, files: FileSet = SET) -> str:
    with pytest.raises(FileNotSupportedError) as refusal:
        require_files(view, TOKYO, [PARIS], files, NOW)
    return refusal.value.detail


def test_files_go_where_every_card_on_the_way_says_so() -> None:
    require_files(takers({}), TOKYO, [PARIS], SET, NOW)


@pytest.mark.parametrize("node", WAY)
def test_a_sender_is_told_of_each_node_and_desk_that_takes_no_files_or_not_so_many_bytes(node: str) -> None:
    assert cannot(takers({node: None})) == f"the node {node} takes no files that are sealed as this program seals them"
    other = NodeFilesCard(versions=(2,), max_total_bytes=5_000)
    assert f"the node {node} takes no files" in cannot(takers({node: other}))
    small = NodeFilesCard(versions=(1,), max_total_bytes=4_999)
    told = cannot(takers({node: small}))
    assert told == f"the node {node} takes files of at most 4999 bytes together, and these have 5000"
    assert cannot(takers({}, None)).startswith("the desk of 24-7@fr takes no files")
    both = cannot(takers({node: None}, FilesCard(versions=(1,), max_total_bytes=1)))
    assert "the desk of 24-7@fr takes files of at most 1 bytes" in both
    assert f"the node {node}" in both


def test_files_pass_only_by_the_nodes_that_their_nation_names() -> None:
    def through(*nodes: str) -> Directory:
        return takers({"jp": NodeFilesCard(versions=(1,), max_total_bytes=5_000, through=nodes)})

    require_files(through("ki", "la"), TOKYO, [PARIS], SET, NOW)
    assert cannot(through("la")) == "files of jp may not pass by ki"
    assert cannot(through()) == "files of jp may not pass by la; files of jp may not pass by ki"
    # Another nation's word about its own files is not about these.
    require_files(
        takers({"la": NodeFilesCard(versions=(1,), max_total_bytes=5_000, through=())}), TOKYO, [PARIS], SET, NOW
    )


def test_a_hosted_desk_takes_files_at_the_node_that_serves_it() -> None:
    hosted = {"hosting": (Hosting(node="la", since=NOW - timedelta(days=1)),)}
    require_files(takers({"fr": None, "ki": None}, **hosted), TOKYO, [PARIS], SET, NOW)
    assert "the node la" in cannot(takers({"la": None}, **hosted))


def test_a_recipient_or_node_that_is_not_known_is_asked_for_and_not_passed_over() -> None:
    with pytest.raises(UnknownContactPointError):
        require_files(takers({}), TOKYO, [Address.parse("nobody@fr")], SET, NOW)


@pytest.mark.parametrize("wrong", [{"versions": ()}, {"max_total_bytes": 0}, {"max_total_bytes": 1 << 53}])
def test_a_card_that_takes_files_says_which_and_how_many_bytes(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedError):
        takers({}, {"versions": (1,), "max_total_bytes": 1, **wrong})  # type: ignore[arg-type]


def test_what_a_card_says_of_files_is_changed_member_by_member_and_ways_are_for_nodes_to_say() -> None:
    node = node_card("jp", KEYS, "test/jp", NOW, name="jp", urls=["https://127.0.0.1:1"])
    changed = with_files(with_files(node, {"max_total_bytes": 7}, NOW), {"through": ("fr",)}, NOW)
    assert changed.files == NodeFilesCard(versions=(1,), max_total_bytes=7, through=("fr",))
    desk = contact_point_card(TOKYO, DESK, NOW, office="O", agency="A")
    assert with_files(desk, {"max_total_bytes": 7}, NOW).files == FilesCard(versions=(1,), max_total_bytes=7)
    for card in (changed, desk):
        assert with_files(card, None, NOW).files is None
        assert with_files(with_files(card, None, NOW), {}, NOW).files is not None
    with pytest.raises(UsageError):
        with_files(desk, {"through": ("fr",)}, NOW)
