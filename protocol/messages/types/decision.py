"""The decision on a request, for all of it or per target: Budapest Convention Art. 27.4 to 27.7."""

from __future__ import annotations

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
    decision: Annotated[str, CodeOf("decision"), Legal("Budapest Convention Art. 27.7", "the decision is missing")]
    ground: Annotated[
        Ground | None,
        needed_if(_is_negative),
        absent_if(_is_not_negative, "what is accepted has no ground of refusal"),
        Legal(_REASONS, "the coded ground and the reasons are missing"),
    ] = Field(default=None, validate_default=True)
    conditions: Annotated[
        Conditions,
        needed_if(_is_conditional),
        absent_if(_is_not_conditional, "only a conditional acceptance has conditions"),
        Legal("Budapest Convention Art. 28.2", "the conditions are missing"),
    ] = Field(default=(), validate_default=True)
    next_update_by: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("decision") == "postpone"),
        Legal("Budapest Convention Art. 27.5", "the time of the next word on what is postponed is missing"),
    ] = Field(default=None, validate_default=True)
    remark: Note | None = None


class Decision(Reply):
    """What the requested side decides about what this replies to: a request, or a request that followed."""

    TYPE: ClassVar[str] = "decision"

    type: Literal["decision"]
    decisions: Annotated[
        tuple[TargetDecision, ...],
        Field(min_length=1, max_length=MAX_TARGETS),
        distinct("target"),
        Legal(_REASONS, "the decision is missing"),
    ]
    consultation: Annotated[Note | None, Legal("Budapest Convention Art. 27.6")] = None
    eta: Instant | None = None

    @field_validator("decisions")
    @classmethod
    def _whole_or_parts(cls, decisions: tuple[TargetDecision, ...], info: ValidationInfo) -> tuple[TargetDecision, ...]:
        if len(decisions) > 1 and any(decision.target is None for decision in decisions):
            raise problem("scope", "decide on all of the request, or name the target of each decision")
        return decisions
