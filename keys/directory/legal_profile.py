"""A nation's legal profile: what its law lets it do for others, as the nation itself signed it into the directory.

Every statement says where it is from and how sure that is. A profile informs officers before a request is sent, and
gives the case the nation's own clocks; it never decides anything. Days and hours count from receipt.
"""

from datetime import date
from functools import cache
from importlib import resources
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from keys.directory.cards import AddressField, Country, Instant, Language, Line, NodeName
from keys.local.strict_json import require_unique_members
from protocol.codes import Confidence, load_codes
from protocol.encoding.instants import to_text
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import MalformedError, ProfileError, TooLargeError
from protocol.lifecycle.profiles import AcknowledgementProfile, AnswerProfile, NationalClocks

MAX_PROFILE_BYTES = 65_536
MAX_PROFILE_ITEMS = 10_000
SCHEMA = "comity/legal-profile/1"
MAX_DAYS = 3_650
MAX_HOURS = 8_760


def _code_of(name: str) -> AfterValidator:
    def check(code: str) -> str:
        if code not in load_codes(name):
            raise ValueError(f"not a code of the list {name}")
        return code

    return AfterValidator(check)


Days = Annotated[int, Field(ge=1, le=MAX_DAYS)]
Hours = Annotated[int, Field(ge=1, le=MAX_HOURS)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000, strip_whitespace=True)]
Instrument = Annotated[str, _code_of("legal_basis")]
MessageType = Annotated[str, _code_of("message_type")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Sourced(_Part):
    """A statement with where it is from. ``unverified`` ones are shown as such wherever they are used."""

    source: Line
    confidence: Confidence


class OffenceRule(Sourced):
    """Whether what a published list calls an offence is punishable in this nation."""

    list: Literal["budapest", "un", "iccs"]
    code: str
    punishable: bool
    provision: Line | None = None
    penalty_years: Annotated[int, Field(ge=0, le=100)] | None = None

    @model_validator(mode="after")
    def _is_listed(self) -> Self:
        if self.code not in load_codes(f"offence_{self.list}"):
            raise ValueError(f"not a code of the list offence_{self.list}")
        return self


class PowerRule(Sourced):
    """Whether the nation can do this for others."""

    power: Annotated[str, _code_of("power")]
    available: bool
    provision: Line | None = None


class PreservationRule(Sourced):
    """How long data are preserved. ``instruments`` empty: whatever the instrument.

    ``minimum_days`` is the first period, ``extension_days`` that of each of at most ``extensions`` extensions (None: no
    limit is known). ``maximum_days`` is the most in all. ``reserved``: the nation made the reservation of Budapest
    Convention Art. 29.4. ``manner_needed``: a request states how and when the follow-up request will be made.
    ``prospective``: data that come into being later are preserved too.
    """

    instruments: tuple[Instrument, ...] = ()
    minimum_days: Days
    maximum_days: Days | None = None
    extension_days: Days | None = None
    extensions: Annotated[int, Field(ge=0, le=100)] | None = None
    reserved: bool = False
    manner_needed: bool = False
    prospective: bool = False
    provision: Line | None = None

    @model_validator(mode="after")
    def _periods_fit(self) -> Self:
        if self.maximum_days is not None and self.maximum_days < self.minimum_days:
            raise ValueError("the period at most is shorter than the period at least")
        if self.extensions and self.extension_days is None:
            raise ValueError("extensions have a period")
        return self

    @property
    def total_days(self) -> int | None:
        """The longest that extensions lead to; None when no limit is known."""
        if self.maximum_days is not None:
            return self.maximum_days
        if self.extensions is None:
            return None if self.extension_days else self.minimum_days
        return self.minimum_days + self.extensions * (self.extension_days or 0)


class RenewalRule(Sourced):
    """A preservation is renewed also when a request has followed it, such as by 18 U.S.C. 2703(f)."""

    provision: Line | None = None


class LanguageRule(Sourced):
    """A language in which requests are accepted; ``types`` empty: of every type."""

    language: Language
    types: tuple[MessageType, ...] = ()


class AuthorityRule(Sourced):
    """Who is competent for requests of these types (empty: for all); ``contact_point`` where it is reached here."""

    name: Line
    types: tuple[MessageType, ...] = ()
    contact_point: AddressField | None = None
    note: Text | None = None


class RouteRule(Sourced):
    """How a request that follows a preservation is made."""

    route: Annotated[str, _code_of("follow_up_route")]
    instruments: tuple[Instrument, ...] = ()
    authority: Line | None = None
    note: Text | None = None


class ClockRule(Sourced):
    """Within how many hours of receipt this nation acknowledges, or answers, requests of these types and urgencies."""

    what: Literal["acknowledgement", "answer"]
    types: tuple[MessageType, ...] = ()
    urgencies: tuple[Annotated[str, _code_of("urgency")], ...] = ()
    hours: Hours
    pauses: bool = True


class TreatyTerm(_Part):
    """A reservation or declaration: the article that it is about, and what it says."""

    article: Line
    text: Text


class TreatyRule(Sourced):
    """Whether, and since when, an instrument binds this nation.

    ``since`` None: it does not, whatever was signed. ``until`` is the last day, after a denunciation. It does not apply
    to ``excluded_territories``. ``partners`` are the nations of a bilateral treaty, or of another that not all are in.
    """

    instrument: Instrument
    since: date | None = None
    until: date | None = None
    title: Line | None = None
    partners: Annotated[tuple[NodeName | Country, ...], Field(max_length=200)] = ()
    reservations: Annotated[tuple[TreatyTerm, ...], Field(max_length=50)] = ()
    declarations: Annotated[tuple[TreatyTerm, ...], Field(max_length=50)] = ()
    excluded_territories: Annotated[tuple[Country, ...], Field(max_length=50)] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.until is not None and (self.since is None or self.until < self.since):
            raise ValueError("the treaty ends before it begins")
        if self.instrument in {"bilateral", "multilateral"} and not self.partners:
            raise ValueError("name the partners of a bilateral or other multilateral treaty")
        return self


class SuspensionRule(Sourced):
    """This nation suspends transfers to ``nation`` (Second Additional Protocol Art. 14.15); its desks obey.

    ``instruments`` empty: under whatever basis.
    """

    nation: NodeName
    since: date
    until: date | None = None
    instruments: tuple[Instrument, ...] = ()
    reason: Text

    def holds(self, nation: str, instrument: str | None, day: date) -> bool:
        """Whether nothing is disclosed to ``nation`` under ``instrument`` on ``day``."""
        if nation != self.nation or day < self.since or (self.until is not None and day > self.until):
            return False
        return not self.instruments or instrument is None or instrument in self.instruments


class LegalProfile(_Part):
    """All that a nation says of its law. ``node`` is whose profile it is."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", arbitrary_types_allowed=True, populate_by_name=True, defer_build=True
    )

    schema_name: Literal["comity/legal-profile/1"] = Field(default="comity/legal-profile/1", alias="schema")
    node: NodeName
    country: Country | None = None
    updated_at: Instant
    offences: tuple[OffenceRule, ...] = ()
    powers: tuple[PowerRule, ...] = ()
    preservation: Annotated[tuple[PreservationRule, ...], Field(max_length=20)] = ()
    renewal: RenewalRule | None = None
    languages: Annotated[tuple[LanguageRule, ...], Field(max_length=50)] = ()
    authorities: Annotated[tuple[AuthorityRule, ...], Field(max_length=50)] = ()
    routes: Annotated[tuple[RouteRule, ...], Field(max_length=50)] = ()
    clocks: Annotated[tuple[ClockRule, ...], Field(max_length=50)] = ()
    treaties: Annotated[tuple[TreatyRule, ...], Field(max_length=200)] = ()
    suspensions: Annotated[tuple[SuspensionRule, ...], Field(max_length=200)] = ()

    @model_validator(mode="after")
    def _says_each_once(self) -> Self:
        for name, keys in (
            ("offences", [(rule.list, rule.code) for rule in self.offences]),
            ("powers", [(rule.power,) for rule in self.powers]),
            ("treaties", [(rule.instrument, *rule.partners) for rule in self.treaties]),
        ):
            if len(set(keys)) != len(keys):
                raise ValueError(f"{name}: the same is said twice")
        return self

    def preservation_under(self, instrument: str) -> PreservationRule | None:
        """The rule for requests under ``instrument``, else the one for any."""
        own = [rule for rule in self.preservation if instrument in rule.instruments]
        general = [rule for rule in self.preservation if not rule.instruments]
        return next(iter([*own, *general]), None)

    def offence(self, published: str, code: str | None) -> OffenceRule | None:
        """What is said of an offence of the list ``published``."""
        return next((rule for rule in self.offences if (rule.list, rule.code) == (published, code)), None)

    def national_clocks(self) -> NationalClocks:
        """The nation's own clocks, for :func:`protocol.lifecycle.deadlines`."""
        every = tuple(entry.code for entry in load_codes("urgency").entries)
        return NationalClocks(
            acknowledgement=tuple(
                (rule.types, AcknowledgementProfile(self._clock_id(n), urgency, rule.hours, *self._said(rule)))
                for n, rule in enumerate(self.clocks)
                if rule.what == "acknowledgement"
                for urgency in rule.urgencies or every
            ),
            answer=tuple(
                AnswerProfile(
                    self._clock_id(n),
                    "answer",
                    rule.types,
                    (),
                    rule.urgencies,
                    rule.hours,
                    "receipt",
                    rule.pauses,
                    *self._said(rule),
                )
                for n, rule in enumerate(self.clocks)
                if rule.what == "answer"
            ),
            renewal=self.renewal is not None,
        )

    def _clock_id(self, number: int) -> str:
        return f"{self.node}-{number}"

    def _said(self, rule: ClockRule) -> tuple[str, Confidence]:
        return f"{rule.source} ({self.node})", rule.confidence


def profile_to_bytes(profile: LegalProfile) -> bytes:
    """The profile's JSON file; raises :class:`TooLargeError`."""
    encoded = profile.model_dump_json(by_alias=True, exclude_none=True, indent=1).encode()
    if len(encoded) > MAX_PROFILE_BYTES:
        raise TooLargeError(f"the legal profile has {len(encoded)} bytes; at most {MAX_PROFILE_BYTES} are allowed")
    return encoded


def parse_profile(encoded: bytes) -> LegalProfile:
    """Read a profile; raises :class:`TooLargeError`, or :class:`ProfileError` with every field that is wrong."""
    if len(encoded) > MAX_PROFILE_BYTES:
        raise TooLargeError(f"the legal profile has {len(encoded)} bytes; at most {MAX_PROFILE_BYTES} are allowed")
    require_few_items(encoded, MAX_PROFILE_ITEMS)
    try:
        require_unique_members(encoded)
        return LegalProfile.model_validate_json(encoded)
    except MalformedError as problem:
        raise ProfileError(problem.detail) from None
    except ValidationError as problem:
        problems = tuple(
            (".".join(str(step) for step in error["loc"]) or "profile", error["msg"])
            for error in problem.errors(include_input=False, include_url=False, include_context=False)
        )
    fields = "; ".join(f"{field}: {text}" for field, text in problems[:10])
    raise ProfileError(f"the legal profile is not valid: {fields}", problems)


def check_profile(node: str, profile: LegalProfile, published: LegalProfile | None) -> None:
    """Return if ``node`` may publish ``profile`` after ``published``; raises :class:`ProfileError`."""
    if profile.node != node:
        raise ProfileError(f"{node} cannot sign the legal profile of {profile.node}")
    if published is not None and profile.updated_at < published.updated_at:
        raise ProfileError(
            f"the legal profile of {to_text(profile.updated_at)} is older than the published one of"
            f" {to_text(published.updated_at)}"
        )
    profile_to_bytes(profile)


@cache
def shipped_profile(country: str) -> LegalProfile | None:
    """What Comity itself knows of a nation's law, from public sources; nobody signed it. None: nothing."""
    file = resources.files("keys").joinpath("shipped_profiles", f"{country.lower()}.json")
    return parse_profile(file.read_bytes()) if file.is_file() else None
