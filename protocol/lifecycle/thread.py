"""From messages and receipts to facts. A later message type adds one line to ``_FACTS_OF``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.profiles import minimum_days
from protocol.messages.acknowledgement import Acknowledgement
from protocol.messages.base import Message
from protocol.messages.preservation import PreservationAnswer, PreservationRequest, TargetAnswer

_HANDOVER = "ContentHandover"


@dataclass(frozen=True, slots=True)
class ThreadEvent:
    """A verified receipt about a message: the event's name, the recipient it concerns, and its time."""

    name: str
    recipient: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A verified message (its inner sender is its outer sender) with the verified receipts known about it."""

    message: Message
    events: tuple[ThreadEvent, ...] = ()


def facts_of(message: Message) -> tuple[f.CaseFact, ...]:
    """The facts that a message states; none for a type that moves no case or is not known."""
    mapping = _FACTS_OF.get(type(message))
    return mapping(message) if mapping else ()


def facts_of_thread(thread: Iterable[ThreadMessage]) -> list[f.CaseFact]:
    """The facts of all messages and of the handover receipts about them."""
    facts: list[f.CaseFact] = []
    for entry in thread:
        facts.extend(facts_of(entry.message))
        facts.extend(
            f.Delivered(message_id=entry.message.id, at=event.at, by=str(event.recipient))
            for event in entry.events
            if event.name == _HANDOVER
        )
    return facts


def unread_in(thread: Iterable[ThreadMessage]) -> tuple[UUID, ...]:
    """The ids of messages of types that have no facts here, sorted: they are shown, never dropped."""
    return tuple(sorted({entry.message.id for entry in thread if type(entry.message) not in _FACTS_OF}))


def _request(message: PreservationRequest) -> tuple[f.CaseFact, ...]:
    return (
        f.Submitted(
            message_id=message.id,
            at=message.sent_at,
            by=message.sender,
            about=message.in_reply_to,
            targets=tuple(target.target for target in message.targets),
            thread=message.thread,
            requested=message.to,
            minimum_days=minimum_days(message.legal_basis.instrument),
            urgency=message.urgency,
        ),
    )


def _answer(message: PreservationAnswer) -> tuple[f.CaseFact, ...]:
    return tuple(_outcome(message, target) for target in message.targets)


def _outcome(message: PreservationAnswer, target: TargetAnswer) -> f.CaseFact:
    about, at, by, only = message.in_reply_to, message.sent_at, message.sender, (target.target,)
    if target.preserved_at is not None and target.expires_at is not None:
        return f.Preserved(
            message_id=message.id,
            at=at,
            by=by,
            about=about,
            targets=only,
            preserved_at=target.preserved_at,
            expires_at=target.expires_at,
            partly=target.result == "partly_preserved",
        )
    if target.ground is not None:
        return f.Refused(message_id=message.id, at=at, by=by, about=about, targets=only, ground=target.ground.code)
    return f.NotHeld(message_id=message.id, at=at, by=by, about=about, targets=only)


def _acknowledgement(message: Acknowledgement) -> tuple[f.CaseFact, ...]:
    return (
        f.Acknowledged(
            message_id=message.id,
            at=message.sent_at,
            by=message.sender,
            about=message.in_reply_to,
            will_answer=message.will_answer,
            eta=message.eta,
            next_update_by=message.next_update_by,
        ),
    )


_FACTS_OF: Mapping[type[Message], Callable[[Any], tuple[f.CaseFact, ...]]] = MappingProxyType(
    {
        PreservationRequest: _request,
        PreservationAnswer: _answer,
        Acknowledgement: _acknowledgement,
    }
)
