"""All lifecycles by their properties: one state in any order of arrival; illegal steps are kept and move nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest

from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import AssistanceCase
from protocol.lifecycle.assistance_rules import ASSISTANCE_RULES, EMERGENCY_RULES, AssistanceState
from protocol.lifecycle.case import AnyCase, fold_any
from protocol.lifecycle.conversation import CONVERSATION_RULES, ConversationCase
from protocol.lifecycle.deadlines import Deadline, deadlines, overdue
from protocol.lifecycle.preservation import PreservationCase
from protocol.lifecycle.preservation_rules import RULES
from protocol.lifecycle.profiles import NationalClocks
from protocol.lifecycle.rules import Side

T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOKYO, PARIS, STRANGER = "24-7@jp", "24-7@fr", "24-7@zz"
KINDS: dict[str, Any] = {
    "preservation.request": RULES,
    "assistance.request": ASSISTANCE_RULES,
    "emergency.request": EMERGENCY_RULES,
    "information.spontaneous": CONVERSATION_RULES,
}
# 10,000 of each sort over all lifecycles.
THREADS = 10_000 // len(KINDS)
STEPS = 5


def uid(number: int) -> UUID:
    return UUID(int=number)


def opening(kind: str, targets: tuple[str, ...] = ("t1", "t2"), **fields: Any) -> f.Submitted:
    return f.Submitted(
        message_id=uid(1),
        at=T0,
        by=TOKYO,
        targets=() if kind == "information.spontaneous" else targets,
        thread=uid(1),
        requested=(PARIS,),
        minimum_days=60 if kind == "preservation.request" else 0,
        kind=kind,
        **fields,
    )


def random_fact(random: Random, kind: str, number: int, at: datetime) -> f.CaseFact:
    """A fact of this lifecycle by either side: often one that the rules allow, often one that they do not."""
    rule = random.choice(KINDS[kind])
    by = random.choice([TOKYO, PARIS])
    if random.random() < 0.2:
        return noted_fact(random, number, at, by)
    if rule.side is not None and random.random() < 0.9:
        by = TOKYO if rule.side is Side.REQUESTER else PARIS
    targets: tuple[str, ...] = () if kind == "information.spontaneous" else random.choice([(), ("t1",), ("t2",)])
    common: dict[str, Any] = {"message_id": uid(number), "at": at, "by": by, "about": uid(1), "targets": targets}
    match rule.fact:
        case f.Submitted:
            return replace(opening(kind), message_id=uid(number), at=at, about=uid(1))
        case f.Delivered:
            return f.Delivered(message_id=uid(1), at=at, by=by)
        case f.Acknowledged:
            return f.Acknowledged(message_id=uid(number), at=at, by=by, about=uid(1))
        case f.Preserved:
            return f.Preserved(**common, preserved_at=at, expires_at=at + random.choice([30, 60, 90, 400]) * DAY)
        case f.ExtensionAsked:
            return f.ExtensionAsked(**common, until=at + random.choice([1, 90, 500]) * DAY)
        case f.FollowUpArrived:
            received = at - random.choice([0, 1, 90]) * DAY
            return f.FollowUpArrived(**common, authority="x", file_number="1", received_at=received)
        case f.ConditionsProposed | f.ConditionsAccepted:
            return rule.fact(**common, conditions=("c1",))
        case f.ClarificationAsked:
            return f.ClarificationAsked(**common, pauses=random.random() < 0.5)
        case _:
            return rule.fact(**common)


def noted_fact(random: Random, number: int, at: datetime, by: str) -> f.CaseFact:
    """A fact that moves nothing: it is in order whenever a party states it."""
    common: dict[str, Any] = {"message_id": uid(number), "at": at, "by": by, "about": uid(random.randint(1, 4))}
    match random.randint(0, 5):
        case 0:
            return f.StatusAsked(**common, answer_by=at + DAY)
        case 1:
            return f.ConsultationOpened(**common, intends="refuse")
        case 2:
            return f.ConsultationClosed(**common, outcome="in_part")
        case 3:
            return f.Corrected(**common, original=uid(1))
        case 4:
            return f.DataProtectionNoted(**common, concerned=uid(random.randint(1, 6)))
        case _:
            return f.NoteWritten(**common)


def is_out_of_order(facts: list[f.CaseFact], fact: f.CaseFact) -> bool:
    return any(entry.fact == fact for entry in fold_any([*facts, fact]).out_of_order)


def legal_thread(random: Random, kind: str) -> list[f.CaseFact]:
    """An opening and steps that the rules allow, in the order of their times."""
    thread: list[f.CaseFact] = [opening(kind)]
    at = T0
    for number in range(2, 2 + STEPS):
        at += random.choice([HOUR, DAY, 20 * DAY])
        for _ in range(2):
            fact = random_fact(random, kind, number, at)
            if not is_out_of_order(thread, fact):
                thread.append(fact)
                break
    return thread


def in_any_order(random: Random, facts: list[f.CaseFact]) -> list[f.CaseFact]:
    shuffled = [*facts, *random.choices(facts, k=2)]
    random.shuffle(shuffled)
    return shuffled


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_both_sides_make_the_same_case_of_every_legal_thread_whatever_the_order_of_arrival(kind: str) -> None:
    random = Random(f"legal {kind}")
    reached: set[str] = set()
    for _ in range(THREADS):
        thread = legal_thread(random, kind)
        requester, requested = fold_any(in_any_order(random, thread)), fold_any(in_any_order(random, thread))
        assert requester == requested == fold_any(thread)
        assert requester.out_of_order == ()
        assert set(thread) <= {step.fact for step in requester.history} | _proofs(thread)
        reached |= {str(target.state) for target in requester.targets}
    expected = {str(rule.after) for rule in KINDS[kind] if rule.after}
    # The threads go everywhere, or the property says little.
    assert expected - reached <= {"submitted", "delivered"}


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_every_illegal_step_is_kept_with_its_reason_and_moves_nothing(kind: str) -> None:
    random = Random(f"illegal {kind}")
    done = 0
    while done < THREADS:
        thread = legal_thread(random, kind)
        at = max(fact.at for fact in thread) + HOUR
        fact = random_fact(random, kind, 99, at)
        if random.random() < 0.2:
            fact = replace(fact, by=STRANGER)
        if isinstance(fact, f.Delivered) or not is_out_of_order(thread, fact):
            continue
        done += 1
        case, before = fold_any(in_any_order(random, [*thread, fact])), fold_any(thread)
        kept = [entry for entry in case.out_of_order if entry.fact == fact]
        assert kept
        assert all(str(entry.reason) for entry in kept)
        moved = {step.target for step in case.history if step.fact == fact}
        refused = {entry.target for entry in kept}
        # A fact about several targets may be allowed for one and not for the other; where it is not, nothing moves.
        assert not moved & refused
        assert [t for t in case.targets if t.name not in moved] == [t for t in before.targets if t.name not in moved]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_counts_before_the_message_that_opens_the_thread(kind: str) -> None:
    thread = legal_thread(Random(kind), kind)[1:]
    case = fold_any(thread)
    assert (case.opening, case.targets, case.history) == (None, (), ())
    assert {entry.fact for entry in case.out_of_order} == set(thread)


def _proofs(thread: list[f.CaseFact]) -> set[f.CaseFact]:
    return {fact for fact in thread if isinstance(fact, f.Delivered | f.Acknowledged)}


# --- Assistance, step by step ---------------------------------------------------------------------------------------


class Story:
    """Facts one after the other, an hour apart, by the short names of who states them."""

    def __init__(self, kind: str, **fields: Any) -> None:
        self.facts: list[f.CaseFact] = [opening(kind, **fields)]
        self.facts.append(f.Delivered(message_id=uid(1), at=T0 + HOUR, by=PARIS))

    def add(self, kind: type[f.CaseFact], by: str, *targets: str, about: int = 1, **fields: Any) -> Story:
        number = len(self.facts) + 1
        at = T0 + number * HOUR
        self.facts.append(kind(message_id=uid(number), at=at, by=by, about=uid(about), targets=targets, **fields))
        return self

    @property
    def case(self) -> AnyCase:
        return fold_any(self.facts)

    @property
    def state(self) -> str:
        assert self.case.out_of_order == ()
        return str(self.case.state_at(T0 + 100 * HOUR))


def assistance(**fields: Any) -> Story:
    return Story("assistance.request", **fields)


def test_assistance_is_accepted_executed_answered_in_part_answered_and_closed() -> None:
    story = assistance(targets=())
    kinds = (f.Acknowledged, f.Accepted, f.ExecutionStarted, f.AnsweredInPart, f.Answered)
    states = [story.state, *(story.add(kind, PARIS).state for kind in kinds), story.add(f.Closed, TOKYO).state]
    assert states == [
        "delivered",
        "acknowledged",
        "accepted",
        "in_execution",
        "partially_answered",
        "answered",
        "closed",
    ]


def test_conditions_are_agreed_when_all_of_the_last_proposal_are_accepted() -> None:
    story = assistance().add(f.ConditionsProposed, PARIS, conditions=("c1", "c2"))
    assert story.state == "accepted_with_conditions"
    assert story.add(f.ConditionsAccepted, TOKYO, conditions=("c1",)).state == "accepted_with_conditions"
    assert story.add(f.ConditionsAccepted, TOKYO, conditions=("c2",)).state == "conditions_agreed"


def test_a_counter_proposal_is_answered_by_the_other_side() -> None:
    story = assistance().add(f.ConditionsProposed, PARIS, conditions=("c1",))
    story.add(f.ConditionsProposed, TOKYO, conditions=("d1",))
    own = story.add(f.ConditionsAccepted, TOKYO, conditions=("d1",)).case.out_of_order
    assert [str(entry.reason) for entry in own] == [
        "only the other side can answer the conditions that one side proposed"
    ]
    story.facts.pop()
    assert story.add(f.ConditionsAccepted, PARIS, conditions=("d1",)).state == "conditions_agreed"


def test_after_declined_conditions_the_requested_side_may_still_give() -> None:
    story = assistance().add(f.ConditionsProposed, PARIS, conditions=("c1",)).add(f.ConditionsDeclined, TOKYO)
    assert story.state == "conditions_declined"
    assert story.add(f.Answered, PARIS).state == "answered"


def test_nothing_is_given_while_conditions_are_open() -> None:
    story = assistance().add(f.ConditionsProposed, PARIS, conditions=("c1",)).add(f.Answered, PARIS)
    reasons = [str(entry.reason) for entry in story.case.out_of_order]
    assert reasons == ["not possible while the state of the target is: accepted with conditions"]


def test_one_target_is_refused_and_the_other_answered() -> None:
    story = assistance().add(f.Refused, PARIS, "t1", ground="political_offence")
    assert story.state == "delivered"
    assert story.add(f.AnsweredInPart, PARIS, "t2").state == "partially_answered"
    assert story.add(f.Answered, PARIS, "t2").state == "answered"
    case = story.case
    assert isinstance(case, AssistanceCase)
    assert [(t.state, t.refusal_ground) for t in case.targets] == [
        (AssistanceState.REFUSED, "political_offence"),
        (AssistanceState.ANSWERED, None),
    ]


def test_a_request_is_withdrawn_also_where_one_target_was_decided() -> None:
    story = assistance().add(f.Refused, PARIS, "t1").add(f.Withdrawn, TOKYO)
    assert story.state == "closed"
    assert [str(target.state) for target in story.case.targets] == ["refused", "withdrawn"]


def test_an_answer_after_the_date_of_use_is_shown_as_late_and_still_counts() -> None:
    story = assistance(wanted_by=T0 + 2 * HOUR)
    assert story.state == "expired_unanswered"
    assert story.add(f.Answered, PARIS).state == "answered"


def test_an_emergency_is_closed_by_its_supplement_alone() -> None:
    story = Story("emergency.request", supplement_by=T0 + 5 * DAY).add(f.Answered, PARIS)
    assert story.state == "supplement_due"
    closed = story.add(f.Closed, TOKYO).case.out_of_order
    assert [str(entry.reason) for entry in closed] == ["not possible while the state of the target is: supplement due"]
    story.facts.pop()
    assert [d.what for d in deadlines(story.case)] == ["supplement"]
    assert [d.what for d in overdue(story.case, T0 + 6 * DAY)] == ["supplement"]
    assert story.add(f.Supplemented, TOKYO).state == "closed"
    assert deadlines(story.case) == ()


def test_a_supplement_that_came_before_the_disclosure_is_not_owed_again() -> None:
    story = Story("emergency.request").add(f.Supplemented, TOKYO).add(f.Answered, PARIS)
    assert story.state == "closed"


def test_information_under_conditions_is_given_when_they_are_accepted() -> None:
    early = Story("information.spontaneous").add(f.Answered, TOKYO)
    assert [str(entry.reason) for entry in early.case.out_of_order] == [
        "not possible while the state of the request is: delivered"
    ]
    story = Story("information.spontaneous").add(f.ConditionsAccepted, PARIS, conditions=("c1",))
    assert story.state == "conditions_agreed"
    assert story.add(f.Answered, TOKYO).state == "answered"
    assert isinstance(story.case, ConversationCase)
    assert deadlines(story.case) == ()


# --- Clocks ---------------------------------------------------------------------------------------------------------


def due(story: Story, what: str) -> Deadline:
    (found,) = (deadline for deadline in deadlines(story.case) if deadline.what == what)
    return found


RECEIVED = T0 + HOUR


@pytest.mark.parametrize(
    ("instrument", "urgency", "hours"),
    [("eu_police_exchange", "urgent", 8), ("eu_police_exchange", "routine", 7 * 24), ("eu_e_evidence", "routine", 240)],
)
def test_the_answer_is_due_by_the_clock_of_the_instrument_from_receipt(
    instrument: str, urgency: str, hours: int
) -> None:
    story = assistance(instrument=instrument, urgency=urgency)
    assert due(story, "answer").due == RECEIVED + hours * HOUR
    assert due(story, "answer").side is Side.REQUESTED
    story.facts.pop()  # the handover
    assert deadlines(story.case) == ()


def test_an_instrument_without_a_period_sets_no_answer_clock() -> None:
    assert [d.what for d in deadlines(assistance(instrument="budapest").case)] == ["acknowledgement"]


def test_a_european_investigation_order_is_decided_in_30_days_and_executed_in_90_more() -> None:
    story = assistance(instrument="eio")
    assert due(story, "decision").due == RECEIVED + 30 * DAY
    decided = story.add(f.Accepted, PARIS).facts[-1].at
    assert [d.what for d in deadlines(story.case)] == ["answer"]
    assert due(story, "answer").due == decided + 90 * DAY


def test_a_clarification_pauses_the_clock_where_it_says_so_and_the_profile_allows_it() -> None:
    story = assistance(instrument="eu_police_exchange", urgency="urgent")
    story.add(f.ClarificationAsked, PARIS, pauses=True)
    asked = story.facts[-1]
    assert due(story, "answer").due is None
    assert due(story, "acknowledgement").due is not None
    union = NationalClocks(nations=frozenset({"fr", "de"}))
    late = overdue(story.case, T0 + 300 * DAY, union)
    assert late == tuple(d for d in deadlines(story.case, union) if d.what == "acknowledgement")
    story.add(f.ClarificationReplied, TOKYO, about=asked.message_id.int)
    assert due(story, "answer").due == RECEIVED + 8 * HOUR + (story.facts[-1].at - asked.at)

    plain = assistance(instrument="eu_police_exchange", urgency="urgent").add(f.ClarificationAsked, PARIS)
    assert due(plain, "answer").due == RECEIVED + 8 * HOUR
    fixed = assistance(instrument="eio").add(f.ClarificationAsked, PARIS, pauses=True)
    assert due(fixed, "decision").due == RECEIVED + 30 * DAY


def test_what_the_requested_side_promised_is_due_until_its_last_word() -> None:
    story = assistance(instrument="budapest").add(f.Reported, PARIS, next_update_by=T0 + 9 * DAY)
    assert due(story, "next_update").due == T0 + 9 * DAY
    assert deadlines(story.add(f.Answered, PARIS).case) == ()


def test_each_running_expiry_of_a_preservation_is_due_of_the_requester() -> None:
    story = Story("preservation.request")
    story.add(f.Preserved, PARIS, "t1", preserved_at=T0, expires_at=T0 + 60 * DAY)
    story.add(f.Refused, PARIS, "t2")
    assert [(d.what, d.target, d.side, d.due) for d in deadlines(story.case)] == [
        ("expiry", "t1", Side.REQUESTER, T0 + 60 * DAY)
    ]
    preserved = story.facts[-2]
    story.add(f.FollowedUp, TOKYO, "t1", about=preserved.message_id.int)
    told: dict[str, Any] = {"authority": "x", "file_number": "1", "received_at": T0}
    story.add(f.FollowUpArrived, PARIS, "t1", about=story.facts[-1].message_id.int, **told)
    assert isinstance(story.case, PreservationCase)
    assert deadlines(story.case) == ()
