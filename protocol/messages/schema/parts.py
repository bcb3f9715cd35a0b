"""Parts that several message types share: authorities, offences, grounds, conditions, questions of scope."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from protocol.codes import load_codes
from protocol.messages.schema.base import Contact, Part, check_email
from protocol.messages.schema.fields import (
    INHERITED,
    CodeOf,
    Country,
    Instant,
    Legal,
    Line,
    LocalId,
    MessageId,
    Note,
    Phone,
    Token,
    ZoneName,
    problem,
    require_code_of_version,
)
from protocol.messages.schema.identifiers import SERVER, Identifier
from protocol.messages.schema.since import Since

MAX_TARGETS = 1000
MAX_CONDITIONS = 50
_ONWARD = "Budapest Convention Art. 27.8"

_Any = TypeVar("_Any")


def needed_if(condition: Callable[[Mapping[str, Any]], bool]) -> AfterValidator:
    """Annotates an optional field that must be given when ``condition`` holds for the fields before it.

    Fields that were refused are not among them: what is wrong with them is reported on its own.
    """

    def check(value: Any, info: ValidationInfo) -> Any:
        if value in (None, ()) and condition(info.data):
            raise problem("blank", "fill in this field")
        return value

    return AfterValidator(check)


def absent_if(condition: Callable[[Mapping[str, Any]], bool], text: str) -> AfterValidator:
    """Annotates an optional field that has no place, and is refused with ``text``, when ``condition`` holds."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value not in (None, ()) and condition(info.data):
            raise problem("not_applicable", text)
        return value

    return AfterValidator(check)


def after(name: str, text: str) -> AfterValidator:
    """Annotates an instant that lies after the instant in the field ``name``, if both are given."""

    def check(value: Any, info: ValidationInfo) -> Any:
        earlier = info.data.get(name)
        if value is not None and earlier is not None and value <= earlier:
            raise problem("order", text)
        return value

    return AfterValidator(check)


def distinct(name: str | None = None) -> AfterValidator:
    """Annotates a list whose items, or the fields ``name`` of its items, differ from each other."""

    def check(values: tuple[_Any, ...]) -> tuple[_Any, ...]:
        keys = [getattr(value, name) for value in values] if name else list(values)
        if len(set(keys)) != len(keys):
            raise problem("repeated", "name each entry of this list only once")
        return values

    return AfterValidator(check)


# Decimal digits, with a point before the fraction: as registers and exchanges write amounts, never a float.
Amount = Annotated[str, Field(pattern=r"^(0|[1-9][0-9]{0,23})(\.[0-9]{1,24})?$", max_length=49)]
# ISO 4217, or the sign of a crypto asset.
Currency = Annotated[str, Field(pattern="^[A-Z0-9]{2,12}$")]

TargetName = Annotated[LocalId, Legal("target", "add the short name of the target, such as t1")]
# The targets of the request that something is about.
TargetNames = Annotated[tuple[LocalId, ...], Field(max_length=MAX_TARGETS), distinct()]


class Authority(Part):
    """A requesting or competent authority (T-CY(2018)11 items 5 and 7)."""

    organisation: Annotated[Line, Legal(INHERITED, "add the name of the authority")]
    country: Annotated[Country, Legal(INHERITED, "add the country of the authority")]
    office: Line | None = None
    person_in_charge: Annotated[Line, Legal("T-CY(2018)11 item 5", "add the person in charge at the authority")]
    address: Note | None = None
    telephone: Phone | None = None
    mobile: Phone | None = None
    fax: Phone | None = None
    email: Annotated[
        Token | None,
        Legal("T-CY(2018)11 item 5", "add a telephone number or an e-mail address of the authority"),
    ] = Field(default=None, validate_default=True)
    office_hours: Annotated[Line, Legal("T-CY(2018)11 item 5", "add the office hours")]
    time_zone: Annotated[ZoneName, Legal("T-CY(2018)11 item 5", "add the time zone of the office hours")]
    preferred_means: Line | None = None

    @field_validator("email")
    @classmethod
    def _can_be_reached(cls, email: str | None, info: ValidationInfo) -> str | None:
        if email is not None:
            return check_email(email)
        if {"telephone", "mobile"} <= info.data.keys() and not info.data["telephone"] and not info.data["mobile"]:
            raise problem("blank", "add one of telephone, mobile and email")
        return email


class CompetentAuthority(Part):
    """The investigating authority, or the prosecution office or court, where it differs from the requesting one."""

    organisation: Line
    role: Annotated[str, CodeOf("contact_role")] | None = None
    case_number: Line | None = None
    contact: Contact | None = None
    decisions: Note | None = None


class Offence(Part):
    """One offence: from a published list, or national. Evidence of any offence may be preserved (Art. 14.2, 25.1)."""

    list: Annotated[str, CodeOf("offence_list")]
    code: Annotated[Token | None, Legal(INHERITED, "add the article or code of the offence")] = Field(
        default=None, validate_default=True
    )
    title: Annotated[Line, Legal(INHERITED, "add the name of the offence")]
    national_provision: Line | None = None
    maximum_penalty: Line | None = None

    @field_validator("code")
    @classmethod
    def _is_in_its_list(cls, code: str | None, info: ValidationInfo) -> str | None:
        published = info.data.get("list", "national")
        if published == "national" or (info.context and info.context.get("newer")):
            return code
        if code is None:
            raise problem("blank", "add the code that the offence has in the published list")
        if code not in load_codes(f"offence_{published}"):
            raise problem("code", "this code is not in the list of offences named beside it")
        require_code_of_version(load_codes(f"offence_{published}")[code], info)
        return code


class TimeWindow(Part):
    """The time the wanted data stem from."""

    begins_at: Instant
    ends_at: Instant

    @field_validator("ends_at")
    @classmethod
    def _is_a_span(cls, ends_at: Instant, info: ValidationInfo) -> Instant:
        if "begins_at" in info.data and ends_at <= info.data["begins_at"]:
            raise problem("window", "the end of the time window must be later than its beginning")
        return ends_at


class Custodian(Part):
    """Who is believed to hold the data."""

    name: Line
    country: Country | None = None
    service: Line | None = None
    contact: Note | None = None


class Ground(Part):
    """Why something is refused, postponed or impossible: a coded ground, and the reasons that are owed (Art. 27.7)."""

    code: Annotated[str, CodeOf("refusal_ground"), Legal(INHERITED, "give the code of the ground")]
    text: Annotated[Note, Legal("Art. 27.7", "give the reasons")]


# --- Targets -----------------------------------------------------------------------------------------------

_DETAILS = "Regulation (EU) 2023/1543 Annex I F"
# Kinds that stand for a value, which can be frozen.
_FREEZABLE = frozenset({"account", "crypto_address", "transaction", "iban", "bank_account", "payment_card"})
# One connection each: two of them are two targets, each with its own result.
_CONNECTIONS = frozenset({"ipv4", "ipv6", "ip_range"})


class FreezeWish(Part):
    """Beside the data: that what lies in an account, or at an address, be held until an order comes.

    A wish, never an order: the requested side says what its law allows, and what it needs for it.
    """

    reason: Annotated[Note, Legal(INHERITED, "give the reason for the freeze")]
    amount: Amount | None = None
    currency: Annotated[
        Currency | None,
        needed_if(lambda fields: fields.get("amount") is not None),
        Legal(INHERITED, "add the currency or the asset of the amount"),
    ] = Field(default=None, validate_default=True)
    until: Instant | None = None
    order_expected: Annotated[Note | None, Legal(INHERITED, "state which order follows, and when")] = None


def _fits_categories(details: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
    codes, categories = load_codes("data_detail"), info.data.get("data_categories")
    for detail in details or ():
        category = codes[detail].of if detail in codes else None
        if categories is not None and category is not None and category not in categories:
            raise problem(
                "detail",
                "the detail {detail} is part of the category {category}, which is not asked for: add the category, or"
                " remove the detail",
                detail=detail,
                category=category,
            )
    return details


def _windows_are_apart(windows: tuple[TimeWindow, ...] | None, info: ValidationInfo) -> tuple[TimeWindow, ...] | None:
    if not windows:
        return windows
    first = info.data.get("time_window", ...)
    if first is None:
        raise problem("order", "put the first time window into time_window, and only the others here")
    every = sorted((*windows, *(() if first is ... else (first,))), key=lambda window: window.begins_at)
    if any(later.begins_at < earlier.ends_at for earlier, later in pairwise(every)):
        raise problem(
            "window", "two time windows overlap: write them as one, from the earlier beginning to the later end"
        )
    return windows


def _name_one_account(others: tuple[Identifier, ...] | None, info: ValidationInfo) -> tuple[Identifier, ...] | None:
    first = info.data.get("identifier")
    if not others or first is None:
        return others
    if any(one.kind in _CONNECTIONS for one in (first, *others)):
        raise problem(
            "identifiers",
            "these identifiers name one account: make each IP address a target of its own, with its own result",
        )
    if len({one.model_dump_json() for one in (first, *others)}) != 1 + len(others):
        raise problem("repeated", "name each entry of this list only once")
    return others


def _categories_fit_role(categories: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    if "user_identification" in categories and getattr(info.data.get("identifier"), "role", None) == SERVER:
        raise problem(
            "server",
            "the address of a server identifies no user: remove this category, or name the connection with its port,"
            " protocol and time",
        )
    return categories


def _can_be_frozen(wish: FreezeWish | None, info: ValidationInfo) -> FreezeWish | None:
    identifier = info.data.get("identifier")
    if wish is not None and identifier is not None and identifier.kind not in _FREEZABLE:
        raise problem("freeze", "only an account, a card, or an address or transaction of a crypto asset can be frozen")
    return wish


# The categories of a target, checked against its identifier, which stands before them.
FitsRole = AfterValidator(_categories_fit_role)
FurtherIdentifiers = Annotated[
    Annotated[tuple[Identifier, ...], Field(max_length=50)] | None,
    Since(2),
    Legal("Art. 29.2 (c)", "add the other identifiers of the same account"),
    AfterValidator(_name_one_account),
]
DataDetails = Annotated[
    Annotated[tuple[Annotated[str, CodeOf("data_detail")], ...], Field(max_length=50), distinct()] | None,
    Since(2),
    Legal(_DETAILS, "state which data of the category are meant"),
    AfterValidator(_fits_categories),
]
FurtherWindows = Annotated[
    Annotated[tuple[TimeWindow, ...], Field(max_length=100)] | None,
    Since(2),
    Legal("Art. 29.2 (c)", "add the other time windows"),
    AfterValidator(_windows_are_apart),
]
Freeze = Annotated[
    FreezeWish | None,
    Since(2),
    Legal("Budapest Convention Art. 25, 27", "state the freeze that is wished for"),
    AfterValidator(_can_be_frozen),
]


class WantedData(Part):
    """One thing that is asked for: what it is, and why it is believed to be held there."""

    target: TargetName
    identifier: Annotated[Identifier, Legal(INHERITED, "add the identifier of the data that are requested")]
    further_identifiers: FurtherIdentifiers = None
    data_categories: Annotated[
        tuple[Annotated[str, CodeOf("data_category")], ...],
        Field(min_length=1, max_length=4),
        distinct(),
        FitsRole,
        Legal(INHERITED, "add the category of the data that are requested"),
    ]
    data_details: DataDetails = None
    time_window: TimeWindow | None = None
    further_windows: FurtherWindows = None
    description: Note | None = None
    relation: Annotated[Note, Legal(INHERITED, "explain how the data relate to the case")]
    custodian: Custodian | None = None
    held_there: Annotated[
        Note | None,
        Legal(INHERITED, "explain why the data are believed to be held there"),
        needed_if(lambda fields: fields.get("custodian", ...) is None),
    ] = Field(default=None, validate_default=True)
    preserved_under: Line | None = None
    freeze: Freeze = None

    def identifiers(self) -> tuple[Identifier, ...]:
        """All that names what is asked for, the main one first."""
        return (self.identifier, *(self.further_identifiers or ()))

    def windows(self) -> tuple[TimeWindow, ...]:
        """All times that are asked about, the main one first; none where no time is said."""
        first = () if self.time_window is None else (self.time_window,)
        return (*first, *(self.further_windows or ()))


WantedDataList = Annotated[tuple[WantedData, ...], Field(max_length=MAX_TARGETS), distinct("target")]


class EarlierRequest(Part):
    """An earlier request that this one builds on (T-CY(2018)10 items 9 and 10)."""

    reference: Annotated[Line, Legal("T-CY(2018)10 items 9, 10", "add the reference of the earlier request")]
    thread: MessageId | None = None
    channel: Annotated[
        str, CodeOf("request_channel"), Legal("T-CY(2018)10 items 9, 10", "add the channel of the request")
    ]
    requested_by: Line | None = None
    executed_by: Line | None = None
    sent_at: Instant | None = None


class Condition(Part):
    """A condition under which information is given or a request is granted (Budapest Convention Art. 26.2, 28.2)."""

    condition: Annotated[LocalId, Legal(INHERITED, "add the short name of the condition, such as c1")]
    kind: Annotated[str, CodeOf("condition_kind"), Legal(INHERITED, "add the kind of the condition")]
    text: Annotated[Note, Legal(INHERITED, "add the terms of the condition")]


Conditions = Annotated[tuple[Condition, ...], Field(max_length=MAX_CONDITIONS), distinct("condition")]


class ItemRef(Part):
    """An item of an answer: by its short name and the answer's message id; without ``item`` the message as a whole."""

    message: Annotated[MessageId, Legal(INHERITED, "add the message that the item is part of")]
    item: LocalId | None = None


ItemRefs = Annotated[tuple[ItemRef, ...], Field(max_length=MAX_TARGETS), distinct()]


class PassingOnConsent(Part):
    """The requester's consent that this one request is passed on to contact points of the States named.

    Without it, and without a reply that gives it later, a request stays with the State that was asked.
    """

    countries: Annotated[
        tuple[Country, ...], Field(min_length=1, max_length=50), distinct(), Legal(_ONWARD, "add the States")
    ]
    terms: Note | None = None
