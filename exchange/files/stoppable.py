"""Long work in a thread, which ends soon when nobody waits for it any more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from exchange.files.sealing import Stop

T = TypeVar("T")


async def stoppable(work: Callable[[Stop], T]) -> T:
    """What ``work`` gives. When the caller is cancelled, its ``Stop`` is set, and it is let end before this returns."""
    stop = threading.Event()
    running = asyncio.ensure_future(asyncio.to_thread(work, stop))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        with suppress(BaseException):
            await running
        raise
