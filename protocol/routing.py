"""The routing header: all that a node learns of a message, and no more than it needs to deliver and to chase it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from typing import Any
from uuid import UUID

from protocol.address import Address
from protocol.encoding import cbor, exact
from protocol.encoding.ids import is_message_id, parse_message_id
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ExpiredError, MalformedError, NotYetValidError, UnsupportedVersionError
from protocol.files.file_list import DIGEST_BYTES as FILE_SET_BYTES
from protocol.files.file_list import FileSet

# A header with files is of version 2, and every other one of version 1: a node that knows no files refuses the first,
# and forwards no message whose files it would leave behind.
VERSION = 1
VERSION_WITH_FILES = 2
MAX_RECIPIENTS = 32
COMMITMENT_BYTES = 32
_MAX_ITEMS = 256
# A year: longer than any treaty request takes, short enough that nothing waits in a queue for ever.
MAX_LIFETIME = timedelta(days=366)
MAX_CLOCK_SKEW = timedelta(minutes=5)

# The header's bytes up to its id, by whether it is to be acknowledged and whether it has files; the other parts' heads.
_STARTS = {
    (False, False): bytes.fromhex("a801010250"),
    (True, False): bytes.fromhex("a901010250"),
    (False, True): bytes.fromhex("a901020250"),
    (True, True): bytes.fromhex("aa01020250"),
}
_PARTS_OF = {start: parts for parts, start in _STARTS.items()}
_ID_AT = 5
_ID_END = _ID_AT + 16
_CREATED, _EXPIRES, _PRIORITY = bytes.fromhex("051b"), bytes.fromhex("061b"), 0x07
_ACK_BY, _COMMITMENT = bytes.fromhex("081b"), bytes.fromhex("095820")
_FILE_SET = bytes.fromhex("0a835820")
_MAX_BYTES = 4096

_REQUIRED = {1, 2, 3, 4, 5, 6, 7, 9}
_ALL_FIELDS = _REQUIRED | {8}
_FILE_SET_KEY = 10


class Priority(IntEnum):
    """How soon nodes must move the message; the reasons stay inside the seal."""

    ROUTINE = 0
    URGENT = 1
    EMERGENCY = 2


_PRIORITIES = {int(priority): priority for priority in Priority}


@dataclass(frozen=True, slots=True)
class Routing:
    """The routing header of one message. Instants are aware UTC datetimes in whole milliseconds.

    ``file_set`` commits to the list of its files, which travels beside the envelope; None: the message has no files.
    """

    id: UUID
    sender: Address
    recipients: tuple[Address, ...]
    created: datetime
    expires: datetime
    priority: Priority
    ack_by: datetime | None
    commitment: bytes
    file_set: FileSet | None = None


def encode_routing(routing: Routing, commitment: bytes | None = None) -> bytes:
    """The canonical CBOR map, with this ``commitment`` in the place of the header's own if one is given.

    Raises :class:`MalformedError` when the header breaks a rule of its own.
    """
    _check(routing)
    recipients = routing.recipients
    return b"".join(
        (
            _STARTS[routing.ack_by is not None, routing.file_set is not None],
            routing.id.bytes,
            b"\x03",
            exact.put_text(str(routing.sender)),
            b"\x04",
            exact.head(0x80, len(recipients)),
            *(exact.put_text(str(recipient)) for recipient in recipients),
            b"\x05",
            exact.put_unsigned(to_ms(routing.created)),
            b"\x06",
            exact.put_unsigned(to_ms(routing.expires)),
            b"\x07",
            exact.put_unsigned(routing.priority),
            b"" if routing.ack_by is None else b"\x08" + exact.put_unsigned(to_ms(routing.ack_by)),
            _COMMITMENT,
            routing.commitment if commitment is None else commitment,
            b"" if routing.file_set is None else _put_file_set(routing.file_set),
        )
    )


def _put_file_set(files: FileSet) -> bytes:
    return _FILE_SET + files.digest + exact.put_unsigned(files.count) + exact.put_unsigned(files.total_bytes)


def decode_routing(data: bytes) -> Routing:
    """The header in canonical ``data``; raises :class:`MalformedError` and its kin."""
    try:
        return _exact_routing(data)
    except exact.NOT_EXACT:
        pass  # read again below, which says what is wrong
    value = cbor.decode(data, max_bytes=_MAX_BYTES, max_depth=3, max_items=_MAX_ITEMS)
    if type(value) is not dict:
        raise MalformedError("the routing header is not a map")
    version = value.get(1)
    if type(version) is not int or version not in {VERSION, VERSION_WITH_FILES}:  # true equals 1 in Python
        raise UnsupportedVersionError(f"the envelope's version is neither {VERSION} nor {VERSION_WITH_FILES}")
    files = {_FILE_SET_KEY} if version == VERSION_WITH_FILES else set()
    if not _REQUIRED | files <= value.keys() <= _ALL_FIELDS | files:
        raise MalformedError("the routing header does not hold exactly the fields of this version")
    routing = Routing(
        id=parse_message_id(value[2]),
        sender=_address(value[3]),
        recipients=_addresses(value[4]),
        created=from_ms(value[5]),
        expires=from_ms(value[6]),
        priority=_priority(value[7]),
        ack_by=from_ms(value[8]) if 8 in value else None,
        commitment=value[9],
        file_set=_file_set(value[_FILE_SET_KEY]) if files else None,
    )
    _check(routing)
    return routing


def _exact_routing(data: bytes) -> Routing:
    """A header with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    parts = _PARTS_OF.get(data[:_ID_AT])
    if parts is None or data[_ID_END] != 3:
        raise exact.InexactError
    acknowledged, with_files = parts
    sender, at = exact.text(data, _ID_END + 1)
    if data[at] != 4:
        raise exact.InexactError
    count, at = exact.count(data, at + 1)
    recipients = []
    for _ in range(count):
        recipient, at = exact.text(data, at)
        recipients.append(Address.parse(recipient.decode()))
    # Eight bytes each after their heads: created, expires.
    if not data.startswith(_CREATED, at) or not data.startswith(_EXPIRES, at + 10) or data[at + 20] != _PRIORITY:
        raise exact.InexactError
    created, expires = exact.milliseconds(data, at + 2), exact.milliseconds(data, at + 12)
    priority = data[at + 21]
    at += 22
    ack_by = None
    if acknowledged:
        if not data.startswith(_ACK_BY, at):
            raise exact.InexactError
        ack_by = from_ms(exact.milliseconds(data, at + 2))
        at += 10
    if not data.startswith(_COMMITMENT, at) or priority not in _PRIORITIES:
        raise exact.InexactError
    end = at + len(_COMMITMENT) + COMMITMENT_BYTES
    commitment, file_set = data[at + len(_COMMITMENT) : end], None
    if with_files:
        file_set, end = _exact_file_set(data, end)
    if end != len(data):
        raise exact.InexactError
    routing = Routing(
        id=UUID(bytes=data[_ID_AT:_ID_END]),
        sender=Address.parse(sender.decode()),
        recipients=tuple(recipients),
        created=from_ms(created),
        expires=from_ms(expires),
        priority=_PRIORITIES[priority],
        ack_by=ack_by,
        commitment=commitment,
        file_set=file_set,
    )
    _check(routing)
    return routing


def _exact_file_set(data: bytes, at: int) -> tuple[FileSet, int]:
    if not data.startswith(_FILE_SET, at):
        raise exact.InexactError
    at += len(_FILE_SET)
    count, end = exact.unsigned(data, at + FILE_SET_BYTES)
    total, end = exact.unsigned(data, end)
    return FileSet(data[at : at + FILE_SET_BYTES], count, total), end


def check_time(routing: Routing, now: datetime) -> None:
    """Return if ``now`` is within the message's life; raises :class:`ExpiredError` or :class:`NotYetValidError`."""
    if now >= routing.expires:
        raise ExpiredError("the message's expiry has passed")
    if routing.created - now > MAX_CLOCK_SKEW:
        raise NotYetValidError("the message was created in the future")


def _check(routing: Routing) -> None:
    if not 1 <= len(routing.recipients) <= MAX_RECIPIENTS:
        raise MalformedError(f"a message has 1 to {MAX_RECIPIENTS} recipients")
    if len(routing.recipients) > 1 and list(routing.recipients) != sorted(set(routing.recipients)):
        raise MalformedError("the recipients are not sorted, or one is named twice")
    if not is_message_id(routing.id):
        raise MalformedError("a message id is a UUID of version 7")
    # A difference, not a sum: near the year 9999 a sum has no value.
    if not timedelta(0) < routing.expires - routing.created <= MAX_LIFETIME:
        raise MalformedError(f"a message expires after it was created and within {MAX_LIFETIME.days} days")
    if routing.ack_by is not None and not routing.created < routing.ack_by <= routing.expires:
        raise MalformedError("the acknowledgement is due between creation and expiry")
    if type(routing.commitment) is not bytes or len(routing.commitment) != COMMITMENT_BYTES:
        raise MalformedError(f"the commitment has {COMMITMENT_BYTES} bytes")


def _address(value: Any) -> Address:
    if type(value) is not str:
        raise MalformedError("an address is a text string")
    return Address.parse(value)


def _addresses(value: Any) -> tuple[Address, ...]:
    if type(value) is not list or len(value) > MAX_RECIPIENTS:
        raise MalformedError(f"the recipients are an array of 1 to {MAX_RECIPIENTS}")
    return tuple(_address(item) for item in value)


def _file_set(value: Any) -> FileSet:
    if type(value) is not list or len(value) != 3:
        raise MalformedError("a file set is the digest of the list, how many files, and their bytes")
    return FileSet(*value)


def _priority(value: Any) -> Priority:
    if type(value) is not int or value not in _PRIORITIES:
        raise MalformedError("the priority is 0, 1 or 2")
    return _PRIORITIES[value]
