"""Every clause of the lifecycles by itself: at its edge, and on either side of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from protocol.codes import Confidence
from protocol.lifecycle import facts as f
from protocol.lifecycle import ordering, profiles
from protocol.lifecycle.assistance import AssistanceCase, fold_assistance
from protocol.lifecycle.assistance_rules import ASSISTANCE_RULES, EMERGENCY_RULES, AssistanceState
from protocol.lifecycle.case import AnyCase, fold_any, is_over
from protocol.lifecycle.clocks import acknowledgement_due, due_at, expires_in, expiry_warnings
from protocol.lifecycle.conversation import ConversationCase
from protocol.lifecycle.deadlines import Deadline, DueKind, deadlines, overdue
from protocol.lifecycle.folding import Pause
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.preservation import CentralLeg, PreservationCase, RequestState, TargetCase, state_at
from protocol.lifecycle.preservation_rules import RULES, State
from protocol.lifecycle.profiles import (
    NO_NATIONAL_CLOCKS,
    AcknowledgementProfile,
    AnswerProfile,
    NationalClocks,
    PreservationProfile,
    acknowledgement_clock,
    minimum_days,
)
from protocol.lifecycle.rules import Rule, Side, by_state_and_fact
from protocol.lifecycle.warnings import level_at, next_change, step_name

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOKYO, PARIS, LYON, STRANGER = "24-7@jp", "24-7@fr", "lyon@fr", "24-7@zz"
PRESERVATION, ASSISTANCE, EMERGENCY = "preservation.request", "assistance.request", "emergency.request"
EXPIRY = T0 + 60 * DAY


UNION = NationalClocks(nations=frozenset({"fr", "de"}))
BETWEEN_FRANCE_AND_JAPAN = NationalClocks(nations=frozenset({"fr", "jp"}))


def uid(number: int) -> UUID:
    return UUID(int=number)


class Story:
    """A request and facts about it, an hour apart unless they say when. Delivered at once."""

    def __init__(self, kind: str, targets: tuple[str, ...] = ("t1",), **fields: Any) -> None:
        fields = {"minimum_days": 60 if kind == PRESERVATION else 0, "requested": (PARIS,), **fields}
        opening = f.Submitted(message_id=uid(1), at=T0, by=TOKYO, targets=targets, thread=uid(1), kind=kind, **fields)
        self.facts: list[f.CaseFact] = [opening, f.Delivered(message_id=uid(1), at=T0, by=PARIS)]

    def add(
        self, kind: type[f.CaseFact], by: str, *targets: str, at: datetime | None = None, about: int = 1, **fields: Any
    ) -> Story:
        number = len(self.facts)
        at = at or T0 + number * HOUR
        self.facts.append(kind(message_id=uid(number + 1), at=at, by=by, about=uid(about), targets=targets, **fields))
        return self

    def delivered(self, at: datetime, by: str = PARIS) -> Story:
        """The last message is."""
        self.facts.append(f.Delivered(message_id=self.facts[-1].message_id, at=at, by=by))
        return self

    def preserved(self, at: datetime = T0, until: datetime = EXPIRY, **fields: Any) -> Story:
        return self.add(f.Preserved, PARIS, at=at, preserved_at=T0, expires_at=until, **fields)

    def confirmed(self, received_at: datetime = T0, by: str = PARIS, **fields: Any) -> Story:
        """The request that followed has arrived."""
        told = {"authority": "Ministry of Justice", "file_number": "MOJ-1", "received_at": received_at}
        return self.add(f.FollowUpArrived, by, about=self.last, **told, **fields)

    @property
    def last(self) -> int:
        return self.facts[-1].message_id.int

    @property
    def case(self) -> Any:
        return fold_any(self.facts)

    @property
    def reasons(self) -> list[str]:
        return [entry.reason.code for entry in self.case.out_of_order]

    @property
    def states(self) -> list[str]:
        """Of its targets; nothing is out of order."""
        assert self.reasons == []
        return [str(target.state) for target in self.case.targets]


def due(case: AnyCase, national: NationalClocks = NO_NATIONAL_CLOCKS) -> dict[str, datetime | None]:
    return {deadline.what: deadline.due for deadline in deadlines(case, national)}


# --- Assistance -----------------------------------------------------------------------------------------------------


def test_an_emergency_is_what_opened_as_one():
    assert Story(EMERGENCY).case.is_emergency
    assert not Story(ASSISTANCE).case.is_emergency
    assert not fold_assistance((), emergency=True).is_emergency


def test_the_date_of_use_counts_from_its_instant_on_and_only_for_what_is_not_answered():
    wanted = T0 + DAY
    asked = Story(ASSISTANCE, wanted_by=wanted).case
    assert asked.state_at(wanted - HOUR) is AssistanceState.DELIVERED
    assert asked.state_at(wanted) is AssistanceState.EXPIRED_UNANSWERED
    assert [asked.is_over(wanted - HOUR), asked.is_over(wanted)] == [False, True]
    assert Story(ASSISTANCE).case.state_at(T0 + 999 * DAY) is AssistanceState.DELIVERED
    answered = Story(ASSISTANCE, wanted_by=wanted).add(f.Answered, PARIS).case
    assert answered.state_at(wanted) is AssistanceState.ANSWERED
    assert answered.is_over(T0)


def test_a_forwarded_request_is_over_when_its_answer_is_of_no_use_any_more():
    wanted = T0 + DAY
    forwarded = Story(ASSISTANCE, wanted_by=wanted).add(f.Forwarded, PARIS).case
    assert [forwarded.is_over(wanted - HOUR), forwarded.is_over(wanted)] == [False, True]
    assert not Story(ASSISTANCE).add(f.Forwarded, PARIS).case.is_over(T0 + 999 * DAY)


def test_a_supplement_stays_owed_after_the_date_of_use():
    owed = Story(EMERGENCY, wanted_by=T0 + DAY).add(f.Answered, PARIS).case
    assert not owed.is_over(T0 + 2 * DAY)
    assert Story(EMERGENCY).add(f.Refused, PARIS).case.is_over(T0)


def test_conditions_that_are_answered_one_by_one_move_only_what_waits_for_them():
    story = Story(ASSISTANCE).add(f.Answered, PARIS).add(f.ConditionsProposed, PARIS, conditions=("c1", "c2"))
    story.add(f.ConditionsAccepted, TOKYO, conditions=("c1",))
    assert story.states == ["answered"]
    assert story.case.targets[0].open_conditions == ("c2",)


def test_conditions_are_agreed_once_all_are():
    story = Story(ASSISTANCE).add(f.ConditionsProposed, PARIS, conditions=("c1", "c2"))
    assert story.add(f.ConditionsAccepted, TOKYO, conditions=("c1",)).states == ["accepted_with_conditions"]
    assert story.add(f.ConditionsAccepted, TOKYO, conditions=("c2",)).states == ["conditions_agreed"]


def test_the_first_answer_and_the_first_supplement_give_the_time():
    story = Story(EMERGENCY).add(f.Supplemented, TOKYO).add(f.Supplemented, TOKYO)
    assert story.case.targets[0].supplemented_at == story.facts[-2].at
    story = Story(ASSISTANCE).add(f.Answered, PARIS).add(f.Answered, PARIS)
    assert story.case.targets[0].answered_at == story.facts[-2].at


def test_no_row_begins_in_a_state_that_only_the_clock_reaches():
    for rule in (*ASSISTANCE_RULES, *EMERGENCY_RULES):
        assert AssistanceState.EXPIRED_UNANSWERED not in rule.before


@pytest.mark.parametrize("first", [f.Refused, f.Withdrawn])
def test_an_emergency_that_ended_may_be_closed_again_by_either(first: type[f.CaseFact]):
    by = TOKYO if first is f.Withdrawn else PARIS
    for closing in (TOKYO, PARIS):
        assert Story(EMERGENCY).add(first, by).add(f.Closed, closing).reasons == []


def test_what_was_disclosed_in_an_emergency_may_be_added_to():
    assert Story(EMERGENCY).add(f.Answered, PARIS).add(f.Answered, PARIS).states == ["supplement_due"]
    assert Story(EMERGENCY).add(f.Closed, TOKYO).states == ["closed"]
    assert Story(EMERGENCY).add(f.Answered, PARIS).add(f.Closed, TOKYO).reasons == ["target_state"]


def test_a_table_has_one_row_for_each_state_and_fact():
    row: Rule[Any] = Rule((State.DRAFT,), f.Submitted, None, None, "any")
    with pytest.raises(ValueError, match="two rules for submitted in draft"):
        by_state_and_fact([row, row])


# --- Any thread -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PRESERVATION, ASSISTANCE, EMERGENCY, "information.spontaneous"])
def test_a_thread_without_its_opening_is_over_and_one_that_waits_is_not(kind: str):
    story = Story(kind, offers=True)
    assert not is_over(story.case, T0)
    assert is_over(fold_any(story.facts[1:]), T0)
    inside = replace(story.facts[0], message_id=uid(2))  # a request inside the thread of another
    assert fold_any([inside]).opening is None


def test_a_conversation_waits_only_for_an_offer_and_for_what_cannot_be_read():
    information = "information.spontaneous"
    told = Story(information).case
    assert told.is_over(T0)
    assert not replace(told, unread=(uid(1),)).is_over(T0)
    assert replace(told, unread=(uid(2),)).is_over(T0)
    offered = Story(information, offers=True)
    assert not offered.case.is_over(T0)
    assert not replace(offered.case, unread=(uid(1),)).is_over(T0)
    assert offered.add(f.ConditionsDeclined, PARIS).case.is_over(T0)
    assert ConversationCase(None, (), (), ()).is_over(T0)


# --- Clocks and deadlines -------------------------------------------------------------------------------------------


def test_a_clock_that_ran_out_is_not_paused_and_one_that_runs_is():
    assert due_at(T0, HOUR, [Pause(T0 + HOUR)]) == T0 + HOUR
    assert due_at(T0, HOUR, [Pause(T0 + HOUR - timedelta(seconds=1))]) is None
    assert due_at(T0, HOUR, [Pause(T0, T0 + DAY)]) == T0 + HOUR + DAY
    assert due_at(T0, HOUR, [Pause(T0, T0 + DAY), Pause(T0 + HOUR, T0 + 2 * DAY)]) == T0 + HOUR + 2 * DAY
    assert due_at(T0, HOUR, [Pause(T0, T0)]) == T0 + HOUR


def test_no_receipt_no_clock():
    assert acknowledgement_due(fold_any(())) is None
    assert acknowledgement_due(fold_any(Story(ASSISTANCE).facts[:1])) is None
    assert acknowledgement_due(Story(ASSISTANCE, urgency="urgent").case) == T0 + 8 * HOUR
    assert acknowledgement_due(AssistanceCase(None, (), (), (), delivered_at=T0)) is None


RUNNING = TargetCase("t1", State.PRESERVED, expires_at=EXPIRY)
CONFIRMED = CentralLeg(file_number="MOJ-1", received_at=EXPIRY - HOUR, confirmed_at=EXPIRY - HOUR)
SUSPENDED = replace(RUNNING, state=State.FOLLOWED_UP, central=CONFIRMED)


@pytest.mark.parametrize(
    ("target", "runs"),
    [
        (RUNNING, True),
        (replace(RUNNING, expires_at=None), False),
        (replace(RUNNING, state=State.RELEASED), False),
        (SUSPENDED, False),
        (replace(SUSPENDED, central=CentralLeg(announced_at=T0)), True),
        (replace(SUSPENDED, central=None), True),
        (replace(SUSPENDED, renewal=True), True),
        (replace(SUSPENDED, state=State.EXTENDED), True),
        (replace(SUSPENDED, state=State.FOLLOW_UP_REFUSED), True),
        (replace(SUSPENDED, state=State.FOLLOW_UP_REFUSED, central=replace(CONFIRMED, decided_at=EXPIRY - HOUR)), True),
        (replace(SUSPENDED, state=State.FOLLOW_UP_REFUSED, central=replace(CONFIRMED, decided_at=EXPIRY)), False),
    ],
)
def test_an_expiry_runs_unless_the_request_that_followed_is_confirmed_and_needs_no_renewal(
    target: TargetCase, runs: bool
):
    case = PreservationCase(None, (target,), (), ())
    assert expires_in(target, T0) == (EXPIRY - T0 if runs else None)
    assert case.expires_at == (EXPIRY if runs else None)
    assert not replace(target, expires_at=None).expiry_suspended
    assert (state_at(target, EXPIRY) is State.LAPSED) == runs
    assert state_at(target, EXPIRY - HOUR) is target.state


def test_the_expiry_of_a_case_is_the_first_of_those_that_run():
    later, none = replace(RUNNING, expires_at=EXPIRY + DAY), replace(RUNNING, expires_at=None)
    assert PreservationCase(None, (later, none, RUNNING, SUSPENDED), (), ()).expires_at == EXPIRY


def test_expiry_is_warned_of_from_each_step_on_until_it_comes():
    case = PreservationCase(None, (RUNNING, TargetCase("t2"), replace(RUNNING, name="t3")), (), ())

    def days(before: timedelta) -> list[int]:
        return [warning.days for warning in expiry_warnings(case, EXPIRY - before) if warning.target == "t1"]

    assert [days(21 * DAY + HOUR), days(21 * DAY), days(7 * DAY + HOUR), days(7 * DAY)] == [[], [21], [21], [7]]
    assert [days(HOUR), days(timedelta(0)), days(-DAY)] == [[2], [], []]
    assert [warning.target for warning in expiry_warnings(case, EXPIRY - DAY)] == ["t1", "t3"]
    assert expiry_warnings(replace(case, targets=(SUSPENDED,)), EXPIRY - DAY) == ()


def test_what_is_due_first_stands_first_and_is_late_only_afterwards():
    story = Story(ASSISTANCE, instrument="eu_police_exchange", urgency="urgent")
    story.add(f.Reported, PARIS, next_update_by=T0 + 2 * HOUR)
    assert [deadline.what for deadline in deadlines(story.case)] == ["next_update", "acknowledgement", "answer"]
    assert [deadline.what for deadline in overdue(story.case, T0 + 2 * HOUR)] == []
    assert [deadline.what for deadline in overdue(story.case, T0 + 3 * HOUR)] == ["next_update"]
    story.add(f.ClarificationAsked, PARIS, pauses=True)
    assert [d.what for d in deadlines(story.case)] == ["next_update", "acknowledgement", "clarification", "answer"]
    assert [deadline.what for deadline in overdue(story.case, T0 + 99 * DAY)] == ["next_update"]
    assert [d.what for d in overdue(story.case, T0 + 99 * DAY, UNION)] == ["next_update", "acknowledgement"]


@pytest.mark.parametrize(
    ("national", "instrument", "kinds"),
    [
        (UNION, "eu_police_exchange", {"acknowledgement": "law", "answer": "law"}),
        (BETWEEN_FRANCE_AND_JAPAN, "eu_police_exchange", {"acknowledgement": "target", "answer": "target"}),
        (NationalClocks(nations=frozenset({"fr", "dk"})), "eio", {"acknowledgement": "target", "decision": "target"}),
        (NationalClocks(nations=frozenset({"europol", "fr"})), None, {"acknowledgement": "target"}),
    ],
)
def test_an_instruments_clock_is_law_only_between_nations_that_it_binds(
    national: NationalClocks, instrument: str | None, kinds: dict[str, str]
):
    case = Story(ASSISTANCE, instrument=instrument, urgency="urgent").case
    assert {d.what: d.kind.value for d in deadlines(case, national)} == kinds
    late = {d.what for d in overdue(case, T0 + 400 * DAY, national)}
    assert late == {what for what, kind in kinds.items() if kind == "law"}


def test_what_the_addresses_say_decides_where_the_directory_says_nothing():
    within = Story(ASSISTANCE, urgency="urgent")
    within.facts[0] = replace(within.facts[0], by="24-7@de")
    assert [d.kind for d in deadlines(within.case)] == [DueKind.LAW]
    assert [d.kind for d in deadlines(Story(ASSISTANCE, urgency="urgent").case)] == [DueKind.TARGET]


def test_each_due_date_says_whose_it_is():
    declared = replace(answer(5), acknowledgement=acknowledged(2, "urgent").acknowledgement)
    story = Story(ASSISTANCE, urgency="urgent").add(f.Reported, PARIS, next_update_by=T0 + DAY)
    assert {d.what: d.kind.value for d in deadlines(story.case, declared)} == {
        "acknowledgement": "declared",
        "answer": "declared",
        "next_update": "promised",
    }
    owed = Story(EMERGENCY, supplement_by=T0 + DAY).add(f.Answered, PARIS)
    assert {d.what: d.kind.value for d in deadlines(owed.case)} == {"supplement": "promised"}
    kept = Story(PRESERVATION).preserved()
    assert {d.what: d.kind.value for d in deadlines(kept.case)} == {"expiry": "declared"}


def test_what_must_be_got_from_others_has_three_days_when_it_is_urgent():
    story = Story(ASSISTANCE, instrument="eu_police_exchange", urgency="urgent")
    assert due(story.case)["answer"] == T0 + 8 * HOUR
    assert due(story.add(f.Reported, PARIS, delay="workload").case)["answer"] == T0 + 8 * HOUR
    story.add(f.Reported, PARIS, delay="provider")
    assert [d.due for d in deadlines(story.case) if d.what == "answer"] == [T0 + 3 * DAY]


def test_what_was_promised_is_due_while_something_is_open_and_the_answer_before_the_next_word():
    reported = {"eta": T0 + 5 * DAY, "next_update_by": T0 + DAY}
    assert due(Story(PRESERVATION).add(f.Reported, PARIS, **reported).case)["next_update"] == T0 + 5 * DAY
    later = Story(PRESERVATION).add(f.Reported, PARIS, next_update_by=T0 + DAY)
    assert due(later.case)["next_update"] == T0 + DAY
    assert set(due(later.preserved(at=T0 + 9 * HOUR).case)) == {"expiry"}
    refused = Story(PRESERVATION).add(f.Reported, PARIS, **reported).add(f.Refused, PARIS)
    assert due(refused.case) == {}
    assert "next_update" not in due(Story(PRESERVATION).case)


def test_an_outcome_acknowledges_the_request_as_well():
    assert set(due(Story(PRESERVATION).case)) == {"acknowledgement"}
    assert set(due(Story(PRESERVATION).preserved().case)) == {"expiry"}
    assert due(Story(PRESERVATION).add(f.NotHeld, PARIS).case) == {}
    assert due(Story(PRESERVATION).add(f.Acknowledged, PARIS).case) == {}
    assert due(Story(ASSISTANCE).add(f.Accepted, PARIS).case) == {}
    assert due(fold_any(Story(PRESERVATION).facts[:1])) == {}


def test_who_sent_what_no_rule_allows_is_owed_an_explanation_by_the_other_side():
    story = Story(ASSISTANCE, urgency="urgent").add(f.Acknowledged, PARIS).add(f.Answered, TOKYO)
    wrong = story.facts[-1]
    (owed,) = [deadline for deadline in deadlines(story.case) if deadline.what == "explanation"]
    assert (owed.side, owed.due, owed.target) == (Side.REQUESTED, wrong.at + 8 * HOUR, str(wrong.message_id))
    assert "explanation" not in due(story.add(f.Explained, PARIS, about=wrong.message_id.int).case)
    story = Story(ASSISTANCE).add(f.Withdrawn, PARIS)
    assert [deadline.side for deadline in deadlines(story.case) if deadline.what == "explanation"] == [Side.REQUESTER]
    # A receipt and an explanation that nobody can use need none themselves.
    story = Story(ASSISTANCE).add(f.Explained, STRANGER)
    story.facts.append(f.Delivered(message_id=uid(1), at=T0 + DAY, by=TOKYO))
    assert sorted(story.reasons) == ["no_party", "requested_only"]
    assert "explanation" not in due(story.case)


def test_each_expiry_is_due_until_its_target_is_closed():
    story = Story(PRESERVATION, targets=("t1", "t2")).add(f.Preserved, PARIS, "t1", preserved_at=T0, expires_at=EXPIRY)
    assert due(story.case)["expiry"] == EXPIRY
    lapsed = story.add(f.Closed, TOKYO, "t1", at=EXPIRY + DAY)
    assert lapsed.reasons == []
    assert "expiry" not in due(lapsed.case)
    suspended = Story(PRESERVATION).preserved()
    suspended.add(f.FollowedUp, TOKYO, about=suspended.last).delivered(T0 + DAY)
    assert {"expiry", "confirm_follow_up"} <= set(due(suspended.case))
    suspended.confirmed()
    assert not {"expiry", "confirm_follow_up"} & set(due(suspended.case))
    # A nation that signed that it wants a renewal all the same is held to its expiry.
    assert due(suspended.case, NationalClocks(renewal=True))["expiry"] == EXPIRY


def answer(hours: int, *, kinds: tuple[str, ...] = (), urgency: tuple[str, ...] = ()) -> NationalClocks:
    profile = AnswerProfile("own", "answer", kinds, (), urgency, hours, "receipt", False, "own", "verified")
    return NationalClocks(answer=(profile,))


@pytest.mark.parametrize(
    ("kind", "fields", "national", "hours"),
    [
        (EMERGENCY, {}, NO_NATIONAL_CLOCKS, 8),
        (EMERGENCY, {"instrument": "eu_police_exchange"}, NO_NATIONAL_CLOCKS, 8),
        (ASSISTANCE, {"instrument": "budapest"}, NO_NATIONAL_CLOCKS, None),
        (ASSISTANCE, {"instrument": "eio"}, answer(5), None),  # the instrument's own clock runs from the decision
        (ASSISTANCE, {"instrument": "eu_e_evidence", "urgency": "emergency"}, answer(5), 8),
        (ASSISTANCE, {"instrument": "eu_e_evidence", "urgency": "routine"}, answer(5), 240),
        (EMERGENCY, {}, answer(5), 5),
        (ASSISTANCE, {}, answer(5), 5),
        (ASSISTANCE, {}, answer(5, kinds=(ASSISTANCE,)), 5),
        (ASSISTANCE, {}, answer(5, kinds=(EMERGENCY,)), None),
        (ASSISTANCE, {"urgency": "urgent"}, answer(5, urgency=("urgent",)), 5),
        (ASSISTANCE, {"urgency": "routine"}, answer(5, urgency=("urgent",)), None),
    ],
)
def test_the_answer_is_due_by_the_instrument_then_by_the_nation_then_by_the_network(
    kind: str, fields: dict[str, Any], national: NationalClocks, hours: int | None
):
    expected = None if hours is None else T0 + hours * HOUR
    assert due(Story(kind, **fields).case, national).get("answer") == expected


def test_the_answer_clock_ends_with_the_answer_and_a_supplement_is_due_only_when_owed():
    story = Story(EMERGENCY, supplement_by=T0 + DAY)
    assert set(due(story.case)) == {"acknowledgement", "answer"}
    assert set(due(story.add(f.Answered, PARIS).case)) == {"supplement"}


def acknowledged(hours: int, urgency: str, *kinds: str) -> NationalClocks:
    return NationalClocks(acknowledgement=((kinds, AcknowledgementProfile("own", urgency, hours, "own", "verified")),))


@pytest.mark.parametrize(
    ("urgency", "national", "own"),
    [
        ("urgent", replace(acknowledged(9, "urgent"), nations=frozenset({"fr", "jp"})), True),
        ("urgent", acknowledged(4, "urgent"), True),
        ("urgent", acknowledged(4, "urgent", ASSISTANCE), True),
        ("urgent", acknowledged(4, "urgent", EMERGENCY), False),
        ("urgent", acknowledged(4, "routine"), False),
        ("urgent", acknowledged(8, "urgent"), False),
        ("urgent", acknowledged(9, "urgent"), False),
        ("routine", acknowledged(48, "routine"), True),
    ],
)
def test_a_nation_binds_itself_to_acknowledge_sooner_and_later_only_where_no_law_says(
    urgency: str, national: NationalClocks, own: bool
):
    if not national.nations:
        national = replace(national, nations=UNION.nations)
    assert (acknowledgement_clock(ASSISTANCE, urgency, national).id == "own") is own


def test_an_instrument_with_a_verified_minimum_has_it_and_any_other_the_general_one(monkeypatch: pytest.MonkeyPatch):
    def profile(name: str, days: int | None, confidence: Confidence) -> PreservationProfile:
        return PreservationProfile(name, (name,), days, None, None, None, "", confidence)

    general = profile("general", 10, "verified")
    known = [general, profile("a", 30, "verified"), profile("b", 40, "unverified"), profile("c", None, "verified")]
    monkeypatch.setattr(profiles, "preservation_profiles", lambda: known)
    monkeypatch.setattr(profiles, "_file", lambda: {"default_preservation": "general"})
    found = [minimum_days.__wrapped__(name) for name in ("general", "a", "b", "c", "none")]
    assert found == [10, 30, 10, 10, 10]
    known[0] = replace(general, minimum_days=None)
    assert repr(minimum_days.__wrapped__("none")) == "0"


@pytest.mark.parametrize(
    ("what", "urgency", "after", "level"),
    [
        ("answer", "urgent", -8 * DAY, None),
        ("answer", "urgent", -7 * DAY, "7d"),
        ("answer", "urgent", -1 * DAY, "1d"),
        ("answer", "urgent", -HOUR, "1h"),
        ("answer", "urgent", timedelta(0), "overdue"),
        ("acknowledgement", "routine", timedelta(0), "overdue"),
        ("acknowledgement", "routine", DAY, "overdue"),
        ("acknowledgement", "urgent", -HOUR, "1h"),
        ("acknowledgement", "urgent", timedelta(0), "deputy"),
        ("acknowledgement", "emergency", HOUR - timedelta(seconds=1), "deputy"),
        ("acknowledgement", "urgent", HOUR, "escalation"),
    ],
)
def test_a_level_is_reached_at_its_very_instant(what: str, urgency: str, after: timedelta, level: str | None):
    deadline = Deadline(what, Side.REQUESTED, T0, "", "verified", kind=DueKind.LAW)
    assert level_at(deadline, urgency, T0 + after) == level
    # Of a target nobody says that it is late; whom to call is the same.
    target = replace(deadline, kind=DueKind.TARGET)
    assert level_at(target, urgency, T0 + after) == ("target_passed" if level == "overdue" else level)


def test_the_next_change_is_the_next_level():
    acknowledgement = Deadline("acknowledgement", Side.REQUESTED, T0, "", "verified")
    assert next_change(acknowledgement, "urgent", T0 - DAY) == T0 - 4 * HOUR
    assert next_change(acknowledgement, "urgent", T0 - 4 * HOUR) == T0 - HOUR
    assert next_change(acknowledgement, "urgent", T0) == T0 + HOUR
    assert next_change(acknowledgement, "urgent", T0 + HOUR) is None
    assert next_change(acknowledgement, "routine", T0) is None
    assert next_change(replace(acknowledgement, what="answer"), "urgent", T0) is None
    assert next_change(replace(acknowledgement, due=None), "urgent", T0) is None
    assert [step_name(step) for step in (DAY, DAY - HOUR, HOUR, 21 * DAY)] == ["1d", "23h", "1h", "21d"]


# --- Folding --------------------------------------------------------------------------------------------------------


def test_the_first_receipt_and_the_first_acknowledgement_give_the_time():
    story = Story(ASSISTANCE, requested=(PARIS, LYON))
    story.facts.append(f.Delivered(message_id=uid(1), at=T0 + DAY, by=LYON))
    story.add(f.Acknowledged, PARIS, at=T0 + 2 * DAY, will_answer="yes").add(f.Acknowledged, LYON, at=T0 + 3 * DAY)
    case = story.case
    assert (case.delivered_at, case.acknowledged_at) == (T0, T0 + 2 * DAY)
    assert story.reasons == []  # one receipt of each who got it is no step taken twice


def test_a_pause_ends_with_the_reply_to_its_own_question():
    story = Story(ASSISTANCE).add(f.ClarificationAsked, PARIS, pauses=True)
    question = story.last
    story.add(f.AuthorisationAwaited, PARIS, about=question)
    assert [pause.until for pause in story.case.pauses] == [None]
    other = Story(ASSISTANCE).add(f.ClarificationAsked, PARIS)
    other.add(f.ClarificationReplied, TOKYO, about=other.last)
    assert other.case.pauses == ()
    story = Story(ASSISTANCE).add(f.ClarificationAsked, PARIS, pauses=True)
    story.add(f.ClarificationReplied, TOKYO, about=story.last)
    assert [pause.until for pause in story.case.pauses] == [story.facts[-1].at]


def test_what_no_rule_allows_is_kept_with_its_reason():
    inside = Story(ASSISTANCE)
    inside.facts.append(replace(inside.facts[0], message_id=uid(9), at=T0 + DAY, about=uid(1)))
    assert inside.reasons == ["new_request"]
    assert Story(ASSISTANCE).add(f.Answered, STRANGER).reasons == ["no_party"]
    assert Story(ASSISTANCE).add(f.Answered, PARIS, "t9").reasons == ["no_such_target"]
    assert Story(ASSISTANCE).add(f.Answered, TOKYO).reasons == ["requested_only"]
    assert Story(ASSISTANCE, targets=()).add(f.Supplemented, TOKYO).reasons == ["request_state"]
    partly = Story(ASSISTANCE, targets=("t1", "t2")).add(f.Refused, PARIS, "t1").add(f.Refused, PARIS, "t1", "t2")
    assert partly.reasons == ["target_state"]
    whole = Story(ASSISTANCE, targets=("t1", "t2")).add(f.Refused, PARIS, "t1").add(f.Refused, PARIS)
    assert whole.reasons == []
    whole = Story(ASSISTANCE, targets=("t1", "t2")).add(f.Refused, PARIS, "t2").add(f.Refused, PARIS)
    assert whole.reasons == []


# --- The order of facts ---------------------------------------------------------------------------------------------


def said(number: int, hours: int, about: int | None = None, kind: type[f.CaseFact] = f.Reported) -> f.CaseFact:
    return kind(message_id=uid(number), at=T0 + hours * HOUR, by=PARIS, about=uid(about) if about else None)


def test_a_message_has_its_own_time_and_not_that_of_its_receipt():
    first, second = said(1, 0), said(2, 1)
    receipt = f.Delivered(message_id=uid(1), at=T0 + 2 * HOUR, by=PARIS)
    assert in_order([receipt, second, first]) == [first, second, receipt]


def test_two_messages_of_one_id_stand_at_one_place():
    one, other, between = said(2, 3, kind=f.Accepted), said(2, 1), said(3, 2)
    assert in_order([one, other, between]) == in_order([other, between, one]) == [between, one, other]


def test_a_reply_to_what_is_not_there_has_its_own_time_and_one_in_a_ring_is_cut():
    orphan, plain = said(2, 1, about=77), said(3, 2)
    assert in_order([plain, orphan]) == [orphan, plain]
    ring = [said(1, 5, about=2), said(2, 1, about=3), said(3, 2, about=1)]
    tail = said(9, 0, about=3)
    # The smallest id replies to nothing: 1, then 3 which replies to it, then 2 and 9.
    assert [fact.message_id.int for fact in in_order([*ring, tail])] == [1, 3, 2, 9]
    assert in_order([*reversed(ring), tail]) == in_order([tail, *ring])


# --- Preservation ---------------------------------------------------------------------------------------------------


def test_a_preservation_without_targets_or_with_one_in_draft_is_a_draft():
    assert PreservationCase(None, (), (), ()).state is RequestState.DRAFT
    assert PreservationCase(None, (TargetCase("t1"), RUNNING), (), ()).state is RequestState.DRAFT


def test_what_comes_before_the_request_moves_nothing():
    early = f.Withdrawn(message_id=uid(9), at=T0 - HOUR, by=TOKYO)
    story = Story(PRESERVATION)
    story.facts.append(early)
    assert [entry.fact for entry in story.case.out_of_order] == [early]
    assert Story(PRESERVATION).add(f.Refused, PARIS).add(f.Withdrawn, TOKYO).reasons == ["target_state"]


@pytest.mark.parametrize(("until", "reasons"), [(EXPIRY - HOUR, ["below_minimum"]), (EXPIRY, []), (EXPIRY + HOUR, [])])
def test_data_are_preserved_for_the_minimum_at_least(until: datetime, reasons: list[str]):
    assert Story(PRESERVATION).preserved(until=until).reasons == reasons


@pytest.mark.parametrize(
    ("until", "reasons"), [(EXPIRY + DAY - HOUR, ["brought_forward"]), (EXPIRY + DAY, []), (EXPIRY + 2 * DAY, [])]
)
def test_an_expiry_is_never_brought_forward(until: datetime, reasons: list[str]):
    story = Story(PRESERVATION).preserved(until=EXPIRY + DAY).preserved(at=T0 + DAY, until=until)
    assert story.reasons == reasons


def test_an_extension_is_asked_before_the_expiry_and_for_later():
    story = Story(PRESERVATION).preserved()
    assert story.add(f.ExtensionAsked, TOKYO, until=EXPIRY).reasons == ["not_later"]
    story.facts.pop()
    assert story.add(f.ExtensionAsked, TOKYO, until=EXPIRY + HOUR).reasons == []
    for at, reasons in ((EXPIRY - HOUR, []), (EXPIRY, ["expired"]), (EXPIRY + HOUR, ["expired"])):
        followed = Story(PRESERVATION).preserved()
        followed.add(f.FollowedUp, TOKYO, about=followed.last).confirmed()
        assert followed.add(f.ExtensionAsked, TOKYO, at=at, until=EXPIRY + 99 * DAY).reasons == reasons


@pytest.mark.parametrize(
    ("until", "reasons"), [(EXPIRY + DAY, ["given_too_late"]), (EXPIRY + DAY + HOUR, []), (EXPIRY, ["given_too_late"])]
)
def test_an_extension_given_after_the_expiry_reaches_beyond_that_moment(until: datetime, reasons: list[str]):
    story = Story(PRESERVATION).preserved().add(f.ExtensionAsked, TOKYO, until=EXPIRY + 9 * DAY)
    assert story.preserved(at=EXPIRY + DAY, until=until).reasons == reasons
    unasked = Story(PRESERVATION).preserved().preserved(at=EXPIRY + DAY, until=EXPIRY + 9 * DAY)
    assert unasked.reasons == ["not_asked_in_time"]


def test_a_rule_asks_of_a_target_and_of_a_fact_only_what_they_have():
    opening = Story(PRESERVATION).facts[0]
    assert isinstance(opening, f.Submitted)
    without = TargetCase("t1", wanted_until=EXPIRY, follow_ups=(uid(4),))
    said: dict[str, Any] = {"message_id": uid(9), "at": T0, "by": PARIS}
    facts = (
        f.Accepted(**said),
        f.ExtensionAsked(**said, until=EXPIRY),
        f.Preserved(**said, preserved_at=T0, expires_at=EXPIRY),
    )
    guards = {rule.guard for rule in RULES if rule.guard}
    assert len(guards) >= 4
    for guard in guards:
        assert [guard(without, fact, opening) for fact in facts] == [None, None, None]
        assert guard(replace(without, expires_at=EXPIRY), facts[0], opening) is None


def followed_up() -> Story:
    """Message 4 is the request that followed; message 5 asks for an extension."""
    story = Story(PRESERVATION).preserved()
    story.add(f.FollowedUp, TOKYO, about=story.last)
    return story.add(f.ExtensionAsked, TOKYO, until=EXPIRY + DAY)


@pytest.mark.parametrize(
    ("kind", "about", "state"),
    [
        (f.Refused, 4, "follow_up_refused"),
        (f.Refused, 5, "followed_up"),
        (f.Accepted, 4, "followed_up"),
        (f.Impossible, 5, "follow_up_refused"),
        (f.Impossible, 4, "follow_up_refused"),
    ],
)
def test_a_refusal_is_of_what_it_replies_to(kind: type[f.CaseFact], about: int, state: str):
    assert followed_up().add(kind, PARIS, about=about).states == [state]
    assert Story(PRESERVATION).add(f.Impossible, PARIS).states == ["refused"]


def test_a_request_that_followed_is_announced_confirmed_and_decided():
    story = Story(PRESERVATION).preserved()
    filed = {"channel": "central_authority", "filed_at": T0 + HOUR, "reference": "NPA-1"}
    story.add(f.FollowedUp, TOKYO, about=story.last, **filed)
    announced = story.facts[-1].at
    (target,) = story.case.targets
    assert target.central == CentralLeg(announced, "central_authority", T0 + HOUR, "NPA-1")
    story.confirmed(T0 + 2 * HOUR)
    leg = story.case.targets[0].central
    assert (leg.authority, leg.file_number, leg.received_at) == ("Ministry of Justice", "MOJ-1", T0 + 2 * HOUR)
    assert (leg.announced_at, leg.confirmed_at, leg.decided_at) == (announced, story.facts[-1].at, None)
    story.add(f.Accepted, PARIS, about=story.last)
    assert story.case.targets[0].central.decision == "accepted"
    story.add(f.Answered, PARIS)
    leg = story.case.targets[0].central
    assert (story.states, leg.decision, leg.decided_at) == (["produced"], "produced", story.facts[-1].at)


@pytest.mark.parametrize(
    ("received", "said", "reasons"),
    [
        (EXPIRY, EXPIRY, []),
        (EXPIRY - HOUR, EXPIRY + 30 * DAY, []),
        (EXPIRY + HOUR, EXPIRY + 30 * DAY, ["received_too_late"]),
        (EXPIRY - HOUR, EXPIRY - 2 * HOUR, ["not_received_yet"]),
    ],
)
def test_only_a_request_that_arrived_before_the_expiry_suspends_it(
    received: datetime, said: datetime, reasons: list[str]
):
    story = Story(PRESERVATION).preserved()
    story.add(f.FollowedUp, TOKYO, about=story.last).confirmed(received, at=said)
    assert story.reasons == reasons
    later = state_at(story.case.targets[0], EXPIRY + 300 * DAY)
    assert later is (State.LAPSED if reasons else State.FOLLOWED_UP)


def test_an_arrival_counts_also_where_nobody_had_announced_it():
    story = Story(PRESERVATION).preserved().confirmed(T0 + DAY, at=T0 + 2 * DAY)
    assert story.states == ["followed_up"]
    refused = story.add(f.Refused, PARIS, about=story.last, at=T0 + 3 * DAY)
    assert refused.states == ["follow_up_refused"]


def test_the_central_authority_of_the_nation_asked_says_what_is_its_own_and_no_other_desk_does():
    ministry, stranger = "central@fr", "central@gh"
    story = Story(PRESERVATION).preserved()
    story.add(f.FollowedUp, TOKYO, about=story.last)
    announced = story.last
    unknown = Story(PRESERVATION)
    unknown.facts = [*story.facts]
    assert unknown.confirmed(by=ministry).reasons == ["no_party"]
    foreign = Story(PRESERVATION)
    foreign.facts = [*story.facts]
    assert foreign.confirmed(by=stranger, central=True).reasons == ["no_party"]
    story.confirmed(by=ministry, central=True)
    assert story.states == ["followed_up"]
    beyond = Story(PRESERVATION)
    beyond.facts = [*story.facts]
    late = {"preserved_at": T0, "expires_at": EXPIRY + DAY}
    assert beyond.add(f.Preserved, ministry, central=True, **late).reasons == ["no_party"]
    story.add(f.Refused, ministry, about=announced, central=True)
    assert story.states == ["follow_up_refused"]


def test_the_first_preservation_and_the_first_closing_give_the_time():
    story = Story(PRESERVATION).preserved().preserved(at=T0 + DAY, until=EXPIRY + DAY)
    story.facts[-1] = replace(story.facts[-1], preserved_at=T0 + DAY, expires_at=EXPIRY + 9 * DAY)  # type: ignore[call-arg]
    assert story.case.targets[0].preserved_at == T0
    story = Story(PRESERVATION).add(f.Refused, PARIS).add(f.Closed, TOKYO).add(f.Closed, PARIS)
    assert story.case.targets[0].closed_at == story.facts[-2].at


def test_a_case_of_assistance_says_so():
    assert isinstance(Story(EMERGENCY).case, AssistanceCase)


def by_content_first(facts: list[f.CaseFact]) -> list[f.CaseFact]:
    """The order in one sentence: all by their content, and then, keeping that, by their places."""
    unique = sorted(set(facts), key=ordering._content)
    places = ordering._places(unique)

    def key(fact: f.CaseFact) -> tuple[Any, ...]:
        at, depth = places.get(fact.message_id.int, (fact.at, 0))
        return (
            (max(at, fact.at), depth + 1, fact.message_id)
            if isinstance(fact, f.Delivered)
            else (
                at,
                depth,
                fact.message_id,
            )
        )

    return sorted(unique, key=key)


def test_content_is_compared_only_where_places_are_the_same_and_the_order_is_as_if_it_always_were() -> None:
    random = Random(14)
    kinds = (f.Reported, f.Accepted, f.Delivered)
    for _ in range(300):
        facts = [
            said(random.randint(1, 5), random.randint(0, 3), random.choice([None, 1, 2, 3, 5]), random.choice(kinds))
            for _ in range(random.randint(0, 9))
        ]
        expected = by_content_first(facts)
        random.shuffle(facts)
        assert in_order(facts) == expected
