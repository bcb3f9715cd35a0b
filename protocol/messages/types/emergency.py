"""Disclosure in an emergency, and the supplement that it obliges to: Second Additional Protocol (CETS 224) Art. 9.

An emergency is a significant and imminent risk to the life or safety of a natural person (Art. 3.2.c).
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Contact, LegalBasis, Message, Reply, Urgency
from protocol.messages.schema.circumstances import (
    AlsoSentTo,
    ContactedProviders,
    Court,
    Order,
    Persons,
    TransferGround,
    Translated,
)
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Line, Note, Phone, Prose, problem
from protocol.messages.schema.parts import (
    Authority,
    CompetentAuthority,
    Offence,
    PassingOnConsent,
    TargetNames,
    WantedDataList,
    absent_if,
    after,
    needed_if,
)
from protocol.messages.schema.since import Since

_EMERGENCY = "Second Additional Protocol Art. 9"
_CALL_BACK = "add a telephone number of the person to call back"


class CallBack(Contact):
    """Who confirms the emergency when called on a number that the requested side knows or finds out by itself."""

    mobile: Annotated[
        Phone | None,
        needed_if(lambda fields: fields.get("telephone", ...) is None),
        Legal("call-back", _CALL_BACK),
    ] = Field(default=None, validate_default=True)


class EmergencyRequest(Message):
    """Disclosure of stored data at once, because a life or a person's safety is at risk."""

    TYPE: ClassVar[str] = "emergency.request"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["emergency.request"]
    urgency: Annotated[Urgency, Legal(_EMERGENCY, "add the urgency")]
    legal_basis: Annotated[LegalBasis, Legal(_EMERGENCY, "add the legal basis")]
    own_reference: Annotated[Line, Legal("T-CY(2018)10 item 2", "add the reference or case number")]
    authority: Annotated[Authority, Legal(_EMERGENCY, "add the authority that makes the request", 1)]
    threatened_good: Annotated[
        str,
        CodeOf("threatened_good"),
        Legal("Second Additional Protocol Art. 3.2.c", "state what is threatened", 2),
    ]
    facts: Annotated[Prose, Legal(_EMERGENCY, "describe the facts that show the emergency", 3)]
    relation: Annotated[Note, Legal(_EMERGENCY, "explain how the data relate to the emergency", 4)]
    targets: Annotated[WantedDataList, Field(min_length=1), Legal(_EMERGENCY, "describe the data that are sought", 5)]
    call_back: Annotated[CallBack, Legal("call-back", "add the person to call back", 6)]
    offences: Annotated[tuple[Offence, ...], Field(max_length=50)] = ()
    investigating_authority: CompetentAuthority | None = None
    prosecuting_authority: Annotated[CompetentAuthority | None, Since(2), Legal("T-CY(2018)10 item 8")] = None
    court: Court = None
    order: Order = None
    persons: Persons = None
    contacted_providers: ContactedProviders = None
    also_sent_to: AlsoSentTo = None
    instructions: Note | None = None
    passing_on: Annotated[PassingOnConsent | None, Since(2)] = None
    needed_by: Annotated[
        Instant | None, after("sent_at", "the time when the data are needed must be later than the time of sending")
    ] = None
    do_not_notify: Annotated[
        bool, Legal("UN Convention Art. 42 (g)", "state whether notifying the user is forbidden (yes or no)")
    ]
    do_not_notify_reason: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("do_not_notify") is True),
        Legal("UN Convention Art. 42 (g)", "give the reason not to notify the user"),
    ] = Field(default=None, validate_default=True)
    do_not_notify_until: Annotated[
        Instant | None,
        Since(2),
        absent_if(
            lambda fields: fields.get("do_not_notify") is False,
            "the user may be notified: remove the date until which the user must not be",
        ),
        Legal("UN Convention Art. 42 (g)", "add the date until which the user must not be notified"),
    ] = None
    supplement_by: Annotated[
        Instant,
        after("sent_at", "the time of the supplement must be later than the time of sending"),
        Legal(_EMERGENCY, "add the time not later than which the supplement will follow", 7),
    ]
    translation: Translated = None
    transfer: TransferGround = None

    @field_validator("urgency")
    @classmethod
    def _is_an_emergency(cls, urgency: str, info: ValidationInfo) -> str:
        if urgency != "emergency":
            raise problem("urgency", "set the urgency to emergency: this is an emergency request")
        return urgency


class EmergencySupplement(Reply):
    """What was left out in the emergency: the legal grounds, the offence, and what became of the emergency."""

    TYPE: ClassVar[str] = "emergency.supplement"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["emergency.supplement"]
    legal_basis: Annotated[LegalBasis, Legal(_EMERGENCY, "add the legal basis")]
    own_reference: Annotated[Line, Legal("T-CY(2018)10 item 2", "add the reference or case number")]
    authority: Annotated[Authority, Legal(_EMERGENCY, "add the authority that answers for the request", 1)]
    offences: Annotated[
        tuple[Offence, ...],
        Field(min_length=1, max_length=50),
        Legal(_EMERGENCY, "add the offence, with its provisions and penalties", 2),
    ]
    legal_grounds: Annotated[Prose, Legal(_EMERGENCY, "add the domestic legal grounds", 3)]
    outcome: Annotated[Prose, Legal("supplement", "state what became of the emergency", 4)]
    targets: TargetNames = ()
    validated_by: CompetentAuthority | None = None
    validated_at: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("validated_by") is not None),
        Legal("Regulation (EU) 2023/1543", "add the time of the validation"),
    ] = Field(default=None, validate_default=True)
    reference: Line | None = None
    court: Court = None
    order: Order = None
    persons: Persons = None
    translation: Translated = None
    transfer: TransferGround = None
