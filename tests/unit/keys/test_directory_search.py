"""Finding who is responsible, and who is on duty now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.directory.cards import CardStatus, ContactPointCard, Function
from keys.directory.duty_hours import next_on_duty, on_duty
from keys.directory.search import Wanted, find
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card, with_status
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)  # a Monday
DESK = generate_desk_keys()
NODE_KEYS = {name: generate_node_keys(name, ["127.0.0.1"], NOW) for name in ("fr", "jp")}
OFFICE_HOURS = [{"days": ["mon", "tue", "wed", "thu", "fri"], "opens": "09:00", "closes": "17:30"}]
NIGHT = [{"days": ["sat"], "opens": "22:00", "closes": "06:00"}]


def office(address: str = "24-7@fr", **more: Any) -> ContactPointCard:
    return contact_point_card(Address.parse(address), DESK, NOW, office="Cyber", agency="Police", **more)


def directory(*cards: ContactPointCard) -> Directory:
    nodes = [
        node_card(name, keys, f"test/{name}", NOW, name=name, urls=["https://127.0.0.1:1"], country=name.upper())
        for name, keys in NODE_KEYS.items()
    ]
    return Directory(1, NOW + timedelta(days=1), nodes, cards)


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-23T08:59:59", False),
        ("2026-11-23T09:00:00", True),
        ("2026-11-23T17:29:59", True),
        ("2026-11-23T17:30:00", False),
        ("2026-11-22T12:00:00", False),
    ],
)
def test_office_hours_are_those_of_the_offices_own_clock(local: str, expected: bool) -> None:
    card = office(hours=OFFICE_HOURS, time_zone="Asia/Tokyo")
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Asia/Tokyo")).astimezone(UTC)

    assert on_duty(card, at) is expected


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-11-21T21:59:00", False),
        ("2026-11-21T23:00:00", True),
        ("2026-11-22T05:59:00", True),
        ("2026-11-22T06:00:00", False),
        ("2026-11-22T23:00:00", False),
    ],
)
def test_an_office_that_closes_after_midnight_is_open_into_the_next_day(local: str, expected: bool) -> None:
    card = office(hours=NIGHT, time_zone="Europe/Paris")
    at = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo("Europe/Paris"))

    assert on_duty(card, at) is expected


def test_the_opening_hour_follows_the_change_of_the_clock() -> None:
    card = office(hours=OFFICE_HOURS, time_zone="Europe/Paris")

    summer = next_on_duty(card, datetime(2026, 10, 23, 20, tzinfo=UTC))  # Friday; clocks change on Sunday

    assert summer is not None
    assert summer.astimezone(UTC) == datetime(2026, 10, 26, 8, tzinfo=UTC)
    assert summer.isoformat() == "2026-10-26T09:00:00+01:00"


def test_an_office_that_is_always_open_is_on_duty_in_any_zone() -> None:
    assert on_duty(office(time_zone="Nowhere/Atall"), NOW) is True


def test_an_unknown_zone_is_neither_open_nor_closed() -> None:
    card = office(hours=OFFICE_HOURS, time_zone="Nowhere/Atall")

    assert on_duty(card, NOW) is None
    assert next_on_duty(card, NOW) is None
    assert find(directory(card), Wanted(on_duty=True), NOW) == [card]


@given(
    st.integers(0, 730 * 86_400).map(lambda seconds: NOW + timedelta(seconds=seconds)),
    st.sampled_from(["Asia/Tokyo", "Europe/Paris", "America/St_Johns", "Pacific/Apia", "UTC"]),
    st.sampled_from([OFFICE_HOURS, NIGHT, [*OFFICE_HOURS, *NIGHT]]),
)
def test_the_next_opening_is_open_and_nothing_before_it_is(
    at: datetime, zone: str, hours: list[dict[str, Any]]
) -> None:
    card = office(hours=hours, time_zone=zone)

    opens = next_on_duty(card, at)

    assert opens is not None
    assert at <= opens <= at + timedelta(days=9)
    assert on_duty(card, opens)
    if opens > at:
        assert not on_duty(card, at)
        assert not on_duty(card, opens - timedelta(seconds=1))


def test_what_is_wanted_is_found_and_nothing_else() -> None:
    paris = office("24-7@fr", languages=["fr", "en-GB"], competences=["Child protection"])
    tokyo = office("24-7@jp", languages=["ko"], competences=["Ransomware"], hours=OFFICE_HOURS, time_zone="Asia/Tokyo")
    known = directory(paris, tokyo)

    assert find(known, Wanted(), NOW) == [paris, tokyo]
    assert find(known, Wanted(country="jp"), NOW) == [tokyo]
    assert find(known, Wanted(language="en"), NOW) == [paris]
    assert find(known, Wanted(language="e"), NOW) == []
    assert find(known, Wanted(competence="child"), NOW) == [paris]
    assert find(known, Wanted(text="RANSOM"), NOW) == [tokyo]
    assert find(known, Wanted(on_duty=True), NOW + timedelta(hours=12)) == [paris]
    assert find(known, Wanted(), NOW + timedelta(hours=12)) == [paris, tokyo]
    assert find(known, Wanted(language="KO"), NOW) == [tokyo]
    assert find(known, Wanted(country="JP", language="fr"), NOW) == []


def test_who_is_wanted_has_every_function_that_is_asked_for() -> None:
    desk, both = office("24-7@fr"), office("24-7@jp", functions=["exchange", "audit"])
    known = directory(desk, both)

    assert find(known, Wanted(functions=[Function.EXCHANGE]), NOW) == [desk, both]
    assert find(known, Wanted(functions=[Function.AUDIT]), NOW) == [both]
    assert find(known, Wanted(functions=[Function.AUDIT, Function.EXCHANGE]), NOW) == [both]


def test_the_country_of_an_office_is_its_own_before_its_nodes() -> None:
    abroad = office("24-7@fr", country="BE")

    assert find(directory(abroad), Wanted(country="be"), NOW) == [abroad]
    assert find(directory(abroad), Wanted(country="fr"), NOW) == []


@pytest.mark.parametrize(("opens", "closes"), [("02:00", "03:00"), ("02:30", "03:10")])
def test_an_opening_that_the_change_of_the_clock_swallows_is_none(opens: str, closes: str) -> None:
    card = office(hours=[{"days": ["sun"], "opens": opens, "closes": closes}], time_zone="Europe/Paris")

    following = next_on_duty(card, datetime(2027, 3, 27, 12, tzinfo=UTC))  # the clocks go from 2 to 3 the next day

    assert following is not None
    assert following.isoformat() == f"2027-04-04T{opens}:00+02:00"


def test_an_office_that_closes_at_the_hour_at_which_it_opens_is_open_for_a_day() -> None:
    card = office(hours=[{"days": ["mon"], "opens": "09:00", "closes": "09:00"}])

    assert on_duty(card, NOW.replace(hour=9)) is True
    assert on_duty(card, NOW.replace(hour=8, minute=59) + timedelta(days=1)) is True
    assert on_duty(card, NOW.replace(hour=9) + timedelta(days=1)) is False


def test_who_is_suspended_is_found_only_when_asked_for() -> None:
    suspended = with_status(office(), CardStatus.SUSPENDED, NOW)
    known = directory(suspended)

    assert find(known, Wanted(), NOW) == []
    assert find(known, Wanted(inactive=True), NOW) == [suspended]
