"""How fast something comes: bytes a second of late."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

_OVER = timedelta(seconds=20)
_APART = timedelta(seconds=1)
_MOST = 32


class Speed:
    """What was there at some instants of the last seconds. Every instant is given: nothing here asks a clock."""

    def __init__(self) -> None:
        self._seen: deque[tuple[datetime, int]] = deque(maxlen=_MOST)

    def note(self, at: datetime, size_bytes: int) -> None:
        """So many bytes were there then. A clock that was set back begins anew."""
        if self._seen and at < self._seen[-1][0]:
            self._seen.clear()
        if len(self._seen) < 2 or at - self._seen[-2][0] >= _APART:
            self._seen.append((at, size_bytes))
        else:
            self._seen[-1] = (at, size_bytes)

    def rate(self, now: datetime) -> int | None:
        """Bytes a second of late; 0 when nothing came, None while that is not known."""
        while len(self._seen) > 2 and self._seen[1][0] < now - _OVER:
            self._seen.popleft()
        if len(self._seen) < 2:
            return None
        if self._seen[-1][0] < now - _OVER:
            return 0
        (began, before), (_, there) = self._seen[0], self._seen[-1]
        seconds = (now - began).total_seconds()
        return max(0, int((there - before) / seconds)) if seconds > 0 else None
