"""Identifiers of networks and what runs in them: addresses, names, e-mail, URLs, servers."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from protocol.messages.schema._hosts import (
    MAX_EMAIL,
    domain_to_ascii,
    email,
    host,
    ipv4,
    ipv6,
    message_id,
    refuse_range,
    url,
)
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Line, Note, Token, problem
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


def _mac(text: str) -> str:
    if not _MAC_DIGITS.fullmatch(text.upper()):
        raise problem("mac", "a MAC address has 12 hexadecimal digits (an EUI-64 16), such as 00:00:5e:00:53:01")
    groups = re.split("[-:. ]", text.lower())
    digits = "".join(group.zfill(2) for group in groups) if len(groups) in (6, 8) else "".join(groups)
    if set(digits) in ({"0"}, {"f"}):
        raise problem("mac", "this address stands for no device, or for all: nobody can be found by it")
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


class Ipv4(Part):
    """An IPv4 address with source port, protocol, instant (with offset) and precision: all, or it leads to nobody."""

    kind: Literal["ipv4"]
    address: Ipv4Text
    port: Annotated[
        Port,
        Legal(
            "RFC 6302",
            "add the source port: without it nobody can tell who used an IPv4 address that many share (RFC 6302)",
        ),
    ]
    protocol: Annotated[
        Protocol,
        Legal(
            "RFC 6302",
            "add the transport protocol: without it nobody can tell who used a port of an address that many"
            " share (RFC 6302)",
        ),
    ]
    instant: Annotated[
        Instant,
        Legal(
            "RFC 6302",
            "add the date and time with its time zone: without it nobody can tell who used an IPv4 address"
            " that many share (RFC 6302)",
        ),
    ]
    precision: Annotated[Precision, Legal("RFC 6302", "state how exact the date and time is")]
    destination_address: Token | None = None
    destination_port: Port | None = None
    clock_note: Note | None = None


class Ipv6(Part):
    """An IPv6 address with instant (with offset) and precision; the port where it is known."""

    kind: Literal["ipv6"]
    address: Ipv6Text
    instant: Annotated[
        Instant, Legal("RFC 6302", "add the date and time with its time zone: IPv6 prefixes change hands")
    ]
    precision: Annotated[Precision, Legal("RFC 6302", "state how exact the date and time is")]
    port: Port | None = None
    protocol: Protocol | None = None
    destination_address: Token | None = None
    destination_port: Port | None = None
    clock_note: Note | None = None
    as_typed: AsTyped = None


def _either(text: str) -> str:
    return ipv6(text) if ":" in text else ipv4(text)


class IpRange(Part):
    """A range of addresses of one family, both ends included; none of them shared, and no wider than one holder's."""

    kind: Literal["ip_range"]
    first: Annotated[str, StringConstraints(max_length=64), Read(_either)]
    last: Annotated[str, StringConstraints(max_length=64), Read(_either)]

    @field_validator("last")
    @classmethod
    def _is_ordered(cls, last: str, info: ValidationInfo) -> str:
        if "first" in info.data:
            refuse_range(info.data["first"], last)
        return last


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
