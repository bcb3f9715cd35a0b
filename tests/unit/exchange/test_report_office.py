"""An office's figures: the course of cases with known times, and a real desk's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.period import ALWAYS, Period
from exchange.report import Suppression
from exchange.report._courses import Course, Due, How, course_of
from exchange.report._measures import Spread
from exchange.report.office_figures import (
    CodeCount,
    CountedMessage,
    DeadlineCount,
    GroundCount,
    Lapses,
    OfficeFigures,
    OfficeRecords,
    RefusedMessage,
    StateCount,
    Volume,
    WordTimes,
    office_figures,
)
from exchange.views import Direction
from protocol.address import Address
from protocol.lifecycle import facts as f
from protocol.lifecycle.case import AnyCase
from protocol.lifecycle.deadlines import Deadline, deadlines
from protocol.lifecycle.profiles import NationalClocks
from protocol.lifecycle.rules import Side
from tests.worlds.desks import FR, JP, World, request

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
HOUR_MS = 3_600_000
TOKYO, PARIS = str(JP), str(FR)
EXPIRY = T0 + 90 * DAY


def uid(number: int) -> UUID:
    return UUID(int=number)


OPENING = f.Submitted(
    message_id=uid(1),
    at=T0,
    by=TOKYO,
    targets=("t1",),
    thread=uid(1),
    requested=(PARIS,),
    minimum_days=60,
    urgency="urgent",
)
DELIVERED = f.Delivered(message_id=uid(1), at=T0 + HOUR, by=PARIS)
BEGUN: tuple[f.CaseFact, ...] = (OPENING, DELIVERED)


def acknowledged(at: datetime) -> f.Acknowledged:
    return f.Acknowledged(message_id=uid(2), at=at, by=PARIS, about=uid(1), will_answer="yes")


def preserved(number: int, at: datetime, expires_at: datetime = EXPIRY, about: int = 1) -> f.Preserved:
    return f.Preserved(
        message_id=uid(number),
        at=at,
        by=PARIS,
        about=uid(about),
        targets=("t1",),
        preserved_at=T0,
        expires_at=expires_at,
    )


PRESERVED = preserved(3, T0 + 3 * HOUR)


def by_tokyo(kind: type[f.CaseFact], number: int, at: datetime) -> f.CaseFact:
    return kind(message_id=uid(number), at=at, by=TOKYO, about=uid(3), targets=("t1",))


def confirmed(received_at: datetime) -> f.CaseFact:
    """The request that followed (message 6) has arrived."""
    return f.FollowUpArrived(
        message_id=uid(10),
        at=received_at + HOUR,
        by=PARIS,
        about=uid(6),
        targets=("t1",),
        authority="Ministry of Justice",
        file_number="MOJ-1",
        received_at=received_at,
    )


def within_the_union(case: AnyCase) -> Sequence[Deadline]:
    """What is due, as between two States that Directive 2013/40 binds."""
    return deadlines(case, NationalClocks(nations=frozenset({"fr", "de"})))


def course(*facts: f.CaseFact, as_of: datetime = T0 + 400 * DAY, due: Due = deadlines) -> Course:
    found = course_of(facts, as_of, due)
    assert found is not None
    return found


def figures(
    *courses: Course,
    office: Address = JP,
    period: Period = ALWAYS,
    as_of: datetime = T0 + 400 * DAY,
    below: int = 0,
    messages: Iterable[CountedMessage] = (),
    refused: Iterable[RefusedMessage] = (),
) -> OfficeFigures:
    return office_figures(OfficeRecords(office, messages, courses, refused), period, as_of, Suppression(below))


# --- The course of a case -------------------------------------------------------------------------------------------


def test_acknowledgement_and_answer_are_measured_from_proved_receipt() -> None:
    found = course(*BEGUN, acknowledged(T0 + 2 * HOUR), PRESERVED)
    assert (found.received_at, found.acknowledged_at, found.answered_at) == (T0 + HOUR, T0 + 2 * HOUR, T0 + 3 * HOUR)
    for office, ours in ((JP, True), (FR, False)):
        assert figures(found, office=office).times == (
            WordTimes(ours, "preservation.request", "acknowledgement", Spread(1, HOUR_MS, HOUR_MS, HOUR_MS)),
            WordTimes(ours, "preservation.request", "answer", Spread(1, 2 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS)),
        )


def test_an_answer_that_comes_first_acknowledges_as_well() -> None:
    found = course(*BEGUN, PRESERVED)
    assert found.acknowledged_at == found.answered_at == T0 + 3 * HOUR


@pytest.mark.parametrize(("hours", "in_time", "late"), [(8, 1, 0), (9.01, 0, 1)])
def test_an_acknowledgement_is_in_time_or_late_by_its_clock(hours: float, in_time: int, late: int) -> None:
    # Urgent: eight hours after receipt, which was an hour after T0.
    def counted(due: Due) -> DeadlineCount:
        found = course(*BEGUN, acknowledged(T0 + hours * HOUR), as_of=T0 + DAY, due=due)
        return next(row for row in figures(found).deadlines if row.what == "acknowledgement")

    assert counted(within_the_union) == DeadlineCount(False, "acknowledgement", in_time, late, 0, 0, 0)
    # Between Japan and France the eight hours are a target, and nobody is late by it.
    assert counted(deadlines) == DeadlineCount(False, "acknowledgement", in_time, 0, 0, 0, 0, passed=late)


@pytest.mark.parametrize(("as_of", "running", "overdue"), [(T0 + 2 * HOUR, 1, 0), (T0 + 9 * HOUR, 0, 1)])
def test_what_is_not_done_runs_and_is_overdue_from_its_due_time_on(as_of: datetime, running: int, overdue: int) -> None:
    found = figures(course(*BEGUN, as_of=as_of, due=within_the_union), office=FR, as_of=as_of)
    assert found.deadlines == (DeadlineCount(True, "acknowledgement", 0, 0, running, 0, overdue),)
    aims = figures(course(*BEGUN, as_of=as_of), office=FR, as_of=as_of)
    assert aims.deadlines == (DeadlineCount(True, "acknowledgement", 0, 0, running, 0, 0, passed=overdue),)


def test_what_is_withdrawn_was_neither_answered_nor_acknowledged() -> None:
    withdrawn = f.Withdrawn(message_id=uid(9), at=T0 + 2 * HOUR, by=TOKYO, about=uid(1))
    found = course(*BEGUN, withdrawn)
    assert (found.acknowledged_at, found.answered_at) == (None, None)
    assert [(settled.what, settled.how) for settled in found.settled] == [("acknowledgement", How.ENDED)]
    assert figures(found).deadlines == ()


def test_an_expiry_that_is_moved_in_the_time_of_warning_is_a_lapse_prevented() -> None:
    ask = f.ExtensionAsked(
        message_id=uid(4), at=EXPIRY - 10 * DAY, by=TOKYO, about=uid(3), targets=("t1",), until=EXPIRY + 90 * DAY
    )
    extended = preserved(5, EXPIRY - 9 * DAY, EXPIRY + 90 * DAY, about=4)
    before = EXPIRY + 30 * DAY
    found = course(*BEGUN, PRESERVED, ask, extended, as_of=before)
    settled = [settled for settled in found.settled if settled.what == "expiry"]
    assert [(one.how, one.side, one.due, one.at) for one in settled] == [
        (How.EXTENDED, Side.REQUESTER, EXPIRY, EXPIRY - 9 * DAY)
    ]
    assert figures(found, as_of=before).lapses == (Lapses(True, 1, 0, 0, prevented=1, lapsed=0, near=0),)


def test_an_expiry_that_is_moved_long_before_prevents_no_lapse() -> None:
    ask = f.ExtensionAsked(
        message_id=uid(4), at=T0 + 10 * DAY, by=TOKYO, about=uid(3), targets=("t1",), until=EXPIRY + 90 * DAY
    )
    extended = preserved(5, T0 + 11 * DAY, EXPIRY + 90 * DAY, about=4)
    as_of = EXPIRY + 80 * DAY
    found = figures(course(*BEGUN, PRESERVED, ask, extended, as_of=as_of), as_of=as_of)
    assert found.lapses == (Lapses(True, 0, 0, 0, prevented=0, lapsed=0, near=1),)


def test_a_follow_up_prevents_the_lapse_when_it_is_received_and_a_release_when_it_is_said() -> None:
    follow_up = by_tokyo(f.FollowedUp, 6, EXPIRY - 5 * DAY)
    received = confirmed(EXPIRY - 4 * DAY)
    assert figures(course(*BEGUN, PRESERVED, follow_up, received)).lapses == (Lapses(True, 0, 1, 0, 1, 0, 0),)
    released = by_tokyo(f.Released, 7, EXPIRY - DAY)
    assert figures(course(*BEGUN, PRESERVED, released)).lapses == (Lapses(True, 0, 0, 1, 1, 0, 0),)


@pytest.mark.parametrize(
    "after",
    [
        (),
        (by_tokyo(f.Closed, 8, EXPIRY + DAY),),
        (by_tokyo(f.FollowedUp, 6, EXPIRY - DAY), confirmed(EXPIRY + DAY)),
    ],
)
def test_a_lapse_stays_a_lapse_whatever_is_done_later(after: tuple[f.CaseFact, ...]) -> None:
    found = course(*BEGUN, PRESERVED, *after)
    assert figures(found).lapses == (Lapses(True, 0, 0, 0, prevented=0, lapsed=1, near=0),)
    assert figures(found, period=Period(EXPIRY + DAY)).lapses == ()


def test_refusals_are_counted_by_ground_and_by_who_refused() -> None:
    refused = f.Refused(
        message_id=uid(3), at=T0 + 2 * HOUR, by=PARIS, about=uid(1), targets=("t1",), ground="political_offence"
    )
    found = course(*BEGUN, refused)
    assert figures(found).refusals == (GroundCount(False, "political_offence", 1),)
    assert figures(found, office=FR).refusals == (GroundCount(True, "political_offence", 1),)
    assert figures(found, period=Period(T0 + DAY)).refusals == ()


def test_a_case_is_told_as_it_stood_at_the_end_of_the_period() -> None:
    facts = (*BEGUN, acknowledged(T0 + 2 * HOUR), PRESERVED)
    assert course(*facts, as_of=T0 + 2 * HOUR).state == "acknowledged"
    assert course(*facts, as_of=T0 + DAY).state == "preserved"
    assert course_of(facts, T0 - HOUR, deadlines) is None


@given(st.randoms(use_true_random=False))
def test_the_course_does_not_depend_on_the_order_in_which_messages_came(random: Random) -> None:
    facts = [
        *BEGUN,
        acknowledged(T0 + 2 * HOUR),
        PRESERVED,
        by_tokyo(f.FollowedUp, 6, EXPIRY - 5 * DAY),
        confirmed(EXPIRY - 4 * DAY),
    ]
    wanted = course(*facts)
    random.shuffle(facts)
    assert course(*facts, facts[0]) == wanted


# --- Counting -------------------------------------------------------------------------------------------------------


def test_messages_and_refused_ones_are_counted_in_the_period() -> None:
    messages = [
        CountedMessage(Direction.SENT, "answer", T0),
        CountedMessage(Direction.SENT, "answer", T0 + DAY),
        CountedMessage(Direction.RECEIVED, "answer", T0 + 30 * DAY),
    ]
    refused = [RefusedMessage("open-failed", T0), RefusedMessage("open-failed", T0 + 60 * DAY)]
    found = figures(messages=messages, refused=refused, period=Period(T0, T0 + 40 * DAY))
    assert found.volumes == (Volume("2026-11", "sent", "answer", 2), Volume("2026-12", "received", "answer", 1))
    assert (found.sent, found.received) == (2, 1)
    assert found.quarantined == (CodeCount("open-failed", 1),)


def test_small_counts_are_left_out_of_every_table() -> None:
    refused = f.Refused(message_id=uid(3), at=T0 + 2 * HOUR, by=PARIS, about=uid(1), targets=("t1",), ground="other")
    messages = [CountedMessage(Direction.SENT, "answer", T0)]
    found = figures(
        course(*BEGUN, refused),
        course(*BEGUN, PRESERVED),
        below=5,
        messages=messages,
        refused=[RefusedMessage("x", T0)],
        period=Period(T0.replace(day=1, hour=0), T0.replace(month=12, day=1, hour=0)),
    )
    assert (found.sent, found.received, found.erased_cases) == (0, 0, None)
    assert (found.volumes, found.times, found.deadlines, found.lapses) == ((), (), (), ())
    assert (found.refusals, found.states, found.quarantined) == ((), (), ())


# --- A real desk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def test_both_desks_tell_the_same_times_of_one_case(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        world.clock.advance(minutes=5)
        await fr.messages.sync()
        world.clock.advance(hours=2)
        await fr.replies.acknowledge(sent.id, will_answer="yes", form="message", eta=world.clock() + HOUR)
        await jp.messages.sync()
        progress: list[tuple[int, int]] = []
        asked = await jp.cases.figures(ALWAYS, Suppression(), lambda done, total: progress.append((done, total)))
        answered = await fr.cases.figures(ALWAYS, Suppression())
    spread = Spread(1, 2 * HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS)
    assert asked.times == (WordTimes(True, "preservation.request", "acknowledgement", spread),)
    assert answered.times == (WordTimes(False, "preservation.request", "acknowledgement", spread),)
    assert (asked.sent, asked.received, answered.sent, answered.received) == (1, 1, 1, 1)
    assert asked.states == (StateCount(True, "preservation.request", "acknowledged", 1),)
    assert [row for row in asked.deadlines if row.what == "acknowledgement"] == [
        DeadlineCount(False, "acknowledgement", 1, 0, 0, 0, 0)
    ]
    assert progress == [(1, 1)]


async def test_a_past_periods_figures_do_not_change_when_more_happens(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        world.clock.advance(hours=1)
        period = Period(None, world.clock())
        world.clock.advance(hours=1)
        before = await jp.cases.figures(period, Suppression())
        await jp.messages.send(request())
        world.clock.advance(days=40)
        assert await jp.cases.figures(period, Suppression()) == before
        assert (before.sent, before.as_of) == (1, period.until)


async def test_a_desks_figures_hold_nothing_of_what_its_cases_are_about(world: World) -> None:
    async with world.open(JP) as jp:
        draft = request()
        sent = await jp.messages.send(draft)
        told = repr(await jp.cases.figures(ALWAYS, Suppression()))
    assert str(sent.id) not in told
    assert "Claire" not in told
    for target in draft["targets"]:
        assert repr(target["target"]) not in told


async def test_of_an_erased_case_only_its_messages_are_counted(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        await jp.office.erase_case(sent.thread, "ordered")
        found = await jp.cases.figures(ALWAYS, Suppression())
    assert (found.sent, found.erased_cases, found.states) == (1, 1, ())


# --- For the office alone ---------------------------------------------------------------------------------------------


def test_requests_are_counted_by_how_far_they_got_and_a_later_step_counts_as_each_earlier_one() -> None:
    acknowledgement = acknowledged(T0 + 3 * HOUR)
    courses = [
        course(OPENING),
        course(*BEGUN),
        replace(course(*BEGUN), read_at=T0 + 2 * HOUR),
        course(*BEGUN, acknowledgement),
        course(*BEGUN, acknowledgement, preserved(3, T0 + 4 * HOUR)),
    ]
    found = figures(*courses)
    assert [(step.step, step.requests) for step in found.funnel] == [
        ("submitted", 5), ("received", 4), ("opened", 3), ("acknowledged", 2), ("answered", 1),
    ]  # fmt: skip
    (replies,) = found.replies
    assert (replies.ours, replies.urgency, replies.spread.count) == (True, "urgent", 2)
    assert (replies.spread.median_ms, replies.target_ms) == (2 * 3_600_000, 8 * 3_600_000)
    assert figures(*courses, office=FR).funnel == ()  # it asked for nothing


def test_messages_are_counted_by_pair_and_month_and_not_at_all_for_publication() -> None:
    at = [T0, T0, T0 + 10 * DAY]
    messages = [
        CountedMessage(direction, "note", when, None, ("fr",))
        for direction, when in zip((Direction.SENT, Direction.RECEIVED, Direction.SENT), at, strict=True)
    ]
    found = figures(messages=messages)
    assert [(row.nation, row.month, row.sent, row.received) for row in found.pairs] == [
        ("fr", "2026-11", 1, 1), ("fr", "2026-12", 1, 0),
    ]  # fmt: skip
    month = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    published = figures(messages=messages, below=2, period=month)
    assert (published.pairs, published.funnel, published.replies) == ((), (), ())
