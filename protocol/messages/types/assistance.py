"""A request for assistance other than preservation: Budapest Convention Art. 25, 30-35, UN Convention Art. 40-48."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo

from protocol.messages.schema.base import Contact, LegalBasis, Message
from protocol.messages.schema.circumstances import (
    AlsoSentTo,
    ContactedProviders,
    Court,
    JointTeam,
    Order,
    RealTimeCollection,
    TransferGround,
    Translated,
    WantedPerson,
)
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Line, Note, Prose, problem
from protocol.messages.schema.identifiers import SERVER
from protocol.messages.schema.parts import (
    Authority,
    CompetentAuthority,
    EarlierRequest,
    Offence,
    PassingOnConsent,
    WantedData,
    WantedDataList,
    absent_if,
    after,
    distinct,
    needed_if,
)
from protocol.messages.schema.since import Since, needed_since

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
# Kinds that ask for data that do not exist yet.
REAL_TIME_KINDS = frozenset({"real_time_traffic", "interception"})
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


def _identifies_users(fields: Mapping[str, Any]) -> bool:
    return "user_identification" in fields.get("kinds", ())


def _not_only_servers(targets: tuple[WantedData, ...], info: ValidationInfo) -> tuple[WantedData, ...]:
    """Who asks for users names a connection: the role of a server is no way around its port and time."""
    only_servers = all(getattr(target.identifier, "role", None) == SERVER for target in targets)
    if targets and only_servers and _identifies_users(info.data):
        raise problem(
            "server",
            "the address of a server identifies no user: add the connection with its port, protocol and time, or"
            " remove the kind user_identification",
        )
    return targets


class AssistanceRequest(Message):
    """One authority asks for assistance of one or more kinds, in a case or for advice."""

    TYPE: ClassVar[str] = "assistance.request"
    SCHEMA_VERSION: ClassVar[int] = 3

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
    court: Court = None
    order: Order = None
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
        AfterValidator(_not_only_servers),
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
    passing_on: Annotated[PassingOnConsent | None, Since(2)] = None
    joint: Annotated[
        Literal[True] | None,
        Since(2),
        absent_if(_is_of_one_nation, "only a joint investigation goes to several nations in one message"),
        Legal("Second Additional Protocol Art. 12"),
    ] = None
    confirmation_contact: Annotated[
        Contact, Legal("T-CY(2018)10 item 6", "add the contact for additional confirmation")
    ]
    contacted_providers: ContactedProviders = None
    also_sent_to: AlsoSentTo = None
    real_time: Annotated[
        RealTimeCollection | None,
        Since(2),
        needed_since(2, _asks_for(REAL_TIME_KINDS)),
        Legal("Budapest Convention Arts. 33, 34", "add the warrant, the delivery and the period of the collection", 5),
    ] = Field(default=None, validate_default=True)
    joint_team: Annotated[
        JointTeam | None,
        Since(2),
        Legal("Second Additional Protocol Art. 12", "add the agreement, the members and the period of the team"),
    ] = None
    translation: Translated = None
    transfer: TransferGround = None
