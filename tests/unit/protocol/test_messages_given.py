"""What is given under conditions: who accepted what, on which offer, and what an offer that commits owes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from protocol.errors import CommitmentMismatchError, NothingOpenError, OfferNeededError
from protocol.messages.parse import compose_message, message_to_bytes
from protocol.messages.schema.base import Message
from protocol.messages.types.consent import (
    accepts_all,
    check_given,
    check_opening,
    conditions_to_accept,
    is_given,
    open_conditions,
)
from protocol.messages.types.offer import commitment_to
from tests.worlds.samples import AUTHORISATION

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "messages"
GIVER, READER, OTHER = "24-7@fr", "24-7@jp", "24-7@us"
THREAD, OFFER, SECOND, ACCEPT, SECOND_ACCEPT, GIVEN, BEFORE = (UUID(int=number) for number in range(1, 8))
SALT = "5a" * 32
C1 = {"condition": "c1", "kind": "confidential", "text": "Keep it to yourselves."}
C2 = {"condition": "c2", "kind": "use_limited", "text": "For this case."}


def made(name: str, message_id: UUID, sender: str, **changes: Any) -> Message:
    draft = json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))
    fields = {**draft, "thread": str(THREAD), "in_reply_to": str(THREAD), **changes}
    kept = {field: value for field, value in fields.items() if value is not None}
    return compose_message(kept, message_id=message_id, sender=sender).message


def answer(*conditions: dict[str, str], number: UUID = GIVEN, opens: UUID | None = None, **changes: Any) -> Message:
    """An answer with one item under ``conditions``, which makes the offer ``opens`` good."""
    item = json.loads((EXAMPLES / "answer.json").read_text("utf-8"))["items"][0]
    fields = {**item, "attachment": None, "available_at": "By post.", "conditions": list(conditions)}
    items = [{field: value for field, value in fields.items() if value is not None}]
    offer = {"message": str(opens), "salt": SALT} if opens else None
    to = changes.pop("to", [READER])
    return made("answer", number, GIVER, to=to, items=items, attachments=None, offer=offer, **changes)


def information(*, number: UUID = GIVEN, opens: UUID | None = None, **changes: Any) -> Message:
    """Information under C1 and C2."""
    fields = {
        **{"stage": "disclosure", "commitment": None, "facts": "So it is.", "conditions": [C1, C2], "to": [READER]},
        "authorisation": AUTHORISATION,
        **{"offer": {"message": str(opens), "salt": SALT} if opens else None, **changes},
    }
    return made("information.spontaneous", number, GIVER, **fields)


def committed(message: Message) -> str:
    return commitment_to(message_to_bytes(message), bytes.fromhex(SALT))


def offered(
    *conditions: dict[str, str], of: Message | None = None, number: UUID = OFFER, sender: str = GIVER
) -> Message:
    """An offer of conditions; ``of`` is what it commits to, if it does."""
    commitment = committed(of) if of is not None else None
    given = {"conditions": list(conditions), "commitment": commitment, "to": [READER], "targets": None}
    return made("condition.propose", number, sender, **given)


def accepted(about: UUID = OFFER, *names: str, by: str = READER, number: UUID = ACCEPT) -> Message:
    given = {"in_reply_to": str(about), "conditions": list(names or ("c1", "c2")), "to": [GIVER], "targets": None}
    return made("condition.accept", number, by, **given)


def declined(about: UUID) -> Message:
    fields = {"in_reply_to": str(about), "conditions": ["c1"], "to": [GIVER], "proposal": [C1]}
    return made("condition.decline", ACCEPT, READER, **fields)


def left(message: Message, *thread: Message, reader: str = READER) -> list[str]:
    return [condition.condition for condition in open_conditions(message, thread, reader)]


# --- Which conditions are open ----------------------------------------------------------------------------------


def test_a_condition_is_open_until_its_reader_accepts_it_by_name() -> None:
    message = answer(C1, C2)
    assert left(message) == ["c1", "c2"]
    assert left(message, accepted(GIVEN)) == []
    assert left(message, accepted(GIVEN, "c1")) == ["c2"]
    assert left(message, accepted(GIVEN, "c3")) == ["c1", "c2"]
    assert left(message, accepted(GIVEN, by=OTHER)) == ["c1", "c2"]
    assert left(message, accepted(GIVEN, by=OTHER), reader=OTHER) == []
    assert left(message, accepted(UUID(int=99))) == ["c1", "c2"]
    assert left(message, declined(GIVEN)) == ["c1", "c2"]
    assert left(message, offered(C1, C2), accepted(OFFER)) == []
    assert left(message, offered(C1, {**C2, "text": "For that case."}), accepted(OFFER)) == ["c2"]
    assert left(message, offered(C1, {**C2, "kind": "other"}), accepted(OFFER)) == ["c2"]


def test_conditions_stand_before_content_alone_and_before_none_of_an_emergency() -> None:
    assert left(answer(C1, urgency="emergency", urgency_reason="Now.")) == []
    assert left(answer(C1, urgency="urgent", urgency_reason="Now.")) == ["c1"]
    assert left(information()) == ["c1", "c2"]
    offer = made("information.spontaneous", OFFER, GIVER)
    assert left(offer) == []
    assert [condition.condition for condition in conditions_to_accept(offer, (), READER)] == ["c1", "c2"]
    assert conditions_to_accept(offer, [accepted(OFFER)], READER) == ()
    decision = made("decision", OFFER, GIVER)
    assert left(decision) == []
    assert [condition.condition for condition in conditions_to_accept(decision, (), READER)] == ["c1", "c2"]
    assert left(declined(OFFER)) == []
    assert [condition.condition for condition in conditions_to_accept(declined(OFFER), (), GIVER)] == ["c1"]
    assert conditions_to_accept(made("acknowledgement", OFFER, GIVER), (), READER) == ()


def test_content_counts_when_it_has_no_conditions_or_a_recipient_accepted_them() -> None:
    assert is_given(answer(), ())
    assert not is_given(answer(C1), ())
    assert is_given(answer(C1), [accepted(GIVEN, "c1")])
    assert not is_given(answer(C1), [accepted(GIVEN, "c1", by=OTHER)])
    assert is_given(answer(C1, to=[READER, OTHER]), [accepted(GIVEN, "c1", by=OTHER)])


def test_an_offer_is_accepted_whole_by_a_reply_that_names_all_of_it() -> None:
    offer = offered(C1, C2)
    assert accepts_all(accepted(), offer)
    assert accepts_all(accepted(OFFER, "c1", "c2", "c3"), offer)
    assert not accepts_all(accepted(OFFER, "c1"), offer)
    assert not accepts_all(accepted(SECOND), offer)
    assert not accepts_all(declined(OFFER), offered(C1))
    assert not accepts_all(made("acknowledgement", ACCEPT, READER, in_reply_to=str(OFFER)), offer)


# --- What may be given ------------------------------------------------------------------------------------------


def give(message: Message, *thread: Message) -> None:
    check_given(message, message_to_bytes(message), thread)


def test_nothing_is_given_before_each_recipient_accepted() -> None:
    give(answer(C1, C2), offered(C1, C2), accepted())
    give(answer())
    with pytest.raises(OfferNeededError, match=READER):
        give(answer(C1, C2), offered(C1, C2))
    both = answer(C1, C2, to=[READER, OTHER])
    with pytest.raises(OfferNeededError, match=OTHER):
        give(both, offered(C1, C2), accepted())
    give(both, offered(C1, C2), accepted(), accepted(by=OTHER, number=SECOND_ACCEPT))


def test_an_offer_that_commits_is_made_good_by_its_giver_once() -> None:
    message = answer(C1, C2, opens=OFFER)
    offer = offered(C1, C2, of=message)
    give(message, offer, accepted())
    with pytest.raises(NothingOpenError):
        give(message, offer, accepted(), answer(C1, C2, opens=OFFER, number=BEFORE))
    # What opened another offer leaves this one open.
    give(message, offer, accepted(), answer(C1, C2, opens=SECOND, number=BEFORE))
    foreign = offered(C1, C2, of=message, sender=OTHER)
    for offers in ((foreign,), (offered(C1, C2, of=message, number=SECOND),)):
        acceptances = accepted(), accepted(SECOND, number=SECOND_ACCEPT)
        with pytest.raises(CommitmentMismatchError, match="no such offer"):
            give(message, *offers, *acceptances)


def test_what_is_given_is_what_was_offered_under_the_conditions_it_was_offered_under() -> None:
    message = answer(C1, C2, opens=OFFER)
    with pytest.raises(CommitmentMismatchError, match="not what was offered"):
        give(message, offered(C1, C2, of=answer(C1, C2, text="Something else.")), accepted())
    with pytest.raises(CommitmentMismatchError, match="other conditions"):
        give(message, offered(C1, of=message), accepted(OFFER, "c1"), accepted(GIVEN, "c2", number=SECOND_ACCEPT))
    # As far as the thread has the offer.
    check_opening(message, message_to_bytes(message), ())
    wrong = answer(C1, C2, opens=OFFER, text="Something else.")
    check_opening(wrong, message_to_bytes(wrong), [offered(C1, C2, of=message, sender=OTHER)])
    with pytest.raises(CommitmentMismatchError):
        check_opening(wrong, message_to_bytes(wrong), [offered(C1, C2, of=message)])
    other = made("acknowledgement", GIVEN, GIVER)
    check_opening(other, message_to_bytes(other), [offered(C1, C2, of=message), accepted()])


def owes(message: Message, *thread: Message) -> bool:
    """Whether the message is refused because it opens no offer."""
    try:
        check_opening(message, message_to_bytes(message), thread)
    except CommitmentMismatchError as error:
        return "does not open that" in str(error)
    return False


def test_what_was_accepted_on_a_commitment_alone_is_given_as_its_opening() -> None:
    content = answer(C1, C2)
    plain, binding = offered(C1, C2), offered(C1, C2, of=content)
    assert owes(content, binding, accepted())
    assert owes(answer(C1), binding, accepted())
    assert not owes(content, binding)
    assert not owes(content, plain, accepted())
    assert not owes(answer(), binding, accepted())
    assert not owes(answer({**C1, "text": "Otherwise."}), binding, accepted())
    # Accepted on an offer that binds to nothing too.
    also = offered(C1, C2, number=SECOND), accepted(SECOND, number=SECOND_ACCEPT)
    assert not owes(content, binding, accepted(), *also)
    # Another office's commitment binds that office.
    assert not owes(content, offered(C1, C2, of=content, sender=OTHER), accepted())
    # Opened before: nothing is owed any more; the opening of another changes nothing.
    assert not owes(content, binding, accepted(), answer(C1, C2, opens=OFFER, number=BEFORE))
    assert owes(content, binding, accepted(), answer(C1, C2, opens=SECOND, number=BEFORE))
    # One that is opened, and one that is not, under the same terms.
    second = offered(C1, C2, of=content, number=SECOND), accepted(SECOND, number=SECOND_ACCEPT)
    opened = answer(C1, C2, opens=OFFER, number=BEFORE)
    assert not owes(content, binding, accepted(), *second, opened)
    assert owes(content, binding, accepted(), *second)
    assert not owes(answer(C1, C2, urgency="emergency", urgency_reason="Now."), binding, accepted())
    assert owes(answer(C1, C2, urgency="urgent", urgency_reason="Now."), binding, accepted())


def test_information_that_was_offered_is_given_as_the_opening_of_its_offer() -> None:
    content = information()
    fields = {"commitment": committed(content), "conditions": [C1, C2]}
    offer = made("information.spontaneous", OFFER, GIVER, **fields)
    assert owes(content, offer, accepted())
    assert not owes(content)
    assert not owes(information(urgency="emergency", urgency_reason="Now."), offer, accepted())
    # A second offer owes nothing yet.
    assert not owes(made("information.spontaneous", SECOND, GIVER, **fields), offer)
    assert not owes(content, offer, accepted(), information(number=BEFORE, opens=OFFER))
    give(information(opens=OFFER), offer, accepted())
