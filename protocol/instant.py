"""Instants: aware datetimes in the program, integer Unix milliseconds on the wire, RFC 3339 with offset in text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from protocol.errors import MalformedError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# 9999-12-31T23:59:59.999Z, the last instant a datetime can hold.
MAX_MS = 253_402_300_799_999


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
    return from_ms(to_ms(instant))
