"""A correction is read as a message of the type that it corrects, or changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.errors import InvalidMessageError
from protocol.messages.corrections import (
    as_corrected,
    check_correction,
    check_retraction,
    corrected,
    original_of,
    own_fields,
)
from protocol.messages.parse import compose_message, message_to_bytes, parse_message
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.types.correcting import Correction, Retract

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "messages"
TOKYO, PARIS = "24-7@jp", "24-7@fr"
ORIGINAL, FIRST, SECOND, THREAD = (UUID(f"0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f0{n}") for n in (1, 2, 3, 4))


def made(name: str, key: UUID, sender: str = TOKYO, **changes: Any) -> Message:
    """The example of a type, with changes; None removes a field."""
    draft = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    draft = {**draft, "thread": str(THREAD), **changes}
    draft = {field: value for field, value in draft.items() if value is not None}
    return compose_message(draft, message_id=key, sender=sender).message


def correction(original: Message, key: UUID = FIRST, sender: str = TOKYO, **changes: Any) -> Correction:
    """A correction of ``original``: its own fields with ``changes``; None removes one."""
    fields = {name: value for name, value in {**own_fields(original), **changes}.items() if value is not None}
    fields = json.loads(json.dumps(fields))
    of = {"corrects": str(original.id), "in_reply_to": str(original.id), "message": fields}
    labels = original.handling.model_dump(mode="json", exclude_none=True)
    message = made("correction", key, sender, to=[PARIS], handling=labels, **of)
    assert isinstance(message, Correction)
    return message


def refusal(original: Message, wrong: Correction) -> tuple[str, str]:
    """The only problem of a correction; composing and receiving agree."""
    with pytest.raises(InvalidMessageError) as received:
        corrected(original, wrong)
    with pytest.raises(InvalidMessageError) as composed:
        check_correction(original, wrong)
    assert received.value.problems == composed.value.problems
    ((where, _, text),) = received.value.problems
    return where, text


QUERY = made("clarification.reply", ORIGINAL, to=[PARIS])


def test_corrected_message_keeps_its_place_and_takes_the_new_content_and_officer() -> None:
    changed = corrected(QUERY, correction(QUERY, remark="The other account."))
    assert type(changed) is type(QUERY)
    kept = ("id", "thread", "sender", "to", "in_reply_to", "sent_at", "type")
    assert [getattr(changed, name) for name in kept] == [getattr(QUERY, name) for name in kept]
    assert changed.remark == "The other account."  # type: ignore[attr-defined]
    assert changed.officer.name == correction(QUERY).officer.name
    assert changed.officer.signature is None
    check_correction(QUERY, correction(QUERY, remark="The other account."))


def test_a_correction_replaces_the_whole_content() -> None:
    again = corrected(corrected(QUERY, correction(QUERY, remark="More.")), correction(QUERY))
    assert again.remark is None  # type: ignore[attr-defined]
    where, _ = refusal(QUERY, correction(QUERY, answers=None))
    assert where == "message.answers"


@pytest.mark.parametrize(
    "changes", [{"answers": []}, {"answers": "none"}, {"unheard_of": 1}, {"language": ""}, {"schema_version": 0}]
)
def test_content_that_the_type_of_the_original_does_not_allow_corrects_nothing(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidMessageError) as problem:
        corrected(QUERY, correction(QUERY, **changes))
    assert all(where.startswith("message.") for where, _, _ in problem.value.problems)


def test_only_the_sender_corrects_or_takes_back_and_only_in_the_same_case() -> None:
    assert "only the sender" in refusal(QUERY, correction(QUERY, sender=PARIS).model_copy(update={"to": (TOKYO,)}))[1]
    elsewhere = correction(QUERY).model_copy(update={"thread": ORIGINAL})
    assert refusal(QUERY, elsewhere) == ("corrects", "this message is in another case")
    taken = made("retract", FIRST, to=[PARIS], retracts=str(ORIGINAL), in_reply_to=str(ORIGINAL))
    assert isinstance(taken, Retract)
    check_retraction(QUERY, taken)
    for foreign in (taken.model_copy(update={"sender": PARIS}), taken.model_copy(update={"thread": ORIGINAL})):
        with pytest.raises(InvalidMessageError):
            check_retraction(QUERY, foreign)


def test_a_retraction_is_not_taken_back() -> None:
    taken = made("retract", FIRST, to=[PARIS], retracts=str(ORIGINAL), in_reply_to=str(ORIGINAL))
    again = made("retract", SECOND, to=[PARIS], retracts=str(FIRST), in_reply_to=str(FIRST))
    assert isinstance(again, Retract)
    with pytest.raises(InvalidMessageError):
        check_retraction(taken, again)


def test_correction_of_a_correction_corrects_the_original_in_any_order_of_arrival() -> None:
    first = correction(QUERY)
    second = correction(QUERY, SECOND).model_copy(update={"corrects": FIRST, "in_reply_to": FIRST})
    known = {message.id: message for message in (QUERY, first, second)}
    assert original_of(second, known) is original_of(first, known) is QUERY
    assert original_of(second, {SECOND: second}) is None
    assert original_of(second, {FIRST: first, SECOND: second}) is None
    foreign = first.model_copy(update={"sender": PARIS})
    assert original_of(second, {**known, FIRST: foreign}) is None
    circle = first.model_copy(update={"corrects": SECOND})
    assert original_of(second, {FIRST: circle, SECOND: second}) is None


def test_labels_around_a_correction_are_not_weaker_than_those_inside() -> None:
    stricter = {**own_fields(QUERY)["handling"], "tlp": "RED"}
    assert refusal(QUERY, correction(QUERY, handling=stricter))[0] == "handling"


def test_commitment_and_conditions_are_not_corrected() -> None:
    offer = made("information.spontaneous", ORIGINAL, to=[PARIS])
    corrected(offer, correction(offer, subject="Another server"))
    assert refusal(offer, correction(offer, commitment="b" * 64))[0] == "message.commitment"
    answer = made("answer", ORIGINAL, to=[PARIS])
    items = own_fields(answer)["items"]
    corrected(answer, correction(answer, items=[{**items[0], "description": "Another."}, items[1]]))
    freed = [{**items[0], "conditions": []}, items[1]]
    assert "changes no conditions" in refusal(answer, correction(answer, items=freed))[1]


@pytest.mark.parametrize("name", ["forward", "contact.test", "consent.reply", "retract"])
def test_what_others_rely_on_and_what_has_no_content_is_not_corrected(name: str) -> None:
    original = made(name, ORIGINAL, to=[PARIS], **({"thread": None} if name == "contact.test" else {}))
    wrong = correction(original).model_copy(update={"thread": original.thread})
    assert "not corrected" in refusal(original, wrong)[1]


def test_a_message_of_an_unknown_type_is_corrected_as_one_and_not_by_this_program() -> None:
    newer = {**json.loads(message_to_bytes(QUERY)), "type": "clairvoyance", "seen": "a"}
    original = parse_message(json.dumps(newer).encode())
    assert isinstance(original, UnknownMessage)
    of = {"corrects": str(ORIGINAL), "in_reply_to": str(ORIGINAL)}
    fields = {**own_fields(QUERY), "seen": "b"}
    better = made("correction", FIRST, to=[PARIS], message=json.loads(json.dumps(fields)), **of)
    assert isinstance(better, Correction)
    changed = corrected(original, better)
    assert isinstance(changed, UnknownMessage)
    assert changed.other_fields["seen"] == "b"
    with pytest.raises(InvalidMessageError):
        check_correction(original, better)


def test_messages_read_as_their_last_correction_that_stands() -> None:
    first = correction(QUERY, remark="One.").model_copy(update={"sent_at": QUERY.sent_at.replace(year=2001)})
    second = correction(QUERY, SECOND, remark="Two.").model_copy(update={"sent_at": QUERY.sent_at.replace(year=2002)})
    wrong = correction(QUERY, THREAD, answers=[]).model_copy(update={"sent_at": QUERY.sent_at.replace(year=2003)})

    def remark(*more: Message) -> str | None:
        (found,) = [message for message in as_corrected([*more, QUERY]) if message.id == ORIGINAL]
        return found.remark  # type: ignore[attr-defined, no-any-return]

    assert remark() is None
    assert remark(first) == "One."
    assert remark(second, first) == remark(first, second) == remark(wrong, second, first) == "Two."
    taken = made("retract", THREAD, to=[PARIS], retracts=str(SECOND), in_reply_to=str(SECOND))
    assert remark(first, second, taken) == "One."
    assert remark(first, second, taken.model_copy(update={"sender": PARIS})) == "Two."
    # One whose original has not come waits.
    assert as_corrected([first]) == [first]
