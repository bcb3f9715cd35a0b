"""The office in numbers, for its own view: charts made here, each with its table; and the same as a report."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, tzinfo
from typing import Any

from aiohttp import web

from exchange.audit.period import Period
from exchange.report.charts import bars_svg, grid_svg
from exchange.report.language import Reader
from exchange.report.office_document import office_document
from exchange.report.office_figures import OfficeFigures
from exchange.report.pdf import render_pdf
from exchange.text.zones import shown_zone
from exchange.web.calls import Page, PageCall
from exchange.web.lists._counting import Counting, counted
from exchange.web.lists._query import day_of, end_of, given, link
from exchange.web.lists._showing import download, refuse, show
from keys.local.translation import _, language
from protocol.errors import ComityError, UnavailableError, UsageError

_TEMPLATE = "lists/statistics.html"
_NAMES = ("since", "until", "below")
_MOST_BELOW = 1_000_000


async def show_statistics(call: PageCall) -> web.StreamResponse:
    """The figures of a period: this month and the two before, unless another is asked for."""
    desk, wanted = await call.desk(), given(call, *_NAMES)
    values: dict[str, Any] = {"wanted": wanted, "counting": None, "document": None, "query": link("", wanted)}
    values |= {"bars": bars_svg, "grid": grid_svg, "published": False, "zone": str(shown_zone())}
    try:
        below = _below(call)
        period = _period(call, below)
        found = await counted(call.site, desk, period, below, call.now)
        if found.problem is not None:
            raise found.problem
    except ComityError as problem:
        return refuse(call, _TEMPLATE, desk, problem, **values)
    values["counting"] = found
    if found.found is not None:
        values |= {"document": office_document(found.found, Reader(language())), "published": below > 0}
    return show(call, _TEMPLATE, desk, **values)


async def report(call: PageCall) -> web.StreamResponse:
    """The same figures as a PDF file."""
    desk = await call.desk()
    found = await counted(call.site, desk, _period(call, _below(call)), _below(call), call.now, file=True)
    document = office_document(_there(found), Reader(language()))
    return download(await asyncio.to_thread(render_pdf, document), "report.pdf", "application/pdf")


def _there(found: Counting[OfficeFigures]) -> OfficeFigures:
    if found.problem is not None:
        raise found.problem
    if found.found is None:
        raise UnavailableError(_("the figures are still being counted: look again in a moment"))
    return found.found


def _zone(below: int) -> tzinfo:
    """In which zone days are read: the officer's own; of figures that are published UTC, as of every office."""
    return UTC if below else shown_zone()


def _period(call: PageCall, below: int) -> Period:
    """The days that are asked for; raises :class:`UsageError`."""
    since, until = (of(call, name, _zone(below)) for of, name in ((day_of, "since"), (end_of, "until")))
    if since is None and until is None:
        return Period(_months_ago(call.now, 2), None)
    if since is not None and until is not None and until <= since:
        raise UsageError(_("the period ends before it begins")).at("until")
    return Period(since, until)


def _months_ago(now: datetime, months: int) -> datetime:
    first = now.astimezone(shown_zone()).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
    month = first.month - months
    return first.replace(year=first.year if month > 0 else first.year - 1, month=month if month > 0 else month + 12)


def _below(call: PageCall) -> int:
    text = call.query("below")
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 8 and int(text) <= _MOST_BELOW):
        raise UsageError(_("the smallest group that is published is a number")).at("below")
    return int(text)


PAGES = (
    Page("GET", "/statistics", show_statistics),
    Page("GET", "/statistics/report.pdf", report),
)
