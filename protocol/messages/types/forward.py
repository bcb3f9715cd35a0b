"""A message of one office, passed on to another with all that proves it."""

import binascii
import json
from base64 import b64decode
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from protocol.address import Address
from protocol.encoding.padme import SALT_BYTES, padded_size
from protocol.envelope import MAX_CONTENT_BYTES, Envelope, check_disclosure, parse_envelope
from protocol.errors import RoutingMismatchError
from protocol.messages.schema.base import Message, Part
from protocol.messages.schema.fields import INHERITED, AddressText, CodeOf, Instant, Legal, MessageId, Note, problem
from protocol.receipt import Receipt, decode_receipts

_RULE = "Second Additional Protocol Art. 14"
MAX_CONSENTS = 8
# A forward holds these beside the original: what the desk fills in, the officer's signature, reason, labels.
FORWARD_ROOM_BYTES = 16 * 1024
# Of an envelope: the header and signature, and the key for each recipient (ML-KEM-768 with X25519).
ENVELOPE_ROOM_BYTES = 2 * 1024
RECIPIENT_BYTES = 1_300


class Original(Part):
    """The message that is passed on: its content and salt, and its envelope, in which the content was committed to.

    ``acceptance`` is the receipts (:func:`protocol.receipt.encode_receipts`, in base64) by which nodes logged the
    envelope: they say when the originator's signature was there, which the originator's own word does not.
    """

    message: Annotated[MessageId, Legal(INHERITED, "add the id of the original message")]
    type: Annotated[str, Field(pattern="^[a-z][a-z0-9._-]{0,63}$")]
    originator: Annotated[AddressText, Legal(INHERITED, "state who sent the original message")]
    sent_at: Annotated[Instant, Legal(INHERITED, "add the time of the original message")]
    content: Annotated[str, Field(max_length=MAX_CONTENT_BYTES), Legal(INHERITED, "add the original content")]
    salt: Annotated[str, Field(pattern=f"^[0-9a-f]{{{2 * SALT_BYTES}}}$")]
    envelope: Annotated[str, Field(max_length=MAX_CONTENT_BYTES), Legal(INHERITED, "add the original envelope")]
    acceptance: Annotated[str, Field(max_length=MAX_CONTENT_BYTES)] | None = None

    @field_validator("envelope", "acceptance")
    @classmethod
    def _is_base64(cls, encoded: str | None) -> str | None:
        try:
            if encoded is not None:
                b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise problem("base64", "write the envelope and the receipts in base64") from None
        return encoded


class CarriedConsent(Part):
    """Consent to the passing on, with all that proves it: the request that was made, and the reply of who gave it."""

    request: Annotated[Original, Legal(INHERITED, "add the request for consent")]
    reply: Annotated[Original, Legal(INHERITED, "add the reply that gives consent")]


class Forward(Message):
    """A message of another office that is passed on, under labels that are never weaker than those it came with.

    ``consents`` carries the consent to what the labels and conditions of the original forbid: who gets the message
    judges by that, and not by the word of who passes it on (:mod:`protocol.messages.passing_on`).
    """

    TYPE: ClassVar[str] = "forward"
    # Version 3, as of all types whose files may follow them: there is no version 2 of this one.
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["forward"]
    reason: Annotated[Note, Legal(_RULE, "explain why it is passed on")]
    purpose: Annotated[str, CodeOf("record_purpose")] = "case_work"
    consents: Annotated[tuple[CarriedConsent, ...], Field(max_length=MAX_CONSENTS)] = ()
    original: Annotated[Original, Legal(_RULE, "add the message that is passed on")]


def original_bytes(content: bytes, envelope_bytes: int) -> int:
    """How many bytes of a forward the content and its envelope take: both, since only the envelope bears a signature.

    The content stands there as a text of JSON, the envelope in base64.
    """
    return len(json.dumps(content.decode("utf-8", "replace"), ensure_ascii=False).encode()) + _base64(envelope_bytes)


def can_be_passed_on(content: bytes, recipients: int) -> bool:
    """Whether who gets a message with this ``content`` can pass it on, as far as that is known before it is sealed."""
    sealed = padded_size(len(content) + SALT_BYTES) + ENVELOPE_ROOM_BYTES + recipients * RECIPIENT_BYTES
    return original_bytes(content, sealed) + FORWARD_ROOM_BYTES <= MAX_CONTENT_BYTES


def _base64(size: int) -> int:
    return -(-size // 3) * 4


def original_receipts(original: Original) -> list[Receipt]:
    """The receipts that came with what was passed on, not verified; raises :class:`MalformedError` and its kin."""
    return decode_receipts(b64decode(original.acceptance)) if original.acceptance is not None else []


def original_envelope(original: Original) -> Envelope:
    """The envelope of what was passed on, with all but the sender's signature checked against what is said of it.

    That is: the content and salt are what the envelope commits to, and id and originator are those of its header. The
    signature is to be verified with the originator's key at the time. Raises what does not hold:
    :class:`MalformedError`, :class:`RoutingMismatchError` or :class:`CommitmentMismatchError`.
    """
    envelope = parse_envelope(b64decode(original.envelope))
    routing = envelope.routing
    if routing.id != original.message or routing.sender != Address.parse(original.originator):
        raise RoutingMismatchError("the original envelope is of another message")
    check_disclosure(envelope, bytes.fromhex(original.salt), original.content.encode())
    return envelope
