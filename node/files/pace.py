"""How fast files go to each partner: a share of bytes a second for each, and a wait for who is ahead of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

# After a quiet time so many seconds' bytes may go at once.
_BURST_S = 1.0


class Pace:
    """At most ``bytes_per_s`` to each party, over about a second; None: as fast as they can. Event loop only."""

    def __init__(self, bytes_per_s: int | None, timer: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_s = bytes_per_s
        self._timer = timer
        self._free_at: dict[str, float] = {}

    def delay_s(self, party: str, size_bytes: int) -> float:
        """Count the bytes as sent; how long to wait before that is so."""
        if self._bytes_per_s is None:
            return 0.0
        now = self._timer()
        free_at = max(self._free_at.get(party, 0.0), now - _BURST_S)
        self._free_at[party] = free_at + size_bytes / self._bytes_per_s
        return max(0.0, free_at - now)

    async def take(self, party: str, size_bytes: int) -> None:
        """Return when so many bytes may go to the party."""
        delay_s = self.delay_s(party, size_bytes)
        if delay_s:
            await asyncio.sleep(delay_s)
