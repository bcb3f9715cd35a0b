"""Receipt events: what a node logs of a message, under the names of ETSI EN 319 522-1.

The encoded event is the leaf's data. It holds no names and no case data, and a fresh salt, so that its hash says
nothing to anyone who was not given the event itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from protocol import cbor
from protocol.address import Address, parse_node
from protocol.errors import MalformedError, UnsupportedVersionError
from protocol.ids import parse_message_id
from protocol.instant import from_ms, to_ms

VERSION = 1
SALT_BYTES = 16
HASH_BYTES = 32
MAX_EVENT_BYTES = 4096
MAX_REASONS = 8
MAX_REASON_CHARS = 64
MAX_ORIGIN_CHARS = 255
MAX_STATEMENT_BYTES = 2048


class EventName(StrEnum):
    """The events that nodes and desks attest."""

    SUBMISSION_ACCEPTANCE = "SubmissionAcceptance"
    SUBMISSION_REJECTION = "SubmissionRejection"
    RELAY_ACCEPTANCE = "RelayAcceptance"
    RELAY_REJECTION = "RelayRejection"
    RELAY_FAILURE = "RelayFailure"
    CONTENT_CONSIGNMENT = "ContentConsignment"
    CONTENT_CONSIGNMENT_FAILURE = "ContentConsignmentFailure"
    CONSIGNMENT_NOTIFICATION = "ConsignmentNotification"
    CONSIGNMENT_NOTIFICATION_FAILURE = "ConsignmentNotificationFailure"
    CONTENT_HANDOVER = "ContentHandover"
    CONTENT_HANDOVER_FAILURE = "ContentHandoverFailure"
    CONTENT_ACCESS_TRACKING = "ContentAccessTracking"

    @property
    def uri(self) -> str:
        """The URI of the event in ETSI EN 319 522."""
        return f"http://uri.etsi.org/19522/Event/{self.value}"

    @property
    def negative(self) -> bool:
        """Whether the event says that something did not happen, and must say why."""
        return self in NEGATIVE_EVENTS


NEGATIVE_EVENTS = frozenset(name for name in EventName if name.value.endswith(("Rejection", "Failure")))
DESK_EVENTS = frozenset(
    {EventName.CONTENT_HANDOVER, EventName.CONTENT_HANDOVER_FAILURE, EventName.CONTENT_ACCESS_TRACKING}
)
_BY_TEXT = {name.value: name for name in EventName}


@dataclass(frozen=True, slots=True)
class LeafReference:
    """An entry of another log: its origin, its index there, and its leaf hash (32 bytes)."""

    origin: str
    index: int
    leaf_hash: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event. ``at`` is an aware UTC datetime, ``digest`` that of the envelope, ``salt`` 16 fresh random bytes."""

    name: EventName
    at: datetime
    message_id: UUID
    digest: bytes
    salt: bytes
    recipient: Address | None = None
    peer: str | None = None
    reasons: tuple[str, ...] = ()
    statement: bytes | None = None
    reference: LeafReference | None = None


_REQUIRED = {1, 2, 3, 4, 5, 9}
_OPTIONAL = {6, 7, 8, 10, 11}


def encode_event(event: Event) -> bytes:
    """The leaf data; raises :class:`MalformedError` when the event breaks a rule of its own."""
    _check(event)
    value: dict[int, Any] = {
        1: VERSION,
        2: event.name.value,
        3: to_ms(event.at),
        4: event.message_id.bytes,
        5: event.digest,
        9: event.salt,
    }
    if event.recipient is not None:
        value[6] = str(event.recipient)
    if event.peer is not None:
        value[7] = event.peer
    if event.reasons:
        value[8] = list(event.reasons)
    if event.statement is not None:
        value[10] = event.statement
    if event.reference is not None:
        value[11] = [event.reference.origin, event.reference.index, event.reference.leaf_hash]
    return cbor.encode(value)


def decode_event(data: bytes) -> Event:
    """The event in leaf data; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(data, max_bytes=MAX_EVENT_BYTES, max_depth=3)
    if type(value) is not dict:
        raise MalformedError("an event is a map")
    if value.get(1) != VERSION:
        raise UnsupportedVersionError(f"the event's version is not {VERSION}")
    if not _REQUIRED <= set(value) <= _REQUIRED | _OPTIONAL or value.get(8) == []:
        raise MalformedError("an event does not hold exactly the fields of this version")
    name = _BY_TEXT.get(_text(value[2]))
    if name is None:
        raise MalformedError("the event is not one of the known names")
    event = Event(
        name=name,
        at=from_ms(value[3]),
        message_id=parse_message_id(value[4]),
        digest=value[5],
        salt=value[9],
        recipient=Address.parse(_text(value[6])) if 6 in value else None,
        peer=_text(value[7]) if 7 in value else None,
        reasons=_reasons(value.get(8, [])),
        statement=value.get(10),
        reference=_reference(value[11]) if 11 in value else None,
    )
    _check(event)
    return event


def _check(event: Event) -> None:
    _bytes(event.digest, "envelope digest", HASH_BYTES)
    _bytes(event.salt, "salt", SALT_BYTES)
    if event.peer is not None:
        parse_node(event.peer)
    if (event.name in NEGATIVE_EVENTS) != bool(event.reasons):
        raise MalformedError("a negative event has a reason, and only a negative one")
    if (event.name in DESK_EVENTS) != (event.statement is not None):
        raise MalformedError("a desk's event has the desk's statement, and only a desk's")
    if event.statement is not None and (
        type(event.statement) is not bytes or not 0 < len(event.statement) <= MAX_STATEMENT_BYTES
    ):
        raise MalformedError(f"a statement is a byte string of at most {MAX_STATEMENT_BYTES}")


def _reference(value: Any) -> LeafReference:
    if type(value) is not list or len(value) != 3:
        raise MalformedError("a reference is an array of three")
    origin, index, leaf_hash = value
    if not 1 <= len(_text(origin)) <= MAX_ORIGIN_CHARS:
        raise MalformedError(f"an origin has 1 to {MAX_ORIGIN_CHARS} characters")
    if type(index) is not int or not 0 <= index < 2**63:
        raise MalformedError("an index is a whole number")
    return LeafReference(origin, index, _bytes(leaf_hash, "leaf hash", HASH_BYTES))


def _reasons(value: Any) -> tuple[str, ...]:
    if type(value) is not list or len(value) > MAX_REASONS:
        raise MalformedError(f"an event has at most {MAX_REASONS} reasons")
    reasons = tuple(_text(item) for item in value)
    if any(not 1 <= len(reason) <= MAX_REASON_CHARS for reason in reasons):
        raise MalformedError(f"a reason is a code of 1 to {MAX_REASON_CHARS} characters")
    return reasons


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedError("a text string was expected")
    return value


def _bytes(value: Any, name: str, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise MalformedError(f"the {name} is not a byte string of {length}")
    return value
