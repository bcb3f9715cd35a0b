"""How a request ends before or after its answer: misdirected, withdrawn, closed."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.fields import INHERITED, AddressText, CodeOf, Country, Instant, Legal, Line, Note
from protocol.messages.schema.parts import TargetNames, absent_if, needed_if
from protocol.messages.schema.since import Since

_REFERRED = "Budapest Convention Art. 27.9"


def _is_forwarded(fields: Mapping[str, Any]) -> bool:
    return fields.get("forwarded") is True


def _is_not_forwarded(fields: Mapping[str, Any]) -> bool:
    return fields.get("forwarded") is False


class RightAuthority(Part):
    """Whom the request concerns."""

    organisation: Annotated[Line, Legal(INHERITED, "add the name of the right authority")]
    country: Annotated[Country, Legal(INHERITED, "add the country of the right authority")]
    address: AddressText | None = None
    contact: Note | None = None
    # Which law or treaty makes it theirs.
    law: Annotated[Note | None, Since(2), Legal(_REFERRED)] = None


class Misdirected(Reply):
    """The request came to the wrong authority; it was passed on, or the sender is to send it there."""

    TYPE: ClassVar[str] = "misdirected"
    SCHEMA_VERSION: ClassVar[int] = 2

    type: Literal["misdirected"]
    targets: TargetNames = ()
    right_authority: Annotated[RightAuthority, Legal(_REFERRED, "add the right authority")]
    forwarded: Annotated[bool, Legal(_REFERRED, "state whether the request was passed on")]
    forwarded_at: Annotated[
        Instant | None,
        needed_if(_is_forwarded),
        absent_if(_is_not_forwarded, "the request was not passed on: remove the time of passing on"),
        Legal(_REFERRED, "add the time of passing on"),
    ] = Field(default=None, validate_default=True)
    forwarded_reference: Line | None = None
    reason: Annotated[Note, Legal(_REFERRED, "explain why another authority is the right one")]


class Withdrawal(Reply):
    """The requester takes back the request, or the targets named."""

    TYPE: ClassVar[str] = "withdrawal"

    type: Literal["withdrawal"]
    targets: TargetNames = ()
    reason: Annotated[Note, Legal("withdrawal", "give the reason for the withdrawal")]


class Closure(Reply):
    """The thread is closed: nothing more is expected from either side."""

    TYPE: ClassVar[str] = "closure"

    type: Literal["closure"]
    reason: Annotated[str, CodeOf("closure_reason"), Legal("closure", "give the reason for the closure")]
    text: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("reason") == "other"),
        Legal("closure", "give the reason in words"),
    ] = Field(default=None, validate_default=True)
