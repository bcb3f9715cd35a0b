"""How a request ends before or after its answer: misdirected, withdrawn, closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.fields import INHERITED, AddressText, CodeOf, Country, Instant, Legal, Line, Note
from protocol.messages.schema.parts import TargetNames, absent_if, needed_if

_REFERRED = "Budapest Convention Art. 27.9"


def _is_forwarded(fields: Mapping[str, Any]) -> bool:
    return fields.get("forwarded") is True


def _is_not_forwarded(fields: Mapping[str, Any]) -> bool:
    return fields.get("forwarded") is False


class RightAuthority(Part):
    """Whom the request concerns."""

    organisation: Annotated[Line, Legal(INHERITED, "the name of the right authority is missing")]
    country: Annotated[Country, Legal(INHERITED, "the country of the right authority is missing")]
    address: AddressText | None = None
    contact: Note | None = None


class Misdirected(Reply):
    """The request came to the wrong authority; it was passed on, or the sender is to send it there."""

    TYPE: ClassVar[str] = "misdirected"

    type: Literal["misdirected"]
    targets: TargetNames = ()
    right_authority: Annotated[RightAuthority, Legal(_REFERRED, "the right authority is missing")]
    forwarded: Annotated[bool, Legal(_REFERRED, "whether the request was passed on is missing")]
    forwarded_at: Annotated[
        Instant | None,
        needed_if(_is_forwarded),
        absent_if(_is_not_forwarded, "what was not passed on has no time of passing on"),
        Legal(_REFERRED, "the time of passing on is missing"),
    ] = Field(default=None, validate_default=True)
    forwarded_reference: Line | None = None
    reason: Annotated[Note, Legal(_REFERRED, "why another authority is the right one is missing")]


class Withdrawal(Reply):
    """The requester takes back the request, or the targets named."""

    TYPE: ClassVar[str] = "withdrawal"

    type: Literal["withdrawal"]
    targets: TargetNames = ()
    reason: Annotated[Note, Legal("withdrawal", "the reason of the withdrawal is missing")]


class Closure(Reply):
    """The thread is closed: nothing more is expected from either side."""

    TYPE: ClassVar[str] = "closure"

    type: Literal["closure"]
    reason: Annotated[str, CodeOf("closure_reason"), Legal("closure", "the reason of the closure is missing")]
    text: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("reason") == "other"),
        Legal("closure", "the reason in words is missing"),
    ] = Field(default=None, validate_default=True)
