"""What was found in an export: identifiers as fields of a target, each with where it stands."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from exchange.messaging.drafting.imports._times import Times
from protocol.encoding.phrase import phrase
from protocol.messages.schema.problems import Problem

RULE = phrase("table format")
# Transport protocols by their IANA numbers, as flow logs write them.
_PROTOCOLS = {"6": "tcp", "17": "udp", "132": "sctp", "33": "dccp"}
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Found:
    """One identifier (the fields of its kind), ``at`` the instant when it was seen, where the export says one."""

    row: int
    identifier: dict[str, Any]
    at: str | None = None


@dataclass(slots=True)
class Export:
    """What an export holds. ``left_out`` counts by name what there is no identifier for; ``problems`` are of rows.

    ``unit`` is what rows are called in it. ``zone_missing``: it has times whose zone neither it nor anybody said.
    """

    unit: str = "row"
    found: list[Found] = field(default_factory=list)
    problems: list[tuple[int, Problem]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    zone_missing: bool = False

    def add(self, row: int, identifier: dict[str, Any], at: str | None = None) -> None:
        """Keep an identifier."""
        self.found.append(Found(row, identifier, at))

    def refuse(self, row: int, where: str, text: str) -> None:
        """Note what is wrong with a row."""
        self.problems.append((row, (where, RULE, text)))

    def session(self, row: int, times: Times, seen: Seen) -> None:
        """Keep a session of an address; what is wrong with its time is noted."""
        address, port = split_address(seen.address)
        try:
            version = ip_address(address).version
        except ValueError:
            self.refuse(row, "address", phrase("this is not an IP address"))
            return
        identifier: dict[str, Any] = {"kind": f"ipv{version}", "address": address}
        given = {
            "port": _number(seen.port or port),
            "protocol": _PROTOCOLS.get(seen.protocol.strip(), seen.protocol.strip().lower()) or None,
            "destination_address": seen.destination.strip() or None,
            "destination_port": _number(seen.destination_port),
        }
        identifier |= {name: value for name, value in given.items() if value is not None}
        if not seen.time.strip():
            self.refuse(row, "instant", phrase("the time is missing: an address alone leads to nobody"))
            return
        read = times.read(seen.time, utc=seen.utc)
        if read.problem:
            self.zone_missing |= read.zone_missing
            self.refuse(row, "instant", read.problem)
            return
        self.add(row, {**identifier, "instant": read.instant, "precision": read.precision}, read.instant)


@dataclass(frozen=True, slots=True)
class Seen:
    """A session as an export writes it, all as text; ``utc``: the export says elsewhere that its times are in UTC."""

    address: str
    time: str
    port: str = ""
    protocol: str = ""
    destination: str = ""
    destination_port: str = ""
    utc: bool = False


def split_address(text: str) -> tuple[str, str]:
    """Address and port of ``203.0.113.7:51544`` or ``[2001:db8::7]:443``; the port is empty where there is none."""
    text = text.strip()
    found = _WITH_PORT.fullmatch(text)
    if found is None:
        return text, ""
    return found[1] or found[3], found[2] or found[4] or ""


def _number(text: str) -> int | str | None:
    text = text.strip()
    if not text or text in ("-", "0"):
        return None
    # A text that is no number stays, and is refused by the field it is for.
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else text
