"""The decision on a request, for all of it or per target: Budapest Convention Art. 27.4 to 27.7."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.fields import CodeOf, Instant, Legal, LocalId, Note, problem
from protocol.messages.schema.parts import MAX_TARGETS, Conditions, Ground, absent_if, distinct, needed_if

_REASONS = "Budapest Convention Art. 27.7"
_NEGATIVE = frozenset({"postpone", "refuse", "impossible"})


def _is_negative(fields: Mapping[str, Any]) -> bool:
    return fields.get("decision") in _NEGATIVE


def _is_not_negative(fields: Mapping[str, Any]) -> bool:
    return "decision" in fields and not _is_negative(fields)


def _is_conditional(fields: Mapping[str, Any]) -> bool:
    return fields.get("decision") == "conditional"


def _is_not_conditional(fields: Mapping[str, Any]) -> bool:
    return "decision" in fields and not _is_conditional(fields)


class TargetDecision(Part):
    """What was decided for one target; without ``target`` for all of the request."""

    target: LocalId | None = None
    decision: Annotated[str, CodeOf("decision"), Legal("Budapest Convention Art. 27.7", "state the decision")]
    ground: Annotated[
        Ground | None,
        needed_if(_is_negative),
        absent_if(_is_not_negative, "this was accepted: remove the ground of refusal"),
        Legal(_REASONS, "give the code of the ground, and the reasons"),
    ] = Field(default=None, validate_default=True)
    conditions: Annotated[
        Conditions,
        needed_if(_is_conditional),
        absent_if(_is_not_conditional, "remove the conditions: only an acceptance under conditions has them"),
        Legal("Budapest Convention Art. 28.2", "add the conditions"),
    ] = Field(default=(), validate_default=True)
    next_update_by: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("decision") == "postpone"),
        Legal("Budapest Convention Art. 27.5", "say when the next update on what is postponed will come"),
    ] = Field(default=None, validate_default=True)
    remark: Note | None = None


class Decision(Reply):
    """What the requested side decides about what this replies to: a request, or a request that followed."""

    TYPE: ClassVar[str] = "decision"
    # Version 2 has the grounds of version 3 of their list.
    SCHEMA_VERSION: ClassVar[int] = 2

    type: Literal["decision"]
    decisions: Annotated[
        tuple[TargetDecision, ...],
        Field(min_length=1, max_length=MAX_TARGETS),
        distinct("target"),
        Legal(_REASONS, "state the decision"),
    ]
    consultation: Annotated[Note | None, Legal("Budapest Convention Art. 27.6")] = None
    eta: Instant | None = None

    @field_validator("decisions")
    @classmethod
    def _whole_or_parts(cls, decisions: tuple[TargetDecision, ...], info: ValidationInfo) -> tuple[TargetDecision, ...]:
        if len(decisions) > 1 and any(decision.target is None for decision in decisions):
            raise problem("scope", "decide on all of the request, or name the target of each decision")
        return decisions
