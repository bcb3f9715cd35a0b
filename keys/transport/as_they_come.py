"""Work on things as they come, all that wait together: while one lot is written, the next one arrives.

So one wait for the disk serves as many things as came meanwhile, and no more than a few are in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Generic, TypeVar

from protocol.errors import ComityError

T = TypeVar("T")


class AsTheyCome(Generic[T]):
    """Does ``work`` for what is added, a lot at a time and in order. Event loop only.

    As long as what waits has ``most`` bytes or more, by ``size``, who adds more waits.
    """

    def __init__(self, work: Callable[[list[T]], Awaitable[None]], size: Callable[[T], int], most: int) -> None:
        self._work = work
        self._size = size
        self._most = most
        self._waiting: list[T] = []
        self._waiting_bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._taken: asyncio.Future[None] | None = None  # done when the work takes what waits

    async def add(self, things: Sequence[T]) -> None:
        """Some more; raises what the work raised."""
        self._waiting += things
        self._waiting_bytes += sum(map(self._size, things))
        if self._task is None or self._task.done():
            self._raise()
            self._task = asyncio.create_task(self._run())
        while self._waiting_bytes >= self._most and not self._task.done():
            self._taken = asyncio.get_running_loop().create_future()
            await asyncio.wait({self._task, self._taken}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            self._raise()

    async def end(self) -> None:
        """Return when all that was added is done; raises what the work raised."""
        if self._task is not None:
            await asyncio.wait({self._task})
            self._raise()

    async def leave(self) -> None:
        """As :meth:`end`, where nobody asks any more how it went."""
        with suppress(ComityError, OSError):
            await self.end()

    # --- Inside ---

    async def _run(self) -> None:
        while self._waiting:
            lot, self._waiting, self._waiting_bytes = self._waiting, [], 0
            if self._taken is not None and not self._taken.done():
                self._taken.set_result(None)
            await self._work(lot)

    def _raise(self) -> None:
        if self._task is not None and not self._task.cancelled():
            problem = self._task.exception()
            if problem is not None:
                self._waiting, self._waiting_bytes = [], 0
                raise problem
