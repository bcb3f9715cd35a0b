"""Which conditions still stand between a reader and what was given under them (Budapest Convention Art. 26.2, 28.2).

Rules:
1. Content under conditions is given when every recipient accepted them: they are offered first.
2. An acceptance is a ``condition.accept`` of the reader that names the condition and replies to the message that set
   it. One of the same kind in the same words that was accepted before, in this thread, is accepted too.
3. After an acceptance of an offer that commits to its content, that content is given as the opening of the offer.
4. In an emergency nothing waits: content is sent and opens at once, and its conditions bind who opens it. Only the
   sender can say so, for what it gives itself.
5. Content that a reader has and did not accept is closed: it is not shown, found or counted, and moves no state.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from protocol.errors import CommitmentMismatchError, NothingOpenError, OfferNeededError
from protocol.messages.schema.base import Message
from protocol.messages.schema.kinds import (
    is_answer,
    is_condition_accept,
    is_condition_decline,
    is_condition_propose,
    is_decision,
    is_files,
    is_information,
)

if TYPE_CHECKING:
    from protocol.messages.schema.parts import Condition
    from protocol.messages.types.offer import Opening

_Terms = tuple[str, str]


def waits_for_acceptance(draft: Mapping[str, Any]) -> bool:
    """Whether what a draft of information gives waits until its conditions are accepted (Art. 26.2): so it is offered
    first. In an emergency nothing waits.
    """
    is_given = draft.get("type") == is_information.code and not draft.get("in_reply_to")
    return is_given and bool(draft.get("conditions")) and draft.get("urgency") != "emergency"


def open_conditions(message: Message, thread: Iterable[Message], reader: str) -> tuple[Condition, ...]:
    """The conditions on the content of ``message`` that ``reader`` has not accepted, each once."""
    if message.urgency == "emergency":
        return ()
    return _not_accepted(content_conditions(message), message, thread, reader)


def conditions_to_accept(message: Message, thread: Iterable[Message], reader: str) -> tuple[Condition, ...]:
    """All conditions that ``message`` sets or offers and ``reader`` has not accepted, each once."""
    return _not_accepted(conditions_of(message), message, thread, reader)


def is_given(message: Message, thread: Iterable[Message]) -> bool:
    """Whether the content of ``message`` counts: it has no conditions, or a recipient accepted them."""
    if next(content_conditions(message), None) is None:
        return True
    messages = tuple(thread)
    return any(not open_conditions(message, messages, reader) for reader in message.to)


def check_given(message: Message, content: bytes, thread: Iterable[Message]) -> None:
    """Return if ``message`` may be sent in its thread as far as conditions go; ``content`` is its JSON.

    Raises :class:`OfferNeededError` when a recipient has not accepted what its content is given under,
    :class:`NothingOpenError` for an offer that was made good before, and as :func:`check_opening`.
    """
    messages = tuple(thread)
    for reader in message.to:
        if open_conditions(message, messages, reader):
            raise OfferNeededError(f"{reader} has not accepted the conditions that this is given under")
    opening = opening_in(message)
    if opening is not None:
        if not any(other.id == opening.message and other.sender == message.sender for other in messages):
            raise CommitmentMismatchError("there is no such offer in this thread")
        if _is_made_good(opening, messages):
            raise NothingOpenError("what was offered has been given")
    check_opening(message, content, messages)


def check_opening(message: Message, content: bytes, thread: Iterable[Message]) -> None:
    """Return if ``message``, whose JSON is ``content``, gives what was offered, as far as ``thread`` has the offer.

    Raises :class:`CommitmentMismatchError`.
    """
    if not (is_answer(message) or is_information(message)):
        return
    messages = tuple(thread)
    opening = opening_in(message)
    offers = {
        other.id: (other, commitment)
        for other in messages
        if other.sender == message.sender and (commitment := _commitment(other))
    }
    if opening is None:
        if message.urgency != "emergency" and _is_owed(message, offers, messages):
            raise CommitmentMismatchError("it was accepted on an offer that committed to it, and does not open that")
        return
    if opening.message not in offers:
        return
    offer, commitment = offers[opening.message]
    from protocol.messages.types.offer import check_commitment

    check_commitment(content, bytes.fromhex(opening.salt), commitment)
    if _all_terms(conditions_of(offer)) != _all_terms(content_conditions(message)):
        raise CommitmentMismatchError("it is given under other conditions than it was offered under")


def opening_in(message: Message) -> Opening | None:
    """Which offer the message makes good."""
    return message.offer if is_answer(message) or is_information(message) else None


def conditions_of(message: Message) -> Iterator[Condition]:
    """All conditions that a message sets or proposes."""
    if is_condition_propose(message) or is_information(message) or is_files(message):
        yield from message.conditions
    elif is_condition_decline(message):
        yield from message.proposal
    elif is_decision(message):
        for decision in message.decisions:
            yield from decision.conditions
    elif is_answer(message):
        for item in message.items:
            yield from item.conditions


def content_conditions(message: Message) -> Iterator[Condition]:
    """Those that what the message gives is given under; an offer or a decision gives nothing yet."""
    discloses = is_information(message) and message.stage == "disclosure"
    if discloses or is_answer(message) or is_files(message):
        yield from conditions_of(message)


def accepts_all(message: Message, offer: Message) -> bool:
    """Whether ``message`` accepts every condition of ``offer``."""
    if not is_condition_accept(message) or message.in_reply_to != offer.id:
        return False
    return {condition.condition for condition in conditions_of(offer)} <= set(message.conditions)


def _not_accepted(
    conditions: Iterable[Condition], message: Message, thread: Iterable[Message], reader: str
) -> tuple[Condition, ...]:
    """Those of ``conditions`` for which the thread has no acceptance by ``reader``."""
    wanted = {_terms(condition): condition for condition in conditions}
    if not wanted:
        return ()
    accepted = {terms for terms, _ in _accepted((*thread, message), reader)}
    return tuple(condition for terms, condition in wanted.items() if terms not in accepted)


def _accepted(thread: Iterable[Message], reader: str) -> Iterator[tuple[_Terms, Message]]:
    """What ``reader`` accepted, each with the message that set it."""
    messages = {other.id: other for other in thread}
    for other in messages.values():
        if not is_condition_accept(other) or other.sender != reader:
            continue
        about = messages.get(other.in_reply_to)
        if about is None:
            continue
        for condition in conditions_of(about):
            if condition.condition in other.conditions:
                yield _terms(condition), about


def _is_owed(message: Message, offers: Iterable[UUID], thread: tuple[Message, ...]) -> bool:
    """Whether the message gives what a commitment stands for, and which was not opened yet."""
    unopened = {key for key in offers if not any(_opens(other, key) for other in thread)}
    if is_information(message):
        return message.stage == "disclosure" and bool(unopened)
    wanted = _all_terms(content_conditions(message))
    for reader in message.to:
        sources: dict[_Terms, set[UUID]] = {}
        for terms, about in _accepted(thread, reader):
            sources.setdefault(terms, set()).add(about.id)
        if any(sources.get(terms) and sources[terms] <= unopened for terms in wanted):
            return True
    return False


def _opens(message: Message, offer: UUID) -> bool:
    opening = opening_in(message)
    return opening is not None and opening.message == offer


def _is_made_good(opening: Opening, thread: tuple[Message, ...]) -> bool:
    return any(_opens(other, opening.message) for other in thread)


def _commitment(message: Message) -> str | None:
    return message.commitment if is_condition_propose(message) or is_information(message) else None


def _all_terms(conditions: Iterable[Condition]) -> set[_Terms]:
    return {_terms(condition) for condition in conditions}


def _terms(condition: Condition) -> _Terms:
    return condition.kind, condition.text
