"""Spontaneous information: Budapest Convention Art. 26. Conditions are offered before the information is given."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.authorisation import MISSING as AUTHORISATION_MISSING
from protocol.messages.schema.authorisation import RULE as AUTHORISATION
from protocol.messages.schema.authorisation import Authorisation, needed_where
from protocol.messages.schema.base import Grade, Handling, LegalBasis, Message, Part
from protocol.messages.schema.circumstances import AccuracyMark, AlsoSentTo, Persons, TransferGround, Translated
from protocol.messages.schema.fields import INHERITED, CodeOf, Country, Instant, Legal, Line, Note, Prose, problem
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import MAX_TARGETS, Conditions, Offence, absent_if, needed_if
from protocol.messages.schema.since import Since
from protocol.messages.types.offer import Commitment, Opening

_RULE = "Budapest Convention Art. 26"
_TOO_EARLY = "remove the information from the offer: it follows when the conditions are accepted"


def _is_offer(fields: Mapping[str, Any]) -> bool:
    return fields.get("stage") == "offer"


def _is_disclosure(fields: Mapping[str, Any]) -> bool:
    return fields.get("stage") == "disclosure"


class GradedHandling(Handling):
    """Handling labels with the grade of source and information, which go with intelligence."""

    grade: Annotated[
        Grade, Legal("Regulation (EU) 2016/794 Art. 29", "add the grade of the source and of the information")
    ]


class ReportedIdentifier(Part):
    """An identifier that the information is about."""

    identifier: Annotated[Identifier, Legal(INHERITED, "add the identifier")]
    seen_at: Instant | None = None
    relation: Annotated[Note, Legal(INHERITED, "explain how the identifier relates to the facts")]


class InformationSpontaneous(Message):
    """Information that was not asked for. As an ``offer`` it names subject and conditions only; then comes the rest.

    A ``disclosure`` under conditions replies to the message that accepted them, and opens what the offer committed to.
    In an emergency it is given at once.
    """

    TYPE: ClassVar[str] = "information.spontaneous"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["information.spontaneous"]
    handling: Annotated[GradedHandling, Legal("handling", "add the handling labels")]
    legal_basis: Annotated[LegalBasis, Legal(_RULE, "add the legal basis")]
    own_reference: Annotated[Line, Legal("T-CY(2018)11 item 2", "add the reference or case number")]
    stage: Annotated[
        str, CodeOf("information_stage"), Legal(_RULE, "state whether this is the offer or the information", 1)
    ]
    subject: Annotated[Line, Legal("information", "add the subject of the information", 2)]
    usefulness: Annotated[Note, Legal(_RULE, "explain why the information may help the other State", 3)]
    evidential_status: Annotated[
        str, CodeOf("evidential_status"), Legal("information", "state whether it is intelligence or evidence", 4)
    ]
    conditions: Annotated[
        Conditions,
        needed_if(_is_offer),
        Legal("Budapest Convention Art. 26.2", "add the conditions that are offered", 5),
    ] = Field(default=(), validate_default=True)
    facts: Annotated[
        Prose | None,
        needed_if(_is_disclosure),
        absent_if(_is_offer, _TOO_EARLY),
        Legal(_RULE, "add the facts", 6),
    ] = Field(default=None, validate_default=True)
    offences: Annotated[tuple[Offence, ...], Field(max_length=50)] = ()
    countries: Annotated[tuple[Country, ...], Field(max_length=50)] = ()
    identifiers: Annotated[
        tuple[ReportedIdentifier, ...], Field(max_length=MAX_TARGETS), absent_if(_is_offer, _TOO_EARLY)
    ] = ()
    authorisation: Annotated[
        Authorisation | None,
        Since(2),
        needed_where(_is_disclosure),
        absent_if(_is_offer, _TOO_EARLY),
        Legal(AUTHORISATION, AUTHORISATION_MISSING),
    ] = Field(default=None, validate_default=True)
    request_expected: bool = False
    commitment: Annotated[
        Commitment | None,
        needed_if(_is_offer),
        absent_if(_is_disclosure, "remove the commitment: only an offer has one"),
        Legal("Budapest Convention Art. 26.2", "add the commitment to what is offered", 7),
    ] = Field(default=None, validate_default=True)
    offer: Annotated[Opening | None, absent_if(_is_offer, _TOO_EARLY)] = None
    persons: Annotated[Persons, absent_if(_is_offer, _TOO_EARLY)] = None
    also_sent_to: AlsoSentTo = None
    accuracy: AccuracyMark = None
    translation: Translated = None
    transfer: TransferGround = None

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
            raise problem("order", "offer the conditions first: send the information in reply to their acceptance")
        return conditions
