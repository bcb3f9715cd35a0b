"""What one side asked and the other owes: on whose list it is, by when, how that binds, and what takes it off."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

import protocol.lifecycle._owed
from protocol.lifecycle.deadlines import Deadline, DueKind, deadlines
from protocol.lifecycle.profiles import owed_profile
from protocol.lifecycle.rules import Side
from protocol.messages.schema.base import Message
from tests.worlds.threads import DAY, EXAMPLES, HOUR, PARIS, T0, TOKYO, Thread, preserved, text

EXPIRY = T0 + 90 * DAY
REQUESTER, REQUESTED = Side.REQUESTER, Side.REQUESTED
ASSISTANCE, EMERGENCY = "assistance.request", "emergency.request"
# Examples speak of the days after the preservation's request.
ASKED = {"urgency": "urgent", "urgency_reason": "The logs are deleted soon.", "wanted_by": None}


def due(thread: Thread, what: str) -> list[Deadline]:
    return [deadline for deadline in deadlines(thread.case) if deadline.what == what]


def owed(thread: Thread, what: str) -> list[tuple[Side, str]]:
    return [(deadline.side, deadline.target) for deadline in due(thread, what)]


def one(thread: Thread, what: str) -> Deadline:
    (found,) = due(thread, what)
    return found


def kept(*targets: str) -> tuple[Thread, Message]:
    thread = Thread()
    return thread, thread.add("preservation.answer", PARIS, targets=[preserved(name, EXPIRY) for name in targets])


def test_a_word_costs_what_it_may_settle_and_not_all_that_was_ever_asked(monkeypatch: pytest.MonkeyPatch):
    looked_at: list[str] = []
    left = protocol.lifecycle._owed._left

    def looking(entry: Any, *more: Any) -> Any:
        looked_at.append(entry.item.what)
        return left(entry, *more)

    monkeypatch.setattr("protocol.lifecycle._owed._left", looking)
    thread, _ = kept("t1")
    asked = [thread.add("use.query", TOKYO) for _ in range(6)]
    assert [item.message for item in thread.case.owed if item.what == "use"] == [query.id for query in asked]
    assert "use" not in looked_at


# --- Questions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [True, False])
def test_questions_are_owed_an_answer_by_the_date_that_was_named_or_else_by_a_target(named: bool):
    thread = Thread()
    by = T0 + 30 * HOUR
    asked = thread.add("clarification.ask", PARIS, targets=["t1"], answer_by=text(by) if named else None)
    found = one(thread, "clarification")
    assert (found.side, found.target, found.message, found.since) == (REQUESTER, "t1", asked.id, asked.sent_at)
    assert found.due == (by if named else asked.sent_at + owed_profile("clarification").period("urgent"))
    # Nobody is bound to a date that the other side named.
    assert found.kind is DueKind.TARGET
    assert not found.is_late(T0 + 300 * DAY)
    assert found.has_passed(T0 + 300 * DAY)
    other = thread.add("clarification.ask", PARIS, targets=["t2"], answer_by=None)
    thread.add("clarification.reply", TOKYO, reply_to=asked, targets=["t1"])
    assert [item.message for item in due(thread, "clarification")] == [other.id]


def test_the_requester_may_ask_too_and_stops_no_clock():
    thread = Thread(ASSISTANCE, **ASKED)
    thread.delivered(thread.opening, T0)
    asked = thread.add("clarification.ask", TOKYO, targets=[], answer_by=None, pauses_clock=True)
    assert (thread.reasons, [side for side, _ in owed(thread, "clarification")]) == ([], [REQUESTED])
    assert thread.case.pauses == ()
    thread.add("clarification.reply", PARIS, reply_to=asked, targets=[])
    assert (thread.reasons, owed(thread, "clarification")) == ([], [])


def test_questions_are_dropped_by_the_outcome_and_by_the_withdrawal():
    for kind, by, fields in (
        ("preservation.answer", PARIS, {"targets": [preserved(name, EXPIRY) for name in ("t1", "t2")]}),
        ("withdrawal", TOKYO, {"targets": []}),
    ):
        thread = Thread()
        thread.add("clarification.ask", PARIS, targets=[], answer_by=None)
        assert owed(thread, "clarification") == [(REQUESTER, "")]
        thread.add(kind, by, **fields)
        assert owed(thread, "clarification") == []


def test_a_status_query_is_owed_a_word_by_who_was_asked_whatever_that_word_replies_to():
    thread = Thread()
    thread.add("status.query", TOKYO, targets=[], answer_by=None)
    assert owed(thread, "status") == [(REQUESTED, "")]
    thread.add("acknowledgement", PARIS, eta=text(T0 + DAY), next_update_by=None, received_at=text(T0))
    assert owed(thread, "status") == [(REQUESTED, "")]
    thread.add("preservation.answer", PARIS, targets=[preserved("t1", EXPIRY)])
    assert owed(thread, "status") == [(REQUESTED, "t2")]
    thread.add("status.report", PARIS, **report("under_review"))
    assert owed(thread, "status") == []


def report(state: str, **fields: Any) -> dict[str, Any]:
    return {"state": state, "targets": [], "eta": text(T0 + 5 * DAY), "delay": None, "next_update_by": None, **fields}


def test_a_risk_is_decided_target_by_target():
    thread = Thread()
    risk = thread.add("preservation.risk", PARIS, targets=["t1", "t2"], answer_by=None)
    assert owed(thread, "risk") == [(REQUESTER, "")]
    thread.add("preservation.risk-reply", TOKYO, reply_to=risk, targets=["t1"], proceed=True)
    assert owed(thread, "risk") == [(REQUESTER, "t2")]
    thread.add("preservation.risk-reply", TOKYO, reply_to=risk, targets=["t2"], proceed=False)
    assert owed(thread, "risk") == []


def test_conditions_are_answered_by_the_other_side_and_in_full():
    thread = Thread(ASSISTANCE, **ASKED)
    terms = [{"condition": name, "kind": "other", "text": f"Terms {name}."} for name in ("c1", "c2")]
    proposal = thread.add("condition.propose", PARIS, conditions=terms, targets=[], commitment=None, answer_by=None)
    assert [side for side, _ in owed(thread, "conditions")] == [REQUESTER]
    thread.add("condition.accept", TOKYO, reply_to=proposal, conditions=["c1"], targets=[])
    assert [side for side, _ in owed(thread, "conditions")] == [REQUESTER]
    thread.add("condition.accept", TOKYO, reply_to=proposal, conditions=["c2"], targets=[])
    assert owed(thread, "conditions") == []
    counter = Thread(ASSISTANCE, **ASKED)
    proposal = counter.add("condition.propose", PARIS, conditions=terms, targets=[], commitment=None, answer_by=None)
    counter.add("condition.decline", TOKYO, reply_to=proposal, conditions=["c1"], proposal=terms[1:], targets=[])
    assert [side for side, _ in owed(counter, "conditions")] == [REQUESTED]


def test_information_that_is_offered_waits_for_the_recipient_and_then_for_who_offered():
    thread = Thread("information.spontaneous")
    names = [condition.condition for condition in thread.opening.conditions]  # type: ignore[attr-defined]
    assert owed(thread, "conditions") == [(REQUESTED, "")]
    thread.add("condition.accept", PARIS, conditions=names, targets=[])
    assert owed(thread, "conditions") == []
    assert owed(thread, "disclosure") == [(REQUESTER, "")]
    thread.add("withdrawal", TOKYO, targets=[])
    assert owed(thread, "disclosure") == []
    declined = Thread("information.spontaneous")
    declined.add("condition.decline", PARIS, conditions=names, targets=[], proposal=[])
    assert owed(declined, "conditions") == owed(declined, "disclosure") == []


@pytest.mark.parametrize(
    ("query", "reply", "what", "asks"),
    [("use.query", "use.report", "use", PARIS), ("consent.request", "consent.reply", "consent", TOKYO)],
)
def test_use_and_consent_are_owed_a_reply_to_the_very_question_also_when_the_case_is_over(
    query: str, reply: str, what: str, asks: str
):
    thread = Thread(ASSISTANCE, **ASKED)
    other = TOKYO if asks == PARIS else PARIS
    asked = thread.add(query, asks, answer_by=None)
    thread.add("withdrawal", TOKYO, targets=[])
    side = REQUESTER if asks == PARIS else REQUESTED
    assert [found for found, _ in owed(thread, what)] == [side]
    uses = {} if what == "consent" else {"uses": [{"item": ITEM, "use": "investigation", "text": "Read."}]}
    thread.add(reply, other, reply_to=thread.opening, **uses)
    assert [found for found, _ in owed(thread, what)] == [side]
    thread.add(reply, other, reply_to=asked, **uses)
    assert owed(thread, what) == []


ITEM = {"message": "0192c2ec-5e21-7f02-8b3d-4a6c9e1f7d06", "item": "i1"}


# --- Consultation ---------------------------------------------------------------------------------------------------


GROUND = {"code": "political_offence", "text": "The offence is a political one."}


def refused(thread: Thread, **fields: Any) -> None:
    decisions = [{"decision": "refuse", "ground": GROUND}]
    thread.add("decision", PARIS, decisions=decisions, consultation=None, eta=None, **fields)


def notes(thread: Thread) -> set[tuple[str, ...]]:
    return {step.notes for step in thread.case.history if step.fact.NAME == "refused"}


def test_a_refusal_without_consultation_counts_and_says_so():
    alone = Thread(ASSISTANCE, **ASKED)
    refused(alone)
    assert alone.case.state_at(T0) == "refused"
    assert notes(alone) == {("without_consultation",)}
    thread = Thread(ASSISTANCE, **ASKED)
    asked = thread.add("consultation.open", PARIS, targets=[], answer_by=text(T0 + DAY))
    assert owed(thread, "consultation") == [(REQUESTER, one(thread, "consultation").target)]
    assert one(thread, "consultation").due == T0 + DAY
    before = len(thread.entries)
    refused(thread)
    assert notes(thread) == {("without_consultation",)}  # the other side had no time to say a word
    del thread.entries[before:]
    refused(thread, sent_at=T0 + DAY)
    assert notes(thread) == {()}
    del thread.entries[before:]
    thread.add("note", TOKYO, reply_to=asked)
    assert [side for side, _ in owed(thread, "consultation_outcome")] == [REQUESTED]
    thread.add("consultation.close", PARIS, reply_to=asked, targets=[], outcome="under_conditions")
    assert owed(thread, "consultation_outcome") == owed(thread, "consultation") == []
    assert thread.case.state_at(T0) == "submitted"  # it decides nothing
    refused(thread)
    assert notes(thread) == {()}


def test_a_refusal_to_preserve_and_the_word_of_a_wrong_authority_need_no_consultation():
    preserving = Thread()
    refused(preserving)
    assert notes(preserving) == {()}
    elsewhere = Thread(ASSISTANCE, **ASKED)
    elsewhere.add("misdirected", PARIS, targets=[], forwarded=False, forwarded_at=None, forwarded_reference=None)
    assert notes(elsewhere) == {()}


# --- Extensions and what followed -----------------------------------------------------------------------------------


def test_an_extension_is_to_be_decided_before_the_expiry_and_its_rest_when_it_is_granted_in_half():
    thread, answer = kept("t1", "t2")
    fields = {"targets": ["t1"], "until": text(EXPIRY + 60 * DAY)}
    asked = thread.add("preservation.extend", TOKYO, reply_to=answer, **fields)
    found = one(thread, "extension")
    assert (found.side, found.target, found.due, found.kind) == (REQUESTED, "t1", EXPIRY, DueKind.DECLARED)
    assert (found.since, found.message) == (asked.sent_at, asked.id)
    before = len(thread.entries)
    thread.add("preservation.answer", PARIS, reply_to=asked, targets=[preserved("t1", EXPIRY + 30 * DAY)])
    assert one(thread, "extension").due == EXPIRY + 30 * DAY
    assert thread.states == ["extended", "preserved"]
    refused(thread, reply_to=asked)
    assert (due(thread, "extension"), thread.states) == ([], ["extended", "preserved"])
    del thread.entries[before:]
    said = {**preserved("t1", EXPIRY + 30 * DAY), "remark": "Our law allows one extension by 30 days."}
    thread.add("preservation.answer", PARIS, reply_to=asked, targets=[said])
    assert due(thread, "extension") == []
    del thread.entries[before:]
    thread.add("preservation.answer", PARIS, reply_to=asked, targets=[preserved("t1", EXPIRY + 60 * DAY)])
    assert due(thread, "extension") == []


def followed(thread: Thread, answer: Message) -> Message:
    return thread.add("preservation.follow-up", TOKYO, reply_to=answer, targets=["t1"], request=None, **FILED)


FILED = {"issued_at": text(T0 - HOUR), "submitted_at": text(T0 - HOUR)}


def test_a_follow_up_is_to_be_confirmed_before_the_expiry_at_the_latest():
    thread, answer = kept("t1")
    announced = followed(thread, answer)
    found = one(thread, "confirm_follow_up")
    assert (found.side, found.target, found.message) == (REQUESTED, "t1", announced.id)
    assert (found.due, found.kind) == (announced.sent_at + 48 * HOUR, DueKind.TARGET)
    late, answer = kept("t1")
    late.add(
        "preservation.follow-up", TOKYO, reply_to=answer, sent_at=EXPIRY - HOUR, targets=["t1"], request=None, **FILED
    )
    found = one(late, "confirm_follow_up")
    assert (found.due, found.kind) == (EXPIRY, DueKind.DECLARED)
    thread.add("follow-up.confirmed", PARIS, reply_to=announced, targets=["t1"], received_at=text(T0))
    assert due(thread, "confirm_follow_up") == due(thread, "expiry") == []


def test_a_wrong_authority_leaves_the_requester_with_something_to_do_until_the_case_is_closed():
    thread = Thread()
    thread.add("misdirected", PARIS, targets=[], forwarded=False, forwarded_at=None, forwarded_reference=None)
    assert owed(thread, "redirect") == [(REQUESTER, "")]
    thread.add("closure", TOKYO)
    assert owed(thread, "redirect") == []
    elsewhere = Thread()
    refused(elsewhere)
    assert owed(elsewhere, "redirect") == []


# --- Own authorities ------------------------------------------------------------------------------------------------


def test_who_waits_for_a_magistrate_says_since_when_why_and_until_when():
    for kind, fields in (("preservation.request", {}), (ASSISTANCE, ASKED)):
        thread = Thread(kind, **fields)
        delay = {"code": "judicial_authorisation", "text": "The judge decides.", "expected_until": text(T0 + 3 * DAY)}
        first = thread.add("status.report", PARIS, **report("awaiting_authorisation", delay=delay))
        assert set(thread.states) == {"awaiting_authorisation"}
        found = one(thread, "authorisation")
        assert (found.side, found.target, found.since) == (REQUESTED, "", first.sent_at)
        assert (found.reason, found.due, found.kind) == ("judicial_authorisation", T0 + 3 * DAY, DueKind.PROMISED)
        assert found.is_late(T0 + 4 * DAY)
        again = {**delay, "expected_until": text(T0 + 9 * DAY)}
        thread.add("status.report", PARIS, **report("awaiting_authorisation", delay=again))
        assert (one(thread, "authorisation").since, one(thread, "authorisation").due) == (first.sent_at, T0 + 9 * DAY)
        thread.add("status.report", PARIS, **report("under_review"))
        assert due(thread, "authorisation") == []


def test_an_answer_that_discloses_without_authorisation_is_kept_and_moves_nothing():
    thread = Thread(ASSISTANCE, **ASKED)
    answer = thread.add("answer", PARIS, **whole())
    assert set(thread.states) & {"answered", "partially_answered"}
    bare = answer.model_copy(update={"authorisation": None})
    thread.entries[-1] = thread.entries[-1].__class__(bare)
    assert set(thread.reasons) == {"no_authorisation"}
    assert set(thread.states) == {"submitted"}
    assert owed(thread, "explanation") == [(REQUESTER, str(answer.id))]


def whole() -> dict[str, Any]:
    """The example of an answer, without conditions."""
    draft: dict[str, Any] = json.loads((EXAMPLES / "messages/answer.json").read_text("utf-8"))
    for item in draft["items"]:
        item.pop("conditions", None)
    return {"items": draft["items"], "offer": None}


def test_what_cannot_be_moves_nothing():
    thread, _answer = kept("t1")
    ahead = {**preserved("t2", EXPIRY), "preserved_at": text(T0 + 30 * DAY)}
    thread.add("preservation.answer", PARIS, targets=[ahead])
    assert thread.reasons == ["implausible"]
    assert thread.states == ["preserved", "submitted"]
    promise = thread.add("status.report", PARIS, **report("under_review", eta=text(T0 + 2 * DAY)))
    passed = promise.model_copy(update={"eta": T0 - timedelta(days=3)})
    thread.entries[-1] = thread.entries[-1].__class__(passed)
    assert thread.case.eta is None


def test_an_emergency_shows_until_when_the_answer_helps():
    thread = Thread(EMERGENCY, needed_by=text(T0 + HOUR))
    found = one(thread, "needed_by")
    assert (found.side, found.due, found.kind) == (REQUESTED, T0 + HOUR, DueKind.TARGET)
    assert deadlines(thread.case)[0].what == "needed_by"
    thread.add("withdrawal", TOKYO, targets=[])
    assert due(thread, "needed_by") == []


@pytest.mark.parametrize(("kind", "fields"), [("preservation.request", {}), (EMERGENCY, {"needed_by": None})])
def test_confidentiality_ends_at_its_date_and_is_renewed_before(kind: str, fields: dict[str, Any]):
    thread = Thread(kind, do_not_notify_until=text(T0 + 30 * DAY), schema_version=2, **fields)
    found = one(thread, "renewal")
    assert (found.side, found.due, found.kind) == (REQUESTER, T0 + 30 * DAY, DueKind.DECLARED)
    thread.add("confidentiality.renew", PARIS, targets=[], until=text(T0 + 99 * DAY))
    assert one(thread, "renewal").due == T0 + 30 * DAY  # only the requester's word counts
    thread.add("confidentiality.renew", TOKYO, targets=[], until=text(T0 + 60 * DAY))
    assert (thread.reasons, one(thread, "renewal").due) == ([], T0 + 60 * DAY)
    thread.add("withdrawal", TOKYO, targets=[])
    assert due(thread, "renewal") == []
    assert due(Thread(kind, **fields), "renewal") == []
