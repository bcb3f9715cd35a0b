"""The course of a preservation after the request: risk, extension, follow-up, release, partial disclosure.

Budapest Convention Art. 29.6, 29.7 and 30; UN Convention Art. 42, 43; Regulation (EU) 2023/1543 Art. 11.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from protocol.messages.schema.authorisation import MISSING as AUTHORISATION_MISSING
from protocol.messages.schema.authorisation import RULE as AUTHORISATION
from protocol.messages.schema.authorisation import Authorisation, needed_where
from protocol.messages.schema.base import Part, Reply
from protocol.messages.schema.circumstances import AccuracyMark, NextStep, TransferGround
from protocol.messages.schema.fields import INHERITED, CodeOf, Instant, Legal, Line, MessageId, Note, problem
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import (
    MAX_TARGETS,
    CompetentAuthority,
    Custodian,
    Ground,
    TargetName,
    TargetNames,
    absent_if,
    after,
    distinct,
    needed_if,
)
from protocol.messages.schema.since import Since

_RISK = "Budapest Convention Art. 29.6"
_PERIOD = "Budapest Convention Art. 29.7"
_EXTENSION = "UN Convention Art. 42"
_RELEASE = "Regulation (EU) 2023/1543 Art. 11.3"
_PARTIAL = "Budapest Convention Art. 30"


class PreservationRisk(Reply):
    """The requested side: preserving may not suffice, or may do harm. The requester decides what happens."""

    TYPE: ClassVar[str] = "preservation.risk"

    type: Literal["preservation.risk"]
    targets: Annotated[TargetNames, Field(min_length=1), Legal(_RISK, "add the targets at risk")]
    risk_kind: Annotated[str, CodeOf("risk_kind"), Legal(_RISK, "add the kind of risk")]
    explanation: Annotated[Note, Legal(_RISK, "explain the risk")]
    question: Annotated[Note, Legal(_RISK, "state what the requester must decide")]
    answer_by: Instant | None = None


class PreservationRiskReply(Reply):
    """The requester's decision on a risk: execute all the same, or not. Not to proceed leaves the targets withdrawn."""

    TYPE: ClassVar[str] = "preservation.risk-reply"

    type: Literal["preservation.risk-reply"]
    targets: Annotated[TargetNames, Field(min_length=1), Legal(_RISK, "add the targets that are decided on")]
    proceed: Annotated[bool, Legal(_RISK, "state whether the request must be executed nevertheless")]
    instructions: Note | None = None


class PreservationExtend(Reply):
    """The requester asks, before expiry, that the targets named stay preserved until a later date."""

    TYPE: ClassVar[str] = "preservation.extend"

    type: Literal["preservation.extend"]
    previous_reference: Annotated[Line, Legal("T-CY(2018)11 item 3", "add the reference of the previous request")]
    previous_request: MessageId | None = None
    targets: Annotated[TargetNames, Field(min_length=1), Legal(_EXTENSION, "add the targets to extend")]
    until: Annotated[
        Instant,
        after("sent_at", "the new date must be later than the time of sending"),
        Legal(_EXTENSION, "add the date until which preservation is requested"),
    ]
    reason: Annotated[Note, Legal("extension", "give the reason for the extension")]
    follow_up_expected_at: Instant | None = None
    follow_up_manner: Note | None = None


class PreservationFollowUp(Reply):
    """The request that preservation was for has been filed, by this route, on this date.

    The expiry stands until the requested side confirms with ``follow-up.confirmed`` that it arrived.
    """

    TYPE: ClassVar[str] = "preservation.follow-up"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["preservation.follow-up"]
    targets: Annotated[TargetNames, Field(min_length=1), Legal(_PERIOD, "add the targets that are followed up")]
    follow_up_kind: Annotated[
        str, CodeOf("follow_up_kind"), Legal(_PERIOD, "add the kind of the request that followed")
    ]
    reference: Annotated[Line, Legal(_PERIOD, "add the reference of the request that followed")]
    authority: Annotated[CompetentAuthority, Legal(_PERIOD, "add the authority that issued the request that followed")]
    addressee: Line | None = None
    issued_at: Annotated[Instant, Legal(_PERIOD, "add the date of the request that followed")]
    submitted_at: Instant | None = None
    channel: Annotated[str, CodeOf("request_channel")] | None = None
    request: MessageId | None = None


class FollowUpConfirmed(Reply):
    """The requested side: the request that was announced has arrived at the authority that decides on it.

    Only now is the expiry suspended (Art. 29.7): a request that was filed and never arrived preserves nothing.
    """

    TYPE: ClassVar[str] = "follow-up.confirmed"

    type: Literal["follow-up.confirmed"]
    targets: Annotated[TargetNames, Field(min_length=1), Legal(_PERIOD, "add the targets that are followed up")]
    authority: Annotated[CompetentAuthority, Legal(_PERIOD, "add the authority that received the request")]
    file_number: Annotated[Line, Legal(_PERIOD, "add the file number that the authority gave it")]
    received_at: Annotated[Instant, Legal(_PERIOD, "add the date on which the authority received it")]


class PreservationRelease(Reply):
    """The requester no longer needs the preservation of the targets named."""

    TYPE: ClassVar[str] = "preservation.release"

    type: Literal["preservation.release"]
    targets: Annotated[TargetNames, Field(min_length=1), Legal(_RELEASE, "add the targets to release")]
    reason: Annotated[Note, Legal("release", "give the reason for the release")]


class PathStep(Part):
    """One step of the path of a communication, in the order in which it was found."""

    identifier: Identifier | None = None
    operator: Line | None = None
    description: Annotated[Note, Legal(INHERITED, "describe the step")]


class ForeignProvider(Custodian):
    """A provider in another State that was involved in the transmission."""

    country: Annotated[str, CodeOf("country"), Legal(INHERITED, "add the State of the provider")]


def _discloses(fields: Mapping[str, Any]) -> bool:
    return "withheld" in fields and fields["withheld"] is None


class PathDisclosure(Part):
    """What Art. 30 asks for one target: the other provider, its State and the path; or the ground to withhold it."""

    target: TargetName
    withheld: Ground | None = None
    provider: Annotated[
        ForeignProvider | None,
        needed_if(_discloses),
        absent_if(
            lambda fields: bool(fields.get("withheld")),
            "the data of this target are withheld: remove the provider and the path",
        ),
        Legal(_PARTIAL, "add the provider in the other State"),
    ] = Field(default=None, validate_default=True)
    path: Annotated[
        tuple[PathStep, ...],
        Field(max_length=100),
        needed_if(_discloses),
        absent_if(
            lambda fields: bool(fields.get("withheld")),
            "the data of this target are withheld: remove the provider and the path",
        ),
        Legal(_PARTIAL, "add the path of the communication"),
    ] = Field(default=(), validate_default=True)
    next_contact: Annotated[
        NextStep,
        absent_if(
            lambda fields: bool(fields.get("withheld")),
            "the data of this target are withheld: remove whom to ask next",
        ),
    ] = None

    @field_validator("withheld")
    @classmethod
    def _ground_is_allowed(cls, withheld: Ground | None) -> Ground | None:
        # Art. 30.2: only the grounds of Art. 29.5.
        if withheld is not None and withheld.code not in {"political_offence", "essential_interests"}:
            raise problem("ground", "only a political offence or essential interests allow withholding (Art. 30.2)")
        return withheld


def _any_disclosed(fields: Mapping[str, Any]) -> bool:
    return any(disclosure.withheld is None for disclosure in fields.get("disclosures", ()))


class TrafficPartialDisclosure(Reply):
    """Enough traffic data to identify a provider in another State and the path of the communication (Art. 30)."""

    TYPE: ClassVar[str] = "traffic.partial-disclosure"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["traffic.partial-disclosure"]
    disclosures: Annotated[
        tuple[PathDisclosure, ...],
        Field(min_length=1, max_length=MAX_TARGETS),
        distinct("target"),
        Legal(_PARTIAL, "add the provider and the path for at least one target"),
    ]
    authorisation: Annotated[
        Authorisation | None, Since(2), needed_where(_any_disclosed), Legal(AUTHORISATION, AUTHORISATION_MISSING)
    ] = Field(default=None, validate_default=True)
    accuracy: AccuracyMark = None
    transfer: TransferGround = None
