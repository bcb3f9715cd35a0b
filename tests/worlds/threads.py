"""Threads of real messages, without desks: what the lifecycle is given, written by two offices in turn."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from protocol.lifecycle.case import AnyCase, fold
from protocol.lifecycle.thread import ThreadEvent, ThreadMessage
from protocol.messages.corrections import own_fields
from protocol.messages.parse import compose_message
from protocol.messages.schema.base import Message

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
T0 = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOKYO, PARIS = "24-7@jp", "24-7@fr"


@cache
def _example(name: str) -> str:
    path = EXAMPLES / ("preservation-request.json" if name == "preservation.request" else f"messages/{name}.json")
    return path.read_text("utf-8")


def text(at: datetime) -> str:
    """An instant as messages write it."""
    return at.isoformat().replace("+00:00", "Z")


def preserved(target: str, until: datetime, at: datetime = T0 + HOUR) -> dict[str, str]:
    """What an answer says of a target that is kept until ``until``."""
    return {"target": target, "result": "preserved", "preserved_at": text(at), "expires_at": text(until)}


class Thread:
    """A thread that starts at T0 and grows by messages an hour apart, unless they say when."""

    def __init__(self, opening: str = "preservation.request", **fields: Any) -> None:
        self.entries: list[ThreadMessage] = []
        self.opening = self.add(opening, TOKYO, sent_at=T0, **fields)

    def add(
        self, kind: str, by: str, *, reply_to: Message | None = None, sent_at: datetime | None = None, **fields: Any
    ) -> Message:
        """The next message, a reply to ``reply_to`` (the opening); a field that is None is left out."""
        number = len(self.entries) + 1
        draft = {**json.loads(_example(kind)), "to": [PARIS if by == TOKYO else TOKYO], **fields}
        draft.pop("in_reply_to", None)
        draft["id"] = str(UUID(int=number))
        draft["thread"] = str(UUID(int=1))
        if number > 1:
            draft["in_reply_to"] = str((reply_to or self.opening).id)
        given = {name: value for name, value in draft.items() if value is not None}
        sent_at = sent_at or T0 + (number - 1) * HOUR
        message = compose_message(given, message_id=UUID(int=number), sender=by, sent_at=sent_at).message
        self.entries.append(ThreadMessage(message))
        return message

    def correct(
        self, message: Message, by: str | None = None, sent_at: datetime | None = None, **changes: Any
    ) -> Message:
        """The sender's correction of a message: these fields should have been so."""
        content = own_fields(message)
        return self.add(
            "correction",
            by or message.sender,
            handling=content["handling"],
            reply_to=message,
            sent_at=sent_at,
            corrects=str(message.id),
            message={**content, **changes},
        )

    def retract(self, message: Message, by: str | None = None, sent_at: datetime | None = None) -> Message:
        """The sender takes a message back."""
        return self.add("retract", by or message.sender, reply_to=message, sent_at=sent_at, retracts=str(message.id))

    def delivered(self, message: Message, at: datetime, to: str = PARIS) -> None:
        """The message was handed over."""
        event = ThreadEvent("ContentHandover", to, at)
        self.entries = [
            replace(entry, events=(*entry.events, event)) if entry.message.id == message.id else entry
            for entry in self.entries
        ]

    @property
    def case(self) -> AnyCase:
        """The case as both sides see it."""
        return fold(self.entries)

    @property
    def states(self) -> list[str]:
        """Of the targets."""
        return [str(target.state) for target in self.case.targets]

    @property
    def reasons(self) -> list[str]:
        """Why what is out of order is so."""
        return [entry.reason.code for entry in self.case.out_of_order]
