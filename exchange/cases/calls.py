"""Calling an office back: whom the directory says to call, what came of it, and what may not pass without.

The forger of an emergency writes a telephone number into it. So the number to call is the directory's, of the version
that this desk had when the message came; a number in the message is only compared with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from exchange.store.rows import CardSeen
from exchange.views import Direction
from keys.directory.cards import ContactPointCard, OfficeHours
from keys.directory.view import Directory
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import CallBackNeededError, ComityError, NotFoundError, SuspectedForgeryError

if TYPE_CHECKING:
    from exchange.store.desk_store import DeskStore
    from exchange.store.rows import StoredMessage, ThreadRow
    from protocol.messages.schema.base import Message


REVIEW_WITHIN = timedelta(hours=24)
"""Within which time another officer looks at what passed without a call: Comity's own target."""

_NUMBERS = frozenset({"telephone", "mobile", "fax"})
_GIVEN = frozenset({"items", "text", "authorisation", "facts", "path", "disclosures", "attachments"})
_DISCLOSING = frozenset({"files", "information.spontaneous", "traffic.partial-disclosure", "forward"})


@dataclass(frozen=True, slots=True)
class PhoneCard:
    """How an office is called, by the directory of ``version``: numbers, hours in its own zone, deputy, fallback."""

    address: Address
    office: str
    agency: str
    phones: tuple[str, ...]
    hours: Literal["24/7"] | tuple[OfficeHours, ...]
    time_zone: str
    updated_at: datetime
    deputy: Address | None
    deputy_office: str
    deputy_phones: tuple[str, ...]
    fallback: str | None
    version: int

    @classmethod
    def of(cls, directory: Directory, address: Address) -> PhoneCard:
        """By the directory as it is now; raises as :meth:`Directory.contact_point`."""
        card = directory.contact_point(address)
        deputy = _deputy(directory, card)
        return cls(
            address=address,
            office=card.office,
            agency=card.agency,
            phones=card.phones,
            hours=card.hours,
            time_zone=card.time_zone,
            updated_at=card.updated_at,
            deputy=card.deputy,
            deputy_office=deputy.office if deputy is not None else "",
            deputy_phones=deputy.phones if deputy is not None else (),
            fallback=card.escalation_contact,
            version=directory.version,
        )

    @property
    def numbers(self) -> tuple[str, ...]:
        """All that may be called, the office's own first."""
        return (*self.phones, *self.deputy_phones, *((self.fallback,) if self.fallback is not None else ()))

    def number(self, given: str | None) -> str | None:
        """The directory's number that is meant by ``given`` (None: the first); None when it has no such number."""
        if given is None:
            return self.numbers[0] if self.numbers else None
        return next((number for number in self.numbers if _same(number, given)), None)

    def to_bytes(self) -> bytes:
        """The stored form, without the version."""
        hours = self.hours if isinstance(self.hours, str) else [_hours(one) for one in self.hours]
        return cbor.encode(
            [
                str(self.address),
                self.office,
                self.agency,
                list(self.phones),
                hours,
                self.time_zone,
                to_ms(self.updated_at),
                str(self.deputy) if self.deputy is not None else None,
                self.deputy_office,
                list(self.deputy_phones),
                self.fallback,
            ]
        )

    @classmethod
    def from_seen(cls, seen: CardSeen) -> PhoneCard:
        """What :meth:`to_bytes` made, with the version of then."""
        address, office, agency, phones, hours, zone, updated, deputy, deputy_office, deputy_phones, fallback = (
            cbor.decode(seen.card)
        )
        return cls(
            address=Address.parse(address),
            office=office,
            agency=agency,
            phones=tuple(phones),
            hours="24/7" if isinstance(hours, str) else tuple(map(_read_hours, hours)),
            time_zone=zone,
            updated_at=from_ms(updated),
            deputy=Address.parse(deputy) if deputy is not None else None,
            deputy_office=deputy_office,
            deputy_phones=tuple(deputy_phones),
            fallback=fallback,
            version=seen.version,
        )


def phone_card(directory: Directory, address: Address) -> PhoneCard | None:
    """As :meth:`PhoneCard.of`; None for one that the directory does not have."""
    try:
        return PhoneCard.of(directory, address)
    except ComityError:
        return None


@dataclass(frozen=True, slots=True)
class WrittenNumber:
    """A number that stands in a message, in the field ``where``; ``differs`` from all that the directory has."""

    where: str
    number: str
    differs: bool


def written_numbers(message: Message, reach: PhoneCard | None) -> tuple[WrittenNumber, ...]:
    """The numbers in a message, each compared with the directory's. One that differs is not to be called."""
    known = reach.numbers if reach is not None else ()
    found = dict.fromkeys(_numbers_in(message.model_dump(mode="json"), ""))
    return tuple(WrittenNumber(where, number, not any(_same(number, one) for one in known)) for where, number in found)


# --- The calls that were made ---


class CallKind(StrEnum):
    """What an entry says."""

    CALL = "call"
    BREAK_GLASS = "break_glass"  # a disclosure may go without a call, by the word of two officers
    GLASS_USED = "glass_used"  # it went; ``message`` is what was sent
    REVIEW = "review"  # another officer looked at it afterwards


class CallAbout(StrEnum):
    """What a call was about: the words of its outcome are those of the side that called."""

    REQUEST = "request"  # another office asks this one: is the request theirs?
    MESSAGE = "message"  # anything else that another office said: is it theirs?
    OWN = "own"  # a message of this office: do they have it?


@dataclass(frozen=True, slots=True)
class CallEntry:
    """One entry: ``by`` made it at ``at``, about ``message``.

    ``outcome`` is a code of the list call_outcome, ``number`` the directory's number that was called, of its
    ``version``; ``spoke_to`` whom the officer spoke to. ``second`` is the second officer who let it pass.
    """

    kind: CallKind
    message: UUID
    at: datetime
    by: str
    outcome: str | None = None
    number: str | None = None
    version: int = 0
    spoke_to: str | None = None
    text: str = ""
    second: str | None = None
    ids: tuple[str, ...] = ()  # of the officers who answer for it
    upto: int = 0  # the row of the last message that the case had then
    about: CallAbout = CallAbout.REQUEST

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode(
            [
                self.kind.value,
                self.message.bytes,
                to_ms(self.at),
                self.by,
                self.outcome,
                self.number,
                self.version,
                self.spoke_to,
                self.text,
                self.second,
                list(self.ids),
                self.upto,
                self.about.value,
            ]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> CallEntry:
        """What :meth:`to_bytes` made."""
        kind, message, at, by, outcome, number, version, spoke_to, text, second, ids, *more = cbor.decode(value)
        return cls(
            CallKind(kind),
            UUID(bytes=message),
            from_ms(at),
            by,
            outcome,
            number,
            version,
            spoke_to,
            text,
            second,
            tuple(ids),
            upto=more[0] if more else 0,
            about=CallAbout(more[1]) if len(more) > 1 else CallAbout.REQUEST,
        )


@dataclass(frozen=True, slots=True)
class Calls:
    """The entries of a case, the oldest first.

    ``changed`` is the row of the message by which the asking office last corrected something; 0: it did not. A thief
    of its key could wait for a true case to be verified, and then correct it: a call counts for what was asked before.
    """

    entries: tuple[CallEntry, ...] = ()
    changed: int = 0

    @classmethod
    def of(cls, values: Iterable[bytes], changed: int = 0) -> Calls:
        """Of stored entries."""
        return cls(tuple(map(CallEntry.from_bytes, values)), changed)

    @property
    def outcome(self) -> str | None:
        """What the last call that reached somebody said; None while nobody was reached about what is asked now."""
        # A call about a message of this office says nothing of whether another office is who it says.
        calls = (e for e in reversed(self.entries) if e.kind is CallKind.CALL and e.about is not CallAbout.OWN)
        reached = (e for e in calls if e.outcome != "nobody_answered")
        last = next(reached, None)
        if last is None or (last.outcome == "verified" and not self._is_of_now(last)):
            return None
        return last.outcome

    @property
    def verified(self) -> bool:
        """Whether the office said that the case is theirs."""
        return self.outcome == "verified"

    @property
    def suspected(self) -> bool:
        """Whether the office said that it is not theirs."""
        return self.outcome == "not_theirs"

    @property
    def glass_left(self) -> bool:
        """Whether one disclosure may still go without a call."""
        return self._count(CallKind.BREAK_GLASS) > self._count(CallKind.GLASS_USED)

    @property
    def to_review(self) -> CallEntry | None:
        """The last breaking of the glass that nobody looked at since."""
        last = next((e for e in reversed(self.entries) if e.kind in {CallKind.BREAK_GLASS, CallKind.REVIEW}), None)
        return last if last is not None and last.kind is CallKind.BREAK_GLASS else None

    def _count(self, kind: CallKind) -> int:
        return sum(entry.kind is kind and self._is_of_now(entry) for entry in self.entries)

    def _is_of_now(self, entry: CallEntry) -> bool:
        return entry.upto >= self.changed


@dataclass(frozen=True, slots=True)
class CallSheet:
    """All that an officer needs who calls about a message.

    ``recorded`` is how the office was called when the message came, None where that was not kept; ``now`` how it is
    called by the directory of this moment, None where it is not there any more. A received message is called back by
    the first.
    """

    message: UUID
    thread: UUID
    contact: Address
    received: bool
    recorded: PhoneCard | None
    now: PhoneCard | None
    written: tuple[WrittenNumber, ...]
    calls: Calls
    required: bool  # before anything is disclosed
    about: CallAbout = CallAbout.REQUEST

    @property
    def reach(self) -> PhoneCard | None:
        """How to call."""
        return self.recorded or self.now

    @property
    def changed(self) -> bool:
        """Whether the directory has other numbers now than when the message came."""
        return self.recorded is not None and self.now is not None and self.recorded.numbers != self.now.numbers


# --- Messages that do not pass without a call ---


def is_emergency_here(store: DeskStore, thread: UUID) -> bool:
    """Whether the thread is one in which another office asks this one for something in an emergency.

    It may have come by an office that passed it on, or have become an emergency by a correction.
    """
    try:
        head = store.messages.head(thread).head  # a thread has the id of the message that opens it
    except NotFoundError:
        return any(_passes_on_emergency(stored, thread) for _, stored, _ in store.messages.thread(thread))
    asks = head.type.endswith(".request") or head.type == "forward"
    if head.direction is not Direction.RECEIVED or not asks:
        return False
    if head.urgency == "emergency":
        return True
    rows = store.messages.thread(thread)
    return any(_urgency_in(one) == "emergency" for one in _corrections(rows, head.sender) if not one.erased)


def calls_of(store: DeskStore, thread: UUID) -> Calls:
    """The calls of a case, with what of them still counts for what is asked in it now."""
    return Calls.of(store.calls.of(thread), changed_at(store.messages.thread(thread)))


def changed_at(rows: Sequence[ThreadRow]) -> int:
    """The row of the last correction that came from the asking office in a thread of these rows; 0: none did."""
    asks = asking_office(rows)
    return max((row.seq for row in rows if _is_correction(row.message, asks)), default=0)


def asking_office(rows: Sequence[ThreadRow]) -> Address | None:
    """Who asks in a thread of these rows: whoever opened it, also where another office passed that on. None: nobody."""
    opening = next((row.message.head for row in rows if row.message.head.id == row.message.head.thread), None)
    if opening is not None:
        return opening.sender
    passed_on = (passed_on_request(row.message, row.message.head.thread) for row in rows)
    return next((Address.parse(request.sender) for request in passed_on if request is not None), None)


def discloses(message: Message) -> bool:
    """Whether a message gives data, or says in words what may be data. A file is data, whatever it comes with."""
    if getattr(message, "attachments", ()):
        return True
    if message.type == "correction":  # its own fields are those of the message that it corrects
        return not _GIVEN.isdisjoint(getattr(message, "message", None) or ())
    if message.type != "answer":
        return message.type in _DISCLOSING
    return bool(getattr(message, "items", ())) or getattr(message, "text", None) is not None


def needs_glass(store: DeskStore, message: Message) -> bool:
    """Whether ``message`` may go only because two officers broke the glass; False where nothing stands in its way.

    Raises :class:`CallBackNeededError`, and :class:`SuspectedForgeryError` once the office said that it is not theirs.
    """
    if not discloses(message) or not is_emergency_here(store, message.thread):
        return False
    calls = calls_of(store, message.thread)
    if calls.suspected:
        raise SuspectedForgeryError
    if calls.verified:
        return False
    if not calls.glass_left:
        raise CallBackNeededError
    return True


def goes_by_glass(store: DeskStore, thread: UUID) -> bool:
    """Whether a disclosure in the thread would go only because two officers broke the glass."""
    calls = calls_of(store, thread)
    return calls.glass_left and calls.outcome is None and is_emergency_here(store, thread)


def use_glass(store: DeskStore, message: Message, by: str, at: datetime) -> None:
    """Note that a disclosure went without a call, inside the transaction that keeps it."""
    upto = store.messages.thread_end(message.thread)
    store.calls.insert(message.thread, CallEntry(CallKind.GLASS_USED, message.id, at, by, upto=upto).to_bytes())


# --- Inside ---


def _is_correction(stored: StoredMessage, by: Address | None) -> bool:
    head = stored.head
    return head.direction is Direction.RECEIVED and head.type == "correction" and head.sender == by


def _corrections(rows: Iterable[ThreadRow], by: Address) -> Iterator[StoredMessage]:
    return (row.message for row in rows if _is_correction(row.message, by))


def _urgency_in(correction: StoredMessage) -> object:
    """The urgency that a correction states, of whatever it corrects."""
    said = json.loads(correction.content).get("message")  # one of a newer version may have none
    return said.get("urgency") if isinstance(said, dict) else None


def passed_on_request(stored: StoredMessage, thread: UUID) -> Message | None:
    """The request that opens a thread and that a message in it passed on to this desk; None for any other message."""
    from protocol.messages.handling_rules import read_original
    from protocol.messages.parse import parse_message
    from protocol.messages.types.forward import Forward

    if stored.erased or stored.head.direction is not Direction.RECEIVED or stored.head.type != Forward.TYPE:
        return None
    message = parse_message(stored.content)
    if not isinstance(message, Forward) or message.original.message != thread:
        return None
    try:
        return read_original(message.original)
    except ComityError:
        return None


def _passes_on_emergency(stored: StoredMessage, thread: UUID) -> bool:
    request = passed_on_request(stored, thread)
    return request is not None and request.type.endswith(".request") and request.urgency == "emergency"


def _deputy(directory: Directory, card: ContactPointCard) -> ContactPointCard | None:
    try:
        return directory.contact_point(card.deputy) if card.deputy is not None else None
    except ComityError:
        return None


def _hours(hours: OfficeHours) -> list[Any]:
    return [[day.value for day in hours.days], hours.opens, hours.closes]


def _read_hours(value: Sequence[Any]) -> OfficeHours:
    days, opens, closes = value
    return OfficeHours.model_validate({"days": days, "opens": opens, "closes": closes})


def _numbers_in(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            path = f"{where}.{name}" if where else name
            if name in _NUMBERS and isinstance(inner, str):
                yield path, inner
            else:
                yield from _numbers_in(inner, path)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _numbers_in(inner, f"{where}.{number}")


def _same(one: str, other: str) -> bool:
    """Whether two ways to write a number are one number."""
    digits = [text for text in ("".join(c for c in number if c.isdigit()) for number in (one, other)) if text]
    return len(digits) == 2 and digits[0] == digits[1]
