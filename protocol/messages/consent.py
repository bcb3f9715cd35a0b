"""Which conditions still stand between a reader and what was given under them (Budapest Convention Art. 26.2, 28.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protocol.messages.answer import Answer
from protocol.messages.base import Message
from protocol.messages.conditions import ConditionAccept, ConditionDecline, ConditionPropose
from protocol.messages.decision import Decision
from protocol.messages.information import InformationSpontaneous
from protocol.messages.parts import Condition


def open_conditions(message: Message, thread: Iterable[Message], reader: str) -> tuple[Condition, ...]:
    """The conditions on the content of ``message`` that ``reader`` has not accepted, each once."""
    return _not_accepted(_on_content(message), message, thread, reader)


def conditions_to_accept(message: Message, thread: Iterable[Message], reader: str) -> tuple[Condition, ...]:
    """All conditions that ``message`` sets or offers and ``reader`` has not accepted, each once."""
    return _not_accepted(conditions_of(message), message, thread, reader)


def _not_accepted(
    conditions: Iterable[Condition], message: Message, thread: Iterable[Message], reader: str
) -> tuple[Condition, ...]:
    """Those of ``conditions`` for which the thread has no acceptance by ``reader``.

    A condition is accepted by a ``condition.accept`` of the reader that names it and replies to the message that set
    it; one of the same kind in the same words that was accepted before, in this thread, is accepted too.
    """
    messages = {other.id: other for other in (*thread, message)}
    accepted: set[tuple[str, str]] = set()
    for other in messages.values():
        if isinstance(other, ConditionAccept) and other.sender == reader:
            about = messages.get(other.in_reply_to)
            given = conditions_of(about) if about is not None else ()
            accepted |= {_terms(condition) for condition in given if condition.condition in other.conditions}
    wanted = {_terms(condition): condition for condition in conditions}
    return tuple(condition for terms, condition in wanted.items() if terms not in accepted)


def conditions_of(message: Message) -> Iterator[Condition]:
    """All conditions that a message sets or proposes."""
    match message:
        case ConditionPropose() | InformationSpontaneous():
            yield from message.conditions
        case ConditionDecline():
            yield from message.proposal
        case Decision():
            for decision in message.decisions:
                yield from decision.conditions
        case Answer():
            for item in message.items:
                yield from item.conditions
        case _:
            return


def _on_content(message: Message) -> Iterator[Condition]:
    """Those that what the message gives is given under; an offer or a decision gives nothing yet."""
    if isinstance(message, Answer) or (isinstance(message, InformationSpontaneous) and message.stage == "disclosure"):
        yield from conditions_of(message)


def _terms(condition: Condition) -> tuple[str, str]:
    return condition.kind, condition.text
