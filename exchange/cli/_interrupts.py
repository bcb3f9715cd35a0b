"""How SIGINT ends a command: in order while it waits, and at once while it computes or asks a person."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Coroutine
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from keys.local.terminal import quiet_end

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator


def run_interruptible(work: Callable[[], Coroutine[Any, Any, int | None]]) -> int | None:
    """Run ``work``; raises :class:`KeyboardInterrupt` when a person interrupted it.

    The event loop's own handling would let a command that asks a person wait for the answer.
    """
    import asyncio

    main: list[asyncio.Task[Any]] = []

    async def held() -> int | None:
        task = asyncio.current_task()
        if task is not None:
            main.append(task)
        if hears:
            _wake_by_signals()
        return await work()

    try:
        with _interrupting(main) as hears:
            return asyncio.run(held())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _wake_by_signals() -> None:
    """Have SIGINT wake the event loop, also one that comes as the loop falls asleep. Its handler stays."""
    import asyncio

    handler = signal.getsignal(signal.SIGINT)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: None)
    signal.signal(signal.SIGINT, handler)


@contextmanager
def _interrupting(main: list[asyncio.Task[Any]]) -> Iterator[bool]:
    """Let SIGINT cancel the task in ``main`` where all wait; else, and a second time, it is raised where it comes.

    Gives whether SIGINT is handled so: not where another thread handles it, or nobody.
    """
    import asyncio

    def end(_number: int, _frame: FrameType | None) -> None:
        quiet_end()
        try:
            waits = bool(main) and asyncio.current_task() is None
        except RuntimeError:  # no event loop runs at this instant
            waits = False
        if not waits or main[0].cancelling():
            raise KeyboardInterrupt
        main[0].cancel()

    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield False
        return
    signal.signal(signal.SIGINT, end)
    try:
        yield True
    finally:
        signal.signal(signal.SIGINT, before)
