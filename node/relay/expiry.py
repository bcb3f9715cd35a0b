"""What a node does by the clock: tell senders what expired, forget what is over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from node.context import NodeContext
from node.log.sequencer import Sequencer
from node.store.interface import Store
from node.store.operations import Done, PurgeDelivered
from protocol.errors import ComityError

_BATCH = 500
_PURGE_EVERY = timedelta(hours=1)


async def expire(store: Store, sequencer: Sequencer, now: datetime) -> int:
    """Record every message that expired before ``now``; how many. Stops early when nothing can be written."""
    total = 0
    while operations := await store.reads.expired(now, _BATCH):
        outcomes = await sequencer.submit_many(operations)
        done = sum(isinstance(outcome, Done) for outcome in outcomes)
        total += done
        if not done:
            break
    return total


async def purge(sequencer: Sequencer, before: datetime) -> int:
    """Forget what expired before ``before`` and waits for nobody; how many messages. The log stays whole."""
    total = 0
    while True:
        outcome = await sequencer.submit(PurgeDelivered(before))
        if not isinstance(outcome, Done) or outcome.count == 0:
            return total
        total += outcome.count


async def run(node: NodeContext) -> None:
    """Do both for ever."""
    retention = timedelta(days=node.settings.retention_days)
    purged_at: datetime | None = None
    while True:
        try:
            count = await expire(node.store, node.sequencer, node.clock())
            if count:
                node.metrics.expired.inc(count)
                node.log.info("expired", count=count)
            if purged_at is None or node.clock() - purged_at > _PURGE_EVERY:
                await purge(node.sequencer, node.clock() - retention)
                purged_at = node.clock()
        except ComityError as problem:
            node.log.warning("housekeeping-interrupted", code=problem.code)
        await asyncio.sleep(node.settings.housekeeping_s)
