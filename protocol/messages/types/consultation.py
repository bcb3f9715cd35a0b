"""Consultation before a refusal or postponement: partly, or under conditions? (Budapest Convention Art. 27.6)"""

from typing import Annotated, ClassVar, Literal

from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Note
from protocol.messages.schema.parts import TargetNames, after

_RULE = "Budapest Convention Art. 27.6"


class ConsultationOpen(Reply):
    """Before it decides, a side asks the other: partly, under conditions, or otherwise? Without targets: all of it."""

    TYPE: ClassVar[str] = "consultation.open"

    type: Literal["consultation.open"]
    targets: TargetNames = ()
    intends: Annotated[str, CodeOf("consultation_intent"), Legal(_RULE, "state what would be decided otherwise")]
    question: Annotated[Note, Legal(_RULE, "state what the other side is asked")]
    answer_by: Annotated[
        Instant,
        after("sent_at", "the time of the answer must be later than the time of sending"),
        Legal(_RULE, "add the time not later than which an answer is needed"),
    ]


class ConsultationClose(Reply):
    """What the consultation came to. It is no decision: that follows, in the words agreed."""

    TYPE: ClassVar[str] = "consultation.close"

    type: Literal["consultation.close"]
    targets: TargetNames = ()
    outcome: Annotated[str, CodeOf("consultation_outcome"), Legal(_RULE, "state what the consultation came to")]
    text: Annotated[Note, Legal(_RULE, "explain the outcome")]
