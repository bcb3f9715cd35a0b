"""Addresses: ``<contact point>@<node>``, such as ``24-7@jp``.

A node is an ISO 3166-1 alpha-2 code, one of those that stand beside them (``xk``, ``eu``, ``un``), or an organisation's
registered name of three characters or more. Addresses are lower-case ASCII, so that
two addresses that look the same are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from protocol.errors import InvalidAddressError, UsageError

# \Z, not $: a trailing line feed is not part of an address.
_CONTACT_POINT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?\Z")
_NODE = re.compile(r"[a-z](?:[a-z0-9-]{0,30}[a-z0-9])\Z")

# People write these for a country whose code is another: its name in English, and what the European Union writes for
# it.
MISTAKEN_COUNTRIES: Mapping[str, str] = MappingProxyType({"UK": "GB", "EL": "GR"})


def parse_node(text: str) -> str:
    """Return ``text`` if it is a node name (2 to 32 characters), else raise :class:`InvalidAddressError`."""
    if not _NODE.match(text):
        raise InvalidAddressError("a node is named by 2 to 32 of a-z, 0-9 and -, such as jp or europol")
    return text


def check_new_node(text: str) -> str:
    """The name of a node that is to be made; raises :class:`UsageError` with what was probably meant.

    Two letters are a country. Only those who make a member are asked: what is in the directory its holders have signed.
    """
    from protocol.codes import load_codes  # read only where a member is made

    name = parse_node(text)
    code = name.upper()
    if code in MISTAKEN_COUNTRIES:
        raise UsageError(f"{name} is not a country code of ISO 3166: did you mean {MISTAKEN_COUNTRIES[code].lower()}?")
    if len(name) == 2 and code not in load_codes("country"):
        raise UsageError(
            "a node named by two letters is a country of ISO 3166; an organisation's name has three characters or more"
        )
    return name


def check_new_country(text: str) -> str:
    """The code of a member's country, in upper case; raises :class:`UsageError` with what was probably meant."""
    from protocol.codes import load_codes

    code = text.upper()
    if code in MISTAKEN_COUNTRIES:
        raise UsageError(f"{code} is not a country code of ISO 3166: did you mean {MISTAKEN_COUNTRIES[code]}?")
    if code not in load_codes("country"):
        raise UsageError("write the country as its two letters of ISO 3166, such as JP; an organisation has none")
    return code


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """The address of a contact point."""

    contact_point: str
    node: str

    def __post_init__(self) -> None:
        if not _CONTACT_POINT.match(self.contact_point):
            raise InvalidAddressError("a contact point is named by 1 to 40 of a-z, 0-9 and -, such as 24-7")
        parse_node(self.node)

    @staticmethod
    @lru_cache(maxsize=4096)
    def parse(text: str) -> Address:
        """Read ``<contact point>@<node>``; raises :class:`InvalidAddressError`."""
        contact_point, at, node = text.partition("@")
        if not at:
            raise InvalidAddressError("an address has one @, such as 24-7@jp")
        return Address(contact_point, node)

    def __str__(self) -> str:
        return f"{self.contact_point}@{self.node}"


def node_of(origin: str) -> str:
    """The node whose log or witness this is: an origin, as the name of each of its keys, ends in its node's name."""
    return origin.rpartition("/")[2]
