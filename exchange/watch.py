"""Keeping watch: what arrives and what becomes due, as soon as it does, for as long as the program runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from exchange.agenda import Notice
from exchange.desk import Clock, Desk
from exchange.notify import Channel
from exchange.views import SyncResult
from protocol.errors import ComityError, UnavailableError

DESK_CHANNEL = "desk"
# The agenda is looked at so often at least: a machine may sleep, and clocks are set.
TURN_S = 30.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Notices could not be told over a channel: they are told again at the next turn."""

    channel: str
    error: ComityError


Seen = SyncResult | Notice | Failed


async def watch(desk: Desk, channels: Sequence[Channel], clock: Clock, turn_s: float = TURN_S) -> AsyncIterator[Seen]:
    """What arrives, and each notice once, in the order in which it happens; ends only when closed.

    A notice counts as given when it was yielded and the next one is asked for: one that a crash cut off is given again.
    """
    listening = desk.listen() if desk.settings.transport != "file" else None
    arriving: asyncio.Task[SyncResult] | None = None
    try:
        while True:
            for notice in await desk.notices(DESK_CHANNEL):
                yield notice
                await desk.note_given([notice])
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


async def tell(desk: Desk, channel: Channel) -> Failed | None:
    """Tell over a channel what was not told there yet."""
    notices = await desk.notices(channel.name)
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
