"""What stands around every page: whose desk, what time it is there, and how things are, in one line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

from exchange.desk.desk import OpenedDesk
from exchange.office.release import DraftState, KeptDrafts
from exchange.office.rota import DutyRota
from exchange.text.due import instant_text
from exchange.text.zones import in_zone, shown_zone
from exchange.views import Direction
from protocol.errors import ComityError

# So long the line stays as it was looked up: every page shows it.
FACTS_FOR_S = 5.0
ASK_EVERY_S = 10.0
# So many cases that changed lately are derived when a page looks.
_LATELY = 16


# So many messages that nobody opened are counted; of more it is said that there are more.
UNOPENED_TOLD = 50


@dataclass(frozen=True, slots=True)
class Facts:
    """How things are at this desk. ``reached``: the node answered since the desk was opened."""

    node: str
    by_bundles: bool
    reached: bool
    failing_since: datetime | None
    last_message: datetime | None
    has_rota: bool
    on_duty: tuple[str, ...]
    to_release: int
    # So many cases changed and were not derived again: lists may lack them, or show them as they were.
    uncounted: int = 0
    # Received messages that nobody here opened, up to one more than are told.
    unopened: int = 0


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame of one page. ``zone`` is a name of the IANA database; ``idle_s``: a page locks itself after so long."""

    address: str
    zone: str
    zone_name: str
    time: str
    utc_time: str
    idle_s: int
    facts: Facts | None


def look_up(opened: OpenedDesk) -> Facts:
    """How things are: instants and counts alone. Blocking; runs in the desk's thread."""
    context, standing = opened.context, opened.link.standing
    now = context.clock()
    last = context.store.messages.heads(Direction.RECEIVED, 1, None, unopened=False)
    shifts = [one for one in DutyRota(context.store.database).shifts() if one.ends > now]
    waiting = [one for one in KeptDrafts(context.store).all() if one.state is DraftState.WAITING]
    return Facts(
        node=context.address.node,
        by_bundles=context.settings.transport == "file",
        reached=standing.reached_at is not None,
        failing_since=standing.failing_since,
        last_message=last[0].head.stored_at if last else None,
        has_rota=bool(shifts),
        on_duty=tuple(one.officer for one in shifts if one.covers(now)),
        to_release=len(waiting),
        unopened=len(context.store.messages.heads(Direction.RECEIVED, UNOPENED_TOLD + 1, None, unopened=True)),
        uncounted=left if (left := context.store.agenda.stale_count()) > _LATELY else 0,
    )


class FactsKept:
    """How things are, looked up once for all who ask within some seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._facts: Facts | None = None
        self._until = 0.0
        self._looking = asyncio.Lock()
        self._ask_again = 0.0

    async def now(self, opened: OpenedDesk) -> Facts | None:
        """How things are; None where the desk cannot say it now: a page is shown without."""
        async with self._looking:
            self.ask_where_unknown(opened)
            if self._clock() >= self._until:
                try:
                    self._facts = await opened.context.in_thread(partial(look_up, opened))
                except ComityError:
                    self._facts = None
                self._until = self._clock() + FACTS_FOR_S
            return self._facts

    def ask_where_unknown(self, opened: OpenedDesk) -> None:
        """Ask the node beside the page, where it is not known to answer: who listens there waits for its news."""
        standing = opened.link.standing
        if opened.context.settings.transport == "file" or (standing.reached_at and standing.failing_since is None):
            return
        if self._clock() >= self._ask_again:
            self._ask_again = self._clock() + ASK_EVERY_S
            opened.context.background.start(_asked(opened))


async def _asked(opened: OpenedDesk) -> None:
    with suppress(ComityError):
        await opened.link.ask(lambda node: node.checkpoint())


def frame_of(address: str, now: datetime, idle_s: float, facts: Facts | None) -> Frame:
    """The frame of a page that is shown ``now``, in the zone of its reader."""
    zone = shown_zone()
    name = getattr(zone, "key", "UTC")
    local = now.astimezone(zone)
    return Frame(
        address=address,
        zone=name,
        zone_name=name.rpartition("/")[2].replace("_", " "),
        time=f"{local:%H:%M}",
        utc_time=f"{now.astimezone(UTC):%H:%M}",
        idle_s=int(idle_s),
        facts=facts,
    )


def zoned(at: datetime, zone: str | None) -> str:
    """An instant in the reader's own zone, or in that of another office."""
    if zone is None:
        return instant_text(at)
    try:
        return in_zone(at, ZoneInfo(zone))
    except (ValueError, OSError, KeyError):  # a card may name a zone that this machine does not know
        return in_zone(at, UTC)
