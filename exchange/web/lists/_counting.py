"""Figures that are counted once and kept for a while: counting twenty thousand cases takes longer than a page may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from exchange.audit.period import Period
from exchange.desk.desk import Desk
from exchange.report import Suppression
from exchange.report.office_figures import OfficeFigures
from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import WebSessions
from protocol.errors import ComityError

KEPT_FOR = timedelta(minutes=10)
_MOST_KEPT = 8
# A small office is counted while the page waits.
_WITHIN_S = 0.1


@dataclass(slots=True)
class Counting:
    """Figures of one period: being counted (``done`` of ``total`` cases), then there, or refused."""

    begun: datetime
    task: asyncio.Task[None] | None = None
    done: int = 0
    total: int = 0
    figures: OfficeFigures | None = None
    problem: ComityError | None = None


# By what lives as long as the pages of a desk do.
_KEPT: WeakKeyDictionary[WebSessions, dict[tuple[Period, int], Counting]] = WeakKeyDictionary()


async def counted(site: WebDesk, desk: Desk, period: Period, below: int, now: datetime) -> Counting:
    """The figures of a period, as far as they are; one count at a time serves all who ask."""
    kept = _KEPT.setdefault(site.sessions, {})
    key = (period, below)
    found = kept.get(key)
    if found is None or (not _running(found) and now - found.begun > KEPT_FOR):
        while len(kept) >= _MOST_KEPT:
            oldest = min(kept, key=lambda one: kept[one].begun)
            if _running(kept[oldest]):
                return kept[oldest] if oldest == key else Counting(now, total=0)
            del kept[oldest]
        found = kept[key] = Counting(now)
        found.task = asyncio.create_task(_count(found, desk, period, below))
    if found.task is not None and not found.task.done():
        await asyncio.wait({found.task}, timeout=_WITHIN_S)
    return found


def _running(counting: Counting) -> bool:
    return counting.task is not None and not counting.task.done()


async def _count(found: Counting, desk: Desk, period: Period, below: int) -> None:
    def told(done: int, total: int) -> None:
        found.done, found.total = done, total

    try:
        found.figures = await desk.cases.figures_meanwhile(period, Suppression(below), told)
    except ComityError as problem:
        found.problem = problem
