"""Who has something new to fetch: wakes long polls, event streams and deliveries after a commit.

Keys are a desk's address (``24-7@jp``) for its mailbox, a node's name (``fr``) for the outbound queue to it, and
:func:`calling` for what that node asks of this one. An address has an @, a node name has none, so they never meet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

ANY_PARTNER = "*"
"""Notified when something is queued for a partner whose own key nobody watches."""


ANY_FILES = "/files"
"""Notified when files may be sent on that could not be before."""


def calling(partner: str) -> str:
    """The key of ``partner`` itself: it is notified whenever a request of the partner's node was authenticated."""
    return f"{partner}!"


class Look(Generic[T]):
    """What a waiter is going to ``read`` once its key changes; blocking.

    A writer that changes the key may read it in the waiter's stead, in its own thread: then it is ``found``. None where
    nobody did, or the key changed again since. Each is for one wait.
    """

    __slots__ = ("found", "read")

    def __init__(self, read: Callable[[], T]) -> None:
        self.read = read
        self.found: T | None = None


class Watch:
    """One waiter's view of a key: use as a context manager, read the store, then :meth:`wait`.

    A change between entering (or the last wait) and :meth:`wait` is not missed.
    """

    def __init__(self, changes: Wakeups, key: str) -> None:
        self.look: Look[Any] | None = None
        self._changes = changes
        self._key = key
        self._event = asyncio.Event()

    def __enter__(self) -> Watch:
        self._changes.add(self._key, self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._changes.remove(self._key, self)

    async def wait(self, timeout_s: float | None = None, look: Look[Any] | None = None) -> bool:
        """True as soon as the key changed since the last call, False after ``timeout_s`` seconds.

        ``look`` is what is read after that: it may be found then.
        """
        self.look = look
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        finally:
            self.look = None
        self._event.clear()
        return True

    def change(self) -> None:
        """The key changed."""
        self._event.set()
        if self.look is not None:
            self.look.found = None


class Wakeups:
    """The watches of one node. Event loop only."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = {}

    def watch(self, key: str) -> Watch:
        """A watch of ``str(address)``, of a node's name, or of :data:`ANY_PARTNER`."""
        return Watch(self, key)

    def notify(self, keys: Iterable[str]) -> set[str]:
        """Wake who watches one of ``keys``; those that somebody watches."""
        watched = {key for key in keys if key in self._watches}
        for key in watched:
            for watch in self._watches[key]:
                watch.change()
        return watched

    def looks(self, keys: Iterable[str]) -> list[Look[Any]]:
        """What those who wait for one of ``keys`` now are going to read."""
        watches = (watch for key in keys for watch in self._watches.get(key, ()))
        return [watch.look for watch in watches if watch.look is not None]

    def add(self, key: str, watch: Watch) -> None:
        """Begin to wake ``watch``."""
        self._watches.setdefault(key, set()).add(watch)

    def remove(self, key: str, watch: Watch) -> None:
        """Stop waking ``watch``."""
        watches = self._watches.get(key, set())
        watches.discard(watch)
        if not watches:
            self._watches.pop(key, None)
