"""The processing log: what an office did with personal data, as entries of a log of its own.

Directive (EU) 2016/680 Art. 25.1 names six operations; of consultation and disclosure the record lets one establish the
justification, the time, the person and the recipients. An entry is canonical CBOR, a map::

    1 version      1
    2 operation    text, a code of the list record_operation
    3 at           Unix time in milliseconds
    4 officer      text, who did it
    5 act          text, which act of the program it was, such as "show"
    6 salt         16 random bytes: a leaf hash says nothing to who does not know the entry
    7 purpose      text, a code of the list record_purpose (absent where nothing was consulted or disclosed)
    8 reason       text, the justification in words (may be absent)
    9 message      16 bytes, the id of the message
   10 digest       32 bytes, of the message's envelope; of an officer's account at the agency, under the salt
   11 thread       16 bytes, the case
   12 recipients   list of text, to whom it was disclosed
   13 ground       text, a code of the list erasure_ground
   14 count        uint, how many messages the act was about
   15 key          16 bytes, the id of the key of the officer who did it (absent at a desk without officers)
   16 subject      [id, key id, [role, ...]] of the officer whom the act was about, as registered after it
   17 file         32 bytes, SHA-256 of the file that was handed over, or that the act is about
   18 call         [outcome, number, version] of a telephone call: a code of the list call_outcome, the number that was
                   called as the directory has it, and the version of the directory (0: not known)

An entry names messages and never holds what is in them, so that an erased message leaves nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.keyid import KID_BYTES
from protocol.errors import MalformedError, UnsupportedVersionError

VERSION = 1
SALT_BYTES = 16
MAX_ENTRY_BYTES = 16_384
MAX_TEXT = 2_000
MAX_RECIPIENTS = 64
MAX_ROLES = 16


class Operation(StrEnum):
    """The operations of Directive (EU) 2016/680 Art. 25.1."""

    COLLECTION = "collection"
    ALTERATION = "alteration"
    CONSULTATION = "consultation"
    DISCLOSURE = "disclosure"
    COMBINATION = "combination"
    ERASURE = "erasure"


@dataclass(frozen=True, slots=True)
class RecordedOfficer:
    """An officer as registered: the id, the id of the key (16 bytes), the roles in the order of their names."""

    id: str
    key: bytes
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """A telephone call: what came of it, the directory's number that was called, and the directory's version."""

    outcome: str
    number: str
    version: int


@dataclass(frozen=True, slots=True)
class ProcessingRecord:
    """One entry; ``at`` is exact to the millisecond. Of texts and ids, None is what the act does not have."""

    operation: Operation
    at: datetime
    officer: str
    act: str
    salt: bytes = field(repr=False)
    purpose: str | None = None
    reason: str | None = None
    message: UUID | None = None
    digest: bytes | None = None
    thread: UUID | None = None
    recipients: tuple[str, ...] = ()
    ground: str | None = None
    count: int | None = None
    key: bytes | None = None
    subject: RecordedOfficer | None = None
    file: bytes | None = None
    call: RecordedCall | None = None

    def to_bytes(self) -> bytes:
        """The entry of the log."""
        fields: dict[int, Any] = {
            1: VERSION,
            2: self.operation.value,
            3: to_ms(self.at),
            4: self.officer,
            5: self.act,
            6: self.salt,
            7: self.purpose,
            8: self.reason,
            9: self.message.bytes if self.message else None,
            10: self.digest,
            11: self.thread.bytes if self.thread else None,
            12: list(self.recipients) or None,
            13: self.ground,
            14: self.count,
            15: self.key,
            16: [self.subject.id, self.subject.key, list(self.subject.roles)] if self.subject else None,
            17: self.file,
            18: [self.call.outcome, self.call.number, self.call.version] if self.call else None,
        }
        return cbor.encode({key: value for key, value in fields.items() if value is not None})

    @classmethod
    def from_bytes(cls, entry: bytes) -> ProcessingRecord:
        """Read an entry; raises :class:`MalformedError` or :class:`UnsupportedVersionError`."""
        value = cbor.decode(entry, max_bytes=MAX_ENTRY_BYTES)
        if not isinstance(value, dict) or not set(value) >= set(_REQUIRED):
            raise MalformedError("the entry is not a processing record")
        if value[1] != VERSION or type(value[1]) is not int:  # true equals 1 in Python
            raise UnsupportedVersionError("the processing record is of another version")
        if not set(value) <= set(_TYPES) or any(type(item) is not _TYPES[key] for key, item in value.items()):
            raise MalformedError("the processing record has a field that is not of its type")
        return cls(
            operation=_operation(value[2]),
            at=from_ms(value[3]),
            officer=_text(value[4]),
            act=_text(value[5]),
            salt=_exactly(value[6], SALT_BYTES),
            purpose=_text(value[7]) if 7 in value else None,
            reason=_text(value[8]) if 8 in value else None,
            message=UUID(bytes=_exactly(value[9], 16)) if 9 in value else None,
            digest=_exactly(value[10], 32) if 10 in value else None,
            thread=UUID(bytes=_exactly(value[11], 16)) if 11 in value else None,
            recipients=_recipients(value[12]) if 12 in value else (),
            ground=_text(value[13]) if 13 in value else None,
            count=_count(value[14]) if 14 in value else None,
            key=_exactly(value[15], KID_BYTES) if 15 in value else None,
            subject=_subject(value[16]) if 16 in value else None,
            file=_exactly(value[17], 32) if 17 in value else None,
            call=_call(value[18]) if 18 in value else None,
        )


_REQUIRED = (1, 2, 3, 4, 5, 6)
_TYPES: dict[int, type] = {
    1: int,
    2: str,
    3: int,
    4: str,
    5: str,
    6: bytes,
    7: str,
    8: str,
    9: bytes,
    10: bytes,
    11: bytes,
    12: list,
    13: str,
    14: int,
    15: bytes,
    16: list,
    17: bytes,
    18: list,
}


def _operation(text: str) -> Operation:
    try:
        return Operation(text)
    except ValueError:
        raise MalformedError("the processing record is of an operation that is not known") from None


def _text(text: str) -> str:
    if not 0 < len(text) <= MAX_TEXT:
        raise MalformedError(f"a text of a processing record has 1 to {MAX_TEXT} characters")
    return text


def _exactly(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise MalformedError("a field of the processing record has another length")
    return value


def _count(value: int) -> int:
    if value < 0:
        raise MalformedError("a count of the processing record is below 0")
    return value


def _recipients(values: list[Any]) -> tuple[str, ...]:
    if not 0 < len(values) <= MAX_RECIPIENTS or any(type(value) is not str for value in values):
        raise MalformedError("the recipients of the processing record are not a list of names")
    return tuple(_text(value) for value in values)


def _subject(values: list[Any]) -> RecordedOfficer:
    if len(values) != 3 or [type(value) for value in values] != [str, bytes, list]:
        raise MalformedError("the officer of the processing record is not an id, a key id and roles")
    officer, key, roles = values
    if len(roles) > MAX_ROLES or any(type(role) is not str for role in roles):
        raise MalformedError("the roles of the processing record are not a list of names")
    if sorted(set(roles)) != roles:
        raise MalformedError("the roles of the processing record are not in order, each once")
    return RecordedOfficer(_text(officer), _exactly(key, KID_BYTES), tuple(_text(role) for role in roles))


def _call(values: list[Any]) -> RecordedCall:
    if len(values) != 3 or [type(value) for value in values] != [str, str, int]:
        raise MalformedError("the call of the processing record is not an outcome, a number and a version")
    outcome, number, version = values
    return RecordedCall(_text(outcome), _text(number), _count(version))
