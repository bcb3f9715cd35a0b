"""An auditor's figures: what hand-made logs with known times must come out as, and what suppression hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.period import ALWAYS, Period
from exchange.report import Suppression
from exchange.report._measures import Spread
from exchange.report.audit_figures import (
    MAX_REASONS,
    AuditedLog,
    AuditFigures,
    Deliveries,
    ReasonCount,
    StepTimes,
    audit_figures,
    stands_at,
)
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.errors import UsageError
from protocol.event import Event, EventName, LeafReference

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
TOKYO, PARIS, ACCRA = (Address("24-7", node) for node in ("jp", "fr", "gh"))
NONE = Suppression()


def event(name: EventName, number: int, after_s: float = 0, **more: Any) -> Event:
    """An event of message ``number``, logged so many seconds after T0."""
    return Event(
        name=name,
        at=T0 + after_s * SECOND,
        message_id=new_message_id(T0, number.to_bytes(10, "big")),
        digest=number.to_bytes(32, "big"),
        salt=bytes(16),
        **more,
    )


def log(node: str, events: Sequence[Event], findings: Sequence[tuple[int | None, str]] = (), **more: Any) -> AuditedLog:
    entries = list(enumerate(events))
    return AuditedLog(node, f"test/{node}", len(entries), T0 + timedelta(days=1), entries, findings, **more)


def figures(*logs: AuditedLog, period: Period = ALWAYS, below: int = 0) -> AuditFigures:
    return audit_figures(logs, period, T0 + timedelta(days=2), Suppression(below))


def at_desk(name: EventName, number: int, after_s: float, desk: Address = PARIS) -> Event:
    statement = None if name is EventName.ContentConsignment else b"stated"
    return event(name, number, after_s, recipient=desk, statement=statement)


def sent_to_paris(took: Sequence[float], submitted_s: float = 0) -> tuple[list[Event], list[Event]]:
    """The logs of jp and fr of messages that lay at Paris's desk so many seconds after submission."""
    reference = LeafReference("test/fr", 0, bytes(32))
    tokyo, paris = [], []
    for number, seconds in enumerate(took):
        tokyo.append(event(EventName.SubmissionAcceptance, number, submitted_s))
        tokyo.append(event(EventName.RelayAcceptance, number, submitted_s + 1, peer="fr", reference=reference))
        paris.append(event(EventName.RelayAcceptance, number, submitted_s + 1, peer="jp"))
        paris.append(at_desk(EventName.ContentConsignment, number, submitted_s + seconds))
    return tokyo, paris


def test_the_median_the_ninth_in_ten_and_the_longest_are_those_of_the_logs() -> None:
    tokyo, paris = sent_to_paris([5, 1, 2, 3, 4, 6, 7, 8, 9, 100])
    found = figures(log("jp", tokyo), log("fr", paris)).times
    assert found == (StepTimes("jp", "fr", "ContentConsignment", Spread(10, 5_000, 9_000, 100_000)),)


def test_every_step_is_measured_from_the_submission() -> None:
    tokyo, paris = sent_to_paris([2])
    paris += [
        at_desk(EventName.ContentHandover, 0, 60),
        at_desk(EventName.ContentAccessTracking, 0, 3600),
        at_desk(EventName.ContentAccessTracking, 0, 7200),
    ]
    found = figures(log("fr", paris), log("jp", tokyo)).times
    assert [(row.step, row.spread.median_ms) for row in found] == [
        ("ContentConsignment", 2_000),
        ("ContentHandover", 60_000),
        ("ContentAccessTracking", 3_600_000),
    ]


def test_the_order_in_which_logs_are_read_changes_nothing() -> None:
    tokyo, paris = sent_to_paris([1, 2, 3])
    assert figures(log("jp", tokyo), log("fr", paris)) == figures(log("fr", paris), log("jp", tokyo))


def test_a_time_before_the_submission_is_told_as_a_contradiction_and_not_measured() -> None:
    tokyo, paris = sent_to_paris([-3, 4])
    assert [row.spread for row in figures(log("jp", tokyo), log("fr", paris)).times] == [
        Spread(1, 4_000, 4_000, 4_000, backwards=1)
    ]


def test_messages_are_counted_by_pair_and_month() -> None:
    tokyo, paris = sent_to_paris([1, 2])
    later_tokyo, later_paris = sent_to_paris([0, 0, 5], submitted_s=20 * 86_400)
    # Only the third of the later ones: a message of its own, in the next month.
    found = figures(log("jp", [*tokyo, *later_tokyo[4:]]), log("fr", [*paris, *later_paris[4:]]))
    assert found.deliveries == (Deliveries("jp", "fr", "2026-11", 2), Deliveries("jp", "fr", "2026-12", 1))
    assert found.messages == 3


def test_a_message_to_two_desks_counts_for_each() -> None:
    tokyo, paris = sent_to_paris([1])
    paris.append(at_desk(EventName.ContentConsignment, 0, 2, Address.parse("lyon@fr")))
    assert figures(log("jp", tokyo), log("fr", paris)).messages == 2


def test_without_the_recipients_log_what_was_handed_over_counts() -> None:
    tokyo, paris = sent_to_paris([1, 2])
    assert figures(log("jp", tokyo)).deliveries == (Deliveries("jp", "fr", "2026-11", 2),)
    # Without the sender's log, the receiving node's word for whom it came from.
    assert figures(log("fr", paris)).deliveries == (Deliveries("jp", "fr", "2026-11", 2),)
    assert figures(log("fr", paris)).times == ()


def test_a_relay_is_no_second_delivery_and_keeps_the_sender() -> None:
    to_relay, on = (LeafReference(f"test/{node}", 0, bytes(32)) for node in ("fr", "gh"))
    tokyo = [
        event(EventName.SubmissionAcceptance, 1),
        event(EventName.RelayAcceptance, 1, peer="fr", reference=to_relay),
    ]
    relay = [
        event(EventName.RelayAcceptance, 1, 1, peer="jp"),
        event(EventName.RelayAcceptance, 1, 2, peer="gh", reference=on),
    ]
    accra = [
        event(EventName.RelayAcceptance, 1, 2, peer="fr"),
        at_desk(EventName.ContentConsignment, 1, 3, ACCRA),
    ]
    wanted = (Deliveries("jp", "gh", "2026-11", 1),)
    assert figures(log("jp", tokyo), log("fr", relay), log("gh", accra)).deliveries == wanted
    assert figures(log("jp", tokyo), log("fr", relay)).deliveries == wanted
    assert figures(log("fr", relay)).deliveries == wanted


def test_an_entry_with_a_finding_is_an_event_and_measures_nothing() -> None:
    tokyo, paris = sent_to_paris([1, 2])
    found = figures(log("jp", tokyo), log("fr", paris, [(3, "wrong-place"), (None, "log-fork"), (3, "repeated")]))
    assert found.messages == 1
    assert [row.spread.count for row in found.times] == [1]
    assert sum(row.count or 0 for row in found.events if row.event == "ContentConsignment") == 2
    assert [(row.code, row.count) for row in found.findings] == [("log-fork", 1), ("repeated", 1), ("wrong-place", 1)]
    assert [health.findings for health in found.logs] == [3, 0]


def test_only_the_period_counts_and_a_message_of_it_may_arrive_later() -> None:
    tokyo, paris = sent_to_paris([1, 7200])
    period = Period(T0, T0 + timedelta(hours=1))
    found = figures(log("jp", tokyo), log("fr", paris), period=period)
    assert found.messages == 1
    assert [row.spread.count for row in found.times] == [2]
    assert figures(log("jp", tokyo), log("fr", paris), period=Period(T0 + timedelta(days=1))).messages == 0


def test_reasons_are_counted_and_no_log_can_flood_the_report_with_them() -> None:
    refused = [
        event(EventName.RelayRejection, number, peer="fr", reasons=(f"made-up-{number:03}",)) for number in range(100)
    ]
    refused += [event(EventName.RelayRejection, 200 + n, peer="fr", reasons=("expired", "expired")) for n in range(3)]
    found = figures(log("jp", refused)).reasons
    assert len(found) == MAX_REASONS + 1
    assert ReasonCount("RelayRejection", "expired", 3) in found
    assert found[-1] == ReasonCount("RelayRejection", "", 100 - (MAX_REASONS - 1))


def test_a_logs_health_is_its_size_growth_age_and_what_its_checkpoint_lacks() -> None:
    (health,) = figures(log("jp", sent_to_paris([1])[0], missing_cosignatures=2), period=Period(T0 + SECOND)).logs
    assert (health.size, health.grown, health.behind_ms, health.missing_cosignatures) == (2, 1, 86_400_000, 2)


def test_a_report_stands_at_the_youngest_checkpoint_or_at_the_end_of_its_period() -> None:
    old = AuditedLog("fr", "test/fr", 0, T0, ())
    young = AuditedLog("jp", "test/jp", 0, T0 + timedelta(days=3), ())
    silent = AuditedLog("gh", "test/gh", 0, None, ())
    assert stands_at([old, silent, young], ALWAYS) == T0 + timedelta(days=3)
    assert stands_at([old, young], Period(None, T0 + timedelta(days=1))) == T0 + timedelta(days=1)
    assert stands_at([old, young], Period(None, T0 + timedelta(days=9))) == T0 + timedelta(days=3)
    assert stands_at([silent], Period(None, T0)) == T0
    with pytest.raises(UsageError):
        stands_at([silent], ALWAYS)


# --- Suppression ----------------------------------------------------------------------------------------------------


def test_what_fewer_than_the_threshold_have_in_common_is_in_no_table() -> None:
    tokyo, paris = sent_to_paris([1, 2, 3])
    month = Period(T0.replace(day=1, hour=0, minute=0), T0.replace(month=T0.month + 1, day=1, hour=0, minute=0))
    after = month.until + timedelta(hours=1) if month.until else T0
    logs = [replace(log("jp", tokyo), signed_at=after), replace(log("fr", paris), signed_at=after)]
    found = figures(*logs, period=month, below=5)
    assert (found.messages, found.deliveries, found.times, found.events, found.reasons) == (0, (), (), (), ())
    assert [(one.size, one.grown) for one in found.logs] == [(None, 0), (None, 0)]
    assert found.suppressed_below == 5


@given(st.lists(st.integers(0, 12), max_size=8), st.integers(0, 9))
def test_no_total_gives_away_a_part_that_was_left_out(numbers: list[int], below: int) -> None:
    suppression = Suppression(below)
    parts = [suppression.count(number) for number in numbers]
    total = suppression.total(parts)
    assert total in (None, sum(numbers))
    assert total is None or None not in parts
    assert below or total == sum(numbers)


@given(st.lists(st.integers(-5, 5_000), max_size=30), st.integers(0, 9))
def test_a_spread_is_of_times_that_occurred_and_to_publish_tells_no_count(measured: list[int], below: int) -> None:
    spread = Suppression(below).spread(measured)
    if below:
        assert (spread.count, spread.backwards, spread.max_ms) == (None, None, None)
        assert (spread.median_ms is None) == (sum(ms >= 0 for ms in measured) < max(1, below))
        return
    taken = [ms for ms in measured if ms >= 0]
    if spread.count:
        assert spread.median_ms is not None
        assert spread.p90_ms is not None
        assert {spread.median_ms, spread.p90_ms} <= set(taken)
        assert spread.median_ms <= spread.p90_ms <= max(taken) == spread.max_ms
        assert sum(ms <= spread.median_ms for ms in taken) * 2 >= len(taken)
        assert sum(ms < spread.median_ms for ms in taken) * 2 <= len(taken)
    else:
        assert (spread.median_ms, spread.p90_ms, spread.max_ms) == (None, None, None)


def test_figures_hold_no_id_of_a_message_and_no_address_of_an_office() -> None:
    tokyo, paris = sent_to_paris([1])
    told = repr(asdict(figures(log("jp", tokyo), log("fr", paris))))
    assert "24-7" not in told
    assert str(tokyo[0].message_id) not in told
    assert tokyo[0].digest.hex() not in told
