"""Times as programs and people write them in exports, read into instants with their offset; nothing is guessed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo

from protocol.encoding.instants import parse_instant
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError, UsageError

NO_ZONE = phrase(
    "the file does not say the time zone of its times: say it with --zone, such as --zone Asia/Tokyo or +09:00"
)
WHICH_DAY = phrase("day and month can be told apart in no way here: say their order with --dates, dmy or mdy")
WHICH_ZONE = phrase("the short name of the zone is used by several zones: say which with --zone, such as Asia/Tokyo")
_UNKNOWN = phrase("this is no date and time in a layout that is known: write it as 2026-11-23T04:05:06+09:00")
_UTC = frozenset({"Z", "UTC", "GMT", "UT"})
_MONTHS = {
    name: at // 3 + 1 for at in range(0, 36, 3) for name in ("janfebmaraprmayjunjulaugsepoctnovdec"[at : at + 3],)
}
_CLOCK = (
    r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?\s*(?P<half>[AaPp][Mm])?"
)
_ZONE = r"\s*(?P<zone>[Zz]|[A-Z]{2,5}|(?:UTC|GMT)?\s?[+-]\d{1,2}(?::?\d{2})?)?"
_LAYOUTS = tuple(
    re.compile(rf"{date}[T\s,:]+(?:at\s+)?{_CLOCK}{_ZONE}", re.IGNORECASE if "name" in date else 0)
    for date in (
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",
        r"(?P<day>\d{1,2})[-/ ](?P<name>[A-Za-z]{3,9})\.?[-/ ](?P<year>\d{4})",
        r"(?:[A-Za-z]{3,9},?\s+)?(?P<name>[A-Za-z]{3,9})\.?\s+(?P<day>\d{1,2}),?\s+(?P<year>\d{4})",
        r"(?P<one>\d{1,2})[-/.](?P<two>\d{1,2})[-/.](?P<year>\d{4})",
    )
)
# Unix time by its number of digits: what each unit has between 2001 and 2286.
_UNIX = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}
_PRECISION = {1: "second", 1_000: "millisecond", 1_000_000: "microsecond", 1_000_000_000: "nanosecond"}


@dataclass(frozen=True, slots=True)
class ReadTime:
    """An instant in RFC 3339 with its precision, or what is wrong with the time."""

    instant: str = ""
    precision: str = ""
    problem: str = ""
    zone_missing: bool = False


def parse_zone(text: str) -> tzinfo:
    """The zone of ``Asia/Tokyo``, ``+09:00`` or ``UTC``; raises :class:`UsageError`."""
    if text.upper() in _UTC:
        return UTC
    offset = _offset(text)
    if offset is not None:
        return offset
    try:
        return ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise UsageError(phrase("there is no such time zone: write it as Asia/Tokyo, +09:00 or UTC")) from None


class Times:
    """Reads the times of one export. ``zone`` is that of times which say none; ``dates`` is ``dmy`` or ``mdy``."""

    def __init__(self, zone: tzinfo | None = None, dates: str = "") -> None:
        self._zone = zone
        self._dates = dates

    @property
    def dates(self) -> str:
        """The order of day and month that was said, ``dmy`` or ``mdy``; empty where none was."""
        return self._dates

    def read(self, text: str, *, utc: bool = False) -> ReadTime:
        """The instant in ``text``; ``utc`` if the export says elsewhere that its times are in UTC."""
        text = " ".join(text.split())
        try:
            if text.isdigit() and len(text) in _UNIX:
                return _unix(text)
            found = next((match for layout in _LAYOUTS if (match := layout.fullmatch(text))), None)
            if found is not None:
                return self._local(found, UTC if utc else self._zone)
            return _rfc5322(text)
        except (MalformedError, ValueError) as problem:
            return ReadTime(problem=getattr(problem, "detail", "") or _UNKNOWN)

    def _local(self, found: re.Match[str], zone: tzinfo | None) -> ReadTime:
        parts = found.groupdict()
        month, day = self._day(parts)
        hour = int(parts["hour"])
        if half := parts["half"]:
            if not 1 <= hour <= 12:
                raise MalformedError(_UNKNOWN)
            hour = hour % 12 + (12 if half.lower() == "pm" else 0)
        second = parts["second"] or "00"
        local = datetime(int(parts["year"]), month, day, hour, int(parts["minute"]), min(int(second), 59))  # noqa: DTZ001
        written = _said_zone(parts["zone"], zone, local) or zone
        if written is None:
            return ReadTime(problem=NO_ZONE, zone_missing=True)
        offset = _offset_at(local, written)
        fraction = parts["fraction"]
        text = f"{local:%Y-%m-%dT%H:%M}:{second}" + (f".{fraction}" if fraction else "") + _offset_text(offset)
        parse_instant(text)
        return ReadTime(text, _precision(parts["second"], fraction))

    def _day(self, parts: dict[str, str | None]) -> tuple[int, int]:
        if name := parts.get("name"):
            month = _MONTHS.get(name[:3].lower())
            if month is None:
                raise MalformedError(_UNKNOWN)
            return month, int(parts["day"] or 0)
        if parts.get("month"):
            return int(parts["month"] or 0), int(parts["day"] or 0)
        one, two = int(parts["one"] or 0), int(parts["two"] or 0)
        if self._dates:
            return (two, one) if self._dates == "dmy" else (one, two)
        # One row alone is never enough: 23/11 next to 11/12 would be read by two orders in one file.
        raise MalformedError(WHICH_DAY)


def _said_zone(said: str | None, zone: tzinfo | None, local: datetime) -> tzinfo | None:
    if not said or not said.strip():
        return None
    name = said.strip().upper()
    if name in _UTC:
        return UTC
    offset = _offset(name.removeprefix("UTC").removeprefix("GMT").strip())
    if offset is not None:
        return offset
    # CST and IST are four zones each: an abbreviation counts only where the zone is said and has that name then.
    if zone is not None and local.replace(tzinfo=zone).tzname() == name:
        return zone
    raise MalformedError(WHICH_ZONE)


def _offset(text: str) -> timezone | None:
    found = re.fullmatch(r"([+-])(\d{1,2})(?::?(\d{2}))?", text)
    if found is None or int(found[3] or 0) > 59 or int(found[2]) > 14:
        return None
    return timezone(timedelta(hours=int(found[2]), minutes=int(found[3] or 0)) * (-1 if found[1] == "-" else 1))


def _offset_at(local: datetime, zone: tzinfo) -> timedelta:
    early, late = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    first, second = early.utcoffset(), late.utcoffset()
    if first is None or second is None:
        raise MalformedError(NO_ZONE)
    if first != second:
        gone = early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local
        raise MalformedError(
            phrase("the clocks were put forward over this time: it did not exist: write it with its offset")
            if gone
            else phrase("this time came twice, as the clocks were put back: write it with its offset")
        )
    return first


def _offset_text(offset: timedelta) -> str:
    minutes = int(offset.total_seconds()) // 60
    return "Z" if not minutes else f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def _precision(second: str | None, fraction: str | None) -> str:
    if second is None:
        return "minute"
    if not (fraction or "").strip("0"):  # some programs always write six digits
        return "second"
    digits = len(fraction or "")
    return ("second", "millisecond", "microsecond", "nanosecond")[-(-digits // 3)]


def _unix(text: str) -> ReadTime:
    per_second = _UNIX[len(text)]
    at = datetime.fromtimestamp(int(text) // per_second, UTC)
    digits = len(str(per_second)) - 1
    fraction = f".{int(text) % per_second:0{digits}}" if digits else ""
    found = f"{at:%Y-%m-%dT%H:%M:%S}{fraction}Z"
    parse_instant(found)  # nobody means a year before there were such numbers
    return ReadTime(found, _PRECISION[per_second])


def _rfc5322(text: str) -> ReadTime:
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        raise MalformedError(_UNKNOWN) from None
    if at.tzinfo is None:
        return ReadTime(problem=NO_ZONE, zone_missing=True)
    return ReadTime(parse_instant(at.isoformat()).isoformat(), "second")
