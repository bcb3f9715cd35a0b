"""Spontaneous information: Budapest Convention Art. 26. Conditions are offered before the information is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Grade, Handling, LegalBasis, Message, Part
from protocol.messages.schema.fields import INHERITED, CodeOf, Country, Instant, Legal, Line, Note, Prose, problem
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import MAX_TARGETS, Conditions, Offence, absent_if, needed_if
from protocol.messages.types.offer import Commitment, Opening

_RULE = "Budapest Convention Art. 26"
_TOO_EARLY = "an offer holds no information yet: it follows when the conditions are accepted"


def _is_offer(fields: Mapping[str, Any]) -> bool:
    return fields.get("stage") == "offer"


def _is_disclosure(fields: Mapping[str, Any]) -> bool:
    return fields.get("stage") == "disclosure"


class GradedHandling(Handling):
    """Handling labels with the grade of source and information, which go with intelligence."""

    grade: Annotated[
        Grade, Legal("Regulation (EU) 2016/794 Art. 29", "the grade of the source and the information is missing")
    ]


class ReportedIdentifier(Part):
    """An identifier that the information is about."""

    identifier: Annotated[Identifier, Legal(INHERITED, "the identifier is missing")]
    seen_at: Instant | None = None
    relation: Annotated[Note, Legal(INHERITED, "how the identifier relates to the facts is missing")]


class InformationSpontaneous(Message):
    """Information that was not asked for. As an ``offer`` it names subject and conditions only; then comes the rest.

    A ``disclosure`` under conditions replies to the message that accepted them, and opens what the offer committed to.
    In an emergency it is given at once.
    """

    TYPE: ClassVar[str] = "information.spontaneous"

    type: Literal["information.spontaneous"]
    handling: Annotated[GradedHandling, Legal("handling", "the handling labels are missing")]
    legal_basis: Annotated[LegalBasis, Legal(_RULE, "the legal basis is missing")]
    own_reference: Annotated[Line, Legal("T-CY(2018)11 item 2", "the reference or case number is missing")]
    stage: Annotated[
        str, CodeOf("information_stage"), Legal(_RULE, "whether this is the offer or the information is missing", 1)
    ]
    subject: Annotated[Line, Legal("information", "the subject of the information is missing", 2)]
    usefulness: Annotated[Note, Legal(_RULE, "why the information may help the other State is missing", 3)]
    evidential_status: Annotated[
        str, CodeOf("evidential_status"), Legal("information", "whether it is intelligence or evidence is missing", 4)
    ]
    conditions: Annotated[
        Conditions, needed_if(_is_offer), Legal(f"{_RULE}.2", "the conditions that are offered are missing", 5)
    ] = Field(default=(), validate_default=True)
    facts: Annotated[
        Prose | None,
        needed_if(_is_disclosure),
        absent_if(_is_offer, _TOO_EARLY),
        Legal(_RULE, "the facts are missing", 6),
    ] = Field(default=None, validate_default=True)
    offences: Annotated[tuple[Offence, ...], Field(max_length=50)] = ()
    countries: Annotated[tuple[Country, ...], Field(max_length=50)] = ()
    identifiers: Annotated[
        tuple[ReportedIdentifier, ...], Field(max_length=MAX_TARGETS), absent_if(_is_offer, _TOO_EARLY)
    ] = ()
    request_expected: bool = False
    commitment: Annotated[
        Commitment | None,
        needed_if(_is_offer),
        absent_if(_is_disclosure, "only an offer commits to what will be given"),
        Legal(f"{_RULE}.2", "the commitment to what is offered is missing", 7),
    ] = Field(default=None, validate_default=True)
    offer: Annotated[Opening | None, absent_if(_is_offer, _TOO_EARLY)] = None

    @field_validator("stage")
    @classmethod
    def _offer_has_no_files(cls, stage: str, info: ValidationInfo) -> str:
        if stage == "offer" and info.data.get("attachments"):
            raise problem("not_applicable", _TOO_EARLY)
        return stage

    @field_validator("conditions")
    @classmethod
    def _conditions_come_first(cls, conditions: Conditions, info: ValidationInfo) -> Conditions:
        # Art. 26.2: prior to providing the information. In an emergency nothing waits for an acceptance.
        waits = info.data.get("urgency") != "emergency"
        if conditions and waits and _is_disclosure(info.data) and info.data.get("in_reply_to", ...) is None:
            raise problem("order", "conditions are offered first: the information replies to their acceptance")
        return conditions
