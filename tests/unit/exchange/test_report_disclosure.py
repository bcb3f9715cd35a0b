"""An attacker who holds all reports that were published, of all nations and months, and solves for what was left out.

The attacker knows the program, every kind of message there can be, and which kinds were left out of each log and
month. It does not know how many of those there were. From every number of every report it takes an equation, whose
coefficients it finds by running the program itself, and solves for the bounds of each unknown by linear programming.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linprog  # type: ignore[import-untyped]

from exchange.audit.period import Period
from exchange.report import Suppression
from exchange.report._courses import CountedRefusal, Course
from exchange.report.audit_document import audit_document
from exchange.report.audit_figures import AuditedLog, audit_figures
from exchange.report.language import Reader
from exchange.report.office_figures import CountedMessage, OfficeRecords, RefusedMessage, office_figures
from exchange.text.objects import plain
from exchange.views import Direction
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.errors import UsageError
from protocol.event import Event, EventName, LeafReference

BELOW = 5
NATIONS = ("fr", "jp", "us")
MONTHS = {month: datetime(2026, month, 1, tzinfo=UTC) for month in (9, 10, 11)}
PERIODS = {month: Period(MONTHS[month], MONTHS[month + 1]) for month in (9, 10)}

Kind = tuple[int, str, str, str]
"""Month, sender, recipient, and what became of it."""
OUTCOMES = ("waits", "handed over", "opened", "unclaimed", "refused", "failed")
World = Mapping[Kind, int]

# 98 - 97 = 1: what France's log says of all and of Japan's messages told of the one from the United States.
WORLD: World = {
    (9, "jp", "fr", "handed over"): 97,
    (9, "us", "fr", "handed over"): 1,
    (9, "jp", "fr", "opened"): 12,
    (9, "jp", "fr", "refused"): 2,
    (9, "fr", "jp", "failed"): 6,
    (9, "fr", "us", "waits"): 4,
    (10, "jp", "fr", "handed over"): 5,
    (10, "us", "jp", "unclaimed"): 3,
    (10, "us", "jp", "opened"): 30,
    (10, "us", "fr", "handed over"): 8,
    (10, "us", "fr", "opened"): 1,
}
STRANGE = (10, "jp", "us", "opened")
"""A kind of which there was nothing: whether there was is not to be told either."""


def logs_of(world: World) -> dict[str, list[Event]]:
    """What the nodes log of a world."""
    logs: dict[str, list[Event]] = {nation: [] for nation in NATIONS}
    number = 0
    for (month, sender, recipient, outcome), count in world.items():
        for _ in range(count):
            number += 1
            at = MONTHS[month] + timedelta(hours=2 + number % 600)
            for node, event in _events(number, at, sender, recipient, outcome):
                logs[node].append(event)
    return logs


def _events(number: int, at: datetime, sender: str, recipient: str, outcome: str) -> Iterator[tuple[str, Event]]:
    def event(name: EventName, **more: Any) -> Event:
        fields: dict[str, Any] = {"digest": number.to_bytes(32, "big"), "salt": bytes(16), **more}
        return Event(name, at, new_message_id(at, number.to_bytes(10, "big")), **fields)

    desk = Address("24-7", recipient)
    yield sender, event(EventName.SubmissionAcceptance)
    if outcome in ("refused", "failed"):
        name = EventName.RelayRejection if outcome == "refused" else EventName.RelayFailure
        yield sender, event(name, peer=recipient, reasons=(outcome,))
        if outcome == "refused":
            yield recipient, event(name, peer=sender, reasons=(outcome,))
        return
    reference = LeafReference(f"test/{recipient}", number, bytes(32))
    yield sender, event(EventName.RelayAcceptance, peer=recipient, reference=reference)
    yield recipient, event(EventName.RelayAcceptance, peer=sender)
    yield recipient, event(EventName.ContentConsignment, recipient=desk)
    if outcome == "unclaimed":
        yield recipient, event(EventName.ContentConsignmentFailure, recipient=desk, reasons=("expired-unclaimed",))
    if outcome in ("handed over", "opened"):
        yield recipient, event(EventName.ContentHandover, recipient=desk, statement=b"s")
    if outcome == "opened":
        yield recipient, event(EventName.ContentAccessTracking, recipient=desk, statement=b"s")


def published(world: World) -> dict[str, float]:
    """Every number of every report that somebody could publish: each month, and all sets of logs."""
    events, numbers = logs_of(world), {}
    for month, period in PERIODS.items():
        signed = MONTHS[month + 1] + timedelta(days=1)
        for count in range(1, len(NATIONS) + 1):
            for nodes in combinations(NATIONS, count):
                logs = [
                    AuditedLog(node, f"test/{node}", len(events[node]), signed, list(enumerate(events[node])))
                    for node in nodes
                ]
                figures = plain(audit_figures(logs, period, signed, Suppression(BELOW)))
                numbers |= _numbers(f"{month} {'+'.join(nodes)}", figures)
    return numbers


def _numbers(at: str, value: Any) -> dict[str, float]:
    """Every number in a JSON object, by where it stands; a row by what it is about."""
    if isinstance(value, dict):
        return {where: number for key, item in value.items() for where, number in _numbers(f"{at}/{key}", item).items()}
    if isinstance(value, list):
        found: dict[str, float] = {}
        for item in value:
            names = [str(part) for part in item.values() if isinstance(part, str)] if isinstance(item, dict) else []
            found |= _numbers(f"{at}[{' '.join(names)}]", item)
        return found
    return {at: float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else {}


def bounds(world: World, unknown: list[Kind]) -> dict[Kind, tuple[float, float]]:
    """What the attacker learns: the least and the most that each unknown count can be."""
    truth = published(world)
    places = sorted(truth)
    rows = {kind: np.zeros(len(places)) for kind in unknown}
    for kind in unknown:
        # The attacker's own run with one more, or one less, of this kind.
        step = 1 if world.get(kind, 0) < BELOW - 1 else -1
        moved = published({**world, kind: world.get(kind, 0) + step})
        for place in moved.keys() | truth.keys():
            change = (moved.get(place, 0.0) - truth.get(place, 0.0)) * step
            if place in truth:
                rows[kind][places.index(place)] = change
            else:
                assert not change, f"{kind} makes {place} appear"
    equations = np.array([rows[kind] for kind in unknown]).T
    right = equations @ np.array([world.get(kind, 0) for kind in unknown])
    learnt = {}
    for number, kind in enumerate(unknown):
        goal = np.zeros(len(unknown))
        goal[number] = 1
        limits = [(0, BELOW - 1)] * len(unknown)
        least = linprog(goal, A_eq=equations, b_eq=right, bounds=limits)
        most = linprog(-goal, A_eq=equations, b_eq=right, bounds=limits)
        learnt[kind] = (least.fun, -most.fun)
    return learnt


def test_every_count_that_was_left_out_keeps_as_many_possible_values_as_the_threshold() -> None:
    unknown = [*(kind for kind, count in WORLD.items() if count < BELOW), STRANGE]
    for kind, (least, most) in bounds(WORLD, unknown).items():
        assert round(most - least) + 1 >= BELOW, kind


@pytest.mark.parametrize("kind", [kind for kind, count in WORLD.items() if count < BELOW] + [STRANGE])
def test_all_reports_are_the_same_whatever_was_left_out_had_been(kind: Kind) -> None:
    """Stronger than any bounds: each of the possible values makes these very reports."""
    reports = {json.dumps(published({**WORLD, kind: count}), sort_keys=True) for count in (0, 2, BELOW - 1)}
    assert len(reports) == 1
    assert json.dumps(published({**WORLD, kind: BELOW}), sort_keys=True) not in reports


def test_every_count_in_a_report_is_none_or_at_least_the_threshold() -> None:
    numbers = published(WORLD)
    counts = {number for place, number in numbers.items() if place.endswith(("/count", "/messages", "/grown"))}
    assert counts
    assert all(count == 0 or count >= BELOW for count in counts)


def test_a_report_does_not_say_that_there_was_nothing_where_something_may_have_been_left_out() -> None:
    month = PERIODS[9]
    log = AuditedLog("jp", "test/jp", 0, MONTHS[11], ())
    for below, said in ((0, False), (BELOW, True)):
        figures = audit_figures([log], month, MONTHS[10], Suppression(below))
        text = str(audit_document(figures, Reader("en")))
        assert ("none, or left out" in text, "None, or all were left out." in text) == (said, said)
        assert ("No messages." in text) == (not said)


@pytest.mark.parametrize(
    ("since", "until", "signed"),
    [
        (None, None, datetime(2026, 12, 5, tzinfo=UTC)),
        (MONTHS[9], None, datetime(2026, 12, 5, tzinfo=UTC)),
        (MONTHS[9], MONTHS[11], datetime(2026, 12, 5, tzinfo=UTC)),
        (MONTHS[9], MONTHS[10] - timedelta(days=1), datetime(2026, 12, 5, tzinfo=UTC)),
        (MONTHS[9] + timedelta(hours=9), MONTHS[10] + timedelta(hours=9), datetime(2026, 12, 5, tzinfo=UTC)),
        (MONTHS[9], MONTHS[10], MONTHS[10]),
        (MONTHS[9], MONTHS[10], None),
    ],
)
def test_periods_whose_difference_is_of_few_are_refused(
    since: datetime | None, until: datetime | None, signed: datetime | None
) -> None:
    log = AuditedLog("jp", "test/jp", 0, signed, ())
    with pytest.raises(UsageError):
        audit_figures([log], Period(since, until), MONTHS[10], Suppression(BELOW))


# --- The reports of one office --------------------------------------------------------------------------------------


def office(cases: Mapping[str, int]) -> str:
    """The published figures of an office that had so many cases of each kind."""
    messages: list[CountedMessage] = []
    courses: list[Course] = []
    at, number = MONTHS[9] + timedelta(days=3), 0
    for kind, count in cases.items():
        for _ in range(count):
            number += 1
            thread = new_message_id(at, number.to_bytes(10, "big"))
            messages.append(CountedMessage(Direction.RECEIVED, "preservation.request", at, thread))
            if kind != "silent":
                messages.append(CountedMessage(Direction.SENT, "preservation.acknowledgement", at, thread))
            refusals = (CountedRefusal("24-7@fr", kind, at),) if kind.startswith("refused") else ()
            fields = (at, at, None, None, kind, (), (), refusals)
            courses.append(Course("preservation.request", "24-7@jp", *fields, thread=thread))
    refused = [RefusedMessage("open-failed", at)] * cases.get("silent", 0)
    records = OfficeRecords(Address("24-7", "fr"), messages, courses, refused, cases.get("silent", 0))
    return json.dumps(plain(office_figures(records, PERIODS[9], MONTHS[10], Suppression(BELOW))))


@pytest.mark.parametrize("kind", ["silent", "refused-other", "lapsed"])
def test_an_office_s_report_is_the_same_whatever_was_left_out_had_been(kind: str) -> None:
    cases = {"open": 60, "refused-sovereignty": 9, "silent": 2, "refused-other": 1, "lapsed": 4}
    assert len({office({**cases, kind: count}) for count in range(BELOW)}) == 1
    assert office({**cases, kind: BELOW}) != office(cases)
