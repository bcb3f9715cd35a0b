"""What is counted once and kept for a while: looking at twenty thousand cases takes longer than a page may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from exchange.audit.period import Period
from exchange.desk.desk import Desk
from exchange.office.erasure import ErasableCase
from exchange.report import Suppression
from exchange.report.office_figures import OfficeFigures
from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import WebSessions
from protocol.errors import ComityError

T = TypeVar("T")
Progress = Callable[[int, int], None]

KEPT_FOR = timedelta(minutes=10)
_MOST_KEPT = 8
# A small office is counted while the page waits.
_WITHIN_S = 0.05
_FILE_WITHIN_S = 60.0
_ERASABLE = "erasable"


@dataclass(slots=True)
class Counting(Generic[T]):
    """One thing that is counted (``done`` of ``total`` cases), then there (``found``), or refused."""

    begun: datetime
    task: asyncio.Task[None] | None = None
    done: int = 0
    total: int = 0
    found: T | None = None
    problem: ComityError | None = None

    @property
    def runs(self) -> bool:
        """Whether it is being counted."""
        return self.task is not None and not self.task.done()


# By what lives as long as the pages of a desk do.
_KEPT: WeakKeyDictionary[WebSessions, dict[Hashable, Counting[Any]]] = WeakKeyDictionary()


async def counted(
    site: WebDesk, desk: Desk, period: Period, below: int, now: datetime, *, file: bool = False
) -> Counting[OfficeFigures]:
    """The figures of a period, as far as they are; who asks for a ``file`` of them waits for it."""
    found = _once(site, (period, below), now, lambda told: desk.cases.figures(period, Suppression(below), told))
    return await _waited(found, _FILE_WITHIN_S if file else _WITHIN_S)


async def erasable(site: WebDesk, desk: Desk, now: datetime) -> Counting[list[ErasableCase]]:
    """The cases that are due to be erased, as far as they were looked for."""
    return await _waited(_once(site, _ERASABLE, now, desk.office.erasable_cases), _WITHIN_S)


def forget_erasable(site: WebDesk) -> None:
    """Something is erased: what is due is looked for anew."""
    found = _KEPT.get(site.sessions, {}).pop(_ERASABLE, None)
    if found is not None and found.task is not None:
        found.task.cancel()


def _once(site: WebDesk, key: Hashable, now: datetime, count: Callable[[Progress], Awaitable[T]]) -> Counting[T]:
    """What ``count`` finds, as far as it is; one count at a time serves all who ask."""
    kept = _KEPT.setdefault(site.sessions, {})
    found = kept.get(key)
    if found is None or (not found.runs and now - found.begun > KEPT_FOR):
        while len(kept) >= _MOST_KEPT:
            oldest = min(kept, key=lambda one: kept[one].begun)
            if kept[oldest].runs:
                return kept[oldest] if oldest == key else Counting(now)
            del kept[oldest]
        found = kept[key] = Counting(now)
        found.task = asyncio.create_task(_count(found, count))
    return found


async def _waited(counting: Counting[T], within_s: float) -> Counting[T]:
    if counting.task is not None and counting.runs:
        await asyncio.wait({counting.task}, timeout=within_s)
    return counting


async def _count(counting: Counting[T], count: Callable[[Progress], Awaitable[T]]) -> None:
    def told(done: int, total: int) -> None:
        counting.done, counting.total = done, total

    try:
        counting.found = await count(told)
    except ComityError as problem:
        counting.problem = problem
