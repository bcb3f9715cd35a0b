"""Cases with corrections, retractions and all that is owed, by their properties: any order, doubled, dropped.

The messages are real ones, made once; each example is a selection of them.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.lifecycle.case import fold
from protocol.lifecycle.corrections import effective, standing
from protocol.lifecycle.deadlines import deadlines
from protocol.lifecycle.folding import StandingState
from protocol.lifecycle.preservation import PreservationCase
from protocol.lifecycle.preservation_rules import State
from protocol.lifecycle.thread import ThreadMessage
from protocol.messages.schema.base import Message
from protocol.messages.types.correcting import Correction, Retract
from tests.worlds.threads import DAY, HOUR, PARIS, T0, TOKYO, Thread, preserved, text

EXPIRY = T0 + 70 * DAY


@cache
def pool() -> tuple[ThreadMessage, ...]:
    """A request and thirty messages about it: in order and not, by both sides, with corrections of many of them."""
    thread = Thread()
    days = iter(range(1, 200, 2))

    def at() -> Any:
        return T0 + next(days) * DAY

    def answer(reply_to: Message, *targets: str, until: Any) -> Message:
        told = [preserved(name, until) for name in targets]
        return thread.add("preservation.answer", PARIS, reply_to=reply_to, sent_at=at(), targets=told)

    def asked(reply_to: Message, until: Any, *targets: str) -> Message:
        fields = {"targets": list(targets), "until": text(until)}
        return thread.add("preservation.extend", TOKYO, reply_to=reply_to, sent_at=at(), **fields)

    request = thread.opening
    for person in (TOKYO, PARIS):
        thread.add("note", person, reply_to=request, sent_at=at())
    query = thread.add("status.query", TOKYO, sent_at=at(), answer_by=None)
    first = answer(request, "t1", "t2", until=EXPIRY)
    low = answer(request, "t1", until=T0 + 30 * DAY)
    extension = asked(first, EXPIRY + 60 * DAY, "t1")
    half = answer(extension, "t1", until=EXPIRY + 20 * DAY)
    thread.correct(first, sent_at=at(), targets=[preserved("t1", EXPIRY - 2 * DAY), preserved("t2", EXPIRY + DAY)])
    thread.correct(first, sent_at=at(), targets=[preserved("t1", T0 + 9 * DAY)])
    thread.correct(low, sent_at=at(), targets=[preserved("t1", EXPIRY)])
    thread.correct(half, sent_at=at(), targets=[preserved("t1", EXPIRY + 60 * DAY)])
    thread.correct(extension, sent_at=at(), until=text(EXPIRY + 30 * DAY))
    back = thread.retract(half, sent_at=at())
    thread.retract(back, sent_at=at())
    follow_up = thread.add(
        "preservation.follow-up", TOKYO, reply_to=first, sent_at=at(), targets=["t1", "t2"], request=None
    )
    confirmed = thread.add(
        "follow-up.confirmed",
        PARIS,
        reply_to=follow_up,
        sent_at=at(),
        targets=["t1"],
        received_at=text(T0 + 35 * DAY),
    )
    thread.correct(confirmed, sent_at=at(), received_at=text(EXPIRY + DAY))
    thread.retract(confirmed, sent_at=at())
    thread.retract(follow_up, sent_at=at())
    consulted = thread.add(
        "consultation.open", PARIS, reply_to=follow_up, sent_at=at(), targets=["t1"], answer_by=text(EXPIRY)
    )
    thread.add("note", TOKYO, reply_to=consulted, sent_at=at())
    thread.add("consultation.close", PARIS, reply_to=consulted, sent_at=at(), targets=["t1"])
    release = thread.add("preservation.release", TOKYO, reply_to=first, sent_at=at(), targets=["t2"])
    thread.retract(release, sent_at=at())
    thread.correct(first, by=TOKYO, sent_at=at(), targets=[preserved("t1", EXPIRY + 90 * DAY)])
    correction = next(entry.message for entry in thread.entries if isinstance(entry.message, Correction))
    thread.retract(correction, sent_at=at())
    thread.add(
        "data-protection.notice",
        TOKYO,
        reply_to=correction,
        sent_at=(noticed := at()),
        about=str(first.id),
        at=text(noticed),
    )
    thread.retract(query, sent_at=at())
    thread.retract(request, sent_at=at())
    thread.delivered(request, T0 + HOUR)
    thread.delivered(follow_up, T0 + 40 * DAY)
    return tuple(thread.entries)


# Without the request that opens it a thread is nothing; it is one of the messages all the same.
_threads = st.lists(st.integers(1, len(pool()) - 1), unique=True, max_size=12).map(
    lambda chosen: [pool()[0], *(pool()[number] for number in chosen)]
)


@given(_threads, st.randoms(use_true_random=False))
def test_any_order_of_arrival_of_corrections_gives_the_same_case(thread: list[ThreadMessage], random: Random) -> None:
    shuffled = [*thread, *random.choices(thread, k=3)]
    random.shuffle(shuffled)
    theirs, ours = fold(shuffled), fold(thread)
    assert theirs == ours
    assert deadlines(theirs) == deadlines(ours)
    assert dict(theirs.standings) == dict(ours.standings)


@given(_threads, st.randoms(use_true_random=False))
def test_receipts_may_come_apart_from_their_messages(thread: list[ThreadMessage], random: Random) -> None:
    apart = [replace(entry, events=()) for entry in thread] + [entry for entry in thread if entry.events]
    random.shuffle(apart)
    assert fold(apart) == fold(thread)


@given(_threads)
def test_no_correction_gives_an_expiry_below_the_minimum_or_of_another_side(thread: list[ThreadMessage]) -> None:
    case = fold(thread)
    assert isinstance(case, PreservationCase)
    for target in case.targets:
        if target.expires_at is not None:
            assert target.preserved_at is not None
            assert target.expires_at - target.preserved_at >= 60 * DAY
            assert target.expires_at <= EXPIRY + 60 * DAY  # what Tokyo wrote in Paris' name gives nothing


@given(_threads)
def test_every_act_stands_somehow_and_each_that_was_not_taken_says_why(thread: list[ThreadMessage]) -> None:
    case = fold(thread)
    present = {entry.message.id for entry in thread}
    refused = {entry.fact.message_id for entry in case.out_of_order}
    for entry in thread:
        act = entry.message
        if not isinstance(act, Correction | Retract):
            continue
        about = act.corrects if isinstance(act, Correction) else act.retracts
        stands = standing(thread, act.id).state
        assert (stands is StandingState.AWAITING_ORIGINAL) <= (about not in present or _is_act(about, thread))
        assert (stands is StandingState.NOT_TAKEN) <= (act.id in refused)
        if act.id in refused and stands is not StandingState.NOT_TAKEN:
            # It counts from its own place on, where a rule is against it: the former version was relied on.
            assert any(other.relied for other in case.standings.values())


def _is_act(message_id: object, thread: list[ThreadMessage]) -> bool:
    return any(entry.message.id == message_id and isinstance(entry.message, Correction) for entry in thread)


@given(_threads)
def test_what_the_other_side_did_in_order_stays_in_order_when_something_is_corrected_later(
    thread: list[ThreadMessage],
) -> None:
    by_time = sorted(thread, key=lambda entry: entry.message.sent_at)
    held = by_time[: len(by_time) // 2 + 1]
    acts = [entry for entry in by_time[len(held) :] if isinstance(entry.message, Correction | Retract)]
    for side in (TOKYO, PARIS):
        of_side = [entry for entry in acts if entry.message.sender == side]
        was, now = fold(held), fold([*held, *of_side])
        applied = {(step.fact, step.target) for step in now.history}
        assert {(step.fact, step.target) for step in was.history if step.fact.by != side and step.fact.MOVES} <= applied


@given(_threads)
def test_a_release_is_final_whatever_is_taken_back(thread: list[ThreadMessage]) -> None:
    case = fold(thread)
    released = {step.target for step in case.history if step.fact.NAME == "released" and step.after is State.RELEASED}
    assert all(target.state in {State.RELEASED, State.WITHDRAWN} for target in case.targets if target.name in released)


@given(_threads)
def test_without_corrections_nothing_is_read_otherwise(thread: list[ThreadMessage]) -> None:
    plain = [entry for entry in thread if not isinstance(entry.message, Correction | Retract)]
    read = effective(plain)
    assert read.refused == ()
    assert not read.standings


@pytest.mark.parametrize("kind", [Correction, Retract])
def test_the_pool_has_acts_that_are_taken_and_acts_that_are_not(kind: type[Message]) -> None:
    case = fold(pool())
    refused = {entry.fact.message_id for entry in case.out_of_order}
    acts = {entry.message.id for entry in pool() if isinstance(entry.message, kind)}
    assert acts & refused
    assert acts - refused
