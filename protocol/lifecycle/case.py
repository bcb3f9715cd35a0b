"""One case for any thread: the message that opens it chooses the lifecycle."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from protocol.lifecycle._by_kind import AnyCase, fold_any
from protocol.lifecycle.corrections import effective
from protocol.lifecycle.folding import OutOfOrder
from protocol.lifecycle.thread import ThreadMessage, unread_in
from protocol.messages.schema.base import Message

__all__ = ["AnyCase", "check_step", "fold", "fold_any", "is_over"]


def fold(thread: Iterable[ThreadMessage]) -> AnyCase:
    """The case of a thread: its messages with the receipts known about them, in any order."""
    messages = tuple(thread)
    read = effective(messages)
    case = fold_any(read.facts)
    return replace(
        case,
        out_of_order=(*case.out_of_order, *read.refused),
        standings=read.standings or {},
        unread=unread_in(messages),
    )


def is_over(case: AnyCase, now: datetime) -> bool:
    """Whether the case has ended at ``now``: by what was said, or by its clocks.

    A preservation is over when every target has ended or lapsed: not while a request that followed was received in
    time, for then the data stay until that is decided. A request is over when every target was answered, refused,
    closed, or can be used no more; not while a supplement is owed. Of other threads only an offer waits for something.
    A thread without its opening asks for nothing.
    """
    return case.is_over(now)


def check_step(thread: Iterable[ThreadMessage], message: Message) -> tuple[OutOfOrder, ...]:
    """What would be out of order if ``message`` were added to ``thread``; empty when every rule allows it."""
    case = fold((*thread, ThreadMessage(message)))
    return tuple(entry for entry in case.out_of_order if entry.fact.message_id == message.id)
