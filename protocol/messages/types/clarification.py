"""Questions about a request and their answers. An open question may pause the clock (Budapest Convention Art. 27.6)."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.fields import INHERITED, Instant, Legal, Line, LocalId, Note, Prose
from protocol.messages.schema.parts import TargetNames, distinct

_RULE = "Directive (EU) 2023/977 Art. 14"
_MAX_QUESTIONS = 100


class Question(Part):
    """One question: about a field of the request, about targets, or about the request as a whole."""

    question: Annotated[LocalId, Legal(INHERITED, "add the short name of the question, such as q1")]
    field: Line | None = None
    targets: TargetNames = ()
    text: Annotated[Note, Legal(INHERITED, "add the text of the question")]


class ClarificationAsk(Reply):
    """The requested side cannot go on without an answer, or with it can do better."""

    TYPE: ClassVar[str] = "clarification.ask"

    type: Literal["clarification.ask"]
    questions: Annotated[
        tuple[Question, ...],
        Field(min_length=1, max_length=_MAX_QUESTIONS),
        distinct("question"),
        Legal(_RULE, "add the questions"),
    ]
    pauses_clock: Annotated[bool, Legal("clarification", "state whether the clock is paused until the reply")]
    targets: TargetNames = ()
    answer_by: Instant | None = None
    remark: Note | None = None


class QuestionAnswer(Part):
    """The answer to one question; ``unknown`` says that the requester cannot answer it."""

    question: Annotated[LocalId, Legal(INHERITED, "add the short name of the question, such as q1")]
    text: Annotated[Prose, Legal(INHERITED, "add the answer to the question")]
    unknown: bool = False


class ClarificationReply(Reply):
    """The requester answers; replies to the ``clarification.ask``."""

    TYPE: ClassVar[str] = "clarification.reply"
    # Version 3, as of all types whose files may follow them: there is no version 2 of this one.
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["clarification.reply"]
    answers: Annotated[
        tuple[QuestionAnswer, ...],
        Field(min_length=1, max_length=_MAX_QUESTIONS),
        distinct("question"),
        Legal(_RULE, "add the answers"),
    ]
    targets: TargetNames = ()
    remark: Note | None = None
