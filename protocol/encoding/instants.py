"""Instants: aware datetimes in the program, integer Unix milliseconds on the wire, RFC 3339 with offset in text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, SupportsIndex

from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# 9999-12-31T23:59:59.999Z, the last instant a datetime can hold.
MAX_MS = 253_402_300_799_999

# RFC 3339 §5.6; `t` and `z` may be in lower case. A nanosecond is the finest that any log writes.
_RFC3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)
_NO_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+")
_ADVICE = phrase("write date, time and offset from UTC (RFC 3339), such as 2026-11-23T04:05:06+09:00")
_OFFSET_ADVICE = phrase("the offset from UTC is missing, and is never guessed: {advice}", advice=_ADVICE)
# The offsets that clocks on earth have had since 1970: Baker Island to Kiribati.
_LEAST_OFFSET, _MOST_OFFSET = timedelta(hours=-12), timedelta(hours=14)
_FIRST_YEAR, _LAST_YEAR = 1971, 2199


class WrittenInstant(datetime):
    """An instant as somebody wrote it: a datetime, and beside it the text with every digit and the offset.

    A datetime holds no nanosecond and no second 60. Nobody wrote what is computed from it (a sum, another zone).
    """

    _written: str | None = None

    @property
    def written(self) -> str | None:
        """The RFC 3339 text that this instant was read from."""
        return self._written

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[Any, ...]:
        """A copy keeps the text."""
        if self._written is None:
            return super().__reduce_ex__(protocol)  # type: ignore[return-value]
        read: Callable[[str], WrittenInstant] = parse_instant
        return read, (self._written,)


def parse_instant(text: str) -> WrittenInstant:
    """The instant in RFC 3339 ``text``; raises :class:`MalformedError` with what is wrong with it.

    Digits beyond the microsecond are in :attr:`WrittenInstant.written` alone. A leap second counts as the last
    microsecond of its minute, so that its minute and day stay what they are.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise MalformedError(_OFFSET_ADVICE if _NO_OFFSET.fullmatch(text) else _ADVICE)
    year, month, day, hour, minute, second = map(int, found.groups()[:6])
    micros = int(found[7].ljust(6, "0")[:6]) if found[7] else 0
    zone = _zone(found[8], found[9], found[10])
    leap = second == 60
    if leap:
        second, micros = 59, 999_999
    try:
        instant = WrittenInstant(year, month, day, hour, minute, second, micros, zone)
    except ValueError:
        raise MalformedError("there is no such date or time") from None
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise MalformedError(f"the year is outside {_FIRST_YEAR} to {_LAST_YEAR}")
    if leap and not _ends_a_month(instant):
        raise MalformedError("second 60 is there only at the end of a month in UTC (a leap second): check the time")
    instant._written = text
    return instant


@lru_cache(maxsize=128)  # there are some forty
def _zone(sign: str | None, hours: str, minutes: str) -> timezone:
    return timezone(_offset(sign, hours, minutes))


def _offset(sign: str | None, hours: str, minutes: str) -> timedelta:
    """The offset; without a sign there is none, and what stands for hours and minutes is not looked at."""
    if sign is None:
        return timedelta()
    if int(minutes) > 59:
        # Python would carry them over into the hours: +09:75 would become +10:15, another instant.
        raise MalformedError("the minutes of an offset go from 00 to 59: check the offset")
    offset = timedelta(hours=int(hours), minutes=int(minutes)) * (-1 if sign == "-" else 1)
    if sign == "-" and not offset:
        raise MalformedError('write the real time zone; -00:00 means "unknown" (RFC 3339 §4.3)')
    if not _LEAST_OFFSET <= offset <= _MOST_OFFSET:
        raise MalformedError("there is no such offset: they go from -12:00 to +14:00")
    return offset


def _ends_a_month(instant: datetime) -> bool:
    there = instant.astimezone(UTC)
    return (there.hour, there.minute) == (23, 59) and (there + timedelta(seconds=1)).day == 1


def as_written(instant: datetime) -> str:
    """The text that ``instant`` was read from; what no text was read for is written in ISO 8601 with its offset."""
    written = instant.written if isinstance(instant, WrittenInstant) else None
    return written or instant.isoformat()


def to_ms(instant: datetime) -> int:
    """Unix milliseconds of an aware datetime, rounded down; :class:`MalformedError` if naive or before 1970."""
    if instant.tzinfo is None:
        raise MalformedError("an instant needs its offset from UTC")
    ms = (instant - _EPOCH) // _MILLISECOND
    if ms < 0:
        raise MalformedError("an instant on the wire is not before 1970")
    return ms


def from_ms(ms: object) -> datetime:
    """The UTC instant of ``ms`` Unix milliseconds; raises :class:`MalformedError` for anything else than 0..MAX_MS."""
    if type(ms) is not int or not 0 <= ms <= MAX_MS:
        raise MalformedError("an instant is a whole number of milliseconds since 1970")
    return _EPOCH + ms * _MILLISECOND


def to_text(instant: datetime) -> str:
    """RFC 3339 text in UTC with milliseconds, such as ``2026-11-23T03:00:00.000Z``."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def truncate(instant: datetime) -> datetime:
    """The instant as the wire can carry it: whole milliseconds, UTC."""
    if type(instant) is datetime and instant.tzinfo is not None and 1970 < instant.year < 9999:
        # The same, and much faster: a directory has tens of thousands of instants.
        there = instant.astimezone(UTC)
        beyond = there.microsecond % 1000
        return there - timedelta(microseconds=beyond) if beyond else there
    return from_ms(to_ms(instant))
