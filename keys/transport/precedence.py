"""Messages go before files: while a message is under way in a program, its files wait, never for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

# So long a part of a file waits at most for messages: files go on, however many messages there are.
MOST_S = 0.25


class Precedence:
    """Counts the messages that are under way now. Event loop only."""

    def __init__(self, most_s: float = MOST_S) -> None:
        self._most_s = most_s
        self._under_way = 0
        self._quiet = asyncio.Event()

    @contextmanager
    def message(self) -> Iterator[None]:
        """A message is under way for the length of the block."""
        self._under_way += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._quiet.set()

    async def messages_first(self) -> None:
        """Return when no message is under way, or when that took its time."""
        if self._under_way:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._most_s):
                    await self._quiet.wait()
