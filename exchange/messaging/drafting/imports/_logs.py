"""Logs of providers: tables with headings, JSON records (a list, or one a line), and web servers' own lines.

The headings are those that large providers document: Google (Takeout, Workspace), Microsoft (Entra, Purview), Amazon
(CloudTrail, flow logs), Cloudflare, Meta, Apple. Only address, port, protocol and time are taken.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from exchange.messaging.drafting.imports._found import Export, Seen
from exchange.messaging.drafting.imports._times import Times
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError, TooLargeError

_MAX_CELL_ITEMS = 10_000

MAX_ROWS = 200_000
_ADDRESS = (
    "ip address", "ip", "ipaddress", "ip addr", "client ip", "clientip", "client ip address", "clientipaddress",
    "source ip", "sourceip", "src ip", "srcip", "source ip address", "sourceipaddress", "source address", "srcaddr",
    "remote ip", "remote address", "caller ip", "callerip", "caller ip address", "calleripaddress", "login ip",
    "actor ip", "c ip",
)  # fmt: skip
_PORT = (
    "port", "source port", "sourceport", "src port", "srcport", "client port", "clientport", "clientsrcport", "ip port",
    "remote port", "c port",
)  # fmt: skip
_TIME = (
    "timestamp", "time", "date", "date time", "datetime", "date and time", "activity timestamp", "event time",
    "eventtime", "creation time", "creationtime", "creation date", "creationdate", "created date time",
    "createddatetime", "login time", "login date", "edgestarttimestamp", "start", "start time", "starttime",
)  # fmt: skip
_ROLES: Mapping[str, Sequence[str]] = {
    "address": _ADDRESS,
    "port": _PORT,
    "time": _TIME,
    "protocol": ("protocol", "transport", "ip protocol"),
    "destination": (
        "destination ip",
        "destinationip",
        "destination address",
        "dst ip",
        "dstip",
        "dstaddr",
        "server ip",
    ),
    "destination_port": ("destination port", "destinationport", "dst port", "dstport", "server port"),
}
# Microsoft documents these of its audit records as UTC, and writes them without an offset.
_DOCUMENTED_UTC = frozenset({"creationtime", "creationdate"})
_AUDIT = "auditdata"
_SEEK_HEADER = 30
_WEB = re.compile(r'([0-9A-Fa-f:.]+) \S+ .{1,200}? ?\[([^\]]{10,40})\] "')


def has_headings(cells: Sequence[str]) -> bool:
    """Whether a row of headings names an address and a time."""
    return {"address", "time"} <= set(_roles(cells)) or _AUDIT in map(_plain, cells)


def is_web_log(line: str) -> bool:
    """Whether a line is a web server's (the common or combined log format)."""
    return _WEB.match(line) is not None


def read_web_log(text: str, times: Times) -> Export:
    """The sessions in the lines of a web server."""
    export = Export("line")
    for number, line in _numbered(text.split("\n")):
        if not line.strip():
            continue
        found = _WEB.match(line)
        if found is None:
            export.refuse(number, "line", phrase("this is no line of a web server's log"))
            continue
        export.session(number, times, Seen(found[1], found[2].replace(":", " ", 1)))
    return export


def read_table(text: str, times: Times) -> Export:
    """The sessions in a table with headings; lines before them are passed over."""
    export = Export()
    rows = _cells(text)
    header: list[str] = []
    for number, cells in rows:
        if has_headings(cells):
            header = cells
            break
        if number >= _SEEK_HEADER:
            break
    if not header:
        raise MalformedError(
            phrase("no row names a column of addresses and one of times: is this an export of sessions?")
        )
    roles = _roles(header)
    audit = next((at for at, name in enumerate(header) if _plain(name) == _AUDIT), None)
    unused = len([name for at, name in enumerate(header) if name and at not in (*roles.values(), audit)])
    if unused:
        export.left_out["columns"] = unused
    utc = "time" in roles and _says_utc(header[roles["time"]])
    for number, cells in rows:
        if not any(cells):
            continue
        if audit is not None:
            record = _audit(cells[audit] if audit < len(cells) else "")
            _record(export, number, times, record)
            continue
        given = {role: cells[at] for role, at in roles.items() if at < len(cells)}
        export.session(number, times, _seen(given, utc=utc))
    return export


def read_records(value: Any, times: Times) -> Export:
    """The sessions in JSON records, also where a list of them is the one member of an object."""
    records = value if isinstance(value, list) else _inner_list(value)
    if len(records) > MAX_ROWS:
        raise TooLargeError(phrase("an export has no more rows here than {most}", most=MAX_ROWS))
    export = Export("item")
    for number, record in enumerate(records, 1):
        if isinstance(record, Mapping):
            _record(export, number, times, record)
        else:
            export.refuse(number, "item", phrase("this item is no object with names"))
    return export


def _record(export: Export, number: int, times: Times, record: Mapping[str, Any]) -> None:
    flat = _flat(record)
    roles = _roles(list(flat))
    names = list(flat)
    given = {role: str(flat[names[at]]) for role, at in roles.items() if flat[names[at]] is not None}
    if "address" not in given:
        export.left_out[phrase("items without an address")] += 1
        return
    utc = "time" in roles and (_says_utc(names[roles["time"]]) or _plain(names[roles["time"]]) in _DOCUMENTED_UTC)
    export.session(number, times, _seen(given, utc=utc))


def _seen(given: dict[str, str], *, utc: bool) -> Seen:
    time = f"{given.pop('day', '')} {given.pop('time', '')}".strip()
    return Seen(given.pop("address", ""), time, utc=utc, **given)


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values by their own names, the outermost first."""
    flat: dict[str, Any] = {}
    level: list[Mapping[str, Any]] = [record]
    while level:
        for part in level:
            for name, value in part.items():
                if isinstance(value, str | int) and not isinstance(value, bool):
                    flat.setdefault(name, value)
        level = [value for part in level for value in part.values() if isinstance(value, Mapping)]
    return flat


def _inner_list(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        lists = [part for part in value.values() if isinstance(part, list)]
        if len(lists) == 1:
            return lists[0]
        if not lists:
            return [value]
    raise MalformedError(phrase("the file holds more than one list: leave the one with the sessions"))


def _audit(cell: str) -> Mapping[str, Any]:
    try:
        require_few_items(cell.encode(), _MAX_CELL_ITEMS)
        value = json.loads(cell)
    except (ValueError, RecursionError, TooLargeError):
        return {}
    return value if isinstance(value, Mapping) else {}


def _roles(names: Sequence[str]) -> dict[str, int]:
    """Which column is for what: of several names that fit the one that is listed first."""
    plain = [_plain(name) for name in names]
    found = {
        role: next((plain.index(alias) for alias in aliases if alias in plain), None)
        for role, aliases in _ROLES.items()
    }
    if "date" in plain and "time" in plain:  # the day and the time of day in columns of their own
        found |= {"day": plain.index("date"), "time": plain.index("time")}
    return {role: at for role, at in found.items() if at is not None}


def _plain(name: str) -> str:
    words = re.sub(r"[^a-z0-9]+", " ", name.lower()).strip()
    return re.sub(r" (?:utc|gmt)$", "", words)


def _says_utc(name: str) -> bool:
    return re.search(r"\b(?:utc|gmt)\)?$", name.strip().lower()) is not None


def _cells(text: str) -> Iterator[tuple[int, list[str]]]:
    sample = text[:20_000].split("\n")[:_SEEK_HEADER]
    delimiter = max(
        ",;\t ", key=lambda one: (max(has_headings(line.split(one)) for line in sample), ",;\t ".index(one) * -1)
    )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for number, cells in _numbered(reader):
            yield number, [cell.strip().strip('"') for cell in cells]
    except csv.Error:
        raise MalformedError(phrase("the file is not a table: check its quotation marks")) from None


def _numbered(rows: Any) -> Iterator[tuple[int, Any]]:
    for number, row in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise TooLargeError(phrase("an export has no more rows here than {most}", most=MAX_ROWS))
        yield number, row
