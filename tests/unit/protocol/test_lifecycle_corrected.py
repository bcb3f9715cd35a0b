"""What a case makes of corrections and retractions: whose, in which place, under which guards, and what stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

import protocol.lifecycle.thread
from protocol.lifecycle.case import check_step, fold
from protocol.lifecycle.corrections import standing
from protocol.lifecycle.deadlines import deadlines
from protocol.lifecycle.folding import StandingState
from protocol.lifecycle.rules import Side
from protocol.lifecycle.thread import ThreadMessage
from protocol.messages.corrections import MOST_ACTS, as_corrected, original_of, own_fields
from protocol.messages.schema.base import Message
from tests.worlds.threads import DAY, HOUR, PARIS, T0, TOKYO, Thread, preserved, text

EXPIRY = T0 + 90 * DAY


def answered(*targets: str) -> tuple[Thread, Message]:
    """A preservation of t1 and t2, and the answer that the named ones are kept for ninety days."""
    thread = Thread()
    answer = thread.add("preservation.answer", PARIS, targets=[preserved(name, EXPIRY) for name in targets])
    return thread, answer


def owed(thread: Thread, what: str) -> list[tuple[Side, str]]:
    return [(d.side, d.target) for d in deadlines(thread.case) if d.what == what]


def expiry(thread: Thread, number: int = 0) -> Any:
    return thread.case.targets[number].expires_at  # type: ignore[union-attr]


def test_a_corrected_expiry_is_the_expiry_and_the_recipient_says_what_it_did():
    thread, answer = answered("t1", "t2")
    correction = thread.correct(answer, targets=[preserved(name, EXPIRY - 10 * DAY) for name in ("t1", "t2")])
    assert thread.reasons == []
    assert thread.states == ["preserved", "preserved"]
    assert expiry(thread) == EXPIRY - 10 * DAY
    assert standing(thread.entries, answer.id).state is StandingState.CORRECTED
    assert standing(thread.entries, answer.id).by == correction.id
    assert owed(thread, "data_protection") == [(Side.REQUESTER, "")]
    noticed(thread, thread.opening)
    assert owed(thread, "data_protection") == [(Side.REQUESTER, "")]  # that was about another message


def noticed(thread: Thread, about: Message) -> None:
    sent_at = T0 + len(thread.entries) * HOUR
    thread.add(
        "data-protection.notice",
        TOKYO,
        reply_to=about,
        sent_at=sent_at,
        about=str(about.id),
        action="rectified",
        because=None,
        at=text(sent_at),
    )


@pytest.mark.parametrize("of_the_correction", [True, False])
def test_a_notice_about_the_corrected_message_or_its_correction_settles_what_is_owed(of_the_correction: bool):
    thread, answer = answered("t1")
    correction = thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    noticed(thread, correction if of_the_correction else answer)
    assert owed(thread, "data_protection") == []


def test_an_expiry_corrected_below_the_minimum_is_refused_and_the_former_one_stays():
    thread, answer = answered("t1")
    correction = thread.correct(answer, targets=[preserved("t1", T0 + 30 * DAY)])
    assert thread.reasons == ["below_minimum"]
    assert (thread.states[0], expiry(thread)) == ("preserved", EXPIRY)
    assert standing(thread.entries, correction.id).state is StandingState.NOT_TAKEN
    assert standing(thread.entries, answer.id).state is StandingState.IN_FORCE
    assert owed(thread, "explanation") == [(Side.REQUESTER, str(correction.id))]
    without = [entry for entry in thread.entries if entry.message.id != correction.id]
    assert [entry.reason.code for entry in check_step(without, correction)] == ["below_minimum"]


def test_a_correction_mends_what_a_guard_was_against():
    thread = Thread()
    answer = thread.add("preservation.answer", PARIS, targets=[preserved("t1", T0 + 30 * DAY)])
    assert thread.reasons == ["below_minimum"]
    thread.correct(answer, targets=[preserved("t1", EXPIRY)])
    assert (thread.reasons, thread.states[0], expiry(thread)) == ([], "preserved", EXPIRY)


def test_what_the_other_side_did_relying_on_the_former_version_stands_for_the_targets_concerned():
    thread, answer = answered("t1", "t2")
    late = EXPIRY - HOUR
    thread.add(
        "preservation.extend", TOKYO, reply_to=answer, sent_at=late, targets=["t1"], until=text(EXPIRY + 90 * DAY)
    )
    thread.correct(answer, sent_at=EXPIRY - HOUR / 2, targets=[preserved(name, EXPIRY - DAY) for name in ("t1", "t2")])
    # The extension was asked before the expiry that Tokyo knew: that one stands, and cannot be brought forward.
    assert thread.states == ["extension_asked", "preserved"]
    assert (expiry(thread, 0), expiry(thread, 1)) == (EXPIRY, EXPIRY - DAY)
    assert thread.reasons == ["brought_forward"]
    notes = {(step.target, step.notes) for step in thread.case.history if step.fact.NAME == "corrected"}
    assert notes == {("t1", ("relied_on",)), ("t2", ())}


def test_a_later_expiry_counts_from_the_correction_on_where_the_former_one_was_relied_on():
    thread, answer = answered("t1")
    thread.add("preservation.extend", TOKYO, reply_to=answer, targets=["t1"], until=text(EXPIRY + DAY))
    # With the longer expiry in its place the extension would have asked for less than was given.
    thread.correct(answer, targets=[preserved("t1", EXPIRY + 30 * DAY)])
    assert thread.reasons == []
    assert (thread.states[0], expiry(thread)) == ("extended", EXPIRY + 30 * DAY)


def test_the_last_correction_counts_whatever_came_first():
    thread, answer = answered("t1")
    thread.correct(answer, sent_at=T0 + 9 * HOUR, targets=[preserved("t1", EXPIRY + 9 * DAY)])
    thread.correct(answer, sent_at=T0 + 5 * HOUR, targets=[preserved("t1", EXPIRY + 5 * DAY)])
    assert expiry(thread) == EXPIRY + 9 * DAY
    thread.entries.reverse()
    assert expiry(thread) == EXPIRY + 9 * DAY


def test_a_correction_of_a_correction_corrects_the_original():
    thread, answer = answered("t1")
    first = thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    again = thread.add(
        "correction",
        PARIS,
        reply_to=first,
        corrects=str(first.id),
        message={**first.message, "targets": [preserved("t1", EXPIRY + 2 * DAY)]},  # type: ignore[attr-defined]
    )
    assert expiry(thread) == EXPIRY + 2 * DAY
    assert standing(thread.entries, answer.id).by == again.id


def test_only_the_sender_corrects_or_takes_back():
    thread, answer = answered("t1")
    wrong = [
        thread.correct(answer, by=TOKYO, targets=[preserved("t1", EXPIRY + DAY)]),
        thread.retract(answer, by=TOKYO),
    ]
    assert thread.reasons == ["not_its_sender", "not_its_sender"]
    assert (thread.states[0], expiry(thread)) == ("preserved", EXPIRY)
    assert {standing(thread.entries, one.id).state for one in wrong} == {StandingState.NOT_TAKEN}


def test_one_that_comes_before_its_original_waits_for_it():
    thread, answer = answered("t1")
    correction = thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    early = [entry for entry in thread.entries if entry.message.id != answer.id]
    assert standing(early, correction.id).state is StandingState.AWAITING_ORIGINAL
    assert fold(early).out_of_order == ()
    assert fold([*early, *thread.entries]) == thread.case
    assert expiry(thread) == EXPIRY + DAY


def test_a_retracted_answer_takes_its_effect_back_as_far_as_nothing_relied_on_it():
    thread, answer = answered("t1", "t2")
    before = len(thread.entries)
    thread.retract(answer)
    assert (thread.states, thread.reasons) == (["submitted", "submitted"], [])
    del thread.entries[before:]
    thread.add("preservation.extend", TOKYO, reply_to=answer, targets=["t1"], until=text(EXPIRY + DAY))
    thread.retract(answer)
    assert (thread.states, thread.reasons) == (["extension_asked", "submitted"], [])
    assert standing(thread.entries, answer.id).state is StandingState.RETRACTED
    assert standing(thread.entries, answer.id).relied == ("t1",)
    assert owed(thread, "data_protection") == [(Side.REQUESTER, "")]


def test_a_retracted_request_is_withdrawn_and_the_recipient_says_what_it_did():
    thread, _ = answered("t1")
    thread.retract(thread.opening)
    assert thread.states == ["withdrawn", "withdrawn"]
    assert owed(thread, "data_protection") == [(Side.REQUESTED, "")]


def test_a_release_is_never_taken_back():
    thread, answer = answered("t1", "t2")
    release = thread.add("preservation.release", TOKYO, reply_to=answer, targets=["t1"])
    thread.retract(release)
    # The data may be gone: nothing in the thread says that they are not.
    assert thread.states == ["released", "preserved"]
    other, answer = answered("t1", "t2")
    release = other.add("preservation.release", TOKYO, reply_to=answer, targets=["t1"])
    other.correct(release, targets=["t2"])
    assert other.states == ["released", "released"]


def test_after_a_retraction_nothing_is_corrected_and_a_retracted_correction_was_none():
    thread, answer = answered("t1")
    retraction = thread.retract(answer)
    thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    thread.retract(retraction)
    assert sorted(thread.reasons) == ["not_taken_back", "taken_back_before"]
    assert thread.states[0] == "submitted"
    other, answer = answered("t1")
    correction = other.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    other.retract(correction)
    assert (expiry(other), other.reasons) == (EXPIRY, [])
    assert standing(other.entries, correction.id).state is StandingState.RETRACTED
    assert standing(other.entries, answer.id).state is StandingState.IN_FORCE


def test_a_request_whose_answered_target_is_corrected_away_stays_as_it_was():
    thread, _ = answered("t1")
    targets = own_fields(thread.opening)["targets"]
    thread.correct(thread.opening, targets=[targets[1]])
    assert thread.reasons == ["relied_on"]
    assert [target.name for target in thread.case.targets] == ["t1", "t2"]
    del thread.entries[-1]
    thread.correct(thread.opening, targets=[targets[0]])
    assert thread.reasons == []
    assert [target.name for target in thread.case.targets] == ["t1"]


def test_what_is_not_a_message_of_its_type_corrects_nothing():
    thread, answer = answered("t1")
    thread.correct(answer, targets=[])
    assert thread.reasons == ["not_a_correction"]
    assert thread.states[0] == "preserved"


def test_receipts_of_a_retracted_message_stay_and_it_still_acknowledges_nothing_else():
    thread, answer = answered("t1")
    thread.delivered(thread.opening, T0 + HOUR)
    thread.retract(answer)
    assert thread.case.delivered_at == T0 + HOUR
    assert thread.states == ["delivered", "delivered"]


@pytest.mark.parametrize("copies", [1, 3])
def test_said_twice_it_changes_nothing_more(copies: int):
    thread, answer = answered("t1", "t2")
    thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    assert fold(thread.entries * copies) == thread.case


def test_a_flood_of_corrections_is_bounded_for_each_sender():
    thread, answer = answered("t1")
    for number in range(MOST_ACTS + 2):
        thread.correct(answer, sent_at=T0 + HOUR * (2 + number), targets=[preserved("t1", EXPIRY + DAY * (1 + number))])
    assert thread.reasons == ["too_many_changes"] * 2
    assert expiry(thread) == EXPIRY + DAY * MOST_ACTS
    # Paris' corrections take nothing from Tokyo.
    question = thread.add("status.query", TOKYO, targets=[], answer_by=None)
    thread.retract(question)
    assert standing(thread.entries, question.id).state is StandingState.RETRACTED


@pytest.mark.parametrize("of_the_opening", [True, False])
def test_nothing_vanishes_by_a_correction_in_a_version_that_this_program_cannot_read(of_the_opening: bool):
    thread, answer = (Thread(), None) if of_the_opening else answered("t1")
    before = [(target.name, target.state) for target in thread.case.targets]
    original = answer or thread.opening
    correction = thread.correct(original, targets=own_fields(original)["targets"])
    newer = {**correction.message, "schema_version": 999, "targets": [{"way": "new"}]}  # type: ignore[attr-defined]
    thread.entries[-1] = ThreadMessage(correction.model_copy(update={"message": newer}))
    assert [(target.name, target.state) for target in thread.case.targets] == before
    assert thread.reasons == ["not_a_correction"]


def test_what_is_too_many_neither_changes_nor_takes_back():
    thread, answer = answered("t1")
    for number in range(MOST_ACTS):
        last = thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY * (1 + number))])
    thread.retract(last)
    assert thread.reasons == ["too_many_changes"]
    assert expiry(thread) == EXPIRY + DAY * MOST_ACTS
    (read,) = [one for one in as_corrected([e.message for e in thread.entries]) if one.id == answer.id]
    assert read.targets[0].expires_at == EXPIRY + DAY * MOST_ACTS  # type: ignore[attr-defined]


def test_a_chain_of_corrections_is_not_walked_again_for_each(monkeypatch: pytest.MonkeyPatch):
    thread, answer = answered("t1")
    last = thread.correct(answer, targets=[preserved("t1", EXPIRY + DAY)])
    for _ in range(2 * MOST_ACTS):
        said = {"id": UUID(int=1_000 + len(thread.entries)), "corrects": last.id, "in_reply_to": last.id}
        last = last.model_copy(update={**said, "sent_at": last.sent_at + HOUR})
        thread.entries.append(ThreadMessage(last))
    asked = 0

    def counting(act: Any, messages: Any) -> Any:
        nonlocal asked
        asked += 1
        return original_of(act, messages)

    for module in ("protocol.lifecycle.corrections", "protocol.messages.corrections"):
        monkeypatch.setattr(f"{module}.original_of", counting)
    assert len(thread.reasons) == MOST_ACTS + 1
    as_corrected([entry.message for entry in thread.entries])
    assert asked == 2 * MOST_ACTS


def test_no_message_is_judged_by_reading_through_its_whole_thread(monkeypatch: pytest.MonkeyPatch):
    thread = Thread()
    for _ in range(5):
        thread.add("status.query", TOKYO, targets=[], answer_by=None)
    read: list[tuple[bool, int]] = []
    held, given = protocol.lifecycle.thread.held_back, protocol.lifecycle.thread.is_given

    def holding(message: Message, beside: Any, **more: Any) -> Any:
        read.append((isinstance(beside, Mapping), 0))
        return held(message, beside, **more)

    def giving(message: Message, beside: Any) -> bool:
        read.append((True, len(tuple(beside))))
        return given(message, beside)

    monkeypatch.setattr("protocol.lifecycle.thread.held_back", holding)
    monkeypatch.setattr("protocol.lifecycle.thread.is_given", giving)
    assert thread.reasons == []
    assert set(read) == {(True, 0)}


def test_a_request_that_has_ended_is_taken_back_without_being_out_of_order():
    thread = Thread()
    thread.add("withdrawal", TOKYO, targets=[])
    thread.retract(thread.opening)
    assert (thread.reasons, thread.states) == ([], ["withdrawn", "withdrawn"])
