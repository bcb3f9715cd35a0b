"""Delivery: takes what is queued for each partner there, and records what the partner's log proves of it.

One task per partner with a queue, woken by the sequencer after a commit: a partner that is down or slow delays nobody
else. While the partner cannot be reached its queue pauses, longer each time; when it calls this node meanwhile, it is
there again and is asked soon. The queue, how often each item was tried and when it is due again are durable rows, so a
restart forgets nothing. A partner without an address of its own is not asked: what is queued for it waits until it
pulls or a bundle is made.
:mod:`node.relay.outcomes` says what the answers come to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from node.log.wakeups import ANY_PARTNER, Look, Watch, calling
from node.operations.logging import log_defect
from node.relay.context import RelayContext
from node.store.operations import RecordExpired
from node.store.reads import OutboundItem, OutboundKind, Portion
from protocol.errors import ComityError, NotRecordedError
from protocol.http.wire import MAX_ENVELOPES, MAX_RECEIPTS

BATCH_BYTES = 2 * 1024 * 1024
# Rows that came due while another problem kept the queue closed are looked at this often at the latest.
_MAX_SLEEP_S = 60.0
# A partner that calls is asked again after this many doublings of the first back-off at most: it may reach this node
# although it cannot be reached itself.
_CALLED_DOUBLINGS = 2
# Envelopes and receipts to send.
_Due = tuple[list[OutboundItem], list[OutboundItem]]
# One batch of receipts travels while the answer to another is recorded.
_RECEIPT_REQUESTS_AT_ONCE = 2


class Delivery:
    """All outbound queues of one node."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        self._node = context.node
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Keep one task per partner that has something queued; returns only by cancellation, its tasks with it."""
        try:
            with self._node.sequencer.wakeups.watch(ANY_PARTNER) as watch:
                while True:
                    try:
                        waiting = await self._node.store.reads.partners_with_due(self._node.clock())
                    except ComityError as problem:  # the store cannot be read now: what waits, waits
                        self._node.log.warning("delivery-interrupted", code=problem.code)
                        await asyncio.sleep(self._node.settings.delivery.max_backoff_s)
                        continue
                    for partner, _ in waiting:
                        queue = self._tasks.get(partner)  # one that ended by a passing error is begun again
                        if (queue is None or queue.done()) and self._node.partners.can_reach(partner):
                            self._tasks[partner] = asyncio.create_task(
                                PartnerQueue(self._context, partner).run(), name=f"delivery-{partner}"
                            )
                    await watch.wait(_MAX_SLEEP_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._tasks.clear()  # it may be run again


class PartnerQueue:
    """The queue to one partner: envelopes first, then receipts; pauses as a whole while the partner fails."""

    def __init__(self, context: RelayContext, partner: str) -> None:
        self._context = context
        self._node = context.node
        self._partner = partner
        self._failures = 0
        self._called = False
        # The requests under way, each with the rows that it carries.
        self._under_way: dict[asyncio.Task[ComityError | None], Sequence[OutboundItem]] = {}

    async def run(self) -> None:
        """Deliver for ever; what is under way is given up with it."""
        try:
            await self._deliver()
        finally:
            requests = list(self._under_way)
            for request in requests:
                request.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            self._under_way.clear()

    async def _deliver(self) -> None:
        changes = self._node.sequencer.wakeups
        due: _Due | None = None  # what the commit that woke this queue found in it
        with changes.watch(self._partner) as watch, changes.watch(calling(self._partner)) as calls:
            while True:
                if not self._node.partners.can_reach(self._partner):  # its card changed: it pulls now
                    await watch.wait(_MAX_SLEEP_S)
                    due = None
                    continue
                try:
                    worked = await self._round(watch, due)
                except ComityError as problem:  # the store cannot be read, or such: nothing to do with the partner
                    self._node.log.warning("delivery-interrupted", partner=self._partner, code=problem.code)
                    self._failures += 1
                    worked = False
                except Exception as problem:  # noqa: BLE001 - a defect in one queue must not end it for good
                    self._node.metrics.internal_errors.inc()
                    log_defect(self._node.log, problem, partner=self._partner)
                    self._failures += 1
                    worked = False
                due = None
                if self._failures:
                    await self._pause(calls)
                elif not worked:
                    look = Look(self._due_at_once)
                    await watch.wait(await self._until_due_s(), look)
                    due = look.found

    async def _pause(self, calls: Watch) -> None:
        """Wait for the next attempt, not to the end when the partner calls meanwhile."""
        settings = self._node.settings.delivery
        pause_s = settings.pause_s(self._failures - 1)
        least_s = min(pause_s, settings.pause_s(min(self._failures - 1, _CALLED_DOUBLINGS)))
        await asyncio.sleep(least_s)
        # A call while it was being asked counts too.
        self._called = await calls.wait(max(pause_s - least_s, 0.001))

    async def _until_due_s(self) -> float:
        now = self._node.clock()
        for partner, at in await self._node.store.reads.partners_with_due(now):
            if partner == self._partner:
                return min(max((at - now).total_seconds(), 0.001), _MAX_SLEEP_S)
        return _MAX_SLEEP_S

    # --- One round ---------------------------------------------------------------------------------------------

    async def _round(self, watch: Watch, due: _Due | None) -> bool:
        """Send what is ``due``, or all that waits for a partner that called, beside what is under way.

        Returns as soon as one request has ended or there is more to send, so that nothing waits for the slowest; when
        one failed, after all have ended. False if there was nothing.
        """
        await self._begin(due)
        if not self._under_way:
            return False
        more = asyncio.create_task(watch.wait())
        try:
            await asyncio.wait((*self._under_way, more), return_when=asyncio.FIRST_COMPLETED)
        finally:
            more.cancel()
        if not any(request.done() for request in self._under_way):
            return True
        problem = self._ended()
        if problem is not None and self._under_way:
            await asyncio.wait(self._under_way)
            self._ended()
        self._settle(problem)
        return True

    async def _begin(self, due: _Due | None) -> None:
        """Send what is due and not under way, as far as there is room for more requests; None: it is to be read."""
        envelopes, receipts = await self._due() if due is None else due
        for batch in _batches(envelopes):
            self._under_way[asyncio.create_task(self._transfer(batch))] = batch
        for batch in receipt_batches(receipts):
            self._under_way[asyncio.create_task(self._receipts(batch))] = batch

    async def _due(self) -> _Due:
        ahead = timedelta(seconds=self._node.settings.delivery.max_backoff_s) if self._called else timedelta(0)
        self._called = False
        due_at = self._node.clock() + ahead
        at_once = self._node.settings.delivery.requests_at_once
        return await self._node.store.reads.due(
            self._partner,
            due_at,
            self._room(OutboundKind.ENVELOPE, MAX_ENVELOPES, at_once),
            self._room(OutboundKind.RECEIPTS, MAX_RECEIPTS, _RECEIPT_REQUESTS_AT_ONCE),
        )

    def _due_at_once(self) -> _Due:
        """As :meth:`_due` while nothing is under way, in the thread that calls."""
        at_once = self._node.settings.delivery.requests_at_once
        return self._node.store.reads.due_here(
            self._partner,
            self._node.clock(),
            Portion(MAX_ENVELOPES * at_once, BATCH_BYTES * at_once),
            Portion(MAX_RECEIPTS * _RECEIPT_REQUESTS_AT_ONCE, BATCH_BYTES * _RECEIPT_REQUESTS_AT_ONCE),
        )

    def _room(self, kind: OutboundKind, of_one: int, at_once: int) -> Portion:
        """The rows of as many requests as may be begun, ``of_one`` rows in each, but for those under way."""
        under_way = [items for items in self._under_way.values() if items[0].kind is kind]
        room = max(0, at_once - len(under_way))
        without = tuple(item.outbound_id for items in under_way for item in items)
        return Portion(of_one * room, BATCH_BYTES * room, without)

    def _ended(self) -> ComityError | None:
        """What the partner failed with, of the requests that have ended; raises what a defect raised."""
        ended = [request for request in self._under_way if request.done()]
        for request in ended:
            del self._under_way[request]
        problems = [request.result() for request in ended]
        return next((problem for problem in problems if problem is not None), None)

    def _settle(self, problem: ComityError | None) -> None:
        metrics = self._node.metrics
        answered = problem is None or isinstance(problem, NotRecordedError)
        metrics.partner_up.labels(self._partner).set(1 if answered else 0)
        if problem is None:
            if self._failures:
                self._node.log.info("partner-back", partner=self._partner)
            self._failures = 0
            self._node.history.took(self._partner)
            return
        self._failures += 1
        if isinstance(problem, NotRecordedError):
            self._node.log.error("delivery-not-recorded", partner=self._partner, code=problem.code)
            return
        metrics.delivery_failures.labels(self._partner, problem.code).inc()
        self._node.history.failed(self._partner, problem)
        self._node.log.warning("delivery-failed", partner=self._partner, code=problem.code, attempts=self._failures)

    async def _transfer(self, items: Sequence[OutboundItem]) -> ComityError | None:
        """Hand over one batch and record the outcome; the error if the partner as a whole failed."""
        now = self._node.clock()
        expired = [item for item in items if item.expires is not None and item.expires <= now]
        if expired:
            await self._context.outcomes.write(
                self._partner, [RecordExpired(item.outbound_id, now) for item in expired]
            )
            self._node.metrics.expired.inc(len(expired))
        ready = [item for item in items if item.raw is not None and item not in expired]
        if not ready:
            return None
        try:
            self._context.monitor.require_trusted(self._partner)
            client = self._node.partners.get(self._partner)
            answers = await client.transfer([item.raw for item in ready if item.raw is not None])
        except ComityError as problem:
            await self._defer(ready, problem)
            return problem
        return await self._context.outcomes.answered(self._partner, ready, answers)

    async def _receipts(self, items: Sequence[OutboundItem]) -> ComityError | None:
        """Hand over receipts and record what the partner has; the error if the partner as a whole failed."""
        receipts = [receipt for item in items for receipt in item.receipts]
        try:
            client = self._node.partners.get(self._partner)
            verdicts = iter(await client.receipts(receipts))
        except ComityError as problem:
            await self._defer(items, problem)
            return problem
        by_item = [[next(verdicts) for _ in item.receipts] for item in items]
        return await self._context.outcomes.judged(self._partner, items, by_item)

    async def _defer(self, items: Sequence[OutboundItem], problem: ComityError) -> None:
        outcomes = self._context.outcomes
        await outcomes.write(self._partner, [outcomes.defer(item, problem) for item in items])


def _batches(items: Sequence[OutboundItem]) -> list[list[OutboundItem]]:
    """In order, each of at most 64 envelopes and :data:`BATCH_BYTES`."""
    batches: list[list[OutboundItem]] = []
    size = 0
    for item in items:
        length = len(item.raw or b"")
        if not batches or len(batches[-1]) >= MAX_ENVELOPES or size + length > BATCH_BYTES:
            batches.append([])
            size = 0
        batches[-1].append(item)
        size += length
    return batches


def receipt_batches(items: Sequence[OutboundItem]) -> list[list[OutboundItem]]:
    """In order, each of at most 256 receipts; the receipts of one item stay together."""
    batches: list[list[OutboundItem]] = []
    count = 0
    for item in items:
        if not batches or count + len(item.receipts) > MAX_RECEIPTS:
            batches.append([])
            count = 0
        batches[-1].append(item)
        count += len(item.receipts)
    return batches
