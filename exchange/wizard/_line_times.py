"""The date and time in a line among other words, as logs, spreadsheets and people write them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exchange.messaging.drafting.imports import ReadTime, Times, parse_zone
from protocol.errors import UsageError

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}\.?"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?(?:\s?[AaPp][Mm]\b)?"
# No other word of capitals counts as a zone: TCP stands behind a time as well.
_OFFSET = r"(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?(?!\d)"
_ZONE = rf"(?:\s?(?:{_OFFSET}|Z\b|UTC\b|GMT\b)|\s[A-Z]{{1,4}}T\b)"
_NAMED_ZONE = r"\s?[\[(]?(?P<named>[A-Z][A-Za-z]{1,20}/[A-Z][A-Za-z_]{1,30}(?:/[A-Z][A-Za-z_]{1,30})?)[\])]?"
_BETWEEN = r"(?:[T\s]|,\s?|\s?at\s)\s{0,3}"
_DATES = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}",
    rf"\d{{1,2}}[-/ ]{_MONTH}[-/ ,]\s?\d{{4}}",
    rf"{_MONTH}\s\d{{1,2}},?\s\d{{4}}",
    r"\d{1,2}[-/.]\d{1,2}[-/.]\d{4}",
)
_WHOLE = re.compile(
    rf"(?<![\w.:-])(?:[A-Z][a-z]{{2,8}},?\s)?(?P<time>(?:{'|'.join(_DATES)}){_BETWEEN}{_CLOCK}{_ZONE}?)(?:{_NAMED_ZONE})?"
)
# As web servers write it: 21/Nov/2026:12:12:45 +0900.
_WEB = re.compile(r"\[(?P<day>\d{1,2}/[A-Z][a-z]{2}/\d{4}):(?P<clock>\d\d:\d\d:\d\d(?: [+-]\d{4})?)\]")
# RFC 3164 and ctime leave out the year, or put it behind.
_SYSLOG = re.compile(
    rf"(?<!\w)(?:[A-Z][a-z]{{2}} )?(?P<day>{_MONTH}\s{{1,2}}\d{{1,2}})\s(?P<clock>{_CLOCK})(?:\s(?P<year>\d{{4}})\b)?"
)
_EPOCH = re.compile(
    r"(?<![\w.:+-])(?P<s>1[0-9]{9}|2[0-9]{9})(?P<more>[0-9]{3}|[0-9]{6}|[0-9]{9})?(?:\.(?P<part>\d{1,9}))?(?![\w:-])"
)
_DAY_ALONE = re.compile(rf"(?<![\w.:-])(?:{'|'.join(_DATES)})(?![\w:])")


@dataclass(frozen=True, slots=True)
class LineTime:
    """A date and time in a line: ``read`` is the instant or what is wrong; ``year_missing``: the line has none."""

    read: ReadTime
    year_missing: bool = False


def take_times(line: str, times: Times, year: int | None, *, epoch: bool) -> tuple[list[LineTime], str]:
    """The dates and times of a line, and the line without them; ``epoch``: a number may be seconds since 1970."""
    found: list[LineTime] = []
    rest = line
    for pattern, take in ((_WEB, _web), (_WHOLE, _whole), (_SYSLOG, _syslog)):
        found.extend(take(match, times, year) for match in pattern.finditer(rest))
        if found:
            return found, pattern.sub(" ", rest)
    if epoch and (number := _EPOCH.search(rest)):
        return [LineTime(times.read(_digits(number)))], _EPOCH.sub(" ", rest, count=1)
    return found, rest


def has_day_alone(line: str) -> bool:
    """Whether the line has a date without a time of day."""
    return _DAY_ALONE.search(line) is not None


def _whole(match: re.Match[str], times: Times, _year: int | None) -> LineTime:
    named = match["named"]
    if named:
        try:
            return LineTime(Times(parse_zone(named), times.dates).read(match["time"]))
        except UsageError as problem:
            return LineTime(ReadTime(problem=problem.detail))
    return LineTime(times.read(match["time"]))


def _web(match: re.Match[str], times: Times, _year: int | None) -> LineTime:
    return LineTime(times.read(f"{match['day']} {match['clock']}"))


def _syslog(match: re.Match[str], times: Times, year: int | None) -> LineTime:
    written = match["year"] or (str(year) if year else None)
    if written is None:
        return LineTime(ReadTime(), year_missing=True)
    return LineTime(times.read(f"{match['day']} {written} {match['clock']}"))


def _digits(match: re.Match[str]) -> str:
    """Seconds, thousandths, millionths or billionths since 1970, in as many digits as were written."""
    part = match["part"] or ""
    padded = part.ljust(-(-len(part) // 3) * 3, "0")
    return f"{match['s']}{match['more'] or ''}{padded}" if not (match["more"] and part) else match[0]
