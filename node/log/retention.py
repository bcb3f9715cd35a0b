"""Erasing the data of log entries whose time is over, by the operator's rule; the log's tree stays whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.log.sequencer import Sequencer
from node.operations.logging import Log
from node.store.interface import Store
from node.store.operations import EraseEntries
from protocol.errors import ComityError

WINDOW = 4096
_EVERY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ErasedPart:
    """One part of the work: ``erased`` entries of those before index ``next``; it is done when ``next`` is ``end``."""

    erased: int
    next: int
    end: int


async def erase_part(store: Store, sequencer: Sequencer, before: datetime, first: int) -> ErasedPart:
    """Erase, from index ``first`` on, entries that were signed at ``before`` or earlier and that nothing here needs.

    A part that is done stays done; to go on after a break, begin again at 0. Raises what the store refuses with.
    """
    end = await store.reads.size_at(before)
    if first >= end:
        return ErasedPart(0, end, end)
    part_end = min(first + WINDOW, end)
    erased = await sequencer.perform(EraseEntries(first, part_end))
    return ErasedPart(erased.count, part_end, end)


async def erase(store: Store, sequencer: Sequencer, before: datetime) -> int:
    """All parts; how many entries were erased."""
    count, part = 0, ErasedPart(0, 0, 1)
    while part.next < part.end:
        part = await erase_part(store, sequencer, before, part.next)
        count += part.erased
    return count


async def run(store: Store, sequencer: Sequencer, clock: Callable[[], datetime], kept: timedelta, log: Log) -> None:
    """Erase what is older than ``kept``, at once and then once a day."""
    while True:
        try:
            count = await erase(store, sequencer, clock() - kept)
            log.info("log-entries-erased", count=count)
        except ComityError as problem:
            log.warning("log-retention-interrupted", code=problem.code)
        await asyncio.sleep(_EVERY_S)
