"""Erasing the data of log entries whose time is over, by the operator's rule; the log's tree stays whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta

from node.logging import Log
from node.sequencer import Sequencer
from node.store.base import Done, EraseEntries, Store
from protocol.errors import ComityError

WINDOW = 4096
_EVERY_S = 24 * 3600.0


async def erase_windows(store: Store, sequencer: Sequencer, before: datetime) -> AsyncIterator[tuple[int, int, int]]:
    """Erase entries that were signed at ``before`` or earlier and that nothing here needs any more, part by part.

    Yields after each part how far it is, how far it will go (both as indexes), and how many entries the part erased.
    A part that is done stays done; to go on after a break, begin again. Raises what the store refuses with.
    """
    end = await store.size_at(before)
    for first in range(0, end, WINDOW):
        part_end = min(first + WINDOW, end)
        outcome = await sequencer.submit(EraseEntries(first, part_end))
        if not isinstance(outcome, Done):
            raise outcome.error
        yield part_end, end, outcome.count


async def run(store: Store, sequencer: Sequencer, clock: Callable[[], datetime], kept: timedelta, log: Log) -> None:
    """Erase what is older than ``kept``, at once and then once a day."""
    while True:
        count = 0
        try:
            async for _, _, erased in erase_windows(store, sequencer, clock() - kept):
                count += erased
        except ComityError as problem:
            log.warning("log-retention-interrupted", code=problem.code)
        if count:
            log.info("log-entries-erased", count=count)
        await asyncio.sleep(_EVERY_S)
