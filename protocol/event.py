"""Events: what a node states about a message, as the entry (leaf) of its log.

The names are those of ETSI EN 319 522-1, and for evidence files our own. An event holds no names of persons and nothing
of the content; its random salt keeps the leaf hash, which partners see, from saying anything to who does not know the
entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from struct import Struct
from typing import Any
from uuid import UUID

from protocol.address import Address, parse_node
from protocol.encoding import cbor, exact
from protocol.encoding.ids import is_message_id, parse_message_id
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import MalformedError, UnsupportedVersionError
from protocol.files.logged import LoggedFiles

VERSION = 1
DIGEST_BYTES = 32
SALT_BYTES = 16
MAX_EVENT_BYTES = 8192  # more than the largest parts together
MAX_EVENT_ITEMS = 64
MAX_REASONS = 8
MAX_REASON_CHARS = 64
MAX_STATEMENT_BYTES = 2048
MAX_ORIGIN_BYTES = 255
MAX_INDEX = (1 << 63) - 1

# An entry's first two keys and the version between them, the heads of its next parts, and those of the salt.
_START = bytes.fromhex("010102")
_AT, _MESSAGE_ID, _DIGEST = bytes.fromhex("031b"), bytes.fromhex("0450"), bytes.fromhex("055820")
_SALT = bytes.fromhex("0950")
_REFERENCE = bytes.fromhex("0b83")
_HASH = bytes.fromhex("5820")
_FILES = bytes.fromhex("0c845820")
_NULL = b"\xf6"
# Heads and values of fixed sizes behind an entry's name: eight bytes of time, 16 of the message's id, 32 of the digest.
_FIXED = Struct(">2sQ2sQQ3s32s")
_FIXED_HEADS = _AT, _MESSAGE_ID, _DIGEST

_URI_PREFIX = "http://uri.etsi.org/19522/Event/"
_OWN_URI_PREFIX = "urn:comity:event:"
_REQUIRED = {1, 2, 3, 4, 5, 9}
_ALL_FIELDS = _REQUIRED | {6, 7, 8, 10, 11, 12}


class LoggedAt(StrEnum):
    """Whose log an event may stand in."""

    SENDERS_NODE = "sender's node"
    ON_THE_WAY = "any node on the way"
    RECIPIENTS_NODE = "recipient's node"


class EventName(StrEnum):
    """The events that a node logs: those of ETSI EN 319 522-1, and those of evidence files, which it has none for."""

    SubmissionAcceptance = "SubmissionAcceptance"
    SubmissionRejection = "SubmissionRejection"
    RelayAcceptance = "RelayAcceptance"
    RelayRejection = "RelayRejection"
    RelayFailure = "RelayFailure"
    ContentConsignment = "ContentConsignment"
    ContentConsignmentFailure = "ContentConsignmentFailure"
    ConsignmentNotification = "ConsignmentNotification"
    ConsignmentNotificationFailure = "ConsignmentNotificationFailure"
    ContentHandover = "ContentHandover"
    ContentHandoverFailure = "ContentHandoverFailure"
    ContentAccessTracking = "ContentAccessTracking"
    FileAcceptance = "FileAcceptance"
    FileRelayAcceptance = "FileRelayAcceptance"
    FileConsignment = "FileConsignment"
    FileHandover = "FileHandover"
    FileAccessTracking = "FileAccessTracking"
    FileHandoverFailure = "FileHandoverFailure"
    FileDeletion = "FileDeletion"
    FileExpiry = "FileExpiry"

    @property
    def uri(self) -> str:
        """The event's URI in ETSI EN 319 522, or Comity's own."""
        return (_OWN_URI_PREFIX if self.of_files else _URI_PREFIX) + self.value

    @property
    def of_files(self) -> bool:
        """Whether the event is about files of the message, which it then says."""
        return self in _FILE_EVENTS

    @property
    def negative(self) -> bool:
        """Whether the event says that something did not happen; such an event has reasons."""
        return self in _NEGATIVE_EVENTS

    @property
    def logged_at(self) -> LoggedAt:
        """Whose log such an event may stand in."""
        if self in _AT_SENDERS_NODE:
            return LoggedAt.SENDERS_NODE
        return LoggedAt.ON_THE_WAY if self in _ON_THE_WAY else LoggedAt.RECIPIENTS_NODE


_FILE_EVENTS = frozenset(name for name in EventName if name.value.startswith("File"))
_AT_SENDERS_NODE = frozenset({EventName.SubmissionAcceptance, EventName.SubmissionRejection, EventName.FileAcceptance})
_ON_THE_WAY = frozenset(
    {
        EventName.RelayAcceptance,
        EventName.RelayRejection,
        EventName.RelayFailure,
        EventName.FileRelayAcceptance,
        EventName.FileDeletion,
        EventName.FileExpiry,
    }
)
_NEGATIVE_EVENTS = frozenset(
    {
        EventName.SubmissionRejection,
        EventName.RelayRejection,
        EventName.RelayFailure,
        EventName.ContentConsignmentFailure,
        EventName.ConsignmentNotificationFailure,
        EventName.ContentHandoverFailure,
        EventName.FileHandoverFailure,
        EventName.FileExpiry,
    }
)

# Events that have reasons or are about files: rarer than all others.
_TOLD_MORE = _NEGATIVE_EVENTS | _FILE_EVENTS

DESK_EVENTS = frozenset(
    {
        EventName.ContentHandover,
        EventName.ContentHandoverFailure,
        EventName.ContentAccessTracking,
        EventName.FileHandover,
        EventName.FileHandoverFailure,
        EventName.FileAccessTracking,
    }
)
"""Events that happen at a desk: a node logs them only with the desk's signed statement."""

_NAMES = {name.value: name for name in EventName}
_NAMES_IN_BYTES = {name.encode(): event for name, event in _NAMES.items()}


@dataclass(frozen=True, slots=True)
class LeafReference:
    """An entry of another log: its origin, its index and its leaf hash (32 bytes)."""

    origin: str
    index: int
    leaf_hash: bytes

    def __post_init__(self) -> None:
        if type(self.origin) is not str or not 1 <= _utf8_bytes(self.origin) <= MAX_ORIGIN_BYTES:
            raise MalformedError(f"the origin of a log is a text of 1 to {MAX_ORIGIN_BYTES} bytes")
        if type(self.index) is not int or not 0 <= self.index <= MAX_INDEX:
            raise MalformedError("an index is an unsigned integer below 2^63")
        _require_bytes(self.leaf_hash, DIGEST_BYTES, "a leaf hash")


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a node's log. Holding one proves nothing; a verified receipt does.

    ``at`` is the node's clock (the wire keeps whole milliseconds), ``digest`` the SHA-256 of the envelope,
    ``recipient`` the one the event is about (None: all of them), ``peer`` the other node, ``reasons`` codes.
    ``statement`` is the desk's signed statement, ``reference`` the peer's own entry of the same event, ``files`` the
    files that an event about files is about. Raises :class:`MalformedError` when the parts do not belong together.
    """

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
    files: LoggedFiles | None = None

    def __post_init__(self) -> None:
        _require_bytes(self.digest, DIGEST_BYTES, "an envelope digest")
        _require_bytes(self.salt, SALT_BYTES, "the salt of an event")
        if not is_message_id(self.message_id):
            raise MalformedError("a message id is a UUID of version 7")
        if self.name in _TOLD_MORE or self.reasons or self.files is not None:
            self._check_more()
        if (self.name in DESK_EVENTS) != (self.statement is not None):
            raise MalformedError("a desk's event has its statement, and only a desk's")
        if self.statement is not None:
            self._check_statement(self.statement)
        if self.peer is not None:
            parse_node(self.peer)
        elif self.reference is not None:
            raise MalformedError("an event with a reference names the peer whose entry it refers to")

    def _check_more(self) -> None:
        """Return if reasons and files belong to the event."""
        if self.name.negative != bool(self.reasons):
            raise MalformedError("a negative event has a reason, and only a negative one")
        if self.name.of_files != (self.files is not None):
            raise MalformedError("an event about files says which, and only one about files")
        if self.files is not None and self.files.count == 0 and self.name is not EventName.FileExpiry:
            raise MalformedError("only an event that files were let go may tell of none that was whole")
        if len(self.reasons) > MAX_REASONS or any(not 1 <= len(code) <= MAX_REASON_CHARS for code in self.reasons):
            raise MalformedError(f"an event has at most {MAX_REASONS} reasons of 1 to {MAX_REASON_CHARS} characters")
        for code in self.reasons:
            _utf8_bytes(code)

    def _check_statement(self, statement: bytes) -> None:
        if type(statement) is not bytes or not 1 <= len(statement) <= MAX_STATEMENT_BYTES:
            raise MalformedError(f"a statement has 1 to {MAX_STATEMENT_BYTES} bytes")
        if self.recipient is None:
            raise MalformedError("a desk's event names the recipient whose desk it is")


def encode_event(event: Event) -> bytes:
    """The log entry of ``event``: canonical CBOR, at most :data:`MAX_EVENT_BYTES`; raises :class:`MalformedError`."""
    parts = [
        _START,
        exact.put_text(event.name.value),
        b"\x03",
        exact.put_unsigned(to_ms(event.at)),
        _MESSAGE_ID,
        event.message_id.bytes,
        _DIGEST,
        event.digest,
    ]
    fields = 6
    if event.recipient is not None:
        parts += (b"\x06", exact.put_text(str(event.recipient)))
        fields += 1
    if event.peer is not None:
        parts += (b"\x07", exact.put_text(event.peer))
        fields += 1
    if event.reasons:
        parts += (b"\x08", exact.head(0x80, len(event.reasons)), *map(exact.put_text, event.reasons))
        fields += 1
    parts += (_SALT, event.salt)
    if event.statement is not None:
        parts += (b"\x0a", exact.put_bytes(event.statement))
        fields += 1
    if event.reference is not None:
        origin, index = exact.put_text(event.reference.origin), exact.put_unsigned(event.reference.index)
        parts += (_REFERENCE, origin, index, _HASH, event.reference.leaf_hash)
        fields += 1
    if event.files is not None:
        name = _NULL if event.files.name is None else _HASH + event.files.name
        count = exact.put_unsigned(event.files.count)
        parts += (_FILES, event.files.file_set, name, count, _HASH, event.files.root)
        fields += 1
    return exact.head(0xA0, fields) + b"".join(parts)


def decode_event(data: bytes) -> Event:
    """The event in a log entry; raises :class:`MalformedError` and its kin."""
    try:
        return _exact_event(data)
    except exact.NOT_EXACT:
        pass  # read again below, which says what is wrong
    return event_of_value(cbor.decode(data, max_bytes=MAX_EVENT_BYTES, max_depth=3, max_items=MAX_EVENT_ITEMS))


def _exact_event(data: bytes) -> Event:
    """An event with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes.

    One with reasons or about files, which is rare, is not found here.
    """
    if data[1:4] != _START:
        raise exact.InexactError
    text, at = exact.text(data, 4)
    name = _NAMES_IN_BYTES.get(text)
    time_head, ms, id_head, first, last, digest_head, digest = _FIXED.unpack_from(data, at)
    if name is None or (time_head, id_head, digest_head) != _FIXED_HEADS or ms < exact.LEAST_MS:
        raise exact.InexactError
    at += _FIXED.size
    fields = 6
    recipient, peer, statement, reference = None, None, None, None
    if data[at] == 6:
        text, at = exact.text(data, at + 1)
        recipient = _address(text)
        fields += 1
    if data[at] == 7:
        text, at = exact.text(data, at + 1)
        peer = _decoded(text)
        fields += 1
    salt = data[at + 2 : at + 18]
    if not data.startswith(_SALT, at):
        raise exact.InexactError
    at += 18
    end = len(data)
    if at < end and data[at] == 10:
        statement, at = exact.byte_string(data, at + 1)
        fields += 1
    if at < end:
        reference, at = _exact_reference(data, at)
        fields += 1
    if at != end or data[0] != 0xA0 + fields:
        raise exact.InexactError
    message_id = UUID(int=first << 64 | last)
    return Event(name, from_ms(ms), message_id, digest, salt, recipient, peer, (), statement, reference)


def _exact_reference(data: bytes, at: int) -> tuple[LeafReference, int]:
    if not data.startswith(_REFERENCE, at):
        raise exact.InexactError
    origin, at = exact.text(data, at + 2)
    index, at = exact.unsigned(data, at)
    if not data.startswith(_HASH, at):
        raise exact.InexactError
    return LeafReference(_decoded(origin), index, data[at + 2 : at + 34]), at + 34


# The same few addresses, nodes and origins stand in all entries. One that is refused is not kept.
@lru_cache(maxsize=4096)
def _address(text: bytes) -> Address:
    return Address.parse(text.decode())


@lru_cache(maxsize=256)
def _decoded(text: bytes) -> str:
    return text.decode()


def event_of_value(value: Any) -> Event:
    """The event in the canonical CBOR value of a log entry; raises :class:`MalformedError` and its kin."""
    if type(value) is not dict:
        raise MalformedError("an event is a map")
    if value.get(1) != VERSION or type(value[1]) is not int:
        raise UnsupportedVersionError(f"the event's version is not {VERSION}")
    if not _REQUIRED <= value.keys() <= _ALL_FIELDS:
        raise MalformedError("an event does not hold exactly the fields of this version")
    return Event(
        name=_name(value[2]),
        at=from_ms(value[3]),
        message_id=parse_message_id(value[4]),
        digest=value[5],
        salt=value[9],
        recipient=Address.parse(_text(value[6])) if 6 in value else None,
        peer=_text(value[7]) if 7 in value else None,
        reasons=_reasons(value[8]) if 8 in value else (),
        statement=_statement(value[10]) if 10 in value else None,
        reference=_reference(value[11]) if 11 in value else None,
        files=LoggedFiles.from_value(value[12]) if 12 in value else None,
    )


def _require_bytes(value: object, length: int, what: str) -> None:
    if type(value) is not bytes or len(value) != length:
        raise MalformedError(f"{what} is {length} bytes")


def _utf8_bytes(text: str) -> int:
    """How long the text is on the wire; raises :class:`MalformedError` when it has no place there."""
    try:
        return len(text.encode())
    except UnicodeEncodeError as problem:
        raise MalformedError("the text cannot be written as UTF-8") from problem


def _name(value: Any) -> EventName:
    if type(value) is not str or value not in _NAMES:
        raise MalformedError("the event is not one of the known names")
    return _NAMES[value]


def _reasons(value: Any) -> tuple[str, ...]:
    # An absent array is the one encoding of "no reasons".
    if type(value) is not list or not 1 <= len(value) <= MAX_REASONS:
        raise MalformedError(f"reasons are an array of 1 to {MAX_REASONS} codes")
    return tuple(_text(item) for item in value)


def _statement(value: Any) -> bytes:
    if type(value) is not bytes:
        raise MalformedError("a statement is a byte string")
    return value


def _reference(value: Any) -> LeafReference:
    if type(value) is not list or len(value) != 3:
        raise MalformedError("a reference is an array of origin, index and leaf hash")
    return LeafReference(value[0], value[1], value[2])


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedError("a text string was expected")
    return value
