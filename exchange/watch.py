"""Keeping watch: what arrives and what becomes due, as soon as it does, for as long as the program runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from exchange.agenda import Notice
from exchange.desk import Clock, Desk
from exchange.notify import Channel
from exchange.views import SyncResult
from protocol.errors import CheckpointStaleError, ComityError, UnavailableError

DESK_CHANNEL = "desk"
# The agenda is looked at so often at least: a machine may sleep, and clocks are set.
TURN_S = 30.0
# So often the log of the desk's own node is compared with what was seen of it.
LOG_EVERY = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Failed:
    """Notices could not be told over a channel: they are told again at the next turn."""

    channel: str
    error: ComityError


@dataclass(frozen=True, slots=True)
class LogContradicted:
    """The log of the desk's own node contradicts what it showed before; ``detail`` says where the proof lies."""

    detail: str


@dataclass(frozen=True, slots=True)
class LogStale:
    """The log of the desk's own node shows this desk no state of now, as ``detail`` says."""

    detail: str


Seen = SyncResult | Notice | Failed | LogContradicted | LogStale


async def watch(
    desk: Desk, channels: Sequence[Channel], clock: Clock, turn_s: float = TURN_S
) -> AsyncGenerator[Seen, None]:
    """What arrives, and each notice once, in the order in which it happens; ends only when closed.

    A notice counts as given when it was yielded and the next one is asked for: one that a crash cut off is given again.
    """
    listening = desk.listen() if desk.settings.transport != "file" else None
    arriving: asyncio.Task[SyncResult] | None = None
    turn = _LogTurn(clock)
    try:
        while True:
            found = await turn.look(desk) if listening is not None else None
            if found is not None:
                yield found
            async with aclosing(told_here(desk)) as notices:
                async for notice in notices:
                    yield notice
            for channel in channels:
                failure = await tell(desk, channel)
                if failure is not None:
                    yield failure
            if listening is not None and arriving is None:
                arriving = asyncio.ensure_future(anext(listening))
            wait = await _until_next(desk, clock, turn_s)
            if arriving is None:
                await asyncio.sleep(wait)
                continue
            done, _ = await asyncio.wait({arriving}, timeout=wait)
            if done:
                result, arriving = arriving.result(), None
                if result != SyncResult(cursor=result.cursor):
                    yield result
    finally:
        if arriving is not None:
            arriving.cancel()
            with suppress(asyncio.CancelledError, ComityError, StopAsyncIteration):
                await arriving
        if listening is not None:
            await listening.aclose()


class _LogTurn:
    """When the log is to be compared: every :data:`LOG_EVERY`, until it contradicted itself. Each is told once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: datetime | None = clock()
        self._stale = False

    async def look(self, desk: Desk) -> LogContradicted | LogStale | None:
        """What is to be told, if it is time to look."""
        if self._due is None or self._clock() < self._due:
            return None
        found = await compare_log(desk)
        self._due = None if isinstance(found, LogContradicted) else self._clock() + LOG_EVERY
        was_stale, self._stale = self._stale, isinstance(found, LogStale)
        return None if was_stale and self._stale else found


async def compare_log(desk: Desk) -> LogContradicted | LogStale | None:
    """Compare the log of the desk's own node with what was seen of it before; None if nothing is known against it."""
    check = await desk.proving.check_own_log()
    if check.ok is False:
        return LogContradicted(check.detail)
    return LogStale(check.detail) if check.error == CheckpointStaleError.code else None


async def told_here(desk: Desk) -> AsyncGenerator[Notice, None]:
    """What was not told at this desk yet; each counts as told when the next one is asked for.

    Nothing while another program of this desk tells: what that one does not finish is told at the next turn.
    """
    async with desk.telling(DESK_CHANNEL) as alone:
        for notice in await desk.notices(DESK_CHANNEL) if alone else ():
            yield notice
            await desk.note_given([notice])


async def tell(desk: Desk, channel: Channel) -> Failed | None:
    """Tell over a channel what was not told there yet; nothing while another program of this desk does so."""
    async with desk.telling(channel.name) as alone:
        notices = await desk.notices(channel.name) if alone else []
        if not notices:
            return None
        try:
            await asyncio.to_thread(channel.tell, desk.address, notices)
        except UnavailableError as problem:
            return Failed(channel.name, problem)
        await desk.note_given(notices)
    return None


async def _until_next(desk: Desk, clock: Clock, turn_s: float) -> float:
    change = await desk.next_change()
    if change is None:
        return turn_s
    return min(turn_s, max(0.05, (change - clock()).total_seconds()))
