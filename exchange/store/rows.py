"""What a desk stores, as values, and their bytes inside the sealed columns (canonical CBOR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from exchange.views import Direction
from protocol.address import Address
from protocol.encoding import cbor, exact
from protocol.encoding.instants import from_ms, to_ms
from protocol.envelope import Envelope
from protocol.errors import RetractedError
from protocol.event import Event
from protocol.files.file_list import FileList, FileSet
from protocol.processing_log import ProcessingRecord
from protocol.receipt import Receipt

_DIRECTIONS = (Direction.RECEIVED, Direction.SENT)


@dataclass(frozen=True, slots=True)
class MessageRef:
    """Which message is meant, and what a receipt about it is compared with: all of it stands in the routing header.

    ``digest`` is that of the envelope, ``files`` that of the list of its files, if it has any; ``listed`` that list,
    where it is at hand.
    """

    id: UUID
    digest: bytes
    sender: Address
    recipients: tuple[Address, ...]
    sent_at: datetime
    expires_at: datetime
    files: bytes | None = None
    listed: FileList | None = None

    @classmethod
    def of(cls, envelope: Envelope) -> MessageRef:
        """What an envelope says of itself, whether a message is kept for it or not."""
        routing = envelope.routing
        return cls(
            id=routing.id,
            digest=envelope.digest,
            sender=routing.sender,
            recipients=routing.recipients,
            sent_at=routing.created,
            expires_at=routing.expires,
            files=_digest_of(routing.file_set),
        )


@dataclass(frozen=True, slots=True)
class Head:
    """What a list shows of a message that is kept here."""

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
    file_set: FileSet | None = None

    @property
    def ref(self) -> MessageRef:
        """What a receipt about the message is compared with."""
        files = _digest_of(self.file_set)
        return MessageRef(self.id, self.digest, self.sender, self.recipients, self.sent_at, self.expires_at, files)

    def to_bytes(self) -> bytes:
        """The stored form. A message without files has the form that it had before there were any."""
        files = self.file_set
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
                *(() if files is None else ([files.digest, files.count, files.total_bytes],)),
            ]
        )

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Head:
        """The head in its stored form, which the seal proved to be ours."""
        row: list[Any] = cbor.decode(encoded)
        id_, thread, in_reply_to, direction, type_, urgency, sender, recipients, own_reference, *rest = row
        sent_at, stored_at, expires_at, digest, *files = rest
        return cls(
            id=UUID(bytes=id_),
            thread=UUID(bytes=thread),
            in_reply_to=UUID(bytes=in_reply_to) if in_reply_to else None,
            direction=_DIRECTIONS[direction],
            type=type_,
            urgency=urgency,
            sender=Address.parse(sender),
            recipients=tuple(Address.parse(text) for text in recipients),
            own_reference=own_reference,
            sent_at=from_ms(sent_at),
            stored_at=from_ms(stored_at),
            expires_at=from_ms(expires_at),
            digest=digest,
            file_set=FileSet(*files[0]) if files else None,
        )


def _digest_of(files: FileSet | None) -> bytes | None:
    return None if files is None else files.digest


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


class ReceiptEntry(NamedTuple):
    """The log entry of one receipt, its place in the log, and the verdict on it (None: verified)."""

    leaf: bytes
    place: int
    error: str | None


class HeadRow(NamedTuple):
    """One row of a list: the row number, the head, and when the message was opened (None: not yet)."""

    seq: int
    head: Head
    opened_at: datetime | None


class ThreadRow(NamedTuple):
    """One row of a thread: the row number, the message, and when it was opened (None: not yet)."""

    seq: int
    message: StoredMessage
    opened_at: datetime | None


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
    """A receipt about the envelope ``digest``; ``error`` is None only if it was verified when it was stored.

    ``event`` is what it proves, where whoever stores it has just read that; None: read it again.
    """

    digest: bytes
    receipt: Receipt = field(repr=False)
    error: str | None
    event: Event | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PendingStatement:
    """A signed statement on its way to the own node. ``key`` names it: digest and event."""

    key: bytes
    raw: bytes


CALLED_OFF = "called-off"
_CALLED_OFF_BY = frozenset({CALLED_OFF, RetractedError.code})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something did not leave this desk: the own node refused it for good, or an officer called it off before."""

    code: str
    detail: str
    at: datetime

    @property
    def called_off(self) -> bool:
        """Whether it is an officer's doing: called off, or taken back while it waited for its instant."""
        return self.code in _CALLED_OFF_BY

    def to_bytes(self) -> bytes:
        """The stored form."""
        return cbor.encode([self.code, self.detail, to_ms(self.at)])

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Refusal:
        """The value of the stored form."""
        code, detail, at = cbor.decode(encoded)
        return cls(code, detail, from_ms(at))


@dataclass(frozen=True, slots=True)
class Place:
    """How far the mailbox was read, and whose it is: the name of the node, None before there was one."""

    cursor: int
    node: str | None


@dataclass(frozen=True, slots=True)
class CardSeen:
    """What the directory of ``version`` said of the sender when ``message`` came (:mod:`exchange.cases.calls`)."""

    message: UUID
    card: bytes
    version: int


@dataclass(frozen=True, slots=True)
class RecipientDelivery:
    """One page of the mailbox, judged: stored as a whole, together with the cursor behind it.

    ``judged_at`` is the place at which it was judged, None where nobody else can have moved it.
    """

    messages: Sequence[StoredMessage]
    quarantined: Sequence[Quarantined]
    statements: Sequence[PendingStatement]
    receipts: Sequence[StoredReceipt]
    cursor: int
    records: Sequence[ProcessingRecord] = ()
    judged_at: Place | None = None
    cards: Sequence[CardSeen] = ()


@dataclass(frozen=True, slots=True)
class TakenRows:
    """The row numbers of what was kept of a page, in its order."""

    messages: tuple[int, ...]
    quarantined: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Child:
    """The case with one nation of what was asked of several: its thread, under which reference, and when it goes."""

    nation: str
    thread: UUID
    own_reference: str | None
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Parent:
    """What was asked of several nations, as this desk alone knows it: under its own reference, with a case for each."""

    id: UUID
    type: str
    own_reference: str | None
    made_at: datetime
    children: tuple[Child, ...]

    def without(self, thread: UUID) -> Parent:
        """The parent without the case in ``thread``."""
        return replace(self, children=tuple(child for child in self.children if child.thread != thread))

    def to_bytes(self) -> bytes:
        """For the sealed column."""
        children = [[c.nation, c.thread.bytes, c.own_reference, to_ms(c.sent_at)] for c in self.children]
        return cbor.encode([self.id.bytes, self.type, self.own_reference, to_ms(self.made_at), children])

    @classmethod
    def from_bytes(cls, raw: bytes) -> Parent:
        """The parent that was kept as ``raw``."""
        parent, kind, reference, made_at, children = cbor.decode(raw)
        of = tuple(Child(n, UUID(bytes=thread), own, from_ms(at)) for n, thread, own, at in children)
        return cls(UUID(bytes=parent), kind, reference, from_ms(made_at), of)


@dataclass(frozen=True, slots=True)
class OnceResult:
    """A message that was sealed under a key, or (``draft``) a draft that was kept for another officer."""

    id: UUID
    thread: UUID
    draft: bool = False


@dataclass(frozen=True, slots=True)
class OnceRecord:
    """What is known of a key: what was asked for (32 bytes; None: erased), how many results that has, those so far."""

    asked: bytes | None
    total: int
    results: tuple[OnceResult, ...]


class Happened(StrEnum):
    """What an event of this desk says happened."""

    ARRIVED = "message.arrived"
    QUARANTINED = "message.quarantined"
    QUEUED = "message.queued"  # kept, and not taken by the own node yet
    SUBMITTED = "message.submitted"
    REFUSED = "message.refused"
    CALLED_OFF = "message.called-off"  # before it left
    OPENED = "message.opened"  # by an officer of this desk
    PROVED = "receipt.proved"  # what a node's log proves of a message: delivered, opened there, not delivered
    DUE = "case.due"  # a deadline reached another level
    GIVEN_UP = "webhook.given-up"  # a receiver did not take a notice for days
    SIGNED_IN = "session.began"
    SIGNED_OUT = "session.ended"


@dataclass(frozen=True, slots=True)
class DeskEvent:
    """What happened at this desk: ids and codes, never content. ``more`` holds further codes by their names."""

    name: Happened
    at: datetime
    message: UUID | None = None
    thread: UUID | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The stored form."""
        message = _NO_ID if self.message is None else _ID + self.message.bytes
        thread = _NO_ID if self.thread is None else _ID + self.thread.bytes
        at, more = exact.put_unsigned(to_ms(self.at)), _codes_in_bytes(tuple(self.more.items()))
        return b"".join((_FIVE, exact.put_text(self.name), at, message, thread, more))

    @classmethod
    def from_bytes(cls, encoded: bytes) -> DeskEvent:
        """The value of the stored form."""
        name, at, message, thread, more = cbor.decode(encoded)
        ids = (UUID(bytes=one) if one is not None else None for one in (message, thread))
        return cls(Happened(name), from_ms(at), next(ids), next(ids), more)


# These stand before the five parts of an event, before an id, and in the place of one.
_FIVE, _ID, _NO_ID = b"\x85", b"\x50", b"\xf6"


@lru_cache(maxsize=256)  # the same few stand in the events of all messages
def _codes_in_bytes(more: tuple[tuple[str, str], ...]) -> bytes:
    """The further codes of an event as a map in canonical CBOR."""
    return cbor.encode_ordered(dict(sorted(more, key=_place_of)))


def _place_of(item: tuple[str, str]) -> tuple[int, bytes]:
    """The place of a text key among those of a map, in canonical CBOR."""
    key = item[0].encode()
    return len(key), key


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, each with its number; the first number that is kept (0: none), and the last that was given."""

    events: tuple[tuple[int, DeskEvent], ...]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class WaitingNotice:
    """A notice for one receiver: its number there (1, 2, 3 …), its id, its body, when it was made, how often tried."""

    row: int
    number: int
    id: str
    body: bytes
    made_at: datetime
    tries: int = 0
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UnprovedCall:
    """A call about it: who called which number of the directory, and a code of the list call_outcome."""

    at: datetime
    by: str
    outcome: str
    number: str
    version: int
    spoke_to: str | None


@dataclass(frozen=True, slots=True)
class UnprovedEntry:
    """What came by another way than Comity, as an officer wrote it down: nothing of it is proved.

    ``channel`` is a code of the list request_channel, ``sender`` who it says it is from, ``contact`` the contact point
    that can confirm it. ``confirm_by``: until when the proved message should come; ``thread`` is the case of that
    message once it has, ``dropped`` why none is waited for.
    """

    id: UUID
    type: str
    channel: str
    sender: str
    contact: Address
    reference: str | None
    text: str
    urgency: str
    received_at: datetime
    needed_by: datetime | None
    confirm_by: datetime
    registered_at: datetime
    registered_by: str
    calls: tuple[UnprovedCall, ...] = ()
    thread: UUID | None = None
    dropped: str | None = None

    @property
    def outcome(self) -> str | None:
        """What the last call that reached somebody said; None while nobody was reached."""
        return next((one.outcome for one in reversed(self.calls) if one.outcome != "nobody_answered"), None)

    @property
    def is_open(self) -> bool:
        """Whether the proved message is still waited for."""
        return self.thread is None and self.dropped is None

    def to_bytes(self) -> bytes:
        """The stored form."""
        return cbor.encode(
            [
                self.id.bytes,
                self.type,
                self.channel,
                self.sender,
                str(self.contact),
                self.reference,
                self.text,
                self.urgency,
                to_ms(self.received_at),
                to_ms(self.needed_by) if self.needed_by else None,
                to_ms(self.confirm_by),
                to_ms(self.registered_at),
                self.registered_by,
                [[to_ms(c.at), c.by, c.outcome, c.number, c.version, c.spoke_to] for c in self.calls],
                self.thread.bytes if self.thread else None,
                self.dropped,
            ]
        )

    @classmethod
    def from_bytes(cls, encoded: bytes) -> UnprovedEntry:
        """What :meth:`to_bytes` made."""
        row: list[Any] = cbor.decode(encoded)
        id_, type_, channel, sender, contact, reference, text, urgency, received, needed, confirm, at, by, *rest = row
        calls, thread, dropped = rest
        return cls(
            id=UUID(bytes=id_),
            type=type_,
            channel=channel,
            sender=sender,
            contact=Address.parse(contact),
            reference=reference,
            text=text,
            urgency=urgency,
            received_at=from_ms(received),
            needed_by=from_ms(needed) if needed is not None else None,
            confirm_by=from_ms(confirm),
            registered_at=from_ms(at),
            registered_by=by,
            calls=tuple(UnprovedCall(from_ms(call[0]), *call[1:]) for call in calls),
            thread=UUID(bytes=thread) if thread else None,
            dropped=dropped,
        )


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view of the list of cases that an officer keeps: ``query`` is what stands behind the ``?`` of the page."""

    name: str
    query: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CalendarToken:
    """That an officer's calendar program may fetch due dates until ``ends_at``; ``own``: of that officer's cases alone.

    ``officer`` is empty at a desk without officers. The token itself is kept nowhere.
    """

    number: int
    officer: str
    name: str
    own: bool
    made_at: datetime
    ends_at: datetime
