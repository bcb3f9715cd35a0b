"""A thread that asks several nations is one case per nation, and who was brought in is heard only with proof."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.lifecycle.deadlines import deadlines
from protocol.lifecycle.projection import cases_of, check_step, nations_in, own_cases
from protocol.lifecycle.rules import Side
from protocol.lifecycle.thread import ThreadEvent, ThreadMessage
from protocol.messages.parse import complete_message, message_to_bytes
from protocol.messages.schema.base import Message
from protocol.messages.types.assistance import is_joint
from protocol.messages.types.correcting import KEPT_FIELDS

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
JP, FR, GH, COURT = "24-7@jp", "24-7@fr", "24-7@gh", "parquet@fr"
T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def uid(number: int) -> UUID:
    return UUID(int=(7 << 76) | (2 << 62) | number)


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((EXAMPLES / name).read_text("utf-8"))
    return fields


def said(number: int, by: str, to: list[str], name: str, about: int = 1, **changes: Any) -> Message:
    """A message of an example, ``number`` hours after the request."""
    fields = {name: value for name, value in example(name).items() if name not in {"id", "from", "sent_at"}}
    fields |= {"to": to, "thread": str(uid(1)), "in_reply_to": str(uid(about)), **changes}
    fields = {name: value for name, value in fields.items() if value is not None}
    return complete_message(fields, message_id=uid(number), sender=by, sent_at=T0 + timedelta(hours=number))


def joint(**changes: Any) -> Message:
    """A joint investigation that Japan proposes to France and Ghana."""
    fields = {"kinds": ["joint_investigation"], "joint": True, "targets": [], **changes}
    return said(1, JP, [FR, GH], "messages/assistance.request.json", thread=None, in_reply_to=None, **fields)


def request(**changes: Any) -> Message:
    return said(1, JP, [FR], "preservation-request.json", thread=None, in_reply_to=None, **changes)


def decision(number: int, by: str, to: list[str], word: str) -> Message:
    ground = {"ground": {"code": "essential_interests", "text": "So it is."}} if word == "refuse" else {}
    return said(number, by, to, "messages/decision.json", decisions=[{"decision": word, **ground}])


def forward(number: int, by: str, to: list[str], original: Message, **changes: Any) -> Message:
    carried = {
        "message": str(original.id),
        "type": original.type,
        "originator": original.sender,
        "sent_at": original.sent_at.isoformat(),
        "content": message_to_bytes(original).decode(),
        "salt": "00" * 32,
        "envelope": "AAAA",
    }
    return said(number, by, to, "messages/forward.json", original={**carried, **changes}, consents=[])


def preserved(number: int, by: str, to: list[str]) -> Message:
    at = T0 + timedelta(hours=number)
    times = {"preserved_at": at.isoformat(), "expires_at": (at + timedelta(days=90)).isoformat()}
    targets = [{"target": "t1", "result": "preserved", **times}]
    return said(number, by, to, "messages/preservation.answer.json", targets=targets)


def misdirected(number: int, to: str = JP) -> Message:
    return said(number, FR, [to], "messages/misdirected.json", targets=None)


def thread(*messages: Message) -> list[ThreadMessage]:
    return [ThreadMessage(message) for message in messages]


def states(*messages: Message) -> dict[str, str]:
    return {nation: str(case.state) for nation, case in cases_of(thread(*messages)).items()}


def test_one_nations_refusal_does_not_overwrite_anothers_acceptance() -> None:
    messages = [joint(), decision(2, FR, [JP, GH], "accept"), decision(3, GH, [JP, FR], "refuse")]
    for order in permutations(messages):
        assert states(*order) == {"fr": "accepted", "gh": "refused"}
        assert all(case.out_of_order == () for case in cases_of(thread(*order)).values())


def test_each_party_of_a_joint_case_sees_the_same_state_of_each_nation() -> None:
    messages = thread(joint(), decision(2, FR, [JP, GH], "accept"), decision(3, GH, [JP, FR], "refuse"))
    asker = own_cases(messages, JP)
    assert set(asker) == {"fr", "gh"}
    for own in (FR, GH):
        nation = own.rpartition("@")[2]
        assert own_cases(messages, own) == {nation: asker[nation]}


def test_the_word_of_the_requester_to_one_nation_does_not_touch_the_other() -> None:
    taken_back = said(3, JP, [GH], "messages/withdrawal.json", targets=None)
    assert states(joint(), decision(2, FR, [JP, GH], "accept"), taken_back) == {"fr": "accepted", "gh": "withdrawn"}
    answered = said(4, JP, [FR, GH], "messages/withdrawal.json", about=2, targets=None)  # as an answer to France alone
    assert states(joint(), decision(2, FR, [JP, GH], "accept"), answered)["gh"] != "withdrawn"


def test_a_step_that_one_of_several_cases_allows_is_in_order() -> None:
    entries = thread(joint(), decision(2, FR, [JP, GH], "accept"), decision(3, GH, [JP, FR], "refuse"))
    assert check_step(entries, said(4, JP, [FR, GH], "messages/withdrawal.json", targets=None)) == ()
    (refused,) = check_step(entries, decision(5, GH, [JP, FR], "accept"))
    assert str(refused.reason)


def test_what_the_requester_corrects_or_takes_back_counts_with_each_nation() -> None:
    opening = joint()
    reason = {"why": "wrong_content", "reason": "The suspect came forward."}
    taken_back = said(4, JP, [FR, GH], "messages/retract.json", retracts=str(opening.id), **reason)
    assert states(opening, decision(2, FR, [JP, GH], "accept"), taken_back) == {"fr": "withdrawn", "gh": "withdrawn"}
    fields = {name: value for name, value in json.loads(message_to_bytes(opening)).items() if name not in KEPT_FIELDS}
    fields["description"] = "Corrected."
    corrected = said(
        4, JP, [FR, GH], "messages/correction.json", corrects=str(opening.id), message=fields, reason="It was wrong."
    )
    found = cases_of(thread(opening, decision(2, FR, [JP, GH], "accept"), corrected))
    assert [case.out_of_order for case in found.values()] == [(), ()]


def test_receipts_of_one_nation_prove_nothing_of_the_other() -> None:
    event = ThreadEvent("ContentHandover", FR, T0 + timedelta(hours=2))
    found = cases_of([ThreadMessage(joint(), (event,))])
    assert (found["fr"].delivered_at, found["gh"].delivered_at) == (event.at, None)


def test_only_a_joint_investigation_is_joint() -> None:
    assert is_joint(joint())
    assert not is_joint(request())
    with pytest.raises(Exception, match="problems of the message"):
        joint(kinds=["subscriber"], joint=True)


# --- Passed on ------------------------------------------------------------------------------------------------------


CONSENT = {"passing_on": {"countries": ["GH"]}}


def test_a_third_nation_is_heard_with_the_signed_forward_and_the_consent_of_the_requester() -> None:
    asked = request(**CONSENT)
    messages = [asked, forward(2, FR, [GH, JP], asked), misdirected(3), preserved(4, GH, [JP])]
    for order in permutations(messages):
        found = cases_of(thread(*order))
        assert str(found["fr"].state) == "closed"
        assert found["gh"].targets[0].state == "preserved"
        assert all(case.out_of_order == () for case in cases_of(thread(*order)).values())


def test_a_third_nation_is_out_of_order_without_forward_or_consent_or_for_another_request() -> None:
    asked = request()
    other = request(**CONSENT, facts="Another request of the same id.")
    allowed = request(**CONSENT)
    answer = preserved(4, GH, [JP])
    for messages in (
        (asked, answer),  # nobody passed it on
        (asked, forward(2, FR, [GH, JP], asked), answer),  # nobody consented
        (asked, forward(2, FR, [GH, JP], other), answer),  # the consent stands in what the forwarder made up
        (allowed, forward(2, "24-7@us", [GH, JP], allowed), answer),  # passed on by who was never asked
        (allowed, forward(2, FR, ["24-7@us", JP], allowed), answer),  # to somebody else
    ):
        found = cases_of(thread(*messages))
        kept = [entry for case in found.values() for entry in case.out_of_order]
        assert {entry.fact.message_id for entry in kept} == {answer.id}
        assert {entry.reason.code for entry in kept} == {"no_party"}
        assert "gh" not in found


def test_the_third_desk_has_the_same_case_from_the_forward_alone() -> None:
    asked = request(**CONSENT)
    passed, answer = forward(2, FR, [GH, JP], asked), preserved(4, GH, [JP])
    event = ThreadEvent("ContentHandover", GH, T0 + timedelta(hours=3))
    there = own_cases([ThreadMessage(passed, (event,)), ThreadMessage(answer)], GH)
    assert list(there) == ["gh"]
    asker = own_cases(thread(asked, passed, answer), JP)["gh"]
    assert there["gh"].delivered_at == event.at
    assert there["gh"].targets[0] == asker.targets[0]


def test_passed_on_within_one_state_the_request_stays_open_and_the_other_desk_answers() -> None:
    asked = request()
    messages = (asked, forward(2, FR, [COURT, JP], asked), misdirected(3), preserved(4, COURT, [JP]))
    found = cases_of(thread(*messages))
    assert list(found) == ["fr"]
    assert found["fr"].out_of_order == ()
    assert found["fr"].targets[0].state == "preserved"


def test_the_word_that_a_request_was_passed_on_is_nothing_without_the_forward() -> None:
    asked = said(1, JP, [FR], "messages/assistance.request.json", thread=None, in_reply_to=None)
    assert states(asked, misdirected(3)) == {"fr": "refused"}
    assert states(asked, misdirected(3), forward(2, FR, [COURT, JP], asked))["fr"] == "submitted"
    allowed = said(1, JP, [FR], "messages/assistance.request.json", thread=None, in_reply_to=None, **CONSENT)
    assert states(allowed, misdirected(3), forward(2, FR, [GH, JP], allowed))["fr"] == "forwarded"


def test_who_asked_the_wrong_office_has_an_item_due_until_it_was_passed_on() -> None:
    asked = said(1, JP, [FR], "messages/assistance.request.json", thread=None, in_reply_to=None, **CONSENT)
    alone = cases_of(thread(asked, misdirected(3)))["fr"]
    (due,) = deadlines(alone)
    assert (due.what, due.side) == ("redirect", Side.REQUESTER)
    passed = cases_of(thread(asked, misdirected(3), forward(2, FR, [GH, JP], asked)))["fr"]
    assert "redirect" not in {deadline.what for deadline in deadlines(passed)}


def test_without_its_opening_a_thread_is_of_no_nation() -> None:
    answer = preserved(4, FR, [JP])
    assert nations_in(thread(answer)) == ()
    assert list(cases_of(thread(answer))) == [""]
