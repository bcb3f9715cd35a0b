"""Reading all bundles of a mirror, in this process or in several."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from exchange.audit._entry_reader import EntryReading, Keys, read_bundle
from keys.local.tile_folder import read_items, widths
from protocol.errors import ComityError
from protocol.log.layout import TILE_WIDTH

# A task is worth its way to another process, and a few in the queue of each keep all of them busy.
_BUNDLES_A_TASK = 16
_TASKS_A_JOB = 2

BundleResult = tuple[int, EntryReading | ComityError]
"""A bundle's number, and what it says or why it cannot be read."""


@dataclass(frozen=True, slots=True)
class Job:
    """What a reader needs: the mirror's folder, the desks' keys, and when a statement must have been logged."""

    folder: Path
    keys: Keys
    bounds_ms: tuple[int, int]

    def read(self, bundles: Sequence[tuple[int, int]]) -> list[BundleResult]:
        """Read bundles, given by number and width."""
        return [(index, self._one(index, width)) for index, width in bundles]

    def _one(self, index: int, width: int) -> EntryReading | ComityError:
        try:
            items = read_items(self.folder, index, width)
        except ComityError as problem:
            return problem
        return read_bundle(index * TILE_WIDTH, items, self.keys, self.bounds_ms)


def read_all(job: Job, first: int, size: int, jobs: int) -> Iterator[BundleResult]:
    """Every bundle of a log of ``size`` entries from bundle ``first`` on, in order.

    ``jobs`` is the number of processes, 1 for this one.
    """
    bundles = list(islice(widths(size), first, None))
    tasks = (bundles[at : at + _BUNDLES_A_TASK] for at in range(0, len(bundles), _BUNDLES_A_TASK))
    if jobs == 1 or len(bundles) <= _BUNDLES_A_TASK:
        for task in tasks:
            yield from job.read(task)
        return
    # Fresh processes: a fork would copy the locks of this one's threads.
    with ProcessPoolExecutor(jobs, get_context("spawn"), initializer=_take_job, initargs=(job,)) as pool:
        running: deque[Future[list[BundleResult]]] = deque()
        for task in tasks:
            running.append(pool.submit(_read, task))
            if len(running) > jobs * _TASKS_A_JOB:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()


_jobs: list[Job] = []


def _take_job(job: Job) -> None:
    _jobs[:] = [job]


def _read(bundles: Sequence[tuple[int, int]]) -> list[BundleResult]:
    return _jobs[0].read(bundles)
