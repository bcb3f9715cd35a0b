"""Questions about a request and their answers. An open question may pause the clock (Budapest Convention Art. 27.6)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.fields import INHERITED, Instant, Legal, Line, LocalId, Note, Prose
from protocol.messages.schema.parts import TargetNames, distinct

_RULE = "Directive (EU) 2023/977 Art. 14"
_MAX_QUESTIONS = 100


class Question(Part):
    """One question: about a field of the request, about targets, or about the request as a whole."""

    question: Annotated[LocalId, Legal(INHERITED, "the short name of the question, such as q1, is missing")]
    field: Line | None = None
    targets: TargetNames = ()
    text: Annotated[Note, Legal(INHERITED, "the text of the question is missing")]


class ClarificationAsk(Reply):
    """The requested side cannot go on without an answer, or with it can do better."""

    TYPE: ClassVar[str] = "clarification.ask"

    type: Literal["clarification.ask"]
    questions: Annotated[
        tuple[Question, ...],
        Field(min_length=1, max_length=_MAX_QUESTIONS),
        distinct("question"),
        Legal(_RULE, "the questions are missing"),
    ]
    pauses_clock: Annotated[bool, Legal("clarification", "whether the clock is paused until the reply is missing")]
    targets: TargetNames = ()
    answer_by: Instant | None = None
    remark: Note | None = None


class QuestionAnswer(Part):
    """The answer to one question; ``unknown`` says that the requester cannot answer it."""

    question: Annotated[LocalId, Legal(INHERITED, "the short name of the question, such as q1, is missing")]
    text: Annotated[Prose, Legal(INHERITED, "the answer to the question is missing")]
    unknown: bool = False


class ClarificationReply(Reply):
    """The requester answers; replies to the ``clarification.ask``."""

    TYPE: ClassVar[str] = "clarification.reply"

    type: Literal["clarification.reply"]
    answers: Annotated[
        tuple[QuestionAnswer, ...],
        Field(min_length=1, max_length=_MAX_QUESTIONS),
        distinct("question"),
        Legal(_RULE, "the answers are missing"),
    ]
    targets: TargetNames = ()
    remark: Note | None = None
