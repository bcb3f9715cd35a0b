"""What stands around a request or an answer: persons, other ways that were tried, orders, translations, transfers.

All of it came with version 2 of the message types.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Contact, Part
from protocol.messages.schema.fields import (
    INHERITED,
    AddressText,
    CodeOf,
    Country,
    Instant,
    Language,
    Legal,
    Line,
    Note,
    problem,
    version_of,
)
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import (
    Amount,
    CompetentAuthority,
    Currency,
    Custodian,
    after,
    needed_if,
)
from protocol.messages.schema.since import Since

_EXCHANGE = "Directive (EU) 2023/977 Art. 4"
_CLASSES = "Directive (EU) 2016/680 Art. 6"
_TRANSFER = "Directive (EU) 2016/680 Arts. 36-38"
_ORDER = "Regulation (EU) 2023/1543 Annex I"
_OTHER_MEANS = "Regulation (EU) 2023/1543 Art. 19.5"
_DECENTRALISED = frozenset({"epoc", "epoc_pr"})
E_EVIDENCE = "eu_e_evidence"


# --- Persons -------------------------------------------------------------------------------------------------


class WantedPerson(Part):
    """A person the request is about, as far as known, and the link between the person and the purpose.

    ``person_class`` tells suspects from victims and witnesses: their data are not treated alike.
    """

    name: Line | None = None
    description: Annotated[
        Note | None,
        Legal(INHERITED, "name or describe the person"),
        needed_if(lambda fields: fields.get("name", ...) is None),
    ] = Field(default=None, validate_default=True)
    person_class: Annotated[
        Annotated[str, CodeOf("person_class")] | None,
        Since(2),
        Legal(_CLASSES, "state whether the person is a suspect, a victim, a witness or another"),
    ] = None
    nationality: Country | None = None
    location: Line | None = None
    identifiers: Annotated[tuple[Identifier, ...], Field(max_length=50)] = ()
    link: Annotated[Note, Legal(_EXCHANGE, "add the link between the person and the purpose")]


Persons = Annotated[
    Annotated[tuple[WantedPerson, ...], Field(max_length=100)] | None,
    Since(2),
    Legal(_CLASSES, "add the persons, and what each is in the case"),
]


# --- Other ways ----------------------------------------------------------------------------------------------


class ContactedProvider(Part):
    """A provider that was asked already: what for, when, its ticket, and what it said."""

    provider: Annotated[Line, Legal(INHERITED, "name the provider")]
    country: Country | None = None
    asked_for: Annotated[str, CodeOf("provider_asked_for"), Legal(INHERITED, "state what the provider was asked for")]
    asked_at: Annotated[Instant, Legal(INHERITED, "add the time when the provider was asked")]
    ticket: Line | None = None
    reply: Note | None = None


class OtherRecipient(Part):
    """To whom else the same request went. Nobody is obliged to say; whoever says it spares others the same work."""

    recipient: Annotated[str, CodeOf("other_recipient"), Legal(INHERITED, "state who else has the request")]
    country: Annotated[
        Country | None,
        needed_if(lambda fields: fields.get("recipient") == "state"),
        Legal(INHERITED, "add the State that has the request too"),
    ] = Field(default=None, validate_default=True)
    channel: Annotated[str, CodeOf("request_channel")] | None = None
    reference: Line | None = None
    sent_at: Instant | None = None
    text: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("recipient") == "other"),
        Legal(INHERITED, "name the recipient that is in no list"),
    ] = Field(default=None, validate_default=True)


ContactedProviders = Annotated[
    Annotated[tuple[ContactedProvider, ...], Field(max_length=50)] | None,
    Since(2),
    Legal("T-CY(2018)10 items 9, 10", "add the provider that was asked"),
]
AlsoSentTo = Annotated[
    Annotated[tuple[OtherRecipient, ...], Field(max_length=50)] | None,
    Since(2),
    Legal("T-CY(2018)10 items 9, 10", "state who else has the request"),
]


# --- Authorities and orders ----------------------------------------------------------------------------------

Court = Annotated[
    CompetentAuthority | None, Since(2), Legal("T-CY(2018)10 item 8", "add the court, with its case number")
]


class OtherMeans(Part):
    """Why an order goes another way than by the decentralised IT system."""

    reason: Annotated[str, CodeOf("other_means"), Legal(_OTHER_MEANS, "give the code of the reason")]
    text: Annotated[Note, Legal(_OTHER_MEANS, "give the reason in words")]


def _needs_validation(fields: Mapping[str, Any]) -> bool:
    """Art. 4: an order of another competent authority counts when a judge, court or prosecutor validated it."""
    issuing = fields.get("issuing_authority")
    european = fields.get("order_kind") in _DECENTRALISED
    return european and issuing is not None and issuing.role not in {None, "judge", "public_prosecutor"}


class UnderlyingOrder(Part):
    """The order behind a request: who issued it, who validated it, for whom, and until when it is to be executed."""

    order_kind: Annotated[str, CodeOf("order_kind"), Legal(_ORDER, "state the kind of the order")]
    issuing_authority: Annotated[
        CompetentAuthority,
        Legal("Regulation (EU) 2023/1543 Annex I A, I", "add the issuing authority, with its file number"),
    ]
    issued_at: Annotated[Instant, Legal("Regulation (EU) 2023/1543 Annex I I", "add the date of issue")]
    validating_authority: Annotated[
        CompetentAuthority | None,
        needed_if(_needs_validation),
        Legal("Regulation (EU) 2023/1543 Annex I A, J", "add the validating authority, with its file number"),
    ] = Field(default=None, validate_default=True)
    validated_at: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("validating_authority") is not None),
        Legal("Regulation (EU) 2023/1543 Annex I J", "add the date of the validation"),
    ] = Field(default=None, validate_default=True)
    addressee: Annotated[
        Line | None, Legal("Regulation (EU) 2023/1543 Annex I B", "add the addressee of the order")
    ] = None
    deadline: (
        Annotated[
            str, CodeOf("order_deadline"), Legal("Regulation (EU) 2023/1543 Annex I C", "add the code of the deadline")
        ]
        | None
    ) = None
    deadline_at: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("deadline") == "other"),
        Legal("Regulation (EU) 2023/1543 Annex I C", "add the time of the deadline"),
    ] = Field(default=None, validate_default=True)
    other_means: Annotated[
        OtherMeans | None,
        needed_if(lambda fields: fields.get("order_kind") in _DECENTRALISED),
        Legal(
            _OTHER_MEANS,
            "state why this order goes another way than by the decentralised IT system: orders to providers go there",
        ),
    ] = Field(default=None, validate_default=True)

    @field_validator("issuing_authority", "validating_authority")
    @classmethod
    def _has_file_number(cls, authority: CompetentAuthority | None) -> CompetentAuthority | None:
        if authority is not None and authority.case_number is None:
            raise problem("blank", "add the file number of the authority (case_number)")
        return authority


def _order_needed(order: UnderlyingOrder | None, info: ValidationInfo) -> UnderlyingOrder | None:
    """A request on the Regulation alone is an order to a provider: why it goes this way is recorded in it."""
    basis = info.data.get("legal_basis")
    if basis is None or basis.instrument != E_EVIDENCE or version_of(info) < 2:
        return order
    if order is None or order.other_means is None:
        raise problem(
            "blank",
            "orders under this Regulation go to the provider by the decentralised IT system: add the order with the"
            " reason for other means (Art. 19.5)",
        )
    return order


Order = Annotated[
    UnderlyingOrder | None,
    Since(2),
    AfterValidator(_order_needed),
    Legal(_OTHER_MEANS, "add the order, with its issuing and validating authority"),
    Field(validate_default=True),
]


# --- Collection in real time, joint investigation ------------------------------------------------------------


class Warrant(Part):
    """The judicial or other authorisation that the requesting State has."""

    authority: Annotated[CompetentAuthority, Legal(INHERITED, "add the authority that issued the warrant")]
    number: Annotated[Line, Legal(INHERITED, "add the number of the warrant")]
    issued_at: Annotated[Instant, Legal(INHERITED, "add the date of the warrant")]
    valid_until: Annotated[
        Instant | None, after("issued_at", "the warrant must end later than it was issued"), Legal(INHERITED)
    ] = None


class DeliveryAddress(Part):
    """Where what is collected goes, and who receives it."""

    means: Annotated[str, CodeOf("delivery_means"), Legal(INHERITED, "state how the data are delivered")]
    address: Annotated[Note, Legal(INHERITED, "add the address for the delivery")]
    contact: Contact | None = None


class RealTimeCollection(Part):
    """Traffic data in real time (Art. 33) or interception (Art. 34): warrant, delivery, and from when to when.

    A warrant that is not there yet is announced: the requested side prepares, and waits for it.
    """

    warrant: Warrant | None = None
    warrant_expected: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("warrant", ...) is None),
        Legal(INHERITED, "add the warrant, or state which authority decides on it, and when"),
    ] = Field(default=None, validate_default=True)
    delivery: Annotated[DeliveryAddress, Legal(INHERITED, "add the address for the delivery")]
    begins_at: Annotated[Instant, Legal(INHERITED, "add when the collection begins")]
    ends_at: Annotated[
        Instant,
        after("begins_at", "the collection must end later than it begins"),
        Legal(INHERITED, "add when the collection ends"),
    ]


class TeamMember(Part):
    """An authority in a joint investigation team."""

    organisation: Annotated[Line, Legal(INHERITED, "name the authority")]
    country: Annotated[Country, Legal(INHERITED, "add the country of the authority")]
    leads: bool = False
    contact: Contact | None = None


class JointTeam(Part):
    """A joint investigation team: its agreement, where there is one yet, its members, and its time."""

    agreement: Annotated[Line | None, Legal(INHERITED, "add the reference of the agreement")] = None
    agreed_at: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("agreement") is not None),
        Legal(INHERITED, "add the date of the agreement"),
    ] = Field(default=None, validate_default=True)
    members: Annotated[
        tuple[TeamMember, ...], Field(min_length=2, max_length=50), Legal(INHERITED, "add at least two members")
    ]
    begins_at: Annotated[Instant, Legal(INHERITED, "add when the team begins")]
    ends_at: Annotated[
        Instant,
        after("begins_at", "the team must end later than it begins"),
        Legal(INHERITED, "add when the team ends"),
    ]


# --- Answers -------------------------------------------------------------------------------------------------


class UserNotice(Part):
    """Whether the user was told, by whom and when."""

    told: Annotated[str, CodeOf("user_told"), Legal(INHERITED, "state whether the user was told")]
    at: Annotated[
        Instant | None,
        needed_if(lambda fields: fields.get("told") == "told"),
        Legal(INHERITED, "add the time when the user was told"),
    ] = Field(default=None, validate_default=True)
    told_by: Line | None = None
    text: Note | None = None


class Cost(Part):
    """What it cost, and who bears it (Budapest Convention Art. 25.2 in domestic law; CETS 224 Art. 7, 8)."""

    amount: Annotated[Amount, Legal(INHERITED, "add the amount")]
    currency: Annotated[Currency, Legal(INHERITED, "add the currency of the amount")]
    borne_by: Line | None = None
    text: Note | None = None


class Accuracy(Part):
    """How far what is sent can be relied on, as of when (Directive (EU) 2016/680 Art. 7.2)."""

    mark: Annotated[str, CodeOf("accuracy"), Legal(INHERITED, "state how accurate the data are")]
    as_of: Instant | None = None
    text: Note | None = None


UserTold = Annotated[
    UserNotice | None, Since(2), Legal("UN Convention Art. 42 (g)", "state whether the user was told, and when")
]
Costs = Annotated[Cost | None, Since(2), Legal("Budapest Convention Art. 25.2", "add the cost")]
LawApplied = Annotated[
    Note | None, Since(2), Legal("Budapest Convention Art. 25.4", "add the law and provision that were applied")
]
AccuracyMark = Annotated[
    Accuracy | None, Since(2), Legal("Directive (EU) 2016/680 Art. 7.2", "state how accurate the data are")
]


Provider = Annotated[Custodian | None, Since(2), Legal("Art. 29.2 (d)", "add the provider that holds the data")]


class LegalPeriod(Part):
    """The period that the law of the requested State gives, and whether and how often it can be renewed."""

    days: Annotated[int, Field(ge=1, le=3650), Legal(INHERITED, "add the number of days")]
    renewable: Annotated[bool, Legal(INHERITED, "state whether the period can be renewed (yes or no)")]
    provision: Line | None = None
    text: Note | None = None


Period = Annotated[LegalPeriod | None, Since(2), Legal("Art. 29.7", "add the period under the law that was applied")]


class NextContact(Part):
    """Whom to ask next: the requesting State asks the State of the other provider (Budapest Convention Art. 30)."""

    country: Annotated[Country, Legal(INHERITED, "add the State to ask next")]
    contact_point: AddressText | None = None
    contact: Annotated[
        Contact | None,
        needed_if(lambda fields: fields.get("contact_point", ...) is None),
        Legal(INHERITED, "add the contact point or a contact of the State to ask next"),
    ] = Field(default=None, validate_default=True)
    text: Annotated[Note | None, Legal(INHERITED, "state what to ask, and under which law")] = None


NextStep = Annotated[NextContact | None, Since(2), Legal("Budapest Convention Art. 30", "add whom to ask next")]


# --- Translation and transfer --------------------------------------------------------------------------------


class Translation(Part):
    """What of the message was translated, by whom, and that the original prevails."""

    status: Annotated[
        str, CodeOf("translation_status"), Legal(INHERITED, "state whether it is official, certified or by a machine")
    ]
    translated_from: Annotated[Language, Legal(INHERITED, "add the language of the original")]
    scope: Annotated[Note, Legal(INHERITED, "state which texts or files were translated")]
    original: Annotated[Line | None, Legal(INHERITED, "name the file that has the original")] = None
    translator: Annotated[
        Line | None,
        needed_if(lambda fields: fields.get("status") == "certified"),
        Legal(INHERITED, "name the translator who certified it"),
    ] = Field(default=None, validate_default=True)
    original_prevails: Annotated[bool, Legal(INHERITED, "state whether the original prevails (yes or no)")]

    @field_validator("original_prevails")
    @classmethod
    def _machines_never_prevail(cls, prevails: bool, info: ValidationInfo) -> bool:
        if not prevails and info.data.get("status") == "machine":
            raise problem("translation", "a machine translation never prevails: the original does")
        return prevails


Translated = Annotated[Translation | None, Since(2), Legal("translation", "state what kind of translation this is")]

_DEROGATIONS = frozenset(
    {"vital_interests", "legitimate_interests", "immediate_threat", "individual_case", "legal_claim"}
)


class Transfer(Part):
    """On what ground personal data leave the European Union; recipient, time and data are those of the message."""

    ground: Annotated[str, CodeOf("transfer_ground"), Legal(_TRANSFER, "give the code of the ground of the transfer")]
    provision: Annotated[Line, Legal(_TRANSFER, "add the decision, instrument or provision")]
    justification: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("ground") in _DEROGATIONS | {"assessed_safeguards"}),
        Legal(_TRANSFER, "add the justification, which is documented"),
    ] = Field(default=None, validate_default=True)


TransferGround = Annotated[Transfer | None, Since(2), Legal(_TRANSFER, "add the ground of the transfer")]
