"""Targets out of what an officer pastes: lines of a mail, a log, a spreadsheet, each its own identifier.

Nothing is guessed: a zone, an order of day and month, a year, a protocol that the text does not say is asked for once
for the whole paste, and stands for all lines that lack it. A line that is not understood is told with why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from ipaddress import ip_address

from exchange.messaging.drafting.imports import (
    NO_ZONE,
    WHICH_DAY,
    WHICH_ZONE,
    Export,
    Times,
    detect,
    read_export,
    split_address,
)
from exchange.text.typed import in_ascii, refanged
from exchange.wizard._dates import with_named_day
from exchange.wizard._line_times import LineTime, has_day_alone, take_times
from exchange.wizard._names import MAC, Fields, Understood, by_every_kind, checked, read_name, read_range
from protocol.encoding.instants import parse_instant
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, TooLargeError

MAX_PASTE = 4 * 1024 * 1024
MAX_LINES = 10_000
MAX_LINE = 20_000


class Ask(StrEnum):
    """What is asked once for a whole paste, in this order."""

    ZONE = "zone"
    DATES = "dates"
    YEAR = "year"
    PROTOCOL = "protocol"
    SERVICE = "service"
    CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Said:
    """What was said for the whole paste: the zone of times without one, ``dmy`` or ``mdy``, the year, the protocol,
    the service of account names, the blockchain of addresses.
    """

    zone: tzinfo | None = None
    dates: str = ""
    year: int | None = None
    protocol: str = ""
    service: str = ""
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Pasted:
    """One identifier of a paste. ``at`` is its instant and ``until`` the end of a window, both RFC 3339 as they were
    written; ``not_taken`` are the other words of the line.
    """

    line: int
    identifier: Fields
    at: str | None = None
    until: str | None = None
    not_taken: str = ""


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    """A line of a paste that gives no target, and why. ``asks``: what, if it were said, would mend it."""

    line: int
    text: str
    why: str
    asks: Ask | None = None


@dataclass(frozen=True, slots=True)
class Paste:
    """What a paste gives. ``asks``: what would mend lines that are not understood yet."""

    found: tuple[Pasted, ...]
    not_understood: tuple[NotUnderstood, ...]
    asks: tuple[Ask, ...]


_NO_TIME = phrase("the time is missing: an address alone leads to nobody")
_NO_CLOCK = phrase("the time of day is missing: write it beside the date")
_TWO_TIMES = phrase("two times stand in this line: give each address a line with its own time")
_NO_YEAR = phrase("the year is missing")
_NO_PROTOCOL = phrase("the transport protocol is missing, such as tcp")
_ASKED = {NO_ZONE: Ask.ZONE, WHICH_ZONE: Ask.ZONE, WHICH_DAY: Ask.DATES}
_ASKED_TEXTS = {
    NO_ZONE: phrase("the time zone of this time is not written, and was not said"),
    WHICH_ZONE: phrase("the short name of this time zone is used by several zones, and none was said that has it"),
    WHICH_DAY: phrase("nobody said whether the day or the month stands first in this date"),
}
_BULLET = re.compile(r"^\s*(?:[-*\u2022\u00b7>]|\d{1,4}[.)])\s+")
_V4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_V6 = r"(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|" + _V4 + r")(?:%\w{1,16})?"
_SESSION = re.compile(
    rf"(?<![\w.:/@-])(?P<address>\[{_V6}\]|{_V4}|{_V6})(?:(?::|#|\s*,?\s*(?:source\s)?port[\s:=]*)(?P<port>\d{{1,5}}))?(?![\w:@-]|\.\d|/\d)",
    re.IGNORECASE,
)
_RANGE = re.compile(rf"(?<![\w.:@-])(?:{_V4}|{_V6})(?:/\d{{1,3}}|\s*[-\u2013]\s*(?:{_V4}|{_V6}))(?![\w.:@/-])")
# Firewalls: SRC=203.0.113.9 DST=... PROTO=TCP SPT=51544 DPT=443.
_PAIR = re.compile(
    r"\b(?P<name>src|srcip|saddr|spt|sport|srcport|dst|dstip|daddr|dpt|dport|dstport|proto)=(?P<value>\"[^\"]*\"|\S+)",
    re.IGNORECASE,
)
_PAIRS = {
    "src": "address", "srcip": "address", "saddr": "address", "spt": "port", "sport": "port", "srcport": "port",
    "dst": "destination_address", "dstip": "destination_address", "daddr": "destination_address",
    "dpt": "destination_port", "dport": "destination_port", "dstport": "destination_port", "proto": "protocol",
}  # fmt: skip
_PROTOCOL = re.compile(r"(?<![\w/])(tcp|udp|sctp|dccp)(?![\w/])", re.IGNORECASE)
_PORT_BEHIND = re.compile(r"^[\s,;|]{1,4}(\d{1,5})(?=[\s,;|]|$)")
_DESTINATION = re.compile(r"^\s*(?:->|=>|\u2192|to\s)\s*")
_NO_SESSION = re.compile(rf"(?:server|host|hostname|mac)[\s:=]+\S+|{MAC.pattern}", re.IGNORECASE)
_WEB_SERVER = re.compile(r"\"(?:GET|POST|HEAD|PUT|DELETE|OPTIONS|PATCH|CONNECT) ")


def read_paste(text: str, said: Said | None = None) -> Paste:
    """The targets in ``text``; raises :class:`TooLargeError` for more than anybody pastes."""
    return _read(text, said or Said(), {})


def read_paste_by_line(text: str, by_line: Mapping[int, Said]) -> Paste:
    """As :func:`read_paste`, where something was said for single lines, by their numbers.

    It stands for no other line.
    """
    return _read(text, Said(), by_line)


def _read(text: str, said: Said, by_line: Mapping[int, Said]) -> Paste:
    """Each line is read once, with what was said for it. An export is a whole: it is read once for each that was said,
    and gives the lines for which that was.
    """
    if len(text) > MAX_PASTE:
        raise TooLargeError(
            phrase("a paste has no more characters here than {most}: split the list over several", most=MAX_PASTE)
        )
    reader = _Reader(said)
    if (export := _as_export(text, reader.times)) is not None:
        reader.of_export(export, text)
        return _with_said(reader.result(), text, by_line)
    lines = text.splitlines()
    if len(lines) > MAX_LINES:
        raise TooLargeError(
            phrase("a paste has no more lines here than {most}: split the list over several", most=MAX_LINES)
        )
    for number, line in enumerate(lines, 1):
        if line.strip():
            reader.said = by_line.get(number, said)
            reader.of_line(number, line)
    return reader.result()


def _with_said(whole: Paste, text: str, by_line: Mapping[int, Said]) -> Paste:
    found, left = list(whole.found), list(whole.not_understood)
    lines_of: dict[Said, set[int]] = {}
    for number, said in by_line.items():
        lines_of.setdefault(said, set()).add(number)
    for said, lines in lines_of.items():
        of_these = read_paste(text, said)
        found = [one for one in found if one.line not in lines] + [one for one in of_these.found if one.line in lines]
        left = [one for one in left if one.line not in lines]
        left += [one for one in of_these.not_understood if one.line in lines]
    found.sort(key=lambda one: one.line)
    left.sort(key=lambda one: one.line)
    asked = {one.asks for one in left}
    return Paste(tuple(found), tuple(left), tuple(ask for ask in Ask if ask in asked))


def identifiers_named(text: str) -> list[Fields]:
    """Each identifier that ``text`` as a whole may be, read as lines of a paste are, without time, port and protocol.

    Nobody is asked here: one that may be of several kinds, or on several blockchains, is each of them.
    """
    line = _joined(_BULLET.sub("", refanged(text)))
    if (span := _RANGE.fullmatch(line)) and (read := read_range(span[0])) is not None:
        return [dict(read.identifier)] if read.identifier is not None else []
    if (match := _SESSION.fullmatch(line)) and not _is_no_session(line):
        address = split_address(match["address"])[0].strip("[]").partition("%")[0]
        return [{"kind": _kind(address), "address": address}] if _is_address(address) else []
    read = read_name(line)
    return [dict(read.identifier)] if read.identifier is not None else by_every_kind(line)


def in_both_times(instant: str) -> tuple[str, str]:
    """An instant as it was written, and the same in UTC, to be read beside each other."""
    at = parse_instant(instant)
    written = f"{at:%Y-%m-%d %H:%M:%S} {_offset(at)}"
    return written, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _offset(at: datetime) -> str:
    shown = at.strftime("%z")
    return "UTC" if shown in ("+0000", "") else f"UTC{shown[:3]}:{shown[3:5]}"


def _as_export(text: str, times: Times) -> Export | None:
    """A table with headings, JSON, or a report, as exports are read; None for plain lines."""
    content = text.encode("utf-8", "replace")
    try:
        form = detect(content, "the paste")
        first = next((line for line in text.splitlines() if line.strip()), "")
        if form == "table" or (form == "log" and _WEB_SERVER.search(first)):
            return None
        return read_export(content, "the paste", form, times)
    except (ComityError, ValueError):
        return None


@dataclass(slots=True)
class _Reader:
    """``lines_of``: the line of each target that was found here; ``before``: of those found in the lines before."""

    said: Said
    found: list[Pasted] = field(default_factory=list)
    # Each once, in the order in which it was told.
    left: dict[NotUnderstood, None] = field(default_factory=dict)
    asks: set[Ask] = field(default_factory=set)
    lines_of: dict[str, int] = field(default_factory=dict)
    before: Mapping[str, int] = field(default_factory=dict)

    @property
    def times(self) -> Times:
        return Times(self.said.zone, self.said.dates)

    def result(self) -> Paste:
        return Paste(tuple(self.found), tuple(self.left), tuple(ask for ask in Ask if ask in self.asks))

    def of_export(self, export: Export, text: str) -> None:
        lines = text.splitlines()

        def shown(row: int) -> str:
            return lines[row - 1].strip() if export.unit != "item" and 0 < row <= len(lines) else f"{export.unit} {row}"

        for row, (_field, _rule, why) in export.problems:
            self.refuse(row, shown(row), why, _ASKED.get(why))
        for one in export.found:
            if one.identifier["kind"] in ("ipv4", "ipv6"):
                self.session(one.row, dict(one.identifier), shown(one.row), "", one.at)
            else:
                self.keep(one.row, shown(one.row), checked(one.identifier), at=one.at)
        for what, count in export.left_out.items():
            self.left[NotUnderstood(0, "", phrase("not taken: {count} {what}", count=count, what=what))] = None

    def of_line(self, number: int, line: str) -> None:
        """One line: as it stands; else with signs of other scripts in ASCII and months as numbers; else with the signs
        back that made it harmless; else by cells.
        """
        if len(line) > MAX_LINE:
            self.refuse(number, line[:80], phrase("this line is too long"))
            return
        plain = in_ascii(line)
        for way in dict.fromkeys((line, plain, with_named_day(plain), with_named_day(refanged(plain)))):
            tried = _Reader(self.said, before=self.lines_of)
            tried.as_written(number, way, line.strip())
            if tried.found or tried.asks:
                break
        else:
            tried = self.by_cells(number, plain, line.strip()) or tried
        self.found += tried.found
        self.left |= tried.left
        self.asks |= tried.asks
        self.lines_of |= tried.lines_of

    def by_cells(self, number: int, line: str, shown: str) -> _Reader | None:
        """A row of a table in which one cell is an identifier; None where no cell is, or it is no row."""
        cells = [cell.strip() for cell in line.split("\t") if cell.strip()]
        found: list[tuple[_Reader, str]] = []
        for cell in cells if len(cells) > 1 else ():
            tried = _Reader(self.said, before=self.lines_of)
            tried.as_written(number, cell, shown)
            if tried.found:
                found.append((tried, cell))
        if len(found) > 1:
            several = _Reader(self.said)
            several.refuse(number, shown, phrase("several identifiers stand in this line: give each a line of its own"))
            return several
        for tried, taken in found:
            rest = " ".join(cell for cell in cells if cell != taken)
            tried.found = [replace(one, not_taken=" ".join((one.not_taken, rest)).strip()) for one in tried.found]
            return tried
        return None

    def as_written(self, number: int, line: str, shown: str) -> None:
        written = _BULLET.sub("", line.replace("\t", " ")).strip()
        pairs = self._pairs(written)
        has_address = "address" in pairs or _SESSION.search(written) is not None
        times, rest = take_times(written, self.times, self.said.year, epoch=has_address)
        if pairs.get("address"):
            self.addressed(number, shown, {**pairs, "rest": _PAIR.sub("", rest)}, times)
        elif (span := _RANGE.search(rest)) and (read := read_range(span[0].strip())) is not None:
            self.named(number, shown, read, times, (rest[: span.start()] + rest[span.end() :]))
        elif (match := _SESSION.search(rest)) and not _is_no_session(rest):
            self.addressed(number, shown, _session(rest, match), times)
        else:
            self.named(number, shown, read_name(_joined(rest), self.said.service, self.said.chain), times, "")

    def addressed(self, number: int, text: str, given: dict[str, str], times: list[LineTime]) -> None:
        """A line with an address of the internet."""
        identifier: Fields = {"kind": _kind(given["address"]), "address": given["address"]}
        for name in ("port", "destination_port"):
            if given.get(name):
                identifier[name] = int(given[name]) if given[name].isdigit() else given[name]
        if given.get("destination_address"):
            identifier["destination_address"] = given["destination_address"]
        if given.get("protocol"):
            identifier["protocol"] = given["protocol"].strip('"').lower()
        if len(times) != 1:
            why = _TWO_TIMES if times else _NO_CLOCK if has_day_alone(text) else _NO_TIME
            self.refuse(number, text, why)
            return
        read = self._instant(number, text, times[0])
        if read is not None:
            self.session(
                number, {**identifier, "instant": read[0], "precision": read[1]}, text, given.get("rest", ""), read[0]
            )

    def session(self, number: int, identifier: Fields, text: str, rest: str, at: str | None) -> None:
        """An address with its time; the protocol is that of the paste where the line says none."""
        if identifier.get("port") and not identifier.get("protocol"):
            if not self.said.protocol:
                self.refuse(number, text, _NO_PROTOCOL, Ask.PROTOCOL)
                return
            identifier["protocol"] = self.said.protocol
        self.keep(number, text, checked(identifier), at=at, rest=rest)

    def named(self, number: int, text: str, read: Understood, times: list[LineTime], rest: str) -> None:
        """A line with an identifier that is no single address: one time, or the two of a window, may stand beside."""
        if len(times) > 2:
            self.refuse(number, text, _TWO_TIMES)
            return
        instants = [self._instant(number, text, one) for one in times]
        if None in instants:
            return
        at, until = ([one[0] for one in instants if one is not None] + [None, None])[:2]
        self.keep(number, text, read, at=at, until=until, rest=rest)

    def keep(
        self,
        number: int,
        text: str,
        read: Understood,
        *,
        at: str | None = None,
        until: str | None = None,
        rest: str = "",
    ) -> None:
        if read.identifier is None:
            self.refuse(number, text, read.why, Ask(read.asks) if read.asks else None)
            return
        key = json.dumps({**read.identifier, "at": at, "until": until}, sort_keys=True)
        if (same := self.lines_of.get(key, self.before.get(key))) is not None:
            self.refuse(number, text, phrase("this is the same as line {line}", line=same))
            return
        self.lines_of[key] = number
        self.found.append(Pasted(number, dict(read.identifier), at, until, " ".join(rest.split())))

    def refuse(self, number: int, text: str, why: str, ask: Ask | None = None) -> None:
        self.left[NotUnderstood(number, text, _ASKED_TEXTS.get(why, why), ask)] = None
        if ask is not None:
            self.asks.add(ask)

    def _instant(self, number: int, text: str, time: LineTime) -> tuple[str, str] | None:
        """Instant and precision; None where something is wrong with it, which is noted."""
        if time.year_missing:
            self.refuse(number, text, _NO_YEAR, Ask.YEAR)
            return None
        if time.read.problem:
            self.refuse(number, text, time.read.problem, _ASKED.get(time.read.problem))
            return None
        return time.read.instant, time.read.precision

    @staticmethod
    def _pairs(line: str) -> dict[str, str]:
        return {_PAIRS[found["name"].lower()]: found["value"].strip('"') for found in _PAIR.finditer(line)}


def _session(line: str, match: re.Match[str]) -> dict[str, str]:
    """Address, port, protocol and destination of a line, and the words that are neither."""
    before, behind = line[: match.start()], line[match.end() :]
    port = match["port"] or ""
    if not port and (number := _PORT_BEHIND.match(behind)):
        port, behind = number[1], behind[number.end() :]
    given = {"address": split_address(match["address"])[0].strip("[]"), "port": port}
    if (arrow := _DESTINATION.match(behind)) and (other := _SESSION.match(behind[arrow.end() :])):
        given["destination_address"] = other["address"].strip("[]")
        given["destination_port"] = other["port"] or ""
        behind = behind[arrow.end() + other.end() :]
    rest = f"{before} {behind}"
    if found := _PROTOCOL.search(rest):
        given["protocol"] = found[1]
        rest = rest[: found.start()] + rest[found.end() :]
    return {**given, "rest": rest.strip(" ,;|\t\"'")}


def _kind(address: str) -> str:
    try:
        return f"ipv{ip_address(address.partition('%')[0]).version}"
    except ValueError:
        return "ipv6" if ":" in address else "ipv4"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _is_no_session(line: str) -> bool:
    """Whether an officer says that it is a server, or it is the address of a network card."""
    return _NO_SESSION.fullmatch(line.strip()) is not None


def _joined(line: str) -> str:
    return " ".join(line.split()).strip(" ,;|\"'")
