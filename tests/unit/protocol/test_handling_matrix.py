"""Every action, use that was asked for, asker, giver, word, label and recipient: what forbids, and what lifts it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from protocol.address import Address
from protocol.codes import load_codes
from protocol.messages.handling_rules import Action, objections, weakened
from protocol.messages.parse import compose_message
from protocol.messages.schema.base import Message
from protocol.messages.schema.use import ConsentReply, ConsentRequest
from tests.worlds.desks import ROOT

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
HOLDER, ORIGINATOR, OTHER = (Address.parse(text) for text in ("24-7@fr", "24-7@jp", "24-7@us"))
ASKED_FOR, NOT_ASKED_FOR, SAME_NATION = (Address.parse(text) for text in ("24-7@gh", "24-7@gr", "cyber@fr"))
RECIPIENTS = (ASKED_FOR, NOT_ASKED_FOR, SAME_NATION, ORIGINATOR, None)
NAMED = {ASKED_FOR, SAME_NATION, ORIGINATOR}
ABOUT, REQUEST, REPLY = UUID(int=1), UUID(int=2), UUID(int=3)
# What each recipient is to a message from jp to fr: what TLP says of it.
TLP = {
    "CLEAR": {},
    "GREEN": {},
    "AMBER": {ASKED_FOR: "tlp_amber", NOT_ASKED_FOR: "tlp_amber", None: "tlp_amber"},
    "AMBER+STRICT": dict.fromkeys((ASKED_FOR, NOT_ASKED_FOR, SAME_NATION, None), "tlp_amber_strict"),
    "RED": dict.fromkeys((ASKED_FOR, NOT_ASKED_FOR, SAME_NATION, None), "tlp_red"),
}
HANDLING_CODES = {"H0": {}, "H1": {"proceedings": "h1"}, "H2": {"forward": "h2"}, "H3": {"forward": "h3"}}
CONDITIONS = {
    "no_onward_transfer": "forward",
    "confidential": "forward",
    "use_limited": "forward",
    "no_judicial_use": "proceedings",
    "other": None,
}


@dataclass(frozen=True)
class Label:
    """A message under one label: what forbids each action to each recipient, by whom it is lifted."""

    message: Message
    forward: dict[Address | None, str]
    proceedings: str | None
    item: str | None = None
    originator: Address = ORIGINATOR

    def forbids(self, action: Action, recipient: Address | None) -> str | None:
        return self.forward.get(recipient) if action is Action.FORWARD else self.proceedings

    def forbidding(self, action: Action, recipient: Address | None) -> list[str]:
        """All that forbids it: a request leaves the State that was asked only with consent, whatever its label.

        Within that State only TLP:RED keeps it from another office, and nothing from who made it.
        """
        stays = self.message.type == "preservation.request" and recipient in {SAME_NATION, ORIGINATOR}
        if stays and action is Action.FORWARD:
            return ["tlp_red"] if self.forbids(action, recipient) == "tlp_red" else []
        leaves = self.message.type == "preservation.request" and recipient in {ASKED_FOR, NOT_ASKED_FOR}
        by_label = self.forbids(action, recipient)
        return [*(["third_state"] if leaves and action is Action.FORWARD else []), *([by_label] if by_label else [])]


def example(name: str, sender: Address, to: Address, message_id: UUID, **changes: Any) -> Any:
    path = "preservation-request" if name == "preservation.request" else f"messages/{name}"
    draft = {**json.loads((ROOT / f"examples/{path}.json").read_text()), "to": [str(to)], **changes}
    draft = {field: value for field, value in draft.items() if value is not None}
    return compose_message(draft, message_id=message_id, sender=str(sender), sent_at=NOW).message


def request_under(**handling: Any) -> Message:
    given = {"tlp": "GREEN", **handling}
    return example("preservation.request", ORIGINATOR, HOLDER, ABOUT, handling=given)  # type: ignore[no-any-return]


def answer_under(**item: Any) -> Message:
    given = json.loads((ROOT / "examples/messages/answer.json").read_text())["items"][0]
    free = {
        **{"targets": [], "attachment": None, "available_at": "By post.", "grade": None, "conditions": []},
        **{"onward_use": "as_labelled", "originator": None, "evidential_status": "evidence", "item": "i1"},
    }
    items = [{key: value for key, value in {**given, **free, **item}.items() if value is not None}]
    thread = {"thread": str(UUID(int=9)), "in_reply_to": str(UUID(int=9)), "attachments": None}
    final = {"completeness": "final", "handling": {"tlp": "GREEN"}, "remaining": None, "next_update_by": None}
    return example("answer", ORIGINATOR, HOLDER, ABOUT, items=items, **thread, **final)  # type: ignore[no-any-return]


def everybody(code: str) -> dict[Address | None, str]:
    return dict.fromkeys(RECIPIENTS, code)


def labels() -> Iterator[Label]:
    for tlp, said in TLP.items():
        yield Label(request_under(tlp=tlp), said, None)
    for code, said in HANDLING_CODES.items():
        text = {"text": "Only us."} if code == "H3" else {}
        forward = everybody(said["forward"]) if "forward" in said else {}
        yield Label(request_under(codes=[code], **text), forward, said.get("proceedings"))
    yield Label(request_under(use_conditions=["For this case."]), everybody("use_condition"), None)
    for kind, action in CONDITIONS.items():
        condition = {"condition": "c1", "kind": kind, "text": "So."}
        forward = everybody(kind) if action == "forward" else {}
        yield Label(answer_under(conditions=[condition]), forward, kind if action == "proceedings" else None, "i1")
    yield Label(answer_under(onward_use="forbidden"), everybody("onward_forbidden"), None, "i1")
    needed = answer_under(onward_use="consent_needed", originator=str(OTHER))
    yield Label(needed, everybody("onward_consent"), None, "i1", OTHER)
    grade = {"source": "A", "information": "2"}
    yield Label(answer_under(evidential_status="intelligence", grade=grade), {}, "intelligence", "i1")


def asked(use: str, asker: Address) -> ConsentRequest:
    recipients = [str(address) for address in RECIPIENTS if address in NAMED]
    thread = {"thread": str(ABOUT), "in_reply_to": str(ABOUT)}
    request: ConsentRequest = example("consent.request", asker, ORIGINATOR, REQUEST, **thread).model_copy(
        update={"use": use, "recipients": tuple(recipients)}
    )
    return request


def said(
    giver: Address,
    word: str,
    item: str | None,
    *,
    about: UUID = ABOUT,
    to: UUID = REQUEST,
    number: UUID = REPLY,
    until: datetime | None = None,
    after: timedelta = timedelta(0),
) -> ConsentReply:
    terms: dict[str, Any] = {
        "granted": {},
        "granted_with_conditions": {"conditions": [{"condition": "c1", "kind": "other", "text": "Police only."}]},
        "refused": {"reason": "A trial is pending."},
    }[word]
    ref = {"message": str(about), **({"item": item} if item else {})}
    items = [{"item": ref, "consent": word, **terms}]
    thread = {"thread": str(ABOUT), "in_reply_to": str(to)}
    reply: ConsentReply = example("consent.reply", giver, HOLDER, number, **thread, items=items)
    given = reply.items[0].model_copy(update={"valid_until": until})
    return reply.model_copy(update={"items": (given,), "sent_at": NOW + after})


LABELS = tuple(labels())
USES = tuple(entry.code for entry in load_codes("item_use").entries)
WORDS = ("granted", "granted_with_conditions", "refused")
ANSWERS_THE_ACTION = {Action.FORWARD: "onward_transfer", Action.PROCEEDINGS: "proceedings"}


def codes(label: Label, action: Action, recipient: Address | None, thread: tuple[Message, ...] = ()) -> list[str]:
    found = objections(label.message, action, HOLDER, recipient, thread, NOW)
    assert all(objection.item == label.item for objection in found)
    return [objection.code for objection in found]


def test_each_label_forbids_what_it_says_and_nothing_else() -> None:
    for label, action, recipient in itertools.product(LABELS, Action, RECIPIENTS):
        assert codes(label, action, recipient) == label.forbidding(action, recipient)
        assert objections(label.message, action, ORIGINATOR, recipient, (), NOW) == ()


def test_consent_lifts_only_the_action_it_was_asked_for_by_the_holder_for_whom_it_names_and_from_who_may_give_it() -> (
    None
):
    lifted = kept = 0
    givers = (ORIGINATOR, OTHER, HOLDER, ASKED_FOR)
    askers = (HOLDER, OTHER, ASKED_FOR)
    requests = {(use, asker): asked(use, asker) for use in USES for asker in askers}
    replies = {
        (giver, word, item): said(giver, word, item)
        for giver in givers
        for word in WORDS
        for item in (None, "i1", "i2")
    }
    for label, action, recipient in itertools.product(LABELS, Action, RECIPIENTS):
        forbidding = label.forbidding(action, recipient)
        if not forbidding:
            continue
        for (use, asker), request in requests.items():
            for (giver, word, item), reply in replies.items():
                allowed = (
                    use == ANSWERS_THE_ACTION[action]
                    and asker == HOLDER
                    and giver == label.originator
                    and word != "refused"
                    and item in (None, label.item)
                    and (action is Action.PROCEEDINGS or recipient in NAMED)
                )
                found = codes(label, action, recipient, (request, reply))
                assert found == ([] if allowed else forbidding), (label, action, recipient, use, asker, giver, word)
                lifted, kept = lifted + allowed, kept + (not allowed)
    assert lifted > 100
    assert kept > 10_000


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({"until": NOW + timedelta(seconds=1)}, True),
        ({"until": NOW}, False),
        ({"about": UUID(int=8)}, False),
        ({"to": UUID(int=8)}, False),
    ],
)
def test_consent_that_ran_out_or_is_about_another_message_or_request_lifts_nothing(
    changes: dict[str, Any], allowed: bool
) -> None:
    request = asked("onward_transfer", HOLDER)
    reply = said(ORIGINATOR, "granted", None, **changes)
    label = next(label for label in LABELS if label.message.handling.tlp == "RED")
    assert codes(label, Action.FORWARD, ASKED_FOR, (request, reply)) == ([] if allowed else ["third_state", "tlp_red"])


@pytest.mark.parametrize("order", [1, -1])
def test_the_last_word_counts_and_one_on_the_whole_replaces_those_on_its_items(order: int) -> None:
    request = asked("onward_transfer", HOLDER)
    label = next(label for label in LABELS if label.message.type == "answer" and label.forbids(Action.FORWARD, None))
    words = itertools.product(("granted", "refused"), (None, "i1", "i2"))
    for (first, item), (second, other) in itertools.product(tuple(words), repeat=2):
        replies = (
            said(ORIGINATOR, first, item, number=UUID(int=11)),
            said(ORIGINATOR, second, other, number=UUID(int=10), after=timedelta(minutes=1)),
        )
        last: dict[str | None, str] = {item: first}
        if other is None:
            last.clear()
        last[other] = second
        allowed = last.get("i1", last.get(None)) == "granted"
        found = codes(label, Action.FORWARD, ASKED_FOR, (request, *replies[::order]))
        assert (found == []) is allowed


# --- Labels around labels -------------------------------------------------------------------------------------------


def test_labels_are_weaker_exactly_where_one_of_them_is() -> None:
    tlps = list(TLP)
    paps = [None, "WHITE", "GREEN", "AMBER", "RED"]
    texts = (None, "Only us.")
    for inner, outer in itertools.product(itertools.product(tlps, paps), repeat=2):
        one, other = (request_under(tlp=tlp, pap=pap).handling for tlp, pap in (inner, outer))
        expected = {"tlp"} if tlps.index(outer[0]) < tlps.index(inner[0]) else set()
        if inner[1] is not None and (outer[1] is None or paps.index(outer[1]) < paps.index(inner[1])):
            expected.add("pap")
        assert set(weakened(other, one)) == expected
    for inner, outer in itertools.product(itertools.product(("H0", "H1", "H2"), texts, ([], ["A"], ["B"])), repeat=2):
        one, other = (
            request_under(codes=[code, "H3"], text=text or "-", use_conditions=terms).handling
            for code, text, terms in (inner, outer)
        )
        expected = {"codes"} if inner[0] not in ("H0", outer[0]) else set()
        expected |= {"text"} if (inner[1] or "-") not in (outer[1] or "-") else set()
        expected |= {"use_conditions"} if not set(inner[2]) <= set(outer[2]) else set()
        assert set(weakened(other, one)) == expected


def test_a_grade_goes_with_what_it_grades() -> None:
    graded = [request_under(grade={"source": source, "information": "2"}).handling for source in "AB"]
    plain = request_under().handling
    assert weakened(graded[0], graded[0]) == weakened(graded[0], plain) == ()
    assert weakened(graded[1], graded[0]) == weakened(plain, graded[0]) == ("grade",)


def test_a_label_that_this_program_does_not_know_counts_as_the_strictest() -> None:
    newer = request_under().handling.model_copy(update={"tlp": "ULTRAVIOLET"})
    message = LABELS[0].message.model_copy(update={"handling": newer})
    found = objections(message, Action.FORWARD, HOLDER, ASKED_FOR, (), NOW)
    assert [objection.code for objection in found] == ["third_state", "tlp_red"]
    assert weakened(request_under(tlp="RED").handling, newer) == ("tlp",)
