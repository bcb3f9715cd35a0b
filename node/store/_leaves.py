"""The events that operations log, as leaves ready to append."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from protocol.address import Address
from protocol.event import Event, EventName, LeafReference, encode_event
from protocol.files.logged import LoggedFiles

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class EventSubject:
    """What an event is about: a message, of its recipients one (None: all), and the other node, if there is one."""

    message_id: UUID
    digest: bytes
    recipient: Address | None = None
    peer: str | None = None


class EventWriter:
    """Encodes events, each with a fresh salt of 16 bytes from ``random_bytes``."""

    def __init__(self, random_bytes: RandomBytes = os.urandom) -> None:
        self._random = random_bytes

    def leaf(
        self,
        name: EventName,
        at: datetime,
        about: EventSubject,
        *,
        reasons: tuple[str, ...] = (),
        statement: bytes | None = None,
        reference: LeafReference | None = None,
        files: LoggedFiles | None = None,
    ) -> bytes:
        """Leaf data of one event; raises ``MalformedError`` if it breaks a rule of events."""
        event = Event(
            name=name,
            at=at,
            message_id=about.message_id,
            digest=about.digest,
            salt=self._random(16),
            recipient=about.recipient,
            peer=about.peer,
            reasons=reasons,
            statement=statement,
            reference=reference,
            files=files,
        )
        return encode_event(event)
