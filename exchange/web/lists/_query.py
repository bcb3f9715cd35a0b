"""What stands behind the ``?`` of a page: where a list begins, how long it is, from when to when."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal, overload
from urllib.parse import urlencode
from uuid import UUID

from exchange.text.zones import shown_zone
from exchange.web.calls import PageCall
from keys.local.translation import _
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, UsageError

PER_PAGE = 50
MOST = 500
_MAX_PAGE = 100_000


def number_of(call: PageCall, name: str, default: int, most: int) -> int:
    """A number from 1 to ``most``; raises :class:`UsageError`."""
    text = call.query(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise UsageError(_("a number from 1 to {most} is wanted for {name}").format(most=most, name=name)).at(name)
    return int(text)


def page_of(call: PageCall) -> int:
    """Which page of a list, from 1; raises :class:`UsageError`."""
    return number_of(call, "page", 1, _MAX_PAGE)


def day_of(call: PageCall, name: str, zone: tzinfo | None = None) -> datetime | None:
    """The beginning of a day in the officer's own zone, or in another; None where none is given.

    Raises :class:`UsageError`.
    """
    text = call.query(name)
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone or shown_zone())
    except (ValueError, OverflowError):
        raise UsageError(_("a day is wanted for {name}, such as 2026-11-23").format(name=name)).at(name) from None


def end_of(call: PageCall, name: str, zone: tzinfo | None = None) -> datetime | None:
    """The end of a day, which is the beginning of the next; raises as :func:`day_of`."""
    begins = day_of(call, name, zone)
    if begins is None:
        return None
    try:
        return datetime.combine(begins.date() + timedelta(days=1), time(), zone or shown_zone())
    except (ValueError, OverflowError):
        raise UsageError(_("a day is wanted for {name}, such as 2026-11-23").format(name=name)).at(name) from None


def link(path: str, given: Mapping[str, str | int | None]) -> str:
    """A path with what is not empty of ``given`` behind the ``?``."""
    kept = {name: str(value) for name, value in given.items() if value not in {None, ""}}
    return f"{path}?{urlencode(kept)}" if kept else path


def given(call: PageCall, *names: str) -> dict[str, str]:
    """What the URL says of these names, as it was typed."""
    return {name: call.query(name) for name in names}


def uuid_of(text: str) -> UUID:
    """An id of the path; raises :class:`NotFoundError`."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundError(phrase("there is no such page")) from None


def once_value() -> str:
    """A value that a form carries, under which what it does is done once."""
    return secrets.token_urlsafe(18)


@overload
def moment_of(call: PageCall, name: str) -> datetime | None: ...


@overload
def moment_of(call: PageCall, name: str, *, needed: Literal[True]) -> datetime: ...


def moment_of(call: PageCall, name: str, *, needed: bool = False) -> datetime | None:
    """A date and time of a form in the officer's own zone, or with an offset; raises :class:`UsageError`."""
    text = call.text(name)
    if not text and not needed:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.replace(tzinfo=shown_zone())).astimezone(UTC)
    except (ValueError, OverflowError):
        wanted = _("a date and time is wanted for {name}, such as 2026-11-23 10:00")
        raise UsageError(wanted.format(name=name)).at(name) from None
