"""What is passed on: the original is what its envelope commits to, and nothing that is said of it can be otherwise."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.address import Address
from protocol.crypto.hpke import HybridOpener, SealingKey
from protocol.crypto.signing import Ed25519Signer
from protocol.envelope import seal
from protocol.errors import CommitmentMismatchError, HandlingError, RoutingMismatchError
from protocol.messages.handling_rules import Action, items_of, objections, weakened
from protocol.messages.parse import compose_message
from protocol.messages.passing_on import check_passed_on, checked_original, consents_of, originals_of
from protocol.messages.schema.base import Message
from protocol.messages.types.forward import Forward, original_envelope, original_receipts
from protocol.routing import Priority, Routing

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
JP, FR, GH, US = (Address.parse(f"24-7@{nation}") for nation in ("jp", "fr", "gh", "us"))
KEYS = {address: SealingKey(HybridOpener(bytes([n]) * 32).public_key) for n, address in enumerate((JP, FR, GH, US), 1)}
SIGNER = Ed25519Signer(b"\1" * 32)
SALT = b"\7" * 32
MESSAGE, FIRST, SECOND, OTHER, ASKED, REPLIED = (
    UUID(f"0192c2de-7a10-7c4e-9b2f-{number:012}") for number in range(1, 7)
)


def made(name: str, number: UUID, sender: Address, to: list[Address], **changes: Any) -> tuple[Message, bytes]:
    path = "preservation-request" if name == "preservation.request" else f"messages/{name}"
    draft = {**json.loads((EXAMPLES / f"{path}.json").read_text("utf-8")), "to": [str(one) for one in to], **changes}
    kept = {field: value for field, value in draft.items() if value is not None}
    composed = compose_message(kept, message_id=number, sender=str(sender), sent_at=NOW)
    return composed.message, composed.content


def original(message: Message, content: bytes, **routed: Any) -> dict[str, Any]:
    """A message as it is passed on; ``routed`` says what its header says otherwise."""
    to = routed.pop("recipients", tuple(Address.parse(text) for text in message.to))
    header = {
        **{"id": message.id, "sender": Address.parse(message.sender), "created": NOW},
        **{"expires": NOW + timedelta(days=7), "priority": Priority.ROUTINE, "ack_by": None, "commitment": bytes(32)},
    }
    routing = Routing(**{**header, **routed}, recipients=tuple(sorted(to, key=str)))
    envelope = seal(content, routing, SIGNER, {one: KEYS[one] for one in to}, lambda n: SALT[:1] * n)
    return {
        **{"message": str(message.id), "type": message.type, "originator": message.sender},
        **{"sent_at": NOW.isoformat(), "content": content.decode(), "salt": SALT.hex()},
        "envelope": b64encode(envelope).decode(),
    }


def passed_on(
    inside: dict[str, Any], tlp: str = "GREEN", number: UUID = FIRST, **changes: Any
) -> tuple[Forward, bytes]:
    fields = {"handling": {"tlp": tlp}, "original": inside, **changes}
    sender, to = fields.pop("sender", FR), fields.pop("recipients", [GH])
    message, content = made("forward", number, sender, to, **fields)
    assert isinstance(message, Forward)
    return message, content


def request(tlp: str = "GREEN", number: UUID = MESSAGE, to: tuple[Address, ...] = (FR,), **handling: Any) -> Any:
    return made("preservation.request", number, JP, list(to), handling={"tlp": tlp, **handling})


def consent(about: UUID, *to: Address) -> dict[str, Any]:
    """The request of FR to pass the message on, and JP's consent."""
    thread = {"thread": str(about), "in_reply_to": str(about), "items": [{"message": str(about)}]}
    names = {"recipients": [str(one) for one in to], "countries": None}
    asked = made("consent.request", ASKED, FR, [JP], **thread, **names)
    word = {**thread, "in_reply_to": str(ASKED), "items": [{"item": {"message": str(about)}, "consent": "granted"}]}
    replied = made("consent.reply", REPLIED, JP, [FR], **word)
    return {"request": original(*asked), "reply": original(*replied)}


def test_what_is_passed_on_is_read_with_all_that_is_said_of_it() -> None:
    message, content = request()
    with pytest.raises(HandlingError, match="third_state"):
        check_passed_on(passed_on(original(message, content))[0])
    forward, _ = passed_on(original(message, content), consents=[consent(message.id, GH)])
    check_passed_on(forward)
    assert checked_original(forward.original) == message
    assert original_envelope(forward.original).routing.id == message.id
    assert original_receipts(forward.original) == []


OTHERWISE = {
    "the id in the header": {"id": OTHER},
    "the sender in the header": {"sender": US},
    "the recipients in the header": {"recipients": (FR, US)},
    "a recipient in the header": {"recipients": (US,)},
}


@pytest.mark.parametrize("routed", OTHERWISE.values(), ids=OTHERWISE)
def test_a_header_that_says_otherwise_than_the_original_is_refused(routed: dict[str, Any]) -> None:
    forward, _ = passed_on(original(*request(), **routed))
    with pytest.raises(RoutingMismatchError):
        check_passed_on(forward)


@pytest.mark.parametrize(
    "said",
    [
        {"message": str(OTHER)},
        {"originator": str(US)},
        {"type": "answer"},
        {"sent_at": "2026-11-23T03:00:01Z"},
    ],
    ids=str,
)
def test_what_is_said_of_an_original_is_what_stands_in_it(said: dict[str, str]) -> None:
    # The header says the same, where it says it at all.
    routed: dict[str, Any] = {}
    if "message" in said:
        routed["id"] = OTHER
    if "originator" in said:
        routed["sender"] = US
    forward, _ = passed_on({**original(*request(), **routed), **said})
    with pytest.raises(RoutingMismatchError, match="not what stands in it"):
        check_passed_on(forward)


@pytest.mark.parametrize("change", ["content", "salt"])
def test_content_and_salt_are_what_the_envelope_commits_to(change: str) -> None:
    inside = original(*request())
    other = {"content": inside["content"].replace("203.0.113.77", "203.0.113.78"), "salt": "00" * 32}
    forward, _ = passed_on({**inside, change: other[change]})
    with pytest.raises(CommitmentMismatchError):
        check_passed_on(forward)


def test_labels_around_an_original_are_never_weaker_at_any_depth() -> None:
    amber = original(*request("AMBER"))
    with pytest.raises(HandlingError, match="weaker than those of the original: tlp"):
        check_passed_on(passed_on(amber, "GREEN")[0])
    # Each layer is judged, and each allows it to a desk of its own nation.
    near = Address.parse("cyber@fr")
    KEYS[near] = KEYS[FR]
    inner, content = passed_on(amber, "GREEN", recipients=[near])
    outer, _ = passed_on(original(inner, content), "GREEN", SECOND, sender=near, recipients=[FR])
    with pytest.raises(HandlingError, match="weaker"):
        check_passed_on(outer)
    inner, content = passed_on(amber, "AMBER", recipients=[near])
    check_passed_on(inner)
    outer, _ = passed_on(original(inner, content), "AMBER", SECOND, sender=near, recipients=[FR])
    check_passed_on(outer)


def test_each_recipient_may_have_it_or_consent_is_carried_for_each() -> None:
    message, content = request("RED")
    inside = original(message, content)
    both = [GH, US]
    for consents, allowed in (([], False), ([consent(message.id, GH)], False), ([consent(message.id, GH, US)], True)):
        forward, _ = passed_on(inside, "RED", consents=consents, recipients=both)
        if allowed:
            check_passed_on(forward)
        else:
            with pytest.raises(HandlingError, match="tlp_red"):
                check_passed_on(forward)
    forged = consent(message.id, GH, US)
    forged["reply"]["content"] = forged["reply"]["content"].replace("granted", "refused")
    forward, _ = passed_on(inside, "RED", consents=[forged], recipients=both)
    with pytest.raises(CommitmentMismatchError):
        check_passed_on(forward)


def test_everything_that_is_to_be_verified_is_named_at_every_depth() -> None:
    message, content = request("RED")
    inner, inner_content = passed_on(original(message, content), "RED", consents=[consent(message.id, GH)])
    again = consent(inner.id, US)
    outer, _ = passed_on(original(inner, inner_content), "RED", SECOND, sender=GH, recipients=[US], consents=[again])
    assert [one.message for one in originals_of(outer)] == [inner.id, message.id]
    assert [one.message for one in originals_of(inner)] == [message.id]
    assert [one.type for one in consents_of(outer)] == ["consent.request", "consent.reply"] * 2
    assert len(list(consents_of(inner))) == 2


# --- What the matrix of labels does not reach -------------------------------------------------------------------


def codes(message: Message, action: Action, *thread: Message, to: Address | None = GH) -> list[str]:
    return [objection.code for objection in objections(message, action, FR, to, thread, NOW)]


def information(**changes: Any) -> Message:
    handling = {"tlp": "GREEN", "grade": {"source": "A", "information": "2"}}
    return made("information.spontaneous", MESSAGE, JP, [FR], handling=handling, **changes)[0]


def test_intelligence_that_was_not_asked_for_is_no_evidence_and_its_conditions_hold() -> None:
    intelligence = information()
    assert codes(intelligence, Action.PROCEEDINGS) == ["intelligence"]
    assert codes(intelligence, Action.FORWARD) == ["confidential", "use_limited"]
    evidence = information(evidential_status="evidence")
    assert codes(evidence, Action.PROCEEDINGS) == []
    kind = {"condition": "c1", "kind": "no_judicial_use", "text": "Not in court."}
    assert codes(information(evidential_status="evidence", conditions=[kind]), Action.PROCEEDINGS) == [
        "no_judicial_use"
    ]
    assert codes(information(evidential_status="evidence", conditions=[kind]), Action.FORWARD) == []


def test_an_objection_names_the_restriction_in_its_words() -> None:
    _state, h3 = objections(request(codes=["H3"], text="Only us.")[0], Action.FORWARD, FR, GH, (), NOW)
    assert (h3.code, h3.terms) == ("h3", "Only us.")
    wordless = request(codes=["H3"], text="Only us.")[0]
    wordless = wordless.model_copy(update={"handling": wordless.handling.model_copy(update={"text": None})})
    _state, h3 = objections(wordless, Action.FORWARD, FR, GH, (), NOW)
    assert (h3.code, h3.terms) == ("h3", "")
    terms = [one.terms for one in objections(information(), Action.FORWARD, FR, GH, (), NOW)]
    assert terms == [condition.text for condition in information().conditions]


def test_a_text_around_a_label_is_kept_with_it() -> None:
    plain, said = request()[0].handling, request(text="Only us.")[0].handling
    more = request(text="Only us. Not them.")[0].handling
    assert weakened(plain, said) == ("text",)
    assert weakened(said, plain) == weakened(more, said) == ()
    assert weakened(said, more) == ("text",)


def test_consent_is_a_word_of_consent_and_names_whom_it_is_for() -> None:
    red, _ = request("RED")
    given = consent(red.id, GH)
    asked, replied = map(checked_original, consents_of(passed_on(original(*request()), consents=[given])[0]))
    assert codes(red, Action.FORWARD, asked, replied) == []
    # A question in reply to the request for consent says nothing of it.
    question, _ = made("clarification.ask", OTHER, JP, [FR], thread=str(red.id), in_reply_to=str(ASKED))
    assert codes(red, Action.FORWARD, asked, question) == ["third_state", "tlp_red"]
    assert codes(red, Action.FORWARD, asked, question, replied) == []
    # Somebody who is no contact point is named by no text.
    named = asked.model_copy(update={"recipients": ("None",)})
    assert codes(red, Action.FORWARD, named, replied, to=None) == ["tlp_red"]


def test_consent_is_asked_for_the_items_of_an_answer_or_for_the_whole() -> None:
    assert items_of(request()[0]) == (None,)
    answer, _ = made("answer", MESSAGE, JP, [FR], thread=str(OTHER), in_reply_to=str(OTHER))
    assert items_of(answer) == ("i1", "i2")
    advice = {"items": None, "attachments": None, "text": "There is none."}
    words, _ = made("answer", MESSAGE, JP, [FR], thread=str(OTHER), in_reply_to=str(OTHER), **advice)
    assert items_of(words) == (None,)
