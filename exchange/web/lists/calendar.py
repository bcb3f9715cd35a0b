"""What expires and what is due, by month and as a list; and the feed for an officer's own calendar program.

The feed needs no session: its address has a token of 256 random bits, of which the desk keeps a hash. Nothing writes
the address down (there is no access log), the answer is not kept by anybody on the way, and a token that is wrong, has
ended or was taken back gets the same answer after the same look.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import Calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from aiohttp import web

from exchange.cases.agenda import DueBetween
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.text.zones import shown_zone
from exchange.views import AgendaItem
from exchange.web.calls import Page, PageCall, WebDesk
from exchange.web.lists._ical import calendar_file
from exchange.web.lists._query import link
from exchange.web.lists._showing import refuse, show
from exchange.web.signin.sessions import WebSessions
from keys.directory.cards import ContactPointCard
from keys.local.translation import _
from keys.pages.pace import AskingPace
from protocol.address import Address
from protocol.encoding.instants import to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, NotFoundError, RateLimitedError, UsageError

_TEMPLATE = "lists/calendar.html"
_MOST = 100
_A_DAY = 3
_MAX_YEARS = 20
# Asked for by anybody of this machine: so many looks at once, then one a second; per calendar, one a minute.
_LOOKS = (30, 1.0)
_FETCHES = (10, 60.0)


@dataclass(frozen=True, slots=True)
class Day:
    """A day of the month's grid: what is due on it, the first few, and how much in all."""

    day: date
    inside: bool
    today: bool
    items: Sequence[AgendaItem]
    number: int


async def show_calendar(call: PageCall) -> web.StreamResponse:
    """A month, or one day of it."""
    return await _shown(call, await call.desk())


async def _shown(
    call: PageCall, desk: Desk, problem: ComityError | None = None, *, secret: str | None = None
) -> web.Response:
    today = call.now.astimezone(shown_zone()).date()
    try:
        month, day = _month(call.query("month"), today), _day(call.query("day"))
    except UsageError as refused:
        month, day, problem = today.replace(day=1), None, problem or refused
    month = day.replace(day=1) if day is not None else month
    weeks = Calendar().monthdatescalendar(month.year, month.month)
    begins, ends = _instant(weeks[0][0]), _instant(weeks[-1][-1] + timedelta(days=1))
    found = await desk.cases.due_between(begins, ends, most=_MOST)
    listed = [item for item in found.items if _is_listed(item, month, day)]
    cases = await desk.cases.of_threads({item.thread for item in listed})
    values: dict[str, Any] = {
        "month": month,
        "day": day,
        "weeks": _weeks(weeks, month, today, found),
        "before": _of_month(month, -1),
        "after": _of_month(month, 1),
        "items": listed,
        "cases": cases,
        "cards": _cards(desk, listed),
        "more": found.more,
        "late": found.before if begins <= call.now else 0,
        "tokens": await desk.office.calendar_tokens(),
        "address": f"{call.site.steady_origin}/calendar/{secret}.ics" if secret is not None else None,
    }
    if problem is not None:
        return refuse(call, _TEMPLATE, desk, problem, **values)
    return show(call, _TEMPLATE, desk, **values)


def _weeks(weeks: Sequence[Sequence[date]], month: date, today: date, found: DueBetween) -> list[list[Day]]:
    zone = shown_zone()

    def number(day: date) -> int:
        begins, ends = (to_ms(_instant(one)) for one in (day, day + timedelta(days=1)))
        return bisect_left(found.times, ends) - bisect_left(found.times, begins)

    items: dict[date, list[AgendaItem]] = {}
    for item in found.items:
        if item.due is not None:
            items.setdefault(item.due.astimezone(zone).date(), []).append(item)
    return [
        [Day(day, day.month == month.month, day == today, items.get(day, [])[:_A_DAY], number(day)) for day in week]
        for week in weeks
    ]


def _is_listed(item: AgendaItem, month: date, day: date | None) -> bool:
    if item.due is None:
        return False
    own = item.due.astimezone(shown_zone()).date()
    return own == day if day is not None else (own.year, own.month) == (month.year, month.month)


def _cards(desk: Desk, items: Sequence[AgendaItem]) -> dict[Address, ContactPointCard]:
    """The other offices' cards, as far as this desk has read them: for their time zones."""
    found = {}
    for peer in {peer for item in items for peer in item.peers}:
        try:
            found[peer] = desk.directory.contact_point(peer)
        except ComityError:
            continue
    return found


def _month(text: str, today: date) -> date:
    if not text:
        return today.replace(day=1)
    try:
        month = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise UsageError(_("a month is wanted, such as 2026-11")) from None
    if abs(month.year - today.year) > _MAX_YEARS:
        raise UsageError(_("that month is too far away"))
    return month


def _day(text: str) -> date | None:
    if not text:
        return None
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise UsageError(_("a day is wanted, such as 2026-11-23")) from None
    if not 1990 < found.year < 2200:
        raise UsageError(_("that month is too far away"))
    return found


def _of_month(month: date, by: int) -> str:
    first = month.replace(day=1) + timedelta(days=32 if by > 0 else -1)
    return link("/calendar", {"month": f"{first:%Y-%m}"})


def _instant(day: date) -> datetime:
    return datetime.combine(day, time(), shown_zone())


# --- Calendars of officers ---


async def new_calendar(call: PageCall) -> web.StreamResponse:
    """Make an address for a calendar program; it is shown on this page once."""
    desk = await call.desk()
    try:
        made = await desk.office.new_calendar(call.text("name"), own=call.text("own") == "1")
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return await _shown(call, desk, secret=made.secret)


async def end_calendar(call: PageCall) -> web.StreamResponse:
    """Take an address back: it leads nowhere from then on."""
    desk, number = await call.desk(), call.text("number")
    try:
        if not (number.isascii() and number.isdigit() and len(number) < 18):
            raise NotFoundError(phrase("there is no such calendar"))
        await desk.office.end_calendar(int(number))
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/calendar?done=calendar-ended")


class FeedPaces:
    """How often the feeds of one desk are fetched."""

    def __init__(self) -> None:
        self.looks, self.fetches = AskingPace(*_LOOKS), AskingPace(*_FETCHES)


_PACES: WeakKeyDictionary[WebSessions, FeedPaces] = WeakKeyDictionary()


def paces_of(site: WebDesk) -> FeedPaces:
    """The paces of a desk's feeds, as long as its pages are served."""
    if site.sessions not in _PACES:
        _PACES[site.sessions] = FeedPaces()
    return _PACES[site.sessions]


async def feed(call: PageCall) -> web.StreamResponse:
    """The calendar of whoever has its token, without a session."""
    paces, token = paces_of(call.site), call.part("token")
    if not paces.looks.passes():
        return _unread(RateLimitedError())
    desk = await call.site.service.desk(Login(), waits=False)
    try:
        items = await desk.office.calendar(token)
    except NotFoundError as problem:
        return _unread(problem)
    if not paces.fetches.passes(token):
        return _unread(RateLimitedError())
    content = calendar_file(items, desk.address, token, call.now)
    return web.Response(body=content, content_type="text/calendar", charset="utf-8")


def _unread(problem: ComityError) -> web.Response:
    """A refusal for a calendar program: no page, and no word of the token."""
    waits = {"Retry-After": "60"} if isinstance(problem, RateLimitedError) else {}
    return web.Response(status=problem.http_status, text=problem.code + "\n", headers=waits)


PAGES = (
    Page("GET", "/calendar", show_calendar),
    Page("POST", "/calendar/tokens", new_calendar),
    Page("POST", "/calendar/tokens/end", end_calendar),
    Page("GET", "/calendar/{token}.ics", feed, public=True, quiet=True, steady=True),
)
