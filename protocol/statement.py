"""A desk's signed statement of what happened to a message or to its files there: handed over, opened, or failed to.

The recipient's desk signs it, its node logs it inside the event's leaf, and the sender gets it back as part of the
receipt: so a node cannot claim a handover that the desk did not make, and the desk cannot deny one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding import cbor, exact
from protocol.encoding.ids import parse_message_id
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import MalformedError, SignatureInvalidError, UnsupportedVersionError
from protocol.event import DESK_EVENTS, MAX_REASON_CHARS, MAX_REASONS, MAX_STATEMENT_BYTES, EventName
from protocol.files.logged import LoggedFiles

STATEMENT_TYPE = "application/vnd.comity.statement+cose"
STATEMENT_CONTEXT = b"comity/v1/statement"
VERSION = 1

# Six fields, the version and the second key; the heads of the parts after the event's name.
_START = bytes.fromhex("a6010102")
_AT, _MESSAGE_ID, _DIGEST, _RECIPIENT = (bytes.fromhex(head) for head in ("031b", "0450", "055820", "06"))
_EVENTS_IN_BYTES = {event.value.encode(): event for event in DESK_EVENTS if not (event.negative or event.of_files)}

_REQUIRED = {1, 2, 3, 4, 5, 6}
_ALL_FIELDS = _REQUIRED | {7, 8}


@dataclass(frozen=True, slots=True)
class DeskStatement:
    """What ``recipient`` states of the envelope with this digest.

    ``reasons`` are codes, for negative events only; ``files`` are the files that an event about files is about.
    """

    event: EventName
    message_id: UUID
    digest: bytes
    recipient: Address
    at: datetime
    reasons: tuple[str, ...] = ()
    files: LoggedFiles | None = None


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A well-formed statement. Parsed is not verified."""

    raw: bytes
    statement: DeskStatement
    signed: cose.Sign1

    @property
    def kid(self) -> bytes:
        """The id of the key that claims to have signed."""
        return self.signed.kid


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """A statement signed by a key of the recipient it names."""

    raw: bytes
    statement: DeskStatement


def sign_statement(statement: DeskStatement, signer: Signer) -> bytes:
    """The signed statement's bytes."""
    _check(statement)
    return cose.sign1(_encoded(statement), STATEMENT_TYPE, STATEMENT_CONTEXT, signer)


def _encoded(statement: DeskStatement) -> bytes:
    if not statement.reasons and statement.files is None:  # as most are
        name, at = exact.put_text(statement.event), b"\x03" + exact.put_unsigned(to_ms(statement.at))
        parts = (_START, name, at, _MESSAGE_ID, statement.message_id.bytes, _DIGEST, statement.digest)
        return b"".join((*parts, _RECIPIENT, exact.put_text(str(statement.recipient))))
    value: dict[int, Any] = {
        1: VERSION,
        2: statement.event.value,
        3: to_ms(statement.at),
        4: statement.message_id.bytes,
        5: statement.digest,
        6: str(statement.recipient),
    }
    if statement.reasons:
        value[7] = list(statement.reasons)
    if statement.files is not None:
        value[8] = statement.files.to_value()
    return cbor.encode(value)


@lru_cache(maxsize=512)  # a desk meets its own statement again in the receipt for it
def parse_statement(data: bytes) -> SignedStatement:
    """The statement in ``data``, checked for all that needs no key; raises :class:`MalformedError` and its kin."""
    signed = cose.parse_sign1(data, STATEMENT_TYPE, max_bytes=MAX_STATEMENT_BYTES)
    try:
        return SignedStatement(data, _exact_statement(signed.payload), signed)
    except exact.NOT_EXACT:
        pass  # read again below, which says what is wrong
    value = cbor.decode(signed.payload, max_bytes=MAX_STATEMENT_BYTES, max_depth=3)
    if type(value) is not dict:
        raise MalformedError("a statement is a map")
    if type(value.get(1)) is not int or value[1] != VERSION:
        raise UnsupportedVersionError(f"the statement's version is not {VERSION}")
    if not _REQUIRED <= value.keys() <= _ALL_FIELDS or value.get(7) == []:
        raise MalformedError("a statement does not hold exactly the fields of this version")
    statement = DeskStatement(
        event=_event(value[2]),
        at=from_ms(value[3]),
        message_id=parse_message_id(value[4]),
        digest=value[5],
        recipient=Address.parse(_text(value[6])),
        reasons=_reasons(value.get(7, [])),
        files=LoggedFiles.from_value(value[8]) if 8 in value else None,
    )
    _check(statement)
    return SignedStatement(data, statement, signed)


def _exact_statement(data: bytes) -> DeskStatement:
    """A statement with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes.

    One with reasons or about files, which is rare, is not found here.
    """
    name, at = exact.text(data, len(_START))
    # Heads and values of fixed sizes: eight bytes of time, sixteen of the message's id, 32 of the digest.
    if not (
        data.startswith(_START)
        and data.startswith(_AT, at)
        and data.startswith(_MESSAGE_ID, at + 10)
        and data.startswith(_DIGEST, at + 28)
        and data.startswith(_RECIPIENT, at + 63)
    ):
        raise exact.InexactError
    recipient, end = exact.text(data, at + 64)
    if end != len(data) or name not in _EVENTS_IN_BYTES:
        raise exact.InexactError
    return DeskStatement(
        event=_EVENTS_IN_BYTES[name],
        message_id=parse_message_id(data[at + 12 : at + 28]),
        digest=data[at + 31 : at + 63],
        recipient=Address.parse(recipient.decode()),
        at=from_ms(exact.milliseconds(data, at + 2)),
    )


def verify_statement(signed: SignedStatement, verifier: Ed25519Verifier) -> VerifiedStatement:
    """The statement as its recipient's.

    ``verifier`` is the key that the directory lists for the statement's recipient under its kid. Raises
    :class:`SignatureInvalidError`.
    """
    if verifier.kid != signed.kid:
        raise SignatureInvalidError("the key is not the one that the statement names")
    cose.verify_sign1(signed.signed, STATEMENT_CONTEXT, verifier)
    return VerifiedStatement(signed.raw, signed.statement)


def _check(statement: DeskStatement) -> None:
    if statement.event not in DESK_EVENTS:
        raise MalformedError("a desk does not state this event")
    if type(statement.digest) is not bytes or len(statement.digest) != 32:
        raise MalformedError("an envelope digest has 32 bytes")
    if statement.event.of_files != (statement.files is not None):
        raise MalformedError("a statement about files says which, and only one about files")
    if statement.files is not None and statement.files.count == 0:
        raise MalformedError("a statement about files is about one at least")
    if statement.event.negative != bool(statement.reasons):
        raise MalformedError("a negative event has a reason, and only a negative one")


def _event(value: Any) -> EventName:
    try:
        return EventName(_text(value))
    except ValueError as problem:
        raise MalformedError("the event is not one of the known names") from problem


def _reasons(value: Any) -> tuple[str, ...]:
    if type(value) is not list or len(value) > MAX_REASONS:
        raise MalformedError(f"a statement has at most {MAX_REASONS} reasons")
    reasons = tuple(_text(item) for item in value)
    if any(not 1 <= len(reason) <= MAX_REASON_CHARS for reason in reasons):
        raise MalformedError(f"a reason is a code of 1 to {MAX_REASON_CHARS} characters")
    return reasons


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedError("a text string was expected")
    return value
