"""The kinds of value a message is made of: text, instants, addresses, codes, and the legal name of a field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    BeforeValidator,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    StringConstraints,
    ValidationInfo,
)
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from protocol.address import MISTAKEN_COUNTRIES, Address, parse_node
from protocol.codes import LOCAL_CODE_PATTERN, MAX_LOCAL_CODE, Code, is_local_code, load_codes
from protocol.codes.likely import likely, refusal_of
from protocol.encoding.instants import as_written, parse_instant
from protocol.encoding.phrase import Phrase, phrase
from protocol.errors import InvalidAddressError, MalformedError
from protocol.messages.schema.languages import language_tag

# Stands for the newest version of each message type.
NEWEST = 1_000_001
# The rule of a field that is part of what asks for it: the rule (and rank) of the field around it.
INHERITED = ""


@dataclass(frozen=True, slots=True)
class Legal:
    """Beside a field: the rule that asks for it, in its legal name, and what to say when it is missing.

    ``rank`` orders the elements that the rule enumerates (Art. 29.2 (a) is 1); 0 is an ordinary field.
    """

    rule: str
    missing: str = "fill in this field"
    rank: int = 0

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        return {**described, "x-rule": self.rule} if self.rule else described


# Where the error of pydantic keeps the text without its values.
_TEMPLATE = "comity_template"


def problem(kind: str, text: str, /, **values: object) -> PydanticCustomError:
    """A validation error whose text is exactly ``text``, with ``values`` in the places that it has for them.

    A value is a text of ours, a number or a name: never the refused value.
    """
    if not values and not isinstance(text, Phrase):
        return PydanticCustomError(kind, text)
    told = text if isinstance(text, Phrase) else Phrase(text, {name: _plain(one) for name, one in values.items()})
    return PydanticCustomError(kind, told.template, {**told.values, _TEMPLATE: told})


def _plain(value: object) -> str:
    return value if isinstance(value, str) else str(value)


def text_of(detail: ErrorDetails) -> str:
    """The text of a :func:`problem` that pydantic reports, with its values apart if it has some."""
    told = detail.get("ctx", {}).get(_TEMPLATE)
    return told if isinstance(told, Phrase) else detail["msg"]


# --- Text ----------------------------------------------------------------------------------------------------

# C0, C1, line and paragraph separators, BOM, interlinear marks, tags, noncharacters: they hide or break text.
_CONTROL = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"
# Embeddings, overrides and isolates reorder what a reader sees (UTR 36); marks (U+200E/F) stay: prose needs them.
_BIDI = "\u202a-\u202e\u2066-\u2069"
_PROSE_REFUSED = re.compile(f"[{_CONTROL}{_BIDI}]")
_LINE_REFUSED = re.compile(f"[\t\n{_CONTROL}{_BIDI}]")
# Nobody sees these: two texts that look the same would differ.
_UNSEEN = "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u2064\u3164\uffa0"
# The inside of a character class: what no identifier has.
HIDDEN = f"\\t\\n{_CONTROL}{_BIDI}{_UNSEEN}"
_TOKEN_REFUSED = re.compile(f"[\\s{HIDDEN}]")


def named(character: str) -> str:
    """What a character is called, such as ``U+200E LEFT-TO-RIGHT MARK``: what cannot be seen can be looked for."""
    return f"U+{ord(character):04X} {unicodedata.name(character, 'control character')}"


def is_plain(value: str) -> bool:
    """Whether the text, by Python's own table, has nothing that a line refuses: most texts need no search."""
    return value.isprintable() and not value.isspace() and value != ""


def is_plain_token(value: str) -> bool:
    """As :func:`is_plain`, of what a token refuses too."""
    return value.isascii() and value.isprintable() and " " not in value and value != ""


def _checked(refused: re.Pattern[str], text: str, plain: Callable[[str], bool] = is_plain) -> Callable[[str], str]:
    def check(value: str) -> str:
        if plain(value):
            return value
        if not value.strip():
            raise problem("blank", "fill in this field: it is empty")
        if found := refused.search(value):
            raise problem("characters", "{text}; here is {mark}", text=text, mark=named(found[0]))
        return value

    return check


_prose = _checked(
    _PROSE_REFUSED,
    phrase(
        "control characters, and characters that hide text or change its direction, are not allowed (line breaks are)"
    ),
)


def check_prose(value: str) -> str:
    """The text, if it has nothing that hides or turns text; raises a problem: for texts that no model holds yet."""
    return _prose(value)


_line = _checked(
    _LINE_REFUSED,
    phrase(
        "control characters, and characters that hide text or change its direction, are not allowed, nor are line "
        "breaks"
    ),
)
_token = _checked(
    _TOKEN_REFUSED, phrase("spaces, control characters and invisible characters are not allowed"), is_plain_token
)

Prose = Annotated[str, StringConstraints(max_length=20_000), AfterValidator(_prose)]
Note = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_prose)]
Line = Annotated[str, StringConstraints(max_length=200), AfterValidator(_line)]
Token = Annotated[str, StringConstraints(max_length=512), AfterValidator(_token)]
LocalId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", max_length=32)]


def _phone(value: str) -> str:
    if not re.fullmatch(r"\+[1-9][0-9]{6,14}", value):
        raise problem("e164", "write the number in E.164: + and country code, 7 to 15 digits, no spaces")
    return value


Phone = Annotated[str, StringConstraints(max_length=16), AfterValidator(_phone)]


# --- Addresses -----------------------------------------------------------------------------------------------


def _address(value: str) -> str:
    try:
        return str(Address.parse(value))
    except InvalidAddressError:
        raise problem("address", "write the address as <contact point>@<node>, such as 24-7@jp") from None


AddressText = Annotated[str, StringConstraints(max_length=80), AfterValidator(_address)]


# --- Message ids ---------------------------------------------------------------------------------------------

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def _canonical_uuid(value: Any) -> Any:
    # RFC 9562 §4 in the one form that Comity writes: readers that take others apart would compare other texts.
    if isinstance(value, str) and not _UUID.fullmatch(value):
        raise problem("uuid_parsing", "write the identifier as a UUID, in lower case with its four hyphens")
    return value


MessageId = Annotated[UUID, BeforeValidator(_canonical_uuid)]


# --- Instants ------------------------------------------------------------------------------------------------


def _instant(value: Any) -> datetime:
    if value is None or value == "":
        raise problem("blank", "fill in this field: it is empty")
    if not isinstance(value, str):
        raise problem(
            "instant",
            "write the date and time as text with its time zone (RFC 3339), such as 2026-11-23T04:05:06+09:00",
        )
    try:
        return parse_instant(value)
    except MalformedError as error:
        raise problem("instant", error.detail) from None


# Offset and digits are kept as they were written: a date moved to UTC can change its day.
Instant = Annotated[
    datetime, BeforeValidator(_instant), PlainSerializer(as_written, return_type=str, when_used="json-unless-none")
]


# --- Codes ---------------------------------------------------------------------------------------------------

_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+./-]{0,79}")
# Longer lists (countries, languages) are named in the JSON Schema, not spelled out.
_MAX_ENUM = 40


@lru_cache(maxsize=1_000)
def _meant(name: str, written: str) -> str | None:
    return likely(load_codes(name), written)


def is_tolerant(info: ValidationInfo) -> bool:
    """Whether a message of a newer schema version is being read: its codes may be newer than our lists."""
    return bool(info.context and info.context.get("newer"))


def is_received(info: ValidationInfo) -> bool:
    """Whether a message that came in is being read: it may be made with newer registries than ours."""
    return bool(info.context and (info.context.get("received") or info.context.get("newer")))


def version_of(info: ValidationInfo) -> int:
    """The schema version of the message that is being read or written; the newest where none is said."""
    version: int = info.context.get("version", NEWEST) if info.context else NEWEST
    return version


def require_code_of_version(entry: Code, info: ValidationInfo) -> None:
    """Return if a message of this version may have the code; raises a problem."""
    if version_of(info) < entry.since:
        raise problem(
            "since",
            "this code exists from version {version} of the message type on, and the message states an earlier one",
            version=entry.since,
        )


@dataclass(frozen=True, slots=True)
class CodeOf:
    """Annotates a ``str`` whose values are codes of the published list ``name``.

    ``beyond`` takes what is outside the list, where more than the list exists: it is given the text and whether it came
    in, and returns the form on the wire, None, or raises a problem.
    """

    name: str
    beyond: Callable[[str, bool], str | None] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        codes = load_codes(self.name)
        written = frozenset(entry.code for entry in codes.entries if entry.since == 1 and _CODE.fullmatch(entry.code))

        def check(value: str, info: ValidationInfo) -> str:
            if value in written:
                return value
            if not value:
                raise problem("blank", "fill in this field: it is empty")
            # A local code is judged by its form alone: both sides must judge alike, whatever lists they have added.
            known = value in codes or (codes.extensible and is_local_code(value))
            if value in codes:
                require_code_of_version(codes[value], info)
            if not known and self.beyond is not None and (more := self.beyond(value, is_received(info))) is not None:
                return more
            if not _CODE.fullmatch(value) or not (known or is_tolerant(info)):
                # Nobody who wrote it reads the refusal of what came in: nothing is looked for then.
                raise problem("code", refusal_of(codes, None if is_received(info) else _meant(codes.name, value)))
            return value

        return core_schema.with_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        described = handler(schema)
        codes = load_codes(self.name)
        described["x-code-list"] = f"{codes.name}/{codes.version}"
        if len(codes.entries) <= _MAX_ENUM:
            published: dict[str, Any] = {"enum": [entry.code for entry in codes.entries]}
            local = {"pattern": f"^{LOCAL_CODE_PATTERN}$", "maxLength": MAX_LOCAL_CODE}
            described |= {"anyOf": [published, local]} if codes.extensible else published
        return described


def _organisation(value: str, _received: bool) -> str | None:
    """Members that are no country stand by their registered names, which are longer than a country's code."""
    if value.upper() in MISTAKEN_COUNTRIES:
        raise problem(
            "code",
            "this is not a country code of ISO 3166: did you mean {country}?",
            country=MISTAKEN_COUNTRIES[value.upper()],
        )
    countries = load_codes("country")
    if value.upper() in countries:
        raise problem("code", "write the code of the country in upper case")
    if any(value.casefold() == entry.label.casefold() for entry in countries.entries):
        raise problem("code", "write the code of the country (ISO 3166) in place of its name")
    try:
        return parse_node(value) if len(value) > 2 else None
    except InvalidAddressError:
        return None


def _language(value: str, received: bool) -> str | None:
    try:
        return language_tag(value, known=not received)
    except MalformedError as error:
        raise problem("code", error.detail) from None


# A country, or the registered name of an organisation, such as europol.
Country = Annotated[str, CodeOf("country", _organisation)]
# A tag of BCP 47; the list names those of two letters.
Language = Annotated[str, CodeOf("language", _language)]

# --- Time zones ----------------------------------------------------------------------------------------------

_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z0-9_+-]*){1,2}")


def _zone(value: str) -> str:
    # The form only: which zones exist depends on the machine's tz database, and both sides must judge alike.
    if not value:
        raise problem("blank", "fill in this field: it is empty")
    if not _ZONE.fullmatch(value):
        raise problem("time_zone", "write the IANA name of the time zone, such as Asia/Tokyo")
    return value


ZoneName = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
