"""Identifiers of networks and what runs in them: addresses, names, e-mail, URLs, servers."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator, model_validator

from protocol.messages.schema._hosts import (
    MAX_EMAIL,
    domain_to_ascii,
    email,
    host,
    ipv4,
    ipv6,
    message_id,
    network,
    network_ends,
    refuse_range,
    url,
)
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Line, Note, Token, problem
from protocol.messages.schema.since import ASKED_FOR, Since
from protocol.messages.schema.written import AsTyped, Read

# Browsers and servers take more than the 2,048 that one browser once took: signed links of cloud services are longer.
MAX_URL = 32_768
_MAC_DIGITS = re.compile(
    r"[0-9A-F]{12}|[0-9A-F]{16}|[0-9A-F]{6}[-:. ][0-9A-F]{6}"
    r"|(?:[0-9A-F]{4}([-:. ]))(?:[0-9A-F]{4}\1){1,2}[0-9A-F]{4}"
    r"|[0-9A-F]{1,2}([-:. ])(?:[0-9A-F]{1,2}\2){4}(?:[0-9A-F]{1,2}\2[0-9A-F]{1,2}\2)?[0-9A-F]{1,2}"
)

Port = Annotated[int, Field(ge=1, le=65535)]
Protocol = Annotated[str, CodeOf("transport_protocol")]
Precision = Annotated[str, CodeOf("time_precision")]
Ipv4Text = Annotated[str, StringConstraints(max_length=64), Read(ipv4)]
Ipv6Text = Annotated[str, StringConstraints(max_length=64), Read(ipv6)]
UrlText = Annotated[str, StringConstraints(max_length=MAX_URL), Read(url)]


SERVER = "server"
_SERVICE_ADVICE = (
    "name the service that the server offered, such as the domain name and https: an address whose users are sought has"
    " the role connection, with port and time"
)
_PORT_ADVICE = "add the source port: without it nobody can tell who used an IPv4 address that many share (RFC 6302)"
_PROTOCOL_ADVICE = (
    "add the transport protocol: without it nobody can tell who used a port of an address that many share (RFC 6302)"
)
_INSTANT_ADVICE = (
    "add the date and time with its time zone: without it nobody can tell who used an IPv4 address that many share"
    " (RFC 6302)"
)
_INSTANT6_ADVICE = "add the date and time with its time zone: IPv6 prefixes change hands"
_PRECISION_ADVICE = "state how exact the date and time is"


def _mac(text: str) -> str:
    if not _MAC_DIGITS.fullmatch(text.upper()):
        raise problem("mac", "a MAC address has 12 hexadecimal digits (an EUI-64 16), such as 00:00:5e:00:53:01")
    groups = re.split("[-:. ]", text.lower())
    digits = "".join(group.zfill(2) for group in groups) if len(groups) in (6, 8) else "".join(groups)
    if set(digits) in ({"0"}, {"f"}):
        raise problem("mac", "this address stands for no device, or for all: nobody can be found by it")
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def _is_connection(fields: Mapping[str, Any]) -> bool:
    # A role that was refused is none: then the rule for connections holds.
    return fields.get("role") != SERVER


def needed_of_connection(text: str) -> AfterValidator:
    """Annotates a field without which a connection leads to nobody; of a server it may be left out."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value is None and _is_connection(info.data):
            raise problem("blank", text)
        return value

    return AfterValidator(check)


def _service_of(value: str | None, info: ValidationInfo) -> str | None:
    """A server is known by what it serves: without that, its role would be a way around the rule for connections."""
    if value is None and not _is_connection(info.data):
        raise problem("blank", _SERVICE_ADVICE)
    if value is not None and _is_connection(info.data):
        raise problem("not_applicable", "only a server has a service: set its role to server, or remove the service")
    return value


Role = Annotated[
    Annotated[str, CodeOf("address_role")] | None,
    Since(2),
    Legal("RFC 6302", "state whether this was a connection or a server"),
]
ServedThere = Annotated[
    Line | None,
    Since(2),
    Legal("Art. 29.2 (c)", _SERVICE_ADVICE),
    Field(validate_default=True),
    AfterValidator(_service_of),
]


class Ipv4(Part):
    """An IPv4 address with source port, protocol, instant (with offset) and precision: all, or it leads to nobody.

    With the role ``server`` it is where something was offered: then ``service`` says what (and ``port`` where it
    listens), and who else shares the address does not matter. Such an address identifies no user.
    """

    kind: Literal["ipv4"]
    address: Ipv4Text
    role: Role = None
    service: ServedThere = None
    port: Annotated[
        Port | None,
        needed_of_connection(_PORT_ADVICE),
        Legal("RFC 6302", _PORT_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    protocol: Annotated[
        Protocol | None,
        needed_of_connection(_PROTOCOL_ADVICE),
        Legal("RFC 6302", _PROTOCOL_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    instant: Annotated[
        Instant | None,
        needed_of_connection(_INSTANT_ADVICE),
        Legal("RFC 6302", _INSTANT_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    precision: Annotated[
        Precision | None,
        needed_of_connection(_PRECISION_ADVICE),
        Legal("RFC 6302", _PRECISION_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    destination_address: Token | None = None
    destination_port: Port | None = None
    clock_note: Note | None = None


class Ipv6(Part):
    """An IPv6 address with instant (with offset) and precision; the port where it is known.

    ``role`` and ``service`` are those of :class:`Ipv4`.
    """

    kind: Literal["ipv6"]
    address: Ipv6Text
    role: Role = None
    service: ServedThere = None
    instant: Annotated[
        Instant | None,
        needed_of_connection(_INSTANT6_ADVICE),
        Legal("RFC 6302", _INSTANT6_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    precision: Annotated[
        Precision | None,
        needed_of_connection(_PRECISION_ADVICE),
        Legal("RFC 6302", _PRECISION_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    port: Port | None = None
    protocol: Protocol | None = None
    destination_address: Token | None = None
    destination_port: Port | None = None
    clock_note: Note | None = None
    as_typed: AsTyped = None


def _either(text: str) -> str:
    return ipv6(text) if ":" in text else ipv4(text)


class IpRange(Part):
    """A range of addresses of one family, both ends included; none of them shared, and no wider than one holder's.

    ``cidr`` says the same as a network with the length of its prefix: where it is given, the ends may be left out.
    """

    kind: Literal["ip_range"]
    first: Annotated[str, StringConstraints(max_length=64), Read(_either)]
    last: Annotated[str, StringConstraints(max_length=64), Read(_either)]
    cidr: Annotated[
        Annotated[str, StringConstraints(max_length=64), Read(network)] | None,
        Since(2, implied=True),
        Legal("RFC 4632", "write the network with the length of its prefix"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _ends_of_network(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("cidr"), str):
            ends = network_ends(given["cidr"])
            if ends is not None:
                return {
                    **given,
                    **{name: end for name, end in zip(("first", "last"), ends, strict=True) if not given.get(name)},
                }
        return given

    @field_validator("last")
    @classmethod
    def _is_ordered(cls, last: str, info: ValidationInfo) -> str:
        if "first" in info.data:
            refuse_range(info.data["first"], last)
        return last

    @field_validator("cidr")
    @classmethod
    def _has_these_ends(cls, cidr: str | None, info: ValidationInfo) -> str | None:
        ends = tuple(info.data.get(name) for name in ("first", "last"))
        if cidr is not None and None not in ends and ends != network_ends(cidr):
            raise problem(
                "cidr", "the network has other ends than first and last: correct one, or leave first and last out"
            )
        return cidr


class Email(Part):
    """An e-mail address (not a Message-ID); a quoted name and an address in square brackets are addresses too."""

    kind: Literal["email"]
    address: Annotated[str, StringConstraints(max_length=MAX_EMAIL), Read(email)]
    as_typed: AsTyped = None


class MessageId(Part):
    """The Message-ID of an e-mail, without angle brackets (RFC 5322 §3.6.4), as programs write it."""

    kind: Literal["message_id"]
    message_id: Annotated[str, StringConstraints(max_length=998), Read(message_id)]


class Mac(Part):
    """A hardware address (EUI-48, EUI-64); any usual punctuation is read, colons are written."""

    kind: Literal["mac"]
    address: Annotated[str, StringConstraints(max_length=64), Read(_mac)]
    as_typed: AsTyped = None


class Url(Part):
    """A full URL or a link of another scheme (magnet, tg), kept as it was written."""

    kind: Literal["url"]
    url: UrlText


class Domain(Part):
    """A domain name; Unicode is read, the ASCII form (A-labels) is kept so that look-alikes differ."""

    kind: Literal["domain"]
    domain: Annotated[str, StringConstraints(max_length=512), Read(domain_to_ascii)]
    as_typed: AsTyped = None


class Host(Part):
    """A server, by host name (or address) and, where known, the operator's asset tag."""

    kind: Literal["host"]
    host: Annotated[str, StringConstraints(max_length=512), Read(host)]
    asset_tag: Line | None = None
    rack_or_site: Line | None = None
    as_typed: AsTyped = None
