"""Who follows what happens at a desk in a browser: one look at the desk's numbered events serves all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

from exchange.cases.agenda import AgendaFilter
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.service.service import DeskService
from exchange.views import Lane
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, RateLimitedError

MAX_FOLLOWERS, MAX_OF_ONE = 256, 8
# So often the desk's events are looked at while somebody follows; a row number, no content.
LOOK_EVERY_S = 0.3
# Time alone moves what is due: so often the board is told anew in any case.
ANEW_EVERY_S = 30.0
# All of them: what was cut off could come back as something new, or be new and never be told.
_MOST_TOLD = 100_000
_SHORT_ID = 8


@dataclass(slots=True)
class Following:
    """Who follows one desk, and what they are told: ``number`` grows with each change, ``emergencies`` are those that
    were told last. Both are of now only while somebody follows.
    """

    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    followers: dict[str, int] = field(default_factory=dict)
    number: int = 0
    emergencies: tuple[str, ...] | None = None
    seen: int | None = None
    task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def follower(self, name: str, service: DeskService) -> AsyncIterator[None]:
        """Somebody follows for the length of the block; raises :class:`RateLimitedError` for too many."""
        if sum(self.followers.values()) >= MAX_FOLLOWERS or self.followers.get(name, 0) >= MAX_OF_ONE:
            raise RateLimitedError(phrase("too many pages follow this board"))
        self.followers[name] = self.followers.get(name, 0) + 1
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._look(service))
        try:
            yield
        finally:
            self.followers[name] -= 1
            if not self.followers[name]:
                del self.followers[name]
            if not self.followers and self.task is not None:
                self.task.cancel()
                self.task, self.seen, self.emergencies = None, None, None

    async def _look(self, service: DeskService) -> None:
        since = 0.0
        while True:
            with suppress(ComityError):  # a desk that is closed, or a disk that fails: the next look may do
                desk = await service.desk(Login(), waits=False)
                last = await desk.events.last()
                if last != self.seen or since >= ANEW_EVERY_S:
                    self.seen, since = last, 0.0
                    emergencies = await _emergencies(desk)
                    async with self.changed:
                        self.number, self.emergencies = self.number + 1, emergencies
                        self.changed.notify_all()
            await asyncio.sleep(LOOK_EVERY_S)
            since += LOOK_EVERY_S

    @property
    def told(self) -> str:
        """What a page is told, as JSON; empty while nothing was looked at yet."""
        return "" if self.emergencies is None else json.dumps({"emergencies": self.emergencies}, separators=(",", ":"))

    async def standing(self, service: DeskService) -> tuple[str, ...] | None:
        """Which emergencies there are: those that were told last, else those of now. None where that is not known.

        A page that is made now says them. Those that come after that are new to it, also before it follows.
        """
        if self.emergencies is not None:
            return self.emergencies
        try:
            desk = await service.desk(Login(), waits=False)
            return _ends(await desk.cases.known_emergencies())
        except ComityError:
            return None

    async def next(self, number: int, within_s: float) -> int:
        """The number of the next change after ``number``, or the same one when nothing changed in time."""
        async with self.changed:
            with suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self.changed.wait_for(lambda: self.number != number)
            return self.number


async def _emergencies(desk: Desk) -> tuple[str, ...]:
    """The ends of the ids of those that this desk has to do something about."""
    page = await desk.cases.agenda_page(AgendaFilter(lane=Lane.EMERGENCIES, ours=True), limit=_MOST_TOLD)
    return _ends(item.thread for item in page.items)


def _ends(threads: Iterable[UUID]) -> tuple[str, ...]:
    return tuple(sorted({str(thread)[-_SHORT_ID:] for thread in threads}))
