"""What a desk stores, as values, and their bytes inside the sealed columns (canonical CBOR)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.views import Direction
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.receipt import Receipt

_DIRECTIONS = (Direction.RECEIVED, Direction.SENT)


@dataclass(frozen=True, slots=True)
class Head:
    """What a list shows of a message, and what a receipt about it is compared with."""

    id: UUID
    thread: UUID
    in_reply_to: UUID | None
    direction: Direction
    type: str
    urgency: str
    sender: Address
    recipients: tuple[Address, ...]
    own_reference: str | None
    sent_at: datetime
    stored_at: datetime
    expires_at: datetime
    digest: bytes

    def to_bytes(self) -> bytes:
        """The stored form."""
        return cbor.encode(
            [
                self.id.bytes,
                self.thread.bytes,
                self.in_reply_to.bytes if self.in_reply_to else None,
                _DIRECTIONS.index(self.direction),
                self.type,
                self.urgency,
                str(self.sender),
                [str(recipient) for recipient in self.recipients],
                self.own_reference,
                to_ms(self.sent_at),
                to_ms(self.stored_at),
                to_ms(self.expires_at),
                self.digest,
            ]
        )

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Head:
        """The head in its stored form, which the seal proved to be ours."""
        row: list[Any] = cbor.decode(encoded)
        return cls(
            id=UUID(bytes=row[0]),
            thread=UUID(bytes=row[1]),
            in_reply_to=UUID(bytes=row[2]) if row[2] else None,
            direction=_DIRECTIONS[row[3]],
            type=row[4],
            urgency=row[5],
            sender=Address.parse(row[6]),
            recipients=tuple(Address.parse(text) for text in row[7]),
            own_reference=row[8],
            sent_at=from_ms(row[9]),
            stored_at=from_ms(row[10]),
            expires_at=from_ms(row[11]),
            digest=row[12],
        )


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message with its evidence: the envelope as it travelled, the content, and the salt of the commitment."""

    head: Head
    envelope: bytes = field(repr=False)
    content: bytes = field(repr=False)
    salt: bytes = field(repr=False)

    @property
    def erased(self) -> bool:
        """Whether the content was erased: then only the head is left."""
        return not self.content


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A refused envelope; ``claimed_*`` are what its unproved header says."""

    envelope: bytes = field(repr=False)
    digest: bytes
    code: str
    detail: str
    at: datetime
    claimed_id: UUID | None = None
    claimed_sender: Address | None = None

    def head(self) -> bytes:
        """The stored form of everything but the envelope."""
        return cbor.encode(
            [
                self.digest,
                self.code,
                self.detail,
                to_ms(self.at),
                self.claimed_id.bytes if self.claimed_id else None,
                str(self.claimed_sender) if self.claimed_sender else None,
            ]
        )

    @classmethod
    def from_head(cls, encoded: bytes, envelope: bytes = b"") -> Quarantined:
        """The value of a stored head."""
        digest, code, detail, at, claimed_id, sender = cbor.decode(encoded)
        return cls(
            envelope,
            digest,
            code,
            detail,
            from_ms(at),
            UUID(bytes=claimed_id) if claimed_id else None,
            Address.parse(sender) if sender else None,
        )


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt about the envelope ``digest``; ``error`` is None only if it was verified when it was stored."""

    digest: bytes
    receipt: Receipt = field(repr=False)
    error: str | None


@dataclass(frozen=True, slots=True)
class PendingStatement:
    """A signed statement on its way to the own node. ``key`` names it: digest and event."""

    key: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the own node refused something for good."""

    code: str
    detail: str
    at: datetime

    def to_bytes(self) -> bytes:
        """The stored form."""
        return cbor.encode([self.code, self.detail, to_ms(self.at)])

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Refusal:
        """The value of the stored form."""
        code, detail, at = cbor.decode(encoded)
        return cls(code, detail, from_ms(at))
