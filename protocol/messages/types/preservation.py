"""Expedited preservation of stored data: Budapest Convention Art. 29 and 30, T-CY(2018)11, UN Convention Art. 42."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import (
    MAX_ATTACHMENTS,
    MAX_BYTES,
    Contact,
    LegalBasis,
    Message,
    Part,
    Reply,
)
from protocol.messages.schema.circumstances import (
    AlsoSentTo,
    ContactedProviders,
    Costs,
    Court,
    LawApplied,
    Order,
    Period,
    Persons,
    Provider,
    TransferGround,
    Translated,
    UserTold,
)
from protocol.messages.schema.fields import (
    CodeOf,
    Instant,
    Legal,
    Line,
    LocalId,
    MessageId,
    Note,
    Prose,
    problem,
    version_of,
)
from protocol.messages.schema.identifiers import Identifier, ItemHash
from protocol.messages.schema.parts import (
    MAX_TARGETS,
    Authority,
    CompetentAuthority,
    Custodian,
    DataDetails,
    FitsRole,
    Freeze,
    FurtherIdentifiers,
    FurtherWindows,
    Ground,
    Offence,
    PassingOnConsent,
    TimeWindow,
    absent_if,
    distinct,
)
from protocol.messages.schema.since import Since

MAX_PERIOD_DAYS = 3650


class Target(Part):
    """One thing to preserve. Each target has its own status, expiry and refusal."""

    target: Annotated[LocalId, Legal("target", "add the short name of the target, such as t1")]
    identifier: Annotated[Identifier, Legal("Art. 29.2 (c)", "add the identifier of the data to be preserved", 3)]
    further_identifiers: FurtherIdentifiers = None
    data_categories: Annotated[
        tuple[Annotated[str, CodeOf("data_category")], ...],
        Field(min_length=1, max_length=4),
        FitsRole,
        Legal("Art. 29.2 (c)", "add the category of the data to be preserved", 3),
    ]
    data_details: DataDetails = None
    time_window: Annotated[TimeWindow, Legal("Art. 29.2 (c)", "add the time window of the data to be preserved", 3)]
    further_windows: FurtherWindows = None
    description: Note | None = None
    relation: Annotated[Note, Legal("Art. 29.2 (c)", "explain how the data relate to the offence", 3)]
    custodian: Custodian | None = None
    location: Annotated[
        Line | None,
        Legal("Art. 29.2 (d)", "add the custodian of the data or the location of the computer system", 4),
    ] = Field(default=None, validate_default=True)
    freeze: Freeze = None

    @field_validator("location")
    @classmethod
    def _custodian_or_location(cls, location: str | None, info: ValidationInfo) -> str | None:
        # Art. 29.2 (d) asks for any *available* information: whoever has none asks all the same, and is cautioned.
        if version_of(info) < 2 and location is None and info.data.get("custodian", ...) is None:
            raise problem("blank", "add the custodian or the location")
        return location

    def identifiers(self) -> tuple[Identifier, ...]:
        """All that names what is to be preserved, the main one first."""
        return (self.identifier, *(self.further_identifiers or ()))

    def windows(self) -> tuple[TimeWindow, ...]:
        """All times the data stem from, the main one first."""
        return (self.time_window, *(self.further_windows or ()))


class MutualAssistanceIntent(Part):
    """The declaration that a request for mutual assistance will follow, and how and when as far as known."""

    declared: Annotated[
        Literal[True], Legal("Art. 29.2 (f)", "state that a request for mutual assistance will be submitted", 6)
    ]
    manner: Note | None = None
    expected_at: Instant | None = None


class PreservationRequest(Message):
    """A request for the expedited preservation of stored data: one legal authority, 1 to 1000 targets."""

    TYPE: ClassVar[str] = "preservation.request"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["preservation.request"]
    legal_basis: Annotated[LegalBasis, Legal("Art. 29.1", "add the legal basis")]
    own_reference: Annotated[Line, Legal("T-CY(2018)11 item 2", "add the reference or case number")]
    request_status: Annotated[
        str,
        CodeOf("request_status"),
        Legal("T-CY(2018)11 item 3", "state whether the request is new or an extension"),
    ]
    previous_reference: Annotated[
        Line | None, Legal("T-CY(2018)11 item 3", "add the reference of the previous request")
    ] = Field(default=None, validate_default=True)
    previous_request: MessageId | None = None
    requested_authority: Line | None = None
    authority: Annotated[Authority, Legal("Art. 29.2 (a)", "add the authority that seeks the preservation", 1)]
    offences: Annotated[
        tuple[Offence, ...],
        Field(min_length=1, max_length=50),
        Legal("Art. 29.2 (b)", "add the offence that the investigation or proceedings are about", 2),
    ]
    facts: Annotated[Prose, Legal("Art. 29.2 (b)", "summarise the related facts", 2)]
    targets: Annotated[
        tuple[Target, ...],
        Field(min_length=1, max_length=MAX_TARGETS),
        Legal(
            "Art. 29.2 (c)",
            "add the stored computer data to be preserved, and how they relate to the offence",
            3,
        ),
    ]
    necessity: Annotated[Prose, Legal("Art. 29.2 (e)", "explain why the preservation is necessary", 5)]
    mutual_assistance: Annotated[
        MutualAssistanceIntent,
        Legal("Art. 29.2 (f)", "state that a request for mutual assistance will be submitted", 6),
    ]
    period_wanted_days: Annotated[
        int, Field(ge=1, le=MAX_PERIOD_DAYS), Legal("Art. 29.7", "add the period of preservation that is requested")
    ]
    do_not_notify: Annotated[
        bool, Legal("UN Convention Art. 42 (g)", "state whether notifying the user is forbidden (yes or no)")
    ]
    do_not_notify_reason: Annotated[
        Note | None, Legal("UN Convention Art. 42 (g)", "give the reason not to notify the user")
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
    partial_disclosure_wanted: Annotated[
        bool, Legal("Art. 30", "state whether disclosure of traffic data under Art. 30 is requested")
    ]
    confirmation_contact: Annotated[
        Contact, Legal("T-CY(2018)11 item 6", "add the contact for additional confirmation")
    ]
    investigating_authority: Annotated[CompetentAuthority | None, Legal("T-CY(2018)11 item 7")] = None
    prosecuting_authority: CompetentAuthority | None = None
    passing_on: Annotated[PassingOnConsent | None, Since(2)] = None
    court: Court = None
    order: Order = None
    persons: Persons = None
    contacted_providers: ContactedProviders = None
    also_sent_to: AlsoSentTo = None
    translation: Translated = None
    transfer: TransferGround = None

    @field_validator("previous_reference")
    @classmethod
    def _extension_names_previous(cls, reference: str | None, info: ValidationInfo) -> str | None:
        if reference is None and info.data.get("request_status") == "extension":
            raise problem("blank", "this is an extension: add the reference of the previous request")
        return reference

    @field_validator("do_not_notify_reason")
    @classmethod
    def _silence_is_explained(cls, reason: str | None, info: ValidationInfo) -> str | None:
        if reason is None and info.data.get("do_not_notify") is True:
            raise problem("blank", "give the reason for confidentiality")
        return reason

    @field_validator("targets")
    @classmethod
    def _targets_differ(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        if len({target.target for target in targets}) != len(targets):
            raise problem("repeated", "give each target a short name of its own")
        return targets


class PreservedFile(Part):
    """The hash and size of something that is kept: it proves later what was kept now, and tells nothing of it."""

    name: Line | None = None
    hash: Annotated[ItemHash, Legal("ISO/IEC 27037", "add the hash of the preserved file")]
    size_bytes: Annotated[int, Field(ge=0, le=MAX_BYTES), Legal("ISO/IEC 27037", "add the size of the preserved file")]


class TargetAnswer(Part):
    """The outcome for one target. ``expires_at`` is set by the requested side alone."""

    target: Annotated[LocalId, Legal("target", "add the short name of the target, such as t1")]
    result: Annotated[str, CodeOf("preservation_result"), Legal("Art. 29.3", "add the result for the target")]
    preserved_at: Annotated[Instant | None, Legal("Art. 29.7", "add the time of preservation")] = Field(
        default=None, validate_default=True
    )
    expires_at: Annotated[Instant | None, Legal("Art. 29.7", "add the time until which the data are preserved")] = (
        Field(default=None, validate_default=True)
    )
    provider_reference: Line | None = None
    provider: Provider = None
    law_applied: LawApplied = None
    period: Period = None
    cost: Costs = None
    user_notice: UserTold = None
    preserved_files: Annotated[
        Annotated[tuple[PreservedFile, ...], Field(max_length=MAX_TARGETS)] | None, Since(2), Legal("ISO/IEC 27037")
    ] = None
    scope: Annotated[Note | None, Legal("Art. 29.3", "state what was preserved and what was not")] = Field(
        default=None, validate_default=True
    )
    ground: Annotated[Ground | None, Legal("Art. 29.5", "give the ground of refusal")] = Field(
        default=None, validate_default=True
    )
    remark: Note | None = None

    @field_validator("preserved_at", "expires_at")
    @classmethod
    def _preserved_has_times(cls, instant: Instant | None, info: ValidationInfo) -> Instant | None:
        result = info.data.get("result")
        if instant is None and result in _PRESERVED:
            raise problem("blank", "this target was preserved: add its preservation time and expiry")
        if instant is not None and result in _NOT_PRESERVED:
            raise problem("not_applicable", "this target was not preserved: remove its preservation time and expiry")
        preserved_at = info.data.get("preserved_at") if info.field_name == "expires_at" else None
        if instant is not None and preserved_at is not None and instant <= preserved_at:
            raise problem("expiry", "the expiry must be later than the time of preservation")
        return instant

    @field_validator("scope")
    @classmethod
    def _part_is_described(cls, scope: str | None, info: ValidationInfo) -> str | None:
        if scope is None and info.data.get("result") == "partly_preserved":
            raise problem("blank", "state which part was preserved")
        return scope

    @field_validator("ground")
    @classmethod
    def _refusal_has_ground(cls, ground: Ground | None, info: ValidationInfo) -> Ground | None:
        result = info.data.get("result")
        if ground is None and result == "refused":
            raise problem("blank", "give the ground of refusal")
        if ground is not None and result in {"preserved", "not_held"}:
            raise problem("not_applicable", "remove the ground: only a refusal, in whole or in part, has one")
        return ground


_PRESERVED = frozenset({"preserved", "partly_preserved"})
_NOT_PRESERVED = frozenset({"not_held", "refused"})


_DISCLOSES_NOTHING = (
    "a preservation answer discloses nothing: name each attachment as an acknowledgement or a hash list, and send data "
    "in an answer, with its authorisation"
)
# The names of attachments of this message.
Attached = Annotated[tuple[Line, ...], Field(max_length=MAX_ATTACHMENTS), distinct()]


class PreservationAnswer(Reply):
    """What was done for each target named; the others stay open. Starts the expiry clock of each.

    It discloses nothing: files go with it only as acknowledgements of a provider, or as lists of hashes.
    """

    TYPE: ClassVar[str] = "preservation.answer"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["preservation.answer"]
    targets: Annotated[
        tuple[TargetAnswer, ...],
        Field(min_length=1, max_length=MAX_TARGETS),
        Legal("Art. 29.3", "add the result for at least one target"),
    ]

    acknowledgements: Annotated[Attached | None, Since(2), Legal("attachment")] = None
    hash_lists: Annotated[Attached | None, Since(2), Legal("attachment"), Field(validate_default=True)] = None

    @field_validator("hash_lists")
    @classmethod
    def _discloses_nothing(cls, hash_lists: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        # Version 1 could not name what an attachment is: what came from an older desk is read as it was sent.
        if version_of(info) < 2 or not {"attachments", "acknowledgements"} <= info.data.keys():
            return hash_lists
        attached = {attachment.name for attachment in info.data["attachments"]}
        named = {*(info.data["acknowledgements"] or ()), *(hash_lists or ())}
        if named - attached:
            raise problem("attachment", "this names a file that is not attached: attach it, or correct the name")
        if attached - named:
            raise problem("disclosure", _DISCLOSES_NOTHING)
        return hash_lists

    @field_validator("targets")
    @classmethod
    def _targets_differ(cls, targets: tuple[TargetAnswer, ...]) -> tuple[TargetAnswer, ...]:
        if len({target.target for target in targets}) != len(targets):
            raise problem("repeated", "answer each target only once in a message")
        return targets
