"""One case for any thread: the message that opens it chooses the lifecycle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import AssistanceCase, fold_assistance
from protocol.lifecycle.conversation import ConversationCase, fold_conversation
from protocol.lifecycle.folding import OutOfOrder, opening_of
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.preservation import PreservationCase, fold_facts
from protocol.lifecycle.thread import ThreadMessage, facts_of_thread, unread_in
from protocol.messages.schema.base import Message

AnyCase = PreservationCase | AssistanceCase | ConversationCase


def fold(thread: Iterable[ThreadMessage]) -> AnyCase:
    """The case of a thread: its messages with the receipts known about them, in any order."""
    messages = tuple(thread)
    return replace(fold_any(facts_of_thread(messages)), unread=unread_in(messages))


def fold_any(facts: Iterable[f.CaseFact]) -> AnyCase:
    """The case of these facts, by the lifecycle of the opening; without an opening all wait for it."""
    facts = tuple(facts)
    opening = opening_of(in_order(fact for fact in facts if isinstance(fact, f.Submitted)))
    kind = opening.kind if opening else "preservation.request"
    if kind == "preservation.request":
        return fold_facts(facts)
    if kind in {"assistance.request", "emergency.request"}:
        return fold_assistance(facts, emergency=kind == "emergency.request")
    return fold_conversation(facts)


def is_over(case: AnyCase, now: datetime) -> bool:
    """Whether the case has ended at ``now``: by what was said, or by its clocks.

    A preservation is over when every target has ended or lapsed: not while a request that followed was received in
    time, for then the data stay until that is decided. A request is over when every target was answered, refused,
    closed, or can be used no more; not while a supplement is owed. Of other threads only an offer waits for something.
    A thread without its opening asks for nothing.
    """
    return case.opening is None or case.is_over(now)


def check_step(thread: Iterable[ThreadMessage], message: Message) -> tuple[OutOfOrder, ...]:
    """What would be out of order if ``message`` were added to ``thread``; empty when every rule allows it."""
    case = fold((*thread, ThreadMessage(message)))
    return tuple(entry for entry in case.out_of_order if entry.fact.message_id == message.id)
