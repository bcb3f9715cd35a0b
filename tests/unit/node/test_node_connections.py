"""Which connections have to go when there are too many: never the newest of somebody unknown, never one in use."""

from __future__ import annotations

import pytest

from node.http.connections import Connection, Connections
from node.http.descriptors import Descriptors
from protocol.errors import RateLimitedError


class Opened:
    """Connections of a test by number, and the numbers of those that were ended."""

    def __init__(self, unknown: int = 4, per_network: int = 2, per_key: int = 2) -> None:
        self.connections = Connections(unknown, per_network, per_key)
        self.ended: list[int] = []
        self.made: list[Connection] = []

    def open(self, address: str = "192.0.2.1") -> Connection:
        number = len(self.made)
        connection = self.connections.opened(address, lambda: self.ended.append(number))
        self.made.append(connection)
        return connection


def test_the_oldest_unknown_connection_of_the_same_network_goes_first() -> None:
    opened = Opened()
    opened.open("192.0.2.9")
    for _ in range(4):
        opened.open("192.0.2.1")
    assert opened.ended == [1, 2]


def test_a_whole_ipv6_network_counts_as_one() -> None:
    opened = Opened()
    for number in range(5):
        opened.open(f"2001:db8::{number + 1}")
    assert opened.ended == [0, 1, 2]
    assert opened.connections.unknown == 2


def test_when_all_are_too_many_the_network_that_has_most_gives_up_its_oldest() -> None:
    opened = Opened(unknown=3, per_network=2)
    opened.open("192.0.2.9")
    opened.open("192.0.2.1")
    opened.open("192.0.2.1")
    opened.open("192.0.2.2")
    assert opened.ended == [1]


def test_a_connection_on_which_somebody_authenticated_is_not_among_the_unknown() -> None:
    opened = Opened()
    mine = opened.open()
    opened.connections.authenticated(mine, "24-7@jp")
    for _ in range(10):
        opened.open()
    assert 0 not in opened.ended
    assert len(opened.connections) == 3


def test_of_one_keys_connections_the_one_that_rested_longest_goes_and_none_in_use() -> None:
    opened = Opened(per_network=8, unknown=8)
    first, second, third, fourth = (opened.open() for _ in range(4))
    opened.connections.authenticated(first, "fr")
    opened.connections.authenticated(second, "fr")
    with opened.connections.serving(first):
        opened.connections.authenticated(third, "fr")
        assert opened.ended == [1]
        with opened.connections.serving(third), pytest.raises(RateLimitedError):
            opened.connections.authenticated(fourth, "fr")
        opened.connections.authenticated(fourth, "us")
    assert opened.ended == [1]


def test_shedding_takes_the_unknown_first_and_then_who_rests() -> None:
    opened = Opened()
    known, unknown = opened.open(), opened.open()
    opened.connections.authenticated(known, "fr")
    assert opened.connections.shed()
    assert opened.ended == [1]
    with opened.connections.serving(known):
        assert not opened.connections.shed()
    assert opened.connections.shed()
    assert not opened.connections.shed()
    opened.connections.closed(unknown)
    assert len(opened.connections) == 0


@pytest.mark.parametrize("limit", [64, 256, 1_024, 65_536])
def test_some_descriptors_are_never_for_connections(limit: int) -> None:
    descriptors = Descriptors(limit)
    assert 32 <= descriptors.spare <= 1_024
    assert descriptors.is_near(limit - descriptors.spare)
    assert not descriptors.is_near(limit - descriptors.spare - 1)
