"""``desk.events``: what happened at this desk, in one numbered order, for programs that follow it.

::

    page = await desk.events.after(last_seen)

An event is kept in the transaction that keeps what it tells of, whichever program wrote that: none is missing and none
comes twice. It holds ids and codes, never content. An officer who may not read messages, and nobody at a desk with
officers, learn that something happened, and when.
"""

from __future__ import annotations

from dataclasses import replace

from exchange.cases.agenda import TOLD_AT_ONCE
from exchange.context.worker import in_desk_thread
from exchange.desk._works import Works
from exchange.office.officers import READERS
from exchange.store.rows import DeskEvent, EventPage, Happened
from protocol.encoding.instants import truncate

CHANNEL = "events"
"""Under this name notices count as told to those who follow the events."""
MAX_AT_ONCE = 500


class DeskEvents:
    """The events of one desk, as the officer who acts may see them."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._store = works.context.store
        self._clock = works.context.clock
        self._in_thread = works.context.in_thread

    @in_desk_thread
    def after(self, number: int, limit: int = MAX_AT_ONCE) -> EventPage:
        """The events behind a number, at most ``limit``; ``first`` of the page shows whether some are gone."""
        page = self._store.events.page(number, limit)
        acting = self._works.acting
        may_read = not acting.has_officers or (
            acting.officer is not None and not acting.officer.roles.isdisjoint(READERS)
        )
        if may_read:
            return page
        return replace(page, events=tuple((seq, DeskEvent(event.name, event.at)) for seq, event in page.events))

    @in_desk_thread
    def last(self) -> int:
        """The last number that was given; 0 before the first."""
        return self._store.events.last()

    async def record_due(self) -> int:
        """Keep an event of each deadline that reached another level; how many. Others use the desk meanwhile."""
        await self._works.derived()
        done, left = 0, True
        while left:
            recorded, left = await self._record_due()
            done += recorded
        return done

    @in_desk_thread
    def _record_due(self) -> tuple[int, bool]:
        """How many were recorded, and whether to look again."""
        notices = self._works.agenda.notices(CHANNEL, TOLD_AT_ONCE)
        if not notices:
            return 0, self._works.agenda.is_untold(CHANNEL)
        now = truncate(self._clock())
        with self._store.database.transaction():
            given = self._store.agenda.given_notices([notice.name for notice in notices])
            new = [notice for notice in notices if notice.name not in given]  # another program may have been faster
            self._store.events.add(
                [
                    DeskEvent(
                        Happened.DUE,
                        now,
                        thread=notice.item.thread,
                        more={"what": notice.item.what, "level": str(notice.item.level)},
                    )
                    for notice in new
                ]
            )
            self._works.agenda.note_given(new)
        return len(new), True

    @in_desk_thread
    def record_session(self, name: Happened, officer: str) -> None:
        """Keep an event of an officer who signed in or out."""
        with self._store.database.transaction():
            self._store.events.add([DeskEvent(name, truncate(self._clock()), more={"officer": officer})])
