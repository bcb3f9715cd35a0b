"""A message that would do nothing is known as such, in every state of a case; and none that does something is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from protocol.codes import load_codes
from protocol.lifecycle.case import AnyCase, fold
from protocol.lifecycle.projection import check_step
from protocol.lifecycle.thread import ThreadMessage
from protocol.lifecycle.without_effect import (
    ANSWERED_ONCE,
    REPEATED,
    SAID_OF_TAKEN_BACK,
    before,
    counts_all_the_same,
    without_effect,
)
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message, Reply
from tests.worlds.threads import DAY, PARIS, T0, TOKYO, Thread, preserved, text

OPENINGS = ("preservation.request", "assistance.request", "emergency.request", "information.spontaneous")
# What needs more than an example and a message to reply to; each has its own test.
_OWN_TEST = {"correction", "retract", "forward"}
REPLIES = sorted(name for name, model in MESSAGE_TYPES.items() if issubclass(model, Reply) and name not in _OWN_TEST)
# Who says it: the requested side, but for these.
OF_THE_REQUESTER = {
    *("preservation.extend", "preservation.follow-up", "preservation.release", "preservation.risk-reply"),
    *("confidentiality.renew", "emergency.supplement", "clarification.reply", "withdrawal", "status.query"),
}


def kept(thread: Thread, days: int = 90) -> Message:
    return thread.add("preservation.answer", PARIS, targets=[preserved("t1", T0 + days * DAY)])


def none(thread: Thread) -> None:
    """The state after the opening alone."""


def acknowledged(thread: Thread) -> None:
    thread.add("acknowledgement", PARIS)


def reviewed(thread: Thread) -> None:
    thread.add("status.report", PARIS, state="under_review")


def questioned(thread: Thread) -> None:
    thread.add("clarification.ask", PARIS)


def consulted(thread: Thread) -> None:
    thread.add("consultation.open", PARIS, targets=None)


def answered(thread: Thread) -> None:
    if thread.opening.type == "preservation.request":
        kept(thread)
    elif thread.opening.type != "information.spontaneous":
        thread.add("decision", PARIS, decisions=[{"decision": "accept"}])


def refused(thread: Thread) -> None:
    thread.add("misdirected", PARIS, targets=None, forwarded=False, forwarded_at=None, forwarded_reference=None)


def withdrawn(thread: Thread) -> None:
    thread.add("withdrawal", TOKYO, targets=None)


def closed(thread: Thread) -> None:
    withdrawn(thread)
    thread.add("closure", TOKYO, text=None)


STATES: tuple[Callable[[Thread], None], ...] = (
    *(none, acknowledged, reviewed, questioned, consulted, answered, refused, withdrawn, closed),
)


def shown(case: AnyCase) -> list[Any]:
    """The targets, but for which of two messages in the same words asked for the extension."""
    dated = {"extension": None, "extension_asked_at": None}
    return [replace(one, **{n: v for n, v in dated.items() if hasattr(one, n)}) for one in case.targets]


def made(
    thread: Thread, kind: str, about: Message | None = None, by: str | None = None, **fields: Any
) -> Message | None:
    """A message that is not in the thread yet; None where the example does not fit this case."""
    from protocol.errors import InvalidMessageError

    said_by = by or (TOKYO if kind in OF_THE_REQUESTER else PARIS)
    aged = {"about": str(thread.opening.id)} if kind == "data-protection.notice" else {}
    try:
        message = thread.add(kind, said_by, reply_to=about, **{**aged, **fields})
    except InvalidMessageError:
        return None
    thread.entries.pop()
    return message


def taken(thread: Thread, message: Message) -> Thread:
    thread.entries.append(ThreadMessage(message))
    return thread


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_no_act_can_be_done_twice_unless_to_repeat_it_is_legitimate(
    opening: str, state: Callable[[Thread], None]
) -> None:
    """Every type of reply in every state: what a case allows once, it refuses in the same words right after."""
    tried = 0
    for kind in REPLIES:
        thread = Thread(opening)
        state(thread)
        first = made(thread, kind)
        if first is None or check_step(thread.entries, first) or without_effect(thread.entries, first):
            continue
        taken(thread, first)
        again = made(thread, kind)
        assert again is not None
        void = without_effect(thread.entries, again)
        assert (kind in REPEATED) == (void is None), (kind, void)
        tried += 1
    assert tried > 8


@pytest.mark.parametrize("opening", OPENINGS)
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.__name__)
def test_what_has_no_effect_changes_no_state_and_nothing_that_is_owed(
    opening: str, state: Callable[[Thread], None]
) -> None:
    """Said, or received all the same: the fold is what it was, but for the history."""
    for kind in REPLIES:
        thread = Thread(opening)
        state(thread)
        for _ in range(2):
            message = made(thread, kind)
            if message is None:
                break
            was = thread.case
            now = fold((*thread.entries, ThreadMessage(message)))
            if without_effect(thread.entries, message) is not None:
                assert (shown(now), now.silent_until, now.pauses) == (shown(was), was.silent_until, was.pauses), kind
                assert {(one.what, one.side) for one in now.owed} == {(one.what, one.side) for one in was.owed}, kind
            taken(thread, message)


@pytest.mark.parametrize("opening", OPENINGS)
def test_what_was_taken_back_is_answered_by_nobody(opening: str) -> None:
    for kind in REPLIES:
        thread = Thread(opening)
        word = thread.add("note", TOKYO if kind not in OF_THE_REQUESTER else PARIS)
        thread.retract(word)
        message = made(thread, kind, about=word)
        if message is None:
            continue
        found = without_effect(thread.entries, message)
        assert (found is not None and found.code == "answers_taken_back") == (kind not in SAID_OF_TAKEN_BACK), kind


def test_a_message_is_taken_back_once_and_only_by_its_sender() -> None:
    thread = Thread()
    word = kept(thread)
    thread.retract(word, by=TOKYO)  # a stranger's retraction counts for nothing
    own = thread.retract(word)
    assert without_effect(before(thread.entries, own), own) is None
    again = thread.retract(word)
    found = without_effect(before(thread.entries, again), again)
    assert found is not None
    assert (found.code, found.by) == ("taken_back_before", own.id)


def test_a_correction_that_changes_nothing_says_so_also_when_it_repeats_the_last_one() -> None:
    thread = Thread()
    thread.correct(thread.opening, facts="Other facts.")
    same = thread.correct(thread.opening, facts="Other facts.")
    found = without_effect(before(thread.entries, same), same)
    assert found is not None
    assert found.code == "changes_nothing"
    back = thread.correct(thread.opening)  # to what it said first: that changes something again
    assert without_effect(before(thread.entries, back), back) is None


def test_a_consultation_is_closed_once_by_who_opened_it_or_by_the_answer_of_who_was_asked() -> None:
    thread = Thread("assistance.request")
    early = made(thread, "consultation.close", targets=None)
    asked = thread.add("consultation.open", PARIS, targets=None)
    theirs = made(thread, "consultation.close", about=asked, by=TOKYO, targets=None)
    close = made(thread, "consultation.close", about=asked, targets=None)
    assert early is not None and theirs is not None and close is not None  # noqa: PT018 - all three are made
    assert [without_effect(thread.entries, one) is None for one in (theirs, close)] == [True, True]
    assert without_effect(Thread("assistance.request").entries, early) is not None
    taken(thread, close)
    late = made(thread, "consultation.close", about=asked, by=TOKYO, targets=None)
    assert late is not None
    refused = without_effect(thread.entries, late)
    assert refused is not None
    assert refused.code == "no_consultation"
    for outcome in ("in_part", "with_conditions", "refuse"):
        if outcome not in load_codes("consultation_outcome"):
            continue
        third = made(thread, "consultation.close", about=asked, targets=None, outcome=outcome)
        assert third is not None
        found = without_effect(thread.entries, third)
        assert found is not None
        assert found.code == "no_consultation"


def test_an_answer_that_is_given_once_is_not_given_in_other_words() -> None:
    assert set(MESSAGE_TYPES) >= ANSWERED_ONCE
    thread = Thread("contact.test")
    first = thread.add("contact.test-reply", PARIS)
    other = made(thread, "contact.test-reply", remark="Once more.")
    assert other is not None
    found = without_effect(thread.entries, other)
    assert found is not None
    assert (found.code, found.by) == ("answered_before", first.id)


def test_silence_is_renewed_to_a_later_date_by_the_requester_alone() -> None:
    thread = Thread(do_not_notify=True, do_not_notify_until=text(T0 + 30 * DAY))
    for days, by, expected in ((30, TOKYO, "silent_longer"), (60, TOKYO, None), (60, PARIS, "requester_only")):
        message = made(thread, "confidentiality.renew", by=by, until=text(T0 + days * DAY))
        assert message is not None
        found = without_effect(thread.entries, message)
        assert (found.code if found else None) == expected


def test_the_same_words_again_are_news_once_the_other_side_has_spoken() -> None:
    thread = Thread()
    kept(thread)
    extend = {"until": text(T0 + 150 * DAY)}
    thread.add("preservation.extend", TOKYO, **extend)
    again = made(thread, "preservation.extend", **extend)
    assert again is not None
    assert without_effect(thread.entries, again) is not None
    thread.add("note", PARIS)
    again = made(thread, "preservation.extend", **extend)
    assert again is not None
    assert without_effect(thread.entries, again) is None


def test_an_answer_that_crossed_with_the_retraction_of_its_question_counts_and_is_told_from_one_without_effect() -> (
    None
):
    thread = Thread()
    kept(thread)
    asked = thread.add("preservation.extend", TOKYO, until=text(T0 + 150 * DAY))
    thread.retract(asked)
    late = thread.add("preservation.answer", PARIS, reply_to=asked, targets=[preserved("t1", T0 + 150 * DAY)])
    receipt = thread.add("acknowledgement", PARIS, reply_to=asked)
    found = [without_effect(before(thread.entries, one), one) for one in (late, receipt)]
    assert [one.code if one else None for one in found] == ["answers_taken_back", "answers_taken_back"]
    assert [counts_all_the_same(thread.entries, one) for one in (late, receipt)] == [True, False]


def test_a_request_that_is_over_is_acknowledged_once_and_one_that_goes_on_again() -> None:
    times, found = [T0 + timedelta(minutes=at) for at in range(1, 5)], []
    for ends in ("withdrawal", "status.query"):
        thread = Thread("assistance.request")
        said = {"reply_to": thread.opening, "received_at": text(T0), "eta": text(T0 + DAY)}
        first = thread.add("acknowledgement", PARIS, sent_at=times[0], **said)
        thread.add(ends, TOKYO, sent_at=times[1], targets=None)
        again = thread.add("acknowledgement", PARIS, sent_at=times[2], **said, remark="Later.")
        found += [without_effect(before(thread.entries, one), one) for one in (first, again)]
    assert [one.code if one else None for one in found] == [None, "over_before", None, None]


def test_every_rule_has_its_words_and_the_way_out_of_those_that_have_one() -> None:
    codes = {entry.code: entry.label for entry in load_codes("no_effect").entries}
    assert len(codes) == 14
    assert not [label for label in codes.values() if label.endswith(".")]
