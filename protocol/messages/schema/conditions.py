"""Terms for information or assistance, and whether they are taken: Budapest Convention Art. 26.2, 27.6, 28.2, 28.3."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import Instant, Legal, LocalId, Note
from protocol.messages.schema.parts import MAX_CONDITIONS, Conditions, TargetNames, distinct
from protocol.messages.types.offer import Commitment

_TERMS = "Budapest Convention Art. 28.2"
_UNABLE = "Budapest Convention Art. 28.3"

ConditionNames = Annotated[tuple[LocalId, ...], Field(min_length=1, max_length=MAX_CONDITIONS), distinct()]


class ConditionPropose(Reply):
    """Conditions under which the sender would give or accept something.

    Where it is ready to be given, ``commitment`` says so and binds to it (:mod:`protocol.messages.types.offer`).
    """

    TYPE: ClassVar[str] = "condition.propose"

    type: Literal["condition.propose"]
    conditions: Annotated[Conditions, Field(min_length=1), Legal(_TERMS, "add the conditions")]
    commitment: Commitment | None = None
    targets: TargetNames = ()
    answer_by: Instant | None = None
    remark: Note | None = None


class ConditionAccept(Reply):
    """The conditions named, of the message this replies to, bind the sender from now on."""

    TYPE: ClassVar[str] = "condition.accept"

    type: Literal["condition.accept"]
    conditions: Annotated[ConditionNames, Legal(_TERMS, "add the conditions that are accepted")]
    targets: TargetNames = ()
    remark: Note | None = None


class ConditionDecline(Reply):
    """The sender cannot comply with the conditions named, and says why; the other side decides what it gives."""

    TYPE: ClassVar[str] = "condition.decline"

    type: Literal["condition.decline"]
    conditions: Annotated[ConditionNames, Legal(_UNABLE, "add the conditions that are declined")]
    reason: Annotated[Note, Legal(_UNABLE, "explain why the conditions cannot be met")]
    proposal: Conditions = ()
    targets: TargetNames = ()
