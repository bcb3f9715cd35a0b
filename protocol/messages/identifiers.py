"""Typed identifiers of what is to be preserved or asked about, each checked as far as its own rules allow."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

import idna
from pydantic import AfterValidator, Field, StringConstraints, ValidationInfo, field_validator

from protocol.messages.base import Part
from protocol.messages.checksums import (
    base58check_is_valid,
    iban_is_valid,
    luhn_is_valid,
    segwit_is_valid,
)
from protocol.messages.fields import CodeOf, Instant, Legal, Line, Note, Token, problem

# Addresses that many networks use at once: nobody can be found by them.
_SHARED_IPV4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
    )
)
_SHARED_IPV6 = tuple(
    ipaddress.IPv6Network(network) for network in ("::/127", "::ffff:0:0/96", "fc00::/7", "fe80::/10", "ff00::/8")
)


def _ipv4(value: str) -> str:
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        raise problem("ipv4", "write the IPv4 address as four numbers, such as 203.0.113.7") from None
    if any(address in network for network in _SHARED_IPV4):
        raise problem("ipv4", "this is a private, shared or reserved address: many networks use it at once")
    return str(address)


def _ipv6(value: str) -> str:
    try:
        address = ipaddress.IPv6Address(value)
    except ValueError:
        raise problem("ipv6", "write the IPv6 address in full or compressed, such as 2001:db8::7") from None
    if address.scope_id is not None or any(address in network for network in _SHARED_IPV6):
        raise problem("ipv6", "this is a local, mapped or reserved address: nobody can be found by it")
    return str(address)


def domain_to_ascii(value: str) -> str:
    """The domain in lower-case ASCII (IDNA 2008, A-labels); raises a validation problem."""
    try:
        ascii_form = idna.encode(value.removesuffix("."), uts46=True, std3_rules=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise problem("domain", "this is not a domain name (IDNA 2008)") from None
    labels = ascii_form.split(".")
    if len(labels) < 2 or not all(re.fullmatch(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9])?", label) for label in labels):
        raise problem("domain", "write the domain name with its top-level domain, such as example.org")
    if labels[-1].isdecimal():
        raise problem("domain", "this is not a domain name; IP addresses have their own type")
    return ascii_form


def _email(value: str) -> str:
    local, at, domain = value.rpartition("@")
    if not at or not local or "@" in local or len(local.encode()) > 64:
        raise problem("email", "write the e-mail address as name@domain")
    return f"{local}@{domain_to_ascii(domain)}"


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        has_host = bool(parts.hostname)
        _ = parts.port
    except ValueError:
        raise problem("url", "this is not a URL") from None
    if not has_host or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", parts.scheme):
        raise problem("url", "write the URL in full, with scheme and host, such as https://example.org/page")
    return value


def _pattern(pattern: str, advice: str) -> AfterValidator:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise problem("form", advice)
        return value

    return AfterValidator(check)


def _imei(value: str) -> str:
    if not re.fullmatch(r"[0-9]{15}", value) or not luhn_is_valid(value):
        raise problem(
            "imei", "an IMEI has 15 digits, the last of them its check digit (Luhn): check for a typing error"
        )
    return value


def _iccid(value: str) -> str:
    if not re.fullmatch(r"89[0-9]{17,18}", value) or not luhn_is_valid(value):
        raise problem("iccid", "an ICCID has 19 or 20 digits, begins with 89 and ends with its check digit (Luhn)")
    return value


def _mac(value: str) -> str:
    digits = re.sub(r"[:.-]", "", value).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise problem("mac", "a MAC address has 12 hexadecimal digits, such as 00:00:5e:00:53:01")
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def _iban(value: str) -> str:
    compact = value.replace(" ", "").upper()
    if not iban_is_valid(compact):
        raise problem("iban", "this is not an IBAN: its check digits (mod 97) do not fit; check for a typing error")
    return compact


Port = Annotated[int, Field(ge=1, le=65535)]
Protocol = Annotated[str, CodeOf("transport_protocol")]
Precision = Annotated[str, CodeOf("time_precision")]
Ipv4Text = Annotated[str, StringConstraints(max_length=15), AfterValidator(_ipv4)]
Ipv6Text = Annotated[str, StringConstraints(max_length=64), AfterValidator(_ipv6)]
DomainText = Annotated[Token, StringConstraints(max_length=253), AfterValidator(domain_to_ascii)]


class Ipv4(Part):
    """An IPv4 address with source port, protocol, instant (with offset) and precision: all, or it leads to nobody."""

    kind: Literal["ipv4"]
    address: Ipv4Text
    port: Annotated[
        Port,
        Legal(
            "RFC 6302",
            "the source port is missing: an IPv4 address alone is not attributable behind carrier NAT (RFC 6302)",
        ),
    ]
    protocol: Annotated[
        Protocol,
        Legal(
            "RFC 6302",
            "the transport protocol is missing: a port alone is not attributable behind carrier NAT (RFC 6302)",
        ),
    ]
    instant: Annotated[
        Instant,
        Legal(
            "RFC 6302",
            "the instant with its offset is missing: an IPv4 address is not attributable behind carrier NAT (RFC 6302)",
        ),
    ]
    precision: Annotated[Precision, Legal("RFC 6302", "the precision of the instant is missing")]
    destination_address: Token | None = None
    destination_port: Port | None = None
    clock_note: Note | None = None


class Ipv6(Part):
    """An IPv6 address with instant (with offset) and precision; the port where it is known."""

    kind: Literal["ipv6"]
    address: Ipv6Text
    instant: Annotated[Instant, Legal("RFC 6302", "the instant with its offset is missing: prefixes change hands")]
    precision: Annotated[Precision, Legal("RFC 6302", "the precision of the instant is missing")]
    port: Port | None = None
    protocol: Protocol | None = None
    destination_address: Token | None = None
    destination_port: Port | None = None
    clock_note: Note | None = None


class IpRange(Part):
    """A range of addresses of one family, both ends included."""

    kind: Literal["ip_range"]
    first: Annotated[str, StringConstraints(max_length=64)]
    last: Annotated[str, StringConstraints(max_length=64)]

    @field_validator("first", "last")
    @classmethod
    def _is_address(cls, value: str) -> str:
        return _ipv6(value) if ":" in value else _ipv4(value)

    @field_validator("last")
    @classmethod
    def _is_ordered(cls, last: str, info: ValidationInfo) -> str:
        if "first" in info.data:
            low, high = ipaddress.ip_address(info.data["first"]), ipaddress.ip_address(last)
            if low.version != high.version or int(low) > int(high):
                raise problem("ip_range", "both ends are of one family, the first not above the last")
        return last


class Email(Part):
    """An e-mail address (not a Message-ID)."""

    kind: Literal["email"]
    address: Annotated[Token, StringConstraints(max_length=254), AfterValidator(_email)]


class Phone(Part):
    """A telephone number in E.164."""

    kind: Literal["phone"]
    number: Annotated[str, _pattern(r"\+[1-9][0-9]{6,14}", "write the number in E.164: + and 7 to 15 digits")]


class Imei(Part):
    """The identity of a device: 15 digits with check digit."""

    kind: Literal["imei"]
    imei: Annotated[str, AfterValidator(_imei)]


class Imsi(Part):
    """The identity of a subscription (ITU-T E.212)."""

    kind: Literal["imsi"]
    imsi: Annotated[str, _pattern(r"[0-9]{14,15}", "an IMSI has 14 or 15 digits")]


class Iccid(Part):
    """The number of a SIM card (ITU-T E.118)."""

    kind: Literal["iccid"]
    iccid: Annotated[str, AfterValidator(_iccid)]


class Mac(Part):
    """A hardware address; any usual punctuation is read, colons are written."""

    kind: Literal["mac"]
    address: Annotated[str, StringConstraints(max_length=24), AfterValidator(_mac)]


class Url(Part):
    """A full URL, kept as it was written."""

    kind: Literal["url"]
    url: Annotated[str, StringConstraints(max_length=2048), AfterValidator(_url)]

    @field_validator("url", mode="before")
    @classmethod
    def _has_no_spaces(cls, value: object) -> object:
        if isinstance(value, str) and re.search(r"[\s\x00-\x20\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069]", value):
            raise problem("url", "spaces, control characters and invisible characters are not allowed")
        return value


class Domain(Part):
    """A domain name; Unicode is read, the ASCII form (A-labels) is kept so that look-alikes differ."""

    kind: Literal["domain"]
    domain: DomainText


class Account(Part):
    """An account at a service, by its handle, and by the service's own user id where known."""

    kind: Literal["account"]
    service: Line
    handle: Token
    user_id: Token | None = None
    profile_url: Annotated[Token, AfterValidator(_url)] | None = None


class AdvertisingId(Part):
    """An advertising identifier of a device."""

    kind: Literal["advertising_id"]
    platform: Literal["android", "apple", "amazon", "other"]
    id: UUID

    @field_validator("id")
    @classmethod
    def _is_not_opted_out(cls, value: UUID) -> UUID:
        if value.int == 0:
            raise problem("advertising_id", "the all-zero identifier means that tracking is off: it is shared by many")
        return value


_BASE58 = "[1-9A-HJ-NP-Za-km-z]"
_ADDRESS_FORMS = {
    "bitcoin_cash": r"(bitcoincash:)?[qp][02-9ac-hj-np-z]{41}",
    "ethereum": r"0x[0-9A-Fa-f]{40}",
    "monero": rf"[48]{_BASE58}{{94}}(?:{_BASE58}{{11}})?",
    "solana": rf"{_BASE58}{{32,44}}",
    "xrp": rf"r{_BASE58}{{24,34}}",
}


def _crypto_address_is_valid(chain: str, address: str) -> bool:
    match chain:
        case "bitcoin":
            return segwit_is_valid(address, "bc") or base58check_is_valid(address, {0x00, 0x05})
        case "litecoin":
            return segwit_is_valid(address, "ltc") or base58check_is_valid(address, {0x30, 0x32, 0x05})
        case "tron":
            return base58check_is_valid(address, {0x41})
        case _:
            form = _ADDRESS_FORMS.get(chain)
            return form is None or re.fullmatch(form, address) is not None


class CryptoAddress(Part):
    """An address on a blockchain. Check sums are verified for Bitcoin, Litecoin and Tron, the form for others."""

    kind: Literal["crypto_address"]
    chain: Annotated[str, CodeOf("chain")]
    address: Annotated[Token, StringConstraints(max_length=128)]
    chain_name: Line | None = None

    @field_validator("address")
    @classmethod
    def _fits_its_chain(cls, address: str, info: ValidationInfo) -> str:
        if "chain" in info.data and not _crypto_address_is_valid(info.data["chain"], address):
            raise problem("crypto_address", "this is not an address of that chain; check for a typing error")
        return address


class Transaction(Part):
    """A transaction on a blockchain, by its hash."""

    kind: Literal["transaction"]
    chain: Annotated[str, CodeOf("chain")]
    hash: Annotated[str, _pattern(r"(0x)?[0-9A-Fa-f]{64}|[1-9A-HJ-NP-Za-km-z]{64,90}", "write the hash in full")]


class Iban(Part):
    """A bank account; spaces are removed, letters put in upper case, check digits verified (ISO 13616, mod 97)."""

    kind: Literal["iban"]
    iban: Annotated[str, StringConstraints(max_length=48), AfterValidator(_iban)]


_HASH_HEX_LENGTH = {
    "md5": 32,
    "sha1": 40,
    "sha256": 64,
    "sha384": 96,
    "sha512": 128,
    "sha3_256": 64,
    "sha3_512": 128,
}


class FileHash(Part):
    """The hash of a file, in hexadecimal; kept in lower case."""

    kind: Literal["file_hash"]
    algorithm: Annotated[str, CodeOf("hash_algorithm")]
    value: Annotated[str, _pattern(r"[0-9A-Fa-f]{32,128}", "write the hash in hexadecimal"), AfterValidator(str.lower)]
    file_name: Line | None = None

    @field_validator("value")
    @classmethod
    def _has_its_length(cls, value: str, info: ValidationInfo) -> str:
        expected = _HASH_HEX_LENGTH.get(info.data.get("algorithm", ""))
        if expected is not None and len(value) != expected:
            raise problem("file_hash", "the hash does not have the length of its algorithm")
        return value


class MessageId(Part):
    """The Message-ID of an e-mail, without angle brackets (RFC 5322 §3.6.4)."""

    kind: Literal["message_id"]
    message_id: Annotated[
        Token, _pattern(r"[^<>@]+@[^<>@]+", "write the Message-ID without angle brackets: left@right")
    ]


class Host(Part):
    """A server, by host name (or address) and, where known, the operator's asset tag."""

    kind: Literal["host"]
    host: Token
    asset_tag: Line | None = None
    rack_or_site: Line | None = None


class PgpFingerprint(Part):
    """The fingerprint of an OpenPGP key; kept in upper case without spaces."""

    kind: Literal["pgp_fingerprint"]
    fingerprint: Annotated[
        str,
        StringConstraints(max_length=80),
        AfterValidator(lambda value: value.replace(" ", "").upper()),
        _pattern(r"[0-9A-F]{40}|[0-9A-F]{64}", "a fingerprint has 40 or 64 hexadecimal digits"),
    ]


Identifier = Annotated[
    Ipv4
    | Ipv6
    | IpRange
    | Email
    | Phone
    | Imei
    | Imsi
    | Iccid
    | Mac
    | Url
    | Domain
    | Account
    | AdvertisingId
    | CryptoAddress
    | Transaction
    | Iban
    | FileHash
    | MessageId
    | Host
    | PgpFingerprint,
    Field(discriminator="kind"),
]
