"""What ends is told in time: 60, 30, 7 and 1 days before, once a day, and in the health of the node."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys.directory.metadata.expiry import Expiry, expiries
from keys.directory.view import Directory, SignedFacts
from keys.members.federation import contact_point_card, node_card, with_revoked_key
from keys.members.identity import KEY_LIFETIME, generate_desk_keys, generate_node_keys
from node.operations.expiry_watch import ExpiryWatch
from node.operations.metrics import Metrics
from protocol.address import Address

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
NODE, DESK = generate_node_keys("jp", ["127.0.0.1"], NOW), generate_desk_keys()
NODE_CARD = node_card("jp", NODE, "test/jp", NOW, name="jp", urls=["https://127.0.0.1:1"])
OFFICE = contact_point_card(Address.parse("24-7@jp"), DESK, NOW, office="Office", agency="Police")
ROLES = {"root": NOW + 45 * DAY, "timestamp": NOW + 3 * DAY, "nation-jp": NOW + 20 * DAY, "nation-fr": NOW + 2 * DAY}


def directory(**roles: datetime) -> Directory:
    ends = {**ROLES, **roles}
    return Directory(1, min(ends.values()), [NODE_CARD], [OFFICE], SignedFacts("Test", ends))


@pytest.mark.parametrize(
    ("days", "level"), [(61, None), (60, 60), (31, 60), (30, 30), (8, 30), (7, 7), (2, 7), (1, 1), (0.1, 1), (-1, 0)]
)
def test_the_level_is_the_smallest_that_the_end_is_within(days: float, level: int | None) -> None:
    assert Expiry("root", "Test", NOW + days * DAY).level(NOW) == level


@pytest.mark.parametrize(("days", "level"), [(3, None), (1, 1), (-1, 0)])
def test_what_is_renewed_daily_is_told_of_on_its_last_day_only(days: int, level: int | None) -> None:
    assert Expiry("timestamp", "Test", NOW + days * DAY).level(NOW) == level


def test_everything_of_ones_own_is_listed_and_nothing_of_another_nation() -> None:
    found = {(expiry.what, expiry.subject) for expiry in expiries(directory(), "jp")}

    assert found == {
        ("root", "Test"),
        ("timestamp", "Test"),
        ("nation-jp", "Test"),
        ("signing-key", "jp"),
        ("tls-certificate", "jp"),
        ("signing-key", "24-7@jp"),
        ("sealing-key", "24-7@jp"),
    }


def test_a_revoked_key_is_not_waited_for() -> None:
    office = with_revoked_key(OFFICE, DESK.opener().kid, NOW)
    known = Directory(1, NOW + DAY, [NODE_CARD], [office])

    assert ("sealing-key", "24-7@jp") not in {(expiry.what, expiry.subject) for expiry in expiries(known, "jp")}


class Lines:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append((event, fields))

    debug = info = error = warning


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def watch(known: Directory) -> tuple[ExpiryWatch, Lines, Clock, Metrics]:
    lines, clock, metrics = Lines(), Clock(), Metrics()
    return ExpiryWatch("jp", lambda: known, clock, metrics, lines), lines, clock, metrics


def test_each_thing_that_is_near_is_logged_once_a_day_and_when_it_comes_nearer() -> None:
    watching, lines, clock, _ = watch(directory())
    watching.look()
    watching.look()
    first = [(fields["source"], fields["days"]) for _, fields in lines.lines]
    clock.now += DAY
    watching.look()

    assert first == [("nation-jp", 30), ("root", 60)]
    assert len(lines.lines) == 4


def test_health_tells_of_what_ends_within_a_week_and_of_what_is_over() -> None:
    watching, _, clock, _ = watch(directory())
    assert watching.urgent() == []
    clock.now = NOW + 15 * DAY

    assert watching.urgent() == ["expires:timestamp:Test", "expires:nation-jp:Test"]


def test_the_metric_shows_the_next_end_of_each_kind() -> None:
    watching, _, _, metrics = watch(directory())
    watching.look()

    lines = metrics.render(None, 0, False).decode().splitlines()
    shown = {line.split('"')[1]: float(line.split()[-1]) for line in lines if line.startswith("comity_expires_t")}
    assert shown["root"] == (NOW + 45 * DAY).timestamp()
    assert shown["signing-key"] == (NOW + KEY_LIFETIME).timestamp()
