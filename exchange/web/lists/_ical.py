"""Due dates as an iCalendar file (RFC 5545): references and clocks, and nothing of what a case is about.

An event is an instant without a length, free time, and private. Its UID is the same each time, and tells nothing: it is
a hash that is keyed with the token, so that two calendars cannot be set beside each other by it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import sha256

from exchange.text.labels import deadline_label
from exchange.views import AgendaItem
from keys.local.printing import printable_line
from keys.local.translation import _
from protocol.address import Address

_MOST_OCTETS = 75  # RFC 5545 section 3.1
_SHORT_ID = 8


def calendar_file(items: Iterable[AgendaItem], office: Address, token: str, now: datetime) -> bytes:
    """The file, in the language that is spoken now."""
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Comity//Desk//EN", "CALSCALE:GREGORIAN", "METHOD:PUBLISH"]
    lines.append("X-WR-CALNAME:" + _text(_("Due at {office}").format(office=office)))
    lines.append("REFRESH-INTERVAL;VALUE=DURATION:PT1H")
    for item in items:
        lines += _event(item, office, token, now)
    lines.append("END:VCALENDAR")
    return b"".join(_folded(line) for line in lines)


def _event(item: AgendaItem, office: Address, token: str, now: datetime) -> Iterator[str]:
    if item.due is None:
        return
    delivery = str(item.delivery.message) if item.delivery is not None else ""
    name = "\0".join((str(item.thread), item.what, item.target, delivery))
    uid = hmac.new(token.encode(), name.encode("utf-8", "surrogatepass"), sha256).hexdigest()[:32]
    reference = item.reference or str(item.thread)[-_SHORT_ID:]
    yield "BEGIN:VEVENT"
    yield f"UID:{uid}@{office.contact_point}.{office.node}"
    yield f"DTSTAMP:{_instant(now)}"
    yield f"DTSTART:{_instant(item.due)}"
    yield "SUMMARY:" + _text(f"{reference}: {deadline_label(item.what)}")
    yield "CLASS:PRIVATE"
    yield "TRANSP:TRANSPARENT"
    yield "STATUS:CONFIRMED"
    yield "END:VEVENT"


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    """A value of the type TEXT (RFC 5545 section 3.3.11), in one line, with what cannot be seen made visible."""
    shown = printable_line(value)
    return shown.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")


def _folded(line: str) -> bytes:
    """A content line in parts of at most 75 octets, no character of which is cut."""
    parts: list[bytes] = []
    part = b""
    for character in line:
        octets = character.encode("utf-8", "replace")
        if len(part) + len(octets) > _MOST_OCTETS - (1 if parts else 0):
            parts.append(part)
            part = b""
        part += octets
    parts.append(part)
    return b"\r\n ".join(parts) + b"\r\n"
