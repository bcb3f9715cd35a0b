"""The preservation lifecycle by its properties: any order, both sides, the guards, nothing dropped."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.lifecycle import facts as f
from protocol.lifecycle.clocks import (
    Pause,
    acknowledgement_due,
    due_at,
    expires_in,
    expiry_warnings,
)
from protocol.lifecycle.deadlines import deadlines, overdue
from protocol.lifecycle.preservation import PreservationCase, RequestState, fold_facts, state_at
from protocol.lifecycle.preservation_rules import RULE_FOR, RULES, TERMINAL, State
from protocol.lifecycle.profiles import NO_NATIONAL_CLOCKS, NationalClocks, renewing_nations
from protocol.lifecycle.rules import Side

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TOKYO, PARIS, STRANGER = "24-7@jp", "24-7@fr", "24-7@zz"


def uid(number: int) -> UUID:
    return UUID(int=number)


REQUEST = uid(1)
OPENING = f.Submitted(
    message_id=REQUEST,
    at=T0,
    by=TOKYO,
    targets=("t1", "t2"),
    thread=REQUEST,
    requested=(PARIS,),
    minimum_days=60,
    urgency="urgent",
)
DELIVERED = f.Delivered(message_id=REQUEST, at=T0 + timedelta(minutes=1), by=PARIS)
ACKNOWLEDGED = f.Acknowledged(message_id=uid(2), at=T0 + timedelta(hours=1), by=PARIS, about=REQUEST, will_answer="yes")
EXPIRY = T0 + 90 * DAY


def preserved(number: int, at: datetime, target: str = "t1", expires_at: datetime = EXPIRY) -> f.Preserved:
    return f.Preserved(
        message_id=uid(number),
        at=at,
        by=PARIS,
        about=REQUEST,
        targets=(target,),
        preserved_at=T0,
        expires_at=expires_at,
    )


PRESERVED = preserved(3, T0 + DAY)
REFUSED = f.Refused(
    message_id=uid(3), at=T0 + DAY, by=PARIS, about=REQUEST, targets=("t2",), ground="political_offence"
)
EXTENSION = f.ExtensionAsked(
    message_id=uid(4), at=T0 + 80 * DAY, by=TOKYO, about=uid(3), targets=("t1",), until=EXPIRY + 90 * DAY
)
EXTENDED = replace(preserved(5, T0 + 81 * DAY, expires_at=EXPIRY + 90 * DAY), about=uid(4))
FOLLOW_UP = f.FollowedUp(message_id=uid(6), at=T0 + 85 * DAY, by=TOKYO, about=uid(3), targets=("t1",))
FOLLOW_UP_CONFIRMED = f.FollowUpArrived(
    message_id=uid(9),
    at=T0 + 87 * DAY,
    by=PARIS,
    about=uid(6),
    targets=("t1",),
    authority="Ministry of Justice",
    file_number="MOJ-1",
    received_at=T0 + 86 * DAY,
)


def state_of(case: PreservationCase, target: str = "t1") -> State:
    found = case.target(target)
    assert found is not None
    return found.state


def _is_late(case: PreservationCase, now: datetime, national: NationalClocks = NO_NATIONAL_CLOCKS) -> bool:
    return any(deadline.what == "acknowledgement" for deadline in overdue(case, now, national))


def reasons(case: PreservationCase) -> list[str]:
    return [str(entry.reason) for entry in case.out_of_order]


# --- Any facts at all ---------------------------------------------------------------------------------------

_instants = st.integers(min_value=0, max_value=200 * 24).map(lambda hours: T0 + timedelta(hours=hours))
_ids = st.integers(min_value=1, max_value=8).map(uid)
_common = {
    "message_id": _ids,
    "at": _instants,
    "by": st.sampled_from([TOKYO, PARIS, STRANGER]),
    "about": st.none() | _ids,
    "targets": st.sampled_from([(), ("t1",), ("t2",), ("t1", "t2"), ("t9",)]),
}
_extra: dict[type[f.CaseFact], dict[str, st.SearchStrategy[object]]] = {
    f.Submitted: {"thread": _ids, "requested": st.just((PARIS,)), "minimum_days": st.just(60)},
    f.Preserved: {"preserved_at": _instants, "expires_at": _instants},
    f.ExtensionAsked: {"until": _instants},
    f.FollowUpArrived: {"authority": st.just("x"), "file_number": st.just("1"), "received_at": _instants},
}
_NOTED = (
    *(f.QuestionAsked, f.QuestionAnswered, f.StatusAsked, f.UseAsked, f.UseReported, f.ConsentAsked, f.ConsentDecided),
    *(f.ConsultationOpened, f.ConsultationClosed, f.PathDisclosed, f.NoteWritten, f.SilenceRenewed),
    f.FilesFollowed,
    *(f.Corrected, f.Retracted, f.DataProtectionNoted),
)
_extra |= {kind: {"answer_by": st.none() | _instants} for kind in _NOTED if issubclass(kind, f.Asked)}
_extra |= {kind: {"original": _ids} for kind in _NOTED if issubclass(kind, f.Changed)}
_extra |= {f.SilenceRenewed: {"until": _instants}, f.DataProtectionNoted: {"concerned": _ids}}
_doubts = st.sampled_from(["", "", "", "implausible", "no_authorisation"])
_kinds = sorted({*_NOTED, *(rule.fact for rule in RULES)}, key=lambda kind: kind.NAME)
_any_fact = st.one_of([st.builds(kind, **_common, doubt=_doubts, **_extra.get(kind, {})) for kind in _kinds])
# A second message under the id of the request is refused by the desk before it gets here (id-conflict).
_facts = _any_fact.filter(lambda fact: not (isinstance(fact, f.Submitted) and fact.message_id == fact.thread))
_threads = st.lists(_facts, max_size=14).map(lambda facts: [OPENING, *facts])


@given(_threads, st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_the_same_case(thread: list[f.CaseFact], random: Random) -> None:
    shuffled = list(thread)
    random.shuffle(shuffled)
    assert fold_facts(shuffled) == fold_facts(thread)
    assert deadlines(fold_facts(shuffled)) == deadlines(fold_facts(thread))


@given(_threads)
def test_each_thing_owed_is_on_one_sides_list_and_names_the_message_that_asked_for_it(
    thread: list[f.CaseFact],
) -> None:
    case = fold_facts(thread)
    asked = {(fact.message_id, fact.by) for fact in thread}
    for item in case.owed:
        by = {other for message_id, other in asked if message_id == item.message}
        assert by & {TOKYO, PARIS}
        assert set(item.targets) <= {"t1", "t2"}
        if item.what not in {"consultation_outcome", "disclosure"}:
            # Who asked does not owe the answer.
            assert by - ({TOKYO} if item.side is Side.REQUESTER else {PARIS})


@given(_threads)
def test_facts_received_twice_change_nothing(thread: list[f.CaseFact]) -> None:
    assert fold_facts([*thread, *thread]) == fold_facts(thread)


@given(_threads)
def test_every_fact_that_moves_a_target_or_is_refused_is_kept(thread: list[f.CaseFact]) -> None:
    case = fold_facts(thread)
    kept = {step.fact for step in case.history} | {entry.fact for entry in case.out_of_order}
    receipts_of_others = {fact for fact in thread if isinstance(fact, f.Delivered | f.Acknowledged)}
    assert set(thread) - receipts_of_others <= kept


@given(_threads)
def test_every_step_follows_a_row_of_the_table_and_every_refusal_has_a_reason(thread: list[f.CaseFact]) -> None:
    case = fold_facts(thread)
    for step in case.history:
        side = Side.REQUESTER if step.fact.by == TOKYO else Side.REQUESTED
        assert not step.fact.doubt
        # The requester may ask too, which moves nothing.
        asks = {(Side.REQUESTER, f.ClarificationAsked), (Side.REQUESTED, f.ClarificationReplied)}
        if (side, type(step.fact)) in asks or not step.fact.MOVES:
            assert step.after is step.before
            continue
        rule = RULE_FOR[step.before, type(step.fact)]
        assert rule.side in (None, side)
        assert rule.after in (None, step.after)
        assert step.fact.by != STRANGER
    assert all(reasons(case))


@pytest.mark.long
@given(_threads)
def test_expiry_is_never_below_the_minimum_and_only_set_by_the_requested_side(thread: list[f.CaseFact]) -> None:
    case = fold_facts(thread)
    for target in case.targets:
        given_expiries = [
            s.fact.expires_at for s in case.history if s.target == target.name and isinstance(s.fact, f.Preserved)
        ]
        assert target.expires_at == (given_expiries[-1] if given_expiries else None)
        if target.expires_at is not None:
            assert target.preserved_at is not None
            assert target.expires_at - target.preserved_at >= 60 * DAY or len(given_expiries) > 1
            assert given_expiries == sorted(given_expiries)


@given(_threads, _instants)
def test_terminal_states_but_lapsed_are_never_left(thread: list[f.CaseFact], now: datetime) -> None:
    case = fold_facts(thread)
    for step in case.history:
        if step.before in TERMINAL and step.before is not State.LAPSED:
            assert step.after is step.before
    for target in case.targets:
        assert (state_at(target, now) is State.LAPSED) <= (target.expires_at is not None and now >= target.expires_at)


@given(st.permutations([OPENING, DELIVERED, ACKNOWLEDGED, PRESERVED, REFUSED, EXTENSION, EXTENDED]))
def test_the_usual_course_ends_extended_in_every_order(thread: list[f.CaseFact]) -> None:
    case = fold_facts(thread)
    assert (state_of(case), state_of(case, "t2")) == (State.EXTENDED, State.REFUSED)
    assert case.expires_at == EXPIRY + 90 * DAY
    assert case.state is RequestState.PARTLY_PRESERVED
    assert case.out_of_order == ()


# --- The course of a case -------------------------------------------------------------------------------------


def test_answer_whose_clock_runs_behind_still_follows_its_request() -> None:
    early = replace(ACKNOWLEDGED, at=T0 - timedelta(minutes=4))
    assert state_of(fold_facts([early, OPENING])) is State.ACKNOWLEDGED


def test_nothing_is_lost_while_the_request_itself_has_not_arrived() -> None:
    case = fold_facts([ACKNOWLEDGED, PRESERVED])
    assert case.opening is None
    assert {entry.fact for entry in case.out_of_order} == {ACKNOWLEDGED, PRESERVED}
    assert case.state is RequestState.DRAFT


def test_receipt_acknowledgement_and_outcome_are_different_states() -> None:
    steps = [OPENING, DELIVERED, ACKNOWLEDGED, PRESERVED]
    states = [state_of(fold_facts(steps[: n + 1])) for n in range(len(steps))]
    assert states == [State.SUBMITTED, State.DELIVERED, State.ACKNOWLEDGED, State.PRESERVED]


def test_one_target_answered_leaves_the_other_open() -> None:
    case = fold_facts([OPENING, DELIVERED, PRESERVED])
    assert (state_of(case), state_of(case, "t2")) == (State.PRESERVED, State.DELIVERED)
    assert case.state is RequestState.PARTLY_ANSWERED


@pytest.mark.parametrize(
    ("fact", "wrong_side"),
    [(EXTENSION, PARIS), (FOLLOW_UP, PARIS), (PRESERVED, TOKYO), (REFUSED, TOKYO)],
    ids=lambda value: getattr(value, "NAME", value),
)
def test_step_of_the_wrong_side_is_kept_and_refused(fact: f.CaseFact, wrong_side: str) -> None:
    before = [OPENING] if isinstance(fact, f.Preserved | f.Refused) else [OPENING, PRESERVED]
    case = fold_facts([*before, replace(fact, by=wrong_side)])
    assert [entry.fact.NAME for entry in case.out_of_order] == [fact.NAME]
    assert "side" in reasons(case)[0]


def test_stranger_in_the_thread_moves_nothing() -> None:
    case = fold_facts([OPENING, replace(PRESERVED, by=STRANGER)])
    assert state_of(case) is State.SUBMITTED
    assert reasons(case) == ["the sender is not a party to this request"]


def test_receipt_of_someone_who_got_a_copy_is_no_step_and_no_offence() -> None:
    copied = f.Delivered(message_id=REQUEST, at=T0, by="mla@jp")
    assert fold_facts([OPENING, copied]) == fold_facts([OPENING])


def test_second_request_in_a_thread_cannot_take_it_over() -> None:
    intruder = replace(OPENING, message_id=uid(9), by=STRANGER, at=T0 - DAY)
    case = fold_facts([intruder, OPENING, ACKNOWLEDGED])
    assert case.opening == OPENING
    assert reasons(case) == ["a new request opens its own thread"]


def test_expiry_below_the_minimum_of_the_profile_is_refused() -> None:
    case = fold_facts([OPENING, preserved(3, T0 + DAY, expires_at=T0 + 59 * DAY)])
    assert state_of(case) is State.SUBMITTED
    assert reasons(case) == ["the expiry is too early: it must follow the preservation by at least this many days: 60"]


def test_expiry_that_was_given_is_not_brought_forward() -> None:
    case = fold_facts([OPENING, PRESERVED, preserved(4, T0 + 2 * DAY, expires_at=EXPIRY - DAY)])
    assert case.expires_at == EXPIRY
    assert reasons(case) == ["the expiry cannot be moved to an earlier date"]


def test_extension_asked_does_not_move_the_expiry_until_it_is_confirmed() -> None:
    asked = fold_facts([OPENING, PRESERVED, EXTENSION])
    confirmed = fold_facts([OPENING, PRESERVED, EXTENSION, EXTENDED])
    assert (state_of(asked), asked.expires_at) == (State.EXTENSION_ASKED, EXPIRY)
    assert (state_of(confirmed), confirmed.expires_at) == (State.EXTENDED, EXPIRY + 90 * DAY)


def test_extension_can_be_repeated() -> None:
    again = replace(EXTENSION, message_id=uid(7), at=EXPIRY, about=uid(5), until=EXPIRY + 180 * DAY)
    granted = replace(preserved(8, EXPIRY + DAY, expires_at=EXPIRY + 180 * DAY), about=uid(7))
    case = fold_facts([OPENING, PRESERVED, EXTENSION, EXTENDED, again, granted])
    assert (state_of(case), case.expires_at) == (State.EXTENDED, EXPIRY + 180 * DAY)


def test_extension_after_expiry_is_a_new_request() -> None:
    late = replace(EXTENSION, at=EXPIRY)
    case = fold_facts([OPENING, PRESERVED, late])
    assert state_of(case) is State.PRESERVED
    assert reasons(case) == ["not possible while the state of the target is: lapsed"]


def test_late_confirmation_of_a_timely_extension_counts() -> None:
    case = fold_facts([OPENING, PRESERVED, EXTENSION, replace(EXTENDED, at=EXPIRY + DAY)])
    assert state_of(case) is State.EXTENDED


def test_expiry_given_after_the_lapse_without_a_timely_extension_is_refused() -> None:
    case = fold_facts([OPENING, PRESERVED, replace(EXTENDED, about=uid(3), at=EXPIRY + DAY)])
    assert state_at(case.targets[0], EXPIRY + DAY) is State.LAPSED
    assert reasons(case) == ["the preservation had expired and no extension was asked in time"]


def test_refused_extension_leaves_the_preservation_as_it_was() -> None:
    refusal = f.Refused(message_id=uid(5), at=T0 + 81 * DAY, by=PARIS, about=uid(4), targets=("t1",))
    case = fold_facts([OPENING, PRESERVED, EXTENSION, refusal])
    assert (state_of(case), case.expires_at) == (State.PRESERVED, EXPIRY)


def test_follow_up_suspends_the_expiry_only_when_its_arrival_is_confirmed() -> None:
    received = f.Delivered(message_id=uid(6), at=T0 + 86 * DAY, by=PARIS)
    acknowledged = replace(ACKNOWLEDGED, message_id=uid(7), about=uid(6), at=T0 + 87 * DAY)
    sent = fold_facts([OPENING, PRESERVED, FOLLOW_UP, received, acknowledged])
    confirmed = fold_facts([OPENING, PRESERVED, FOLLOW_UP, FOLLOW_UP_CONFIRMED])
    later = EXPIRY + 300 * DAY
    # The partner's desk has the note; that says nothing of the request itself.
    assert state_at(sent.targets[0], later) is State.LAPSED
    assert state_at(confirmed.targets[0], later) is State.FOLLOWED_UP
    assert confirmed.expires_at is None
    assert expires_in(confirmed.targets[0], later) is None


def test_follow_up_that_arrived_after_the_expiry_does_not_bring_the_data_back() -> None:
    late = replace(FOLLOW_UP_CONFIRMED, at=EXPIRY + 2 * DAY, received_at=EXPIRY + DAY)
    case = fold_facts([OPENING, PRESERVED, FOLLOW_UP, late])
    assert state_at(case.targets[0], EXPIRY) is State.LAPSED
    assert reasons(case) == ["the request that followed arrived after the preservation had expired"]


def test_where_the_law_wants_a_renewal_the_expiry_runs_on_after_the_follow_up() -> None:
    case = fold_facts([replace(OPENING, renewal=True), PRESERVED, FOLLOW_UP, FOLLOW_UP_CONFIRMED])
    assert (case.targets[0].state, case.expires_at) == (State.FOLLOWED_UP, EXPIRY)
    assert state_at(case.targets[0], EXPIRY) is State.LAPSED
    assert "us" in renewing_nations()


def test_followed_up_ends_produced_or_refused_and_released() -> None:
    produced = f.Answered(message_id=uid(7), at=EXPIRY + 90 * DAY, by=PARIS, about=uid(6), targets=("t1",))
    refused = f.FollowUpRefused(message_id=uid(7), at=EXPIRY + 90 * DAY, by=PARIS, about=uid(6), targets=("t1",))
    released = f.Released(message_id=uid(8), at=EXPIRY + 91 * DAY, by=TOKYO, about=uid(7), targets=("t1",))
    before = [OPENING, PRESERVED, FOLLOW_UP, FOLLOW_UP_CONFIRMED]
    assert state_of(fold_facts([*before, produced])) is State.PRODUCED
    assert state_of(fold_facts([*before, refused])) is State.FOLLOW_UP_REFUSED
    assert state_of(fold_facts([*before, refused, released])) is State.RELEASED


def test_expiry_runs_again_after_an_early_refusal_of_the_follow_up() -> None:
    refused = f.FollowUpRefused(message_id=uid(7), at=T0 + 88 * DAY, by=PARIS, about=uid(6), targets=("t1",))
    case = fold_facts([OPENING, PRESERVED, FOLLOW_UP, FOLLOW_UP_CONFIRMED, refused])
    assert state_at(case.targets[0], EXPIRY - DAY) is State.FOLLOW_UP_REFUSED
    assert state_at(case.targets[0], EXPIRY) is State.LAPSED


def test_data_produced_after_an_unproved_but_timely_follow_up_are_produced() -> None:
    produced = f.Answered(message_id=uid(7), at=EXPIRY + DAY, by=PARIS, about=uid(6), targets=("t1",))
    assert state_of(fold_facts([OPENING, PRESERVED, FOLLOW_UP, produced])) is State.PRODUCED
    assert state_of(fold_facts([OPENING, PRESERVED, produced])) is State.PRESERVED


def test_clarification_and_risk_return_to_review() -> None:
    asked = f.ClarificationAsked(message_id=uid(2), at=T0 + DAY, by=PARIS, about=REQUEST)
    replied = f.ClarificationReplied(message_id=uid(3), at=T0 + 2 * DAY, by=TOKYO, about=uid(2))
    risk = f.RiskRaised(message_id=uid(4), at=T0 + 3 * DAY, by=PARIS, about=REQUEST, targets=("t1",))
    accepted = f.RiskAccepted(message_id=uid(5), at=T0 + 4 * DAY, by=TOKYO, about=uid(4), targets=("t1",))
    course = [OPENING, asked, replied, risk, accepted]
    states = [state_of(fold_facts(course[: n + 1])) for n in range(1, len(course))]
    assert states == [State.CLARIFICATION, State.UNDER_REVIEW, State.RISK_DIALOGUE, State.UNDER_REVIEW]


def test_nothing_is_preserved_while_the_requester_weighs_a_risk() -> None:
    risk = f.RiskRaised(message_id=uid(2), at=T0 + timedelta(hours=1), by=PARIS, about=REQUEST, targets=("t1",))
    case = fold_facts([OPENING, risk, PRESERVED])
    assert state_of(case) is State.RISK_DIALOGUE
    assert reasons(case) == ["not possible while the state of the target is: risk dialogue"]


@pytest.mark.parametrize("before", [(), (ACKNOWLEDGED,), (PRESERVED,), (PRESERVED, EXTENSION), (PRESERVED, FOLLOW_UP)])
def test_withdrawal_ends_any_state_that_is_not_terminal(before: tuple[f.CaseFact, ...]) -> None:
    withdrawn = f.Withdrawn(message_id=uid(9), at=T0 + 87 * DAY, by=TOKYO, about=REQUEST, targets=("t1",))
    assert state_of(fold_facts([OPENING, *before, withdrawn])) is State.WITHDRAWN


def test_two_messages_under_one_id_count_once_the_same_on_both_sides() -> None:
    other = replace(PRESERVED, expires_at=EXPIRY + DAY)
    case = fold_facts([OPENING, PRESERVED, other])
    assert reasons(case) == ["another message with this id was received before"]
    assert fold_facts([other, OPENING, PRESERVED]) == case


def test_unknown_target_is_named_and_the_rest_of_the_fact_counts() -> None:
    case = fold_facts([OPENING, replace(FOLLOW_UP, targets=("t1", "t9")), PRESERVED])
    assert [(entry.target, str(entry.reason)) for entry in case.out_of_order] == [
        ("t9", "the request has no such target")
    ]
    assert state_of(case) is State.FOLLOWED_UP


def test_the_same_instant_under_another_offset_is_the_same_fact() -> None:
    tokyo = timezone(timedelta(hours=9))
    elsewhere = replace(PRESERVED, at=PRESERVED.at.astimezone(tokyo), expires_at=EXPIRY.astimezone(tokyo))
    assert fold_facts([OPENING, elsewhere, PRESERVED]) == fold_facts([OPENING, PRESERVED])


# --- The table ------------------------------------------------------------------------------------------------


def test_no_two_rows_answer_the_same_question_and_each_names_its_source() -> None:
    assert len(RULE_FOR) == sum(len(rule.before) for rule in RULES)
    assert all(rule.source for rule in RULES)


def test_every_state_is_reached_by_a_row_except_what_only_time_brings() -> None:
    reached = {rule.after for rule in RULES if rule.after}
    assert set(State) - reached == {State.DRAFT, State.LAPSED}


# --- Clocks ----------------------------------------------------------------------------------------------------


def test_urgent_request_is_to_be_acknowledged_eight_hours_after_its_receipt() -> None:
    case = fold_facts([OPENING, DELIVERED])
    assert acknowledgement_due(case) == DELIVERED.at + timedelta(hours=8)
    # Directive 2013/40 does not bind Japan: nobody is late.
    assert not _is_late(case, DELIVERED.at + 9 * DAY)
    within_the_union = NationalClocks(nations=frozenset({"fr", "de"}))
    assert not _is_late(case, DELIVERED.at + timedelta(hours=8), within_the_union)
    assert _is_late(case, DELIVERED.at + timedelta(hours=8, seconds=1), within_the_union)


def test_routine_request_is_to_be_acknowledged_within_a_day_of_its_receipt() -> None:
    case = fold_facts([replace(OPENING, urgency="routine"), DELIVERED])
    assert acknowledgement_due(case) == DELIVERED.at + timedelta(hours=24)


def test_no_acknowledgement_is_due_before_receipt_or_late_after_it_came() -> None:
    assert acknowledgement_due(fold_facts([OPENING])) is None
    assert not _is_late(fold_facts([OPENING, DELIVERED, ACKNOWLEDGED]), T0 + 9 * DAY)
    assert not _is_late(fold_facts([OPENING, DELIVERED, PRESERVED]), T0 + 9 * DAY)


@pytest.mark.parametrize(
    ("days_left", "step"), [(22, None), (21, 21), (8, 21), (7, 7), (3, 7), (2, 2), (1, 2), (0, None)]
)
def test_expiry_is_warned_of_at_twenty_one_seven_and_two_days(days_left: int, step: int | None) -> None:
    case = fold_facts([OPENING, PRESERVED])
    warnings = expiry_warnings(case, EXPIRY - days_left * DAY)
    assert [warning.days for warning in warnings] == ([] if step is None else [step])


def test_clock_stands_still_while_it_is_paused() -> None:
    hour = timedelta(hours=1)
    pauses = [Pause(T0 + 2 * hour, T0 + 5 * hour), Pause(T0 + 4 * hour, T0 + 6 * hour)]
    assert due_at(T0, 8 * hour, pauses) == T0 + 12 * hour
    assert due_at(T0, 8 * hour, [Pause(T0 + 7 * hour)]) is None
    assert due_at(T0, 8 * hour, [Pause(T0 + 9 * hour)]) == T0 + 8 * hour
