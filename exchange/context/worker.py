"""Threads of a desk's own, and work that goes on beside what its caller waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


class InThread(Protocol):
    """Runs functions in one thread, one after the other."""

    async def __call__(self, function: Callable[[], T], /) -> T: ...


class HasThread(Protocol):
    """What runs acts in the desk's thread."""

    @property
    def _in_thread(self) -> InThread: ...


S = TypeVar("S", bound=HasThread)


def in_desk_thread(act: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """An act that is written as blocking code, and awaited by its callers: it runs in the desk's thread."""

    @wraps(act)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._in_thread(lambda: act(self, *args, **kwargs))

    return run


@asynccontextmanager
async def own_thread(name: str) -> AsyncIterator[InThread]:
    """A thread that ends, with all that it was given, when the block ends."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) as executor:

        async def run(function: Callable[[], T]) -> T:
            return await asyncio.get_running_loop().run_in_executor(executor, function)

        yield run


class Background:
    """Work that nobody waits for. It must not fail: what it raises is nobody's to see."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Future[Any]] = set()

    def start(self, work: Awaitable[object]) -> None:
        """Let ``work`` go on by itself."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def cancel(self) -> None:
        """End all that goes on."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
