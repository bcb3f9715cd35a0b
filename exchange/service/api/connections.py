"""Which connections of the local API end: those that say nothing, do not read, or are one too many.

No connection lasts by itself, since each keeps a place from others: it asks something within some seconds, reads its
answer, and asks again before long. Where there are too many all the same, that one ends which was not used for the
longest time, one on which nobody signed in first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FIRST_WITHIN_S = 20.0
READ_WITHIN_S = 30.0


@dataclass(slots=True)
class _Seen:
    """One connection: since when it is there or was used last, how many requests of it are answered, its buffer."""

    used: float
    asked: bool = False
    busy: int = 0
    unread: int = 0
    read: float = 0.0


class ApiConnections:
    """The connections of one listener. ``connected`` gives those that there are; ``signed_in`` who is used by one."""

    def __init__(
        self,
        connected: Callable[[], list[Any]],
        signed_in: Callable[[Any], bool],
        most: Callable[[], int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connected = connected
        self._signed_in = signed_in
        self._most = most
        self._clock = clock
        self._seen: dict[Any, _Seen] = {}

    def there(self) -> list[Any]:
        """The connections that there are."""
        return self._connected()

    def begin(self, connection: Any) -> None:
        """A request came on a connection."""
        seen = self._seen.setdefault(connection, _Seen(self._clock()))
        seen.asked, seen.used = True, self._clock()
        seen.busy += 1

    def end(self, connection: Any) -> None:
        """Its answer is made; it may still be on its way."""
        seen = self._seen.get(connection)
        if seen is not None:
            seen.busy, seen.used = seen.busy - 1, self._clock()

    def look(self) -> int:
        """End the connections that keep a place for nothing; how many."""
        now, there = self._clock(), self._connected()
        self._seen = {one: self._seen.get(one) or _Seen(now) for one in there}
        ended = [one for one in there if self._is_stuck(one, now)]
        for one in ended:
            _abort(one)
        return len(ended)

    def make_room(self, newest: Any) -> bool:
        """Whether there are few enough connections, perhaps after others than ``newest`` ended."""
        there = self._connected()
        idle = [one for one in there if one is not newest and not self._busy(one)]
        idle.sort(key=lambda one: (self._signed_in(one), self._seen[one].used if one in self._seen else 0.0))
        for one in idle[: max(0, len(there) - self._most())]:
            _abort(one)
            self._seen.pop(one, None)
        return len(there) - len(idle[: max(0, len(there) - self._most())]) <= self._most()

    def _busy(self, connection: Any) -> bool:
        seen = self._seen.get(connection)
        return seen is not None and seen.busy > 0

    def _is_stuck(self, connection: Any, now: float) -> bool:
        seen, transport = self._seen[connection], connection.transport
        if transport is None or transport.is_closing():
            return False
        unread = transport.get_write_buffer_size()
        if unread == 0 or unread != seen.unread:
            seen.unread, seen.read = unread, now
        if unread and now - seen.read >= READ_WITHIN_S:
            return True
        return not seen.asked and now - seen.used >= FIRST_WITHIN_S


def _abort(connection: Any) -> None:
    if connection.transport is not None:
        connection.transport.abort()
