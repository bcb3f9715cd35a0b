"""What a node does of itself: background tasks, begun again after an error that passes."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Coroutine
from typing import Any

from node.operations.logging import Log
from node.operations.metrics import Metrics
from protocol.errors import ComityError
from protocol.http.problem import is_final

Work = Callable[[], Coroutine[Any, Any, None]]
Passes = Callable[[BaseException], str | None]
"""The code of an error after which the work is begun again; None for one that ends it."""

# So long a background task rests after an error that passes, before it begins again: twice as long each time, up to the
# second.
_AGAIN_S = 1.0
_MOST_REST_S = 30.0


def of_the_system(problem: BaseException) -> str | None:
    """The code of an error of the operating system (of a group of nothing else: of the first), None of any other."""
    if isinstance(problem, BaseExceptionGroup):
        codes = [of_the_system(one) for one in problem.exceptions]
        return None if None in codes else codes[0]
    if isinstance(problem, OSError):
        return errno.errorcode.get(problem.errno or 0, type(problem).__name__)
    return None


def passing(problem: BaseException) -> str | None:
    """The same, also of a typed error that passes, such as a database that cannot be read now."""
    if isinstance(problem, BaseExceptionGroup):
        codes = [passing(one) for one in problem.exceptions]
        return None if None in codes else codes[0]
    if isinstance(problem, ComityError) and type(problem) is not ComityError:
        return None if is_final(problem) else problem.code
    return of_the_system(problem)


class Tasks:
    """The background tasks of one node. ``failed`` is set when one ended although it should not."""

    def __init__(self, metrics: Metrics, log: Log, failed: asyncio.Event) -> None:
        self._metrics = metrics
        self._log = log
        self._failed = failed
        self._tasks: list[asyncio.Task[None]] = []

    def spawn(self, name: str, work: Work) -> None:
        """Do for ever."""
        self._begin(name, work, passing).add_done_callback(self.ended)

    def spawn_once(self, name: str, work: Work, done: Callable[[asyncio.Task[None]], None]) -> None:
        """Do until it is done, or ends by an error that is not the operating system's; ``done`` is told."""
        self._begin(name, work, of_the_system).add_done_callback(done)

    def ended(self, task: asyncio.Task[None]) -> None:
        """Tell that a task ended although it should not, unless it was stopped."""
        if task.cancelled():
            return
        problem = task.exception()
        self._metrics.internal_errors.inc()
        self._log.error("task-ended", source=task.get_name(), error_type=type(problem).__name__)
        self._failed.set()

    async def stop(self) -> None:
        """Stop all; returns when they are over."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _begin(self, name: str, work: Work, passes: Passes) -> asyncio.Task[None]:
        task = asyncio.create_task(self._again(name, work, passes), name=name)
        self._tasks.append(task)
        return task

    async def _again(self, name: str, work: Work, passes: Passes) -> None:
        """Do the work; from the start again whenever it ends by an error that passes. Rests longer while it goes on."""
        rest_s = _AGAIN_S
        while True:
            began = time.monotonic()
            try:
                return await work()
            except Exception as problem:
                code = passes(problem)
                if code is None:
                    raise
            self._log.error("task-interrupted", source=name, code=code)
            self._metrics.tasks_interrupted.labels(name).inc()
            if time.monotonic() - began > _MOST_REST_S:
                rest_s = _AGAIN_S
            await asyncio.sleep(rest_s)
            rest_s = min(2 * rest_s, _MOST_REST_S)
