"""Whether a contact point is on duty, by the hours on its card: in its own time zone, over changes of the clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from keys.directory.cards import OfficeHours, Weekday

ALWAYS = "24/7"
# A week and a day: whatever the days on the card are, the next opening lies within.
_DAYS_AHEAD = 8
_WEEKDAYS = tuple(Weekday)


class Opens(Protocol):
    """What has opening hours: a card, or what was kept of one."""

    @property
    def hours(self) -> Literal["24/7"] | tuple[OfficeHours, ...]: ...

    @property
    def time_zone(self) -> str: ...


def on_duty(card: Opens, at: datetime) -> bool | None:
    """Whether the office is open at the instant ``at``; None when this machine does not know the card's time zone."""
    if card.hours == ALWAYS:
        return True
    zone = zone_of(card)
    if zone is None:
        return None
    today = at.astimezone(zone).date()
    # An office that closes after midnight may still be open from the day before.
    return any(begins <= at < ends for begins, ends in _openings(card, zone, today - timedelta(days=1), 2))


def next_on_duty(card: Opens, at: datetime) -> datetime | None:
    """The next instant at or after ``at`` at which the office is open, in its own zone; None when that is unknown."""
    zone = zone_of(card)
    if zone is None:
        return None
    if on_duty(card, at):
        return at.astimezone(zone)
    openings = _openings(card, zone, at.astimezone(zone).date(), _DAYS_AHEAD + 1)
    later = [begins for begins, ends in openings if begins > at and ends > begins]
    return min(later).astimezone(zone) if later else None


def opening_at(card: Opens, at: datetime) -> tuple[datetime, datetime] | None:
    """(beginning, end) of the opening at ``at``, else of the next one, in UTC; None when it is always, or unknown."""
    zone = zone_of(card)
    if card.hours == ALWAYS or zone is None:
        return None
    first = at.astimezone(zone).date() - timedelta(days=1)
    openings = [span for span in _openings(card, zone, first, _DAYS_AHEAD + 2) if span[1] > at and span[1] > span[0]]
    return min(openings, default=None)


def openings_from(card: Opens, at: datetime, days: int = 7) -> list[tuple[datetime, datetime]]:
    """(beginning, end), in UTC, of the openings that are not over at ``at`` and begin within ``days`` days.

    Empty for an office that is always open, and where this machine does not know its zone.
    """
    zone = zone_of(card)
    if card.hours == ALWAYS or zone is None:
        return []
    first = at.astimezone(zone).date() - timedelta(days=1)
    return sorted(span for span in _openings(card, zone, first, days + 1) if span[1] > max(at, span[0]))


def zone_of(card: Opens) -> ZoneInfo | None:
    """The card's time zone, if this machine's time zone data has it."""
    try:
        return ZoneInfo(card.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _openings(card: Opens, zone: ZoneInfo, first: date, days: int) -> Iterator[tuple[datetime, datetime]]:
    """Beginning and end of every opening on ``days`` days, as UTC instants."""
    if isinstance(card.hours, str):  # always
        return
    for number in range(days):
        day = first + timedelta(days=number)
        for hours in card.hours:
            if _WEEKDAYS[day.weekday()] in hours.days:
                overnight = hours.closes <= hours.opens
                yield (
                    _instant(day, hours.opens, zone),
                    _instant(day + timedelta(days=1) if overnight else day, hours.closes, zone),
                )


def _instant(day: date, clock: str, zone: ZoneInfo) -> datetime:
    hour, minute = (int(part) for part in clock.split(":"))
    local = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(hours=hour, minutes=minute)
    return local.astimezone(UTC)
