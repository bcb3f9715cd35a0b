"""Where a request stands. Reasonable requests for status are answered (UN Convention Art. 40)."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Note
from protocol.messages.schema.parts import MAX_TARGETS, TargetName, TargetNames, after, distinct, needed_if

_STATUS = "UN Convention Art. 40"
_DELAY = "Directive (EU) 2023/977 Art. 5"

# States after which nothing more is to be expected.
_SETTLED = frozenset(
    {
        "answered",
        "forwarded",
        "produced",
        "refused",
        "not_held",
        "impossible",
        "released",
        "lapsed",
        "withdrawn",
        "closed",
        "conditions_declined",
        "expired_unanswered",
        "preserved",
        "extended",
    }
)
# States that are a delay by themselves, and owe a reason.
_DELAYED = frozenset({"awaiting_authorisation", "postponed"})


def _is_open(fields: Mapping[str, Any]) -> bool:
    return "state" in fields and fields["state"] not in _SETTLED and fields.get("eta", ...) is None


class StatusQuery(Reply):
    """How does it stand? Without targets: the whole request."""

    TYPE: ClassVar[str] = "status.query"

    type: Literal["status.query"]
    targets: TargetNames = ()
    question: Note | None = None
    answer_by: Instant | None = None


class Delay(Part):
    """Why it takes longer, coded and in words, and how long as far as known."""

    code: Annotated[str, CodeOf("delay_reason"), Legal(_DELAY, "give the code of the reason for the delay")]
    text: Annotated[Note, Legal(_DELAY, "give the reason for the delay")]
    expected_until: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("code") == "judicial_authorisation"),
        Legal(_DELAY, "add the expected length of the delay"),
    ] = Field(default=None, validate_default=True)


class TargetStatus(Part):
    """The state of one target where it differs from that of the request."""

    target: TargetName
    state: Annotated[str, CodeOf("case_state"), Legal(_STATUS, "state how far the target is")]
    remark: Note | None = None


class StatusReport(Reply):
    """The state of the request, the time of the answer or of the next word, and the reason for any delay."""

    TYPE: ClassVar[str] = "status.report"

    type: Literal["status.report"]
    state: Annotated[str, CodeOf("case_state"), Legal(_STATUS, "state how far the request is")]
    targets: Annotated[tuple[TargetStatus, ...], Field(max_length=MAX_TARGETS), distinct("target")] = ()
    eta: Annotated[Instant | None, after("sent_at", "the estimated time must be later than the time of sending")] = None
    next_update_by: Annotated[
        Instant | None,
        needed_if(_is_open),
        Legal(_STATUS, "add the estimated time of the answer, or of the next update"),
    ] = Field(default=None, validate_default=True)
    delay: Annotated[
        Delay | None,
        needed_if(lambda fields: fields.get("state") in _DELAYED),
        Legal(_DELAY, "give the reason for the delay"),
    ] = Field(default=None, validate_default=True)
    remark: Note | None = None
