"""Who has something new to fetch: wakes long polls, event streams and deliveries after a commit.

Keys are a desk's address (``24-7@jp``) for its mailbox, a node's name (``fr``) for the outbound queue to it, and
:func:`calling` for what that node asks of this one. An address has an @, a node name has none, so they never meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType

ANY_PARTNER = "*"
"""Notified when something is queued for a partner whose own key nobody watches."""


ANY_FILES = "/files"
"""Notified when files may be sent on that could not be before."""


def calling(partner: str) -> str:
    """The key of ``partner`` itself: it is notified whenever a request of the partner's node was authenticated."""
    return f"{partner}!"


class Watch:
    """One waiter's view of a key: use as a context manager, read the store, then :meth:`wait`.

    A change between entering (or the last wait) and :meth:`wait` is not missed.
    """

    def __init__(self, changes: Wakeups, key: str) -> None:
        self._changes = changes
        self._key = key
        self._event = asyncio.Event()

    def __enter__(self) -> Watch:
        self._changes.add(self._key, self._event)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._changes.remove(self._key, self._event)

    async def wait(self, timeout_s: float | None = None) -> bool:
        """True as soon as the key changed since the last call, False after ``timeout_s`` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        self._event.clear()
        return True


class Wakeups:
    """The watches of one node. Event loop only."""

    def __init__(self) -> None:
        self._events: dict[str, set[asyncio.Event]] = {}

    def watch(self, key: str) -> Watch:
        """A watch of ``str(address)``, of a node's name, or of :data:`ANY_PARTNER`."""
        return Watch(self, key)

    def notify(self, keys: Iterable[str]) -> set[str]:
        """Wake who watches one of ``keys``; those that somebody watches."""
        watched = {key for key in keys if key in self._events}
        for key in watched:
            for event in self._events[key]:
                event.set()
        return watched

    def add(self, key: str, event: asyncio.Event) -> None:
        """Begin to wake ``event``."""
        self._events.setdefault(key, set()).add(event)

    def remove(self, key: str, event: asyncio.Event) -> None:
        """Stop waking ``event``."""
        events = self._events.get(key, set())
        events.discard(event)
        if not events:
            self._events.pop(key, None)
