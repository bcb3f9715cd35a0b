"""A request for assistance other than preservation: Budapest Convention Art. 25, 30-35, UN Convention Art. 40-48."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Contact, LegalBasis, Message, Part
from protocol.messages.schema.fields import INHERITED, CodeOf, Country, Instant, Legal, Line, Note, Prose
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import (
    Authority,
    CompetentAuthority,
    EarlierRequest,
    Offence,
    WantedDataList,
    absent_if,
    after,
    distinct,
    needed_if,
)
from protocol.messages.schema.use import PassingOnConsent

_REQUEST = "UN Convention Art. 40"
_EXCHANGE = "Directive (EU) 2023/977 Art. 4"

# Kinds that ask for data, and so name them.
DATA_KINDS = frozenset(
    {
        "subscriber",
        "user_identification",
        "traffic",
        "content",
        "real_time_traffic",
        "interception",
        "domain_registration",
    }
)
# Kinds that ask for somebody.
_PERSON_KINDS = frozenset({"locate", "identify", "interview"})
# Kinds that may be asked for without a case.
CASELESS_KINDS = frozenset({"technical_advice", "legal_information", "training"})


# The kind in which all who take part may know of each other.
_JOINT = "joint_investigation"


def _asks_for(kinds: frozenset[str]) -> Any:
    return lambda fields: any(kind in kinds for kind in fields.get("kinds", ()))


def _is_about_a_case(fields: Mapping[str, Any]) -> bool:
    # Unless it says that it is not: a request without kinds lists all that is missing.
    return any(kind not in CASELESS_KINDS for kind in fields.get("kinds", ("",)))


def _is_of_one_nation(fields: Mapping[str, Any]) -> bool:
    return "kinds" in fields and _JOINT not in fields["kinds"]


def is_joint(message: Message) -> bool:
    """Whether all who get the message may know of each other, and of all that is said in its thread."""
    return isinstance(message, AssistanceRequest) and message.joint is True


class WantedPerson(Part):
    """A person the request is about, as far as known, and the link between the person and the purpose."""

    name: Line | None = None
    description: Annotated[
        Note | None,
        Legal(INHERITED, "name or describe the person"),
        needed_if(lambda fields: fields.get("name", ...) is None),
    ] = Field(default=None, validate_default=True)
    nationality: Country | None = None
    location: Line | None = None
    identifiers: Annotated[tuple[Identifier, ...], Field(max_length=50)] = ()
    link: Annotated[Note, Legal(_EXCHANGE, "add the link between the person and the purpose")]


class AssistanceRequest(Message):
    """One authority asks for assistance of one or more kinds, in a case or for advice."""

    TYPE: ClassVar[str] = "assistance.request"

    type: Literal["assistance.request"]
    legal_basis: Annotated[LegalBasis, Legal("legal basis", "add the legal basis")]
    own_reference: Annotated[Line, Legal("T-CY(2018)10 item 2", "add the reference or case number")]
    kinds: Annotated[
        tuple[Annotated[str, CodeOf("assistance_kind")], ...],
        Field(min_length=1, max_length=20),
        distinct(),
        Legal(_REQUEST, "add the kind of assistance", 4),
    ]
    requested_authority: Line | None = None
    authority: Annotated[Authority, Legal(_REQUEST, "add the authority that makes the request", 1)]
    investigating_authority: Annotated[CompetentAuthority | None, Legal("T-CY(2018)10 item 7")] = None
    prosecuting_authority: Annotated[CompetentAuthority | None, Legal("T-CY(2018)10 item 8")] = None
    offences: Annotated[
        tuple[Offence, ...],
        Field(max_length=50),
        needed_if(_is_about_a_case),
        Legal(_REQUEST, "add the offence that the proceeding is about", 2),
    ] = Field(default=(), validate_default=True)
    facts: Annotated[Prose | None, needed_if(_is_about_a_case), Legal(_REQUEST, "summarise the facts", 3)] = Field(
        default=None, validate_default=True
    )
    description: Annotated[Prose, Legal(_REQUEST, "describe the assistance that is sought", 4)]
    procedure: Annotated[Note | None, Legal("Budapest Convention Art. 27.3")] = None
    purpose: Annotated[Note, Legal(_REQUEST, "add the purpose of the request", 6)]
    targets: Annotated[
        WantedDataList,
        needed_if(_asks_for(DATA_KINDS)),
        Legal(_REQUEST, "add the data that are sought", 4),
    ] = Field(default=(), validate_default=True)
    persons: Annotated[
        tuple[WantedPerson, ...],
        Field(max_length=100),
        needed_if(_asks_for(_PERSON_KINDS)),
        Legal(_REQUEST, "add the person sought", 5),
    ] = Field(default=(), validate_default=True)
    use_limits: Annotated[tuple[Note, ...], Field(max_length=20), Legal(_EXCHANGE)] = ()
    wanted_by: Annotated[
        Instant | None, after("sent_at", "the answer must be requested for a time later than the time of sending")
    ] = None
    wanted_by_reason: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("wanted_by") is not None),
        Legal(_REQUEST, "give the reason for the date"),
    ] = Field(default=None, validate_default=True)
    confidential: Annotated[
        bool, Legal("Budapest Convention Art. 27.8", "state whether the request must be kept confidential")
    ]
    confidential_reason: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("confidential") is True),
        Legal("Budapest Convention Art. 27.8", "give the reason for confidentiality"),
    ] = Field(default=None, validate_default=True)
    earlier_preservations: Annotated[
        tuple[EarlierRequest, ...], Field(max_length=50), Legal("T-CY(2018)10 item 10")
    ] = ()
    earlier_requests: Annotated[tuple[EarlierRequest, ...], Field(max_length=50), Legal("T-CY(2018)10 item 9")] = ()
    passing_on: PassingOnConsent | None = None
    joint: Annotated[
        Literal[True] | None,
        absent_if(_is_of_one_nation, "only a joint investigation goes to several nations in one message"),
        Legal("Second Additional Protocol Art. 12"),
    ] = None
    confirmation_contact: Annotated[
        Contact, Legal("T-CY(2018)10 item 6", "add the contact for additional confirmation")
    ]
