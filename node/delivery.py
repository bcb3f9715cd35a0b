"""Delivery: takes what is queued for each partner there, and records what the partner's log proves of it.

One task per partner with a queue, woken by the sequencer after a commit: a partner that is down or slow delays nobody
else. What is queued, how often it was tried and when it is due again are durable rows, so a restart forgets nothing.
Nothing that a partner answers is taken on trust: a receipt counts when it is proved to be an entry of the partner's log
about this very envelope.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from keys.directory.view import Directory
from node.changes import ANY_PARTNER
from node.logging import Log, log_defect
from node.metrics import Metrics
from node.partner import Partners
from node.sequencer import Sequencer
from node.settings import DeliverySettings
from node.store.base import (
    DeferOutbound,
    Failed,
    MarkReceiptsSent,
    Operation,
    OutboundItem,
    OutboundKind,
    RecordExpired,
    RecordRefused,
    RecordRelayed,
    Store,
)
from node.wire import MAX_ENVELOPES, MAX_RECEIPTS, Answer
from node.witness import Witness
from protocol.address import Address
from protocol.errors import ComityError, LogForkError, NotFoundError, PeerFailedError
from protocol.event import DESK_EVENTS, EventName, LeafReference
from protocol.problem import is_final
from protocol.receipt import Receipt, ReceiptVerifier, VerifiedReceipt
from protocol.statement import verify_statement

BATCH_BYTES = 2 * 1024 * 1024
# Rows that came due while another problem kept the queue closed are looked at this often at the latest.
_MAX_SLEEP_S = 60.0


class ReceiptJudge:
    """Decides whether a receipt of a partner counts: its log, its proof, its statement, and what it is about."""

    def __init__(self, directory: Callable[[], Directory], witness: Witness) -> None:
        self._directory = directory
        self._witness = witness
        self._verifier = ReceiptVerifier(lambda origin: directory().log_verifier(origin))

    def judge(self, receipt: Receipt, partner: str) -> VerifiedReceipt:
        """The receipt, proved to be of ``partner``'s log; raises what is wrong with it."""
        self._witness.require_trusted(partner)
        verified = self._verifier.verify(receipt)
        directory = self._directory()
        if directory.node_of_origin(verified.origin) != partner:
            raise PeerFailedError(f"the receipt is not of a log of {partner}")
        event = verified.event
        if event.name in DESK_EVENTS and event.recipient is not None and verified.statement is not None:
            if event.recipient.node != partner:
                raise PeerFailedError(f"{event.recipient} is not a contact point of {partner}")
            key = directory.signing_key(str(event.recipient), verified.statement.kid, event.at)
            verify_statement(verified.statement, key)
        return verified


class Delivery:
    """All outbound queues of one node."""

    def __init__(
        self,
        node: str,
        store: Store,
        sequencer: Sequencer,
        partners: Partners,
        judge: ReceiptJudge,
        witness: Witness,
        settings: DeliverySettings,
        clock: Callable[[], datetime],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self.node = node
        self.store = store
        self.sequencer = sequencer
        self.partners = partners
        self.judge = judge
        self.witness = witness
        self.settings = settings
        self.clock = clock
        self.metrics = metrics
        self.log = log
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Keep one task per partner that has something queued; returns only by cancellation, its tasks with it."""
        try:
            with self.sequencer.changes.watch(ANY_PARTNER) as watch:
                while True:
                    try:
                        waiting = await self.store.partners_with_due(self.clock())
                    except ComityError as problem:  # the store cannot be read now: what waits, waits
                        self.log.warning("delivery-interrupted", code=problem.code)
                        await asyncio.sleep(self.settings.max_backoff_s)
                        continue
                    for partner, _ in waiting:
                        if partner not in self._tasks:
                            self._tasks[partner] = asyncio.create_task(
                                PartnerQueue(self, partner).run(), name=f"delivery-{partner}"
                            )
                    await watch.wait(_MAX_SLEEP_S)
        finally:
            tasks = list(self._tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class PartnerQueue:
    """The queue to one partner: envelopes first, then receipts; pauses as a whole while the partner fails."""

    def __init__(self, delivery: Delivery, partner: str) -> None:
        self._all = delivery
        self._partner = partner
        self._failures = 0

    async def run(self) -> None:
        """Deliver for ever."""
        with self._all.sequencer.changes.watch(self._partner) as watch:
            while True:
                try:
                    worked = await self._round()
                except ComityError as problem:  # the store cannot be read, or such: nothing to do with the partner
                    self._all.log.warning("delivery-interrupted", partner=self._partner, code=problem.code)
                    self._failures += 1
                    worked = False
                except Exception as problem:  # noqa: BLE001 - a defect in one queue must not end it for good
                    self._all.metrics.internal_errors.inc()
                    log_defect(self._all.log, problem, partner=self._partner)
                    self._failures += 1
                    worked = False
                if self._failures:
                    await asyncio.sleep(self._pause_s())
                elif not worked:
                    await watch.wait(await self._until_due_s())

    async def _until_due_s(self) -> float:
        now = self._all.clock()
        for partner, at in await self._all.store.partners_with_due(now):
            if partner == self._partner:
                return min(max((at - now).total_seconds(), 0.001), _MAX_SLEEP_S)
        return _MAX_SLEEP_S

    def _pause_s(self) -> float:
        settings = self._all.settings
        longest = min(settings.max_backoff_s, settings.first_backoff_s * 2 ** min(self._failures - 1, 30))
        return random.uniform(0, longest)  # noqa: S311 - full jitter, nothing secret

    # --- One round ---------------------------------------------------------------------------------------------

    async def _round(self) -> bool:
        """Send what is due; True if there was something."""
        envelopes, receipts = await asyncio.gather(
            self._due(OutboundKind.ENVELOPE, MAX_ENVELOPES * self._all.settings.requests_at_once),
            self._due(OutboundKind.RECEIPTS, MAX_RECEIPTS),
        )
        if not envelopes and not receipts:
            return False
        work = [self._transfer(batch) for batch in _batches(envelopes)]
        if receipts:
            work.append(self._receipts(receipts))
        results = await asyncio.gather(*work)
        problem = next((result for result in results if result is not None), None)
        self._settle(problem)
        return True

    async def _due(self, kind: OutboundKind, limit: int) -> list[OutboundItem]:
        size = BATCH_BYTES * (self._all.settings.requests_at_once if kind is OutboundKind.ENVELOPE else 1)
        return await self._all.store.due_outbound(self._partner, kind, self._all.clock(), limit, size)

    def _settle(self, problem: ComityError | None) -> None:
        metrics = self._all.metrics
        metrics.partner_up.labels(self._partner).set(0 if problem is not None else 1)
        if problem is None:
            if self._failures:
                self._all.log.info("partner-back", partner=self._partner)
            self._failures = 0
            return
        self._failures += 1
        metrics.delivery_failures.labels(self._partner, problem.code).inc()
        self._all.log.warning("delivery-failed", partner=self._partner, code=problem.code, attempts=self._failures)

    async def _transfer(self, items: Sequence[OutboundItem]) -> ComityError | None:
        """Hand over one batch and record the outcome; the error if the partner as a whole failed."""
        now = self._all.clock()
        expired = [item for item in items if item.expires is not None and item.expires <= now]
        if expired:
            await self._write([RecordExpired(item.outbound_id, now) for item in expired])
            self._all.metrics.expired.inc(len(expired))
        ready = [item for item in items if item.raw is not None and item not in expired]
        if not ready:
            return None
        try:
            self._all.witness.require_trusted(self._partner)
            client = self._all.partners.get(self._partner)
            answers = await client.transfer([item.raw for item in ready if item.raw is not None])
        except ComityError as problem:
            await self._write([self._defer(item, problem) for item in ready])
            return problem
        operations: list[Operation] = []
        failed: ComityError | None = None
        for item, answer in zip(ready, answers, strict=True):
            operation, problem_of_item = self._outcome(item, answer)
            operations.append(operation)
            failed = failed or problem_of_item
        written = await self._write(operations)
        relayed = sum(isinstance(operation, RecordRelayed) for operation in operations)
        self._all.metrics.delivered.labels(self._partner, "envelope").inc(relayed)
        return failed or written

    def _outcome(self, item: OutboundItem, answer: Answer) -> tuple[Operation, ComityError | None]:
        """What to record of one envelope, and the error if the partner's answer is not one."""
        now = self._all.clock()
        if answer.refusal is not None:
            if is_final(answer.refusal):
                self._all.metrics.refusals.labels("delivery", answer.refusal.code).inc()
                return RecordRefused(item.outbound_id, self._partner, (answer.refusal.code,), now), None
            return self._defer(item, answer.refusal), None
        try:
            verified = tuple(self._all.judge.judge(receipt, self._partner) for receipt in answer.receipts)
            accepted = self._acceptance(item, verified)
        except LogForkError as problem:
            return self._defer(item, problem), problem
        except ComityError as problem:
            failure = PeerFailedError(f"{self._partner} answered with receipts that do not hold: {problem.code}")
            return self._defer(item, failure), failure
        reference = LeafReference(accepted.origin, accepted.index, accepted.leaf_hash)
        return RecordRelayed(item.outbound_id, verified, reference, now), None

    def _acceptance(self, item: OutboundItem, receipts: Sequence[VerifiedReceipt]) -> VerifiedReceipt:
        """The partner's RelayAcceptance of this envelope from this node; raises :class:`PeerFailedError`."""
        if any(receipt.event.digest != item.digest for receipt in receipts):
            raise PeerFailedError("a receipt is about another message")
        consigned: list[Address | None] = [
            r.event.recipient for r in receipts if r.event.name is EventName.ContentConsignment
        ]
        for receipt in receipts:
            if receipt.event.name is EventName.RelayAcceptance and receipt.event.peer == self._all.node and consigned:
                return receipt
        raise PeerFailedError("the receipts do not say that the message was accepted and consigned")

    async def _receipts(self, items: Sequence[OutboundItem]) -> ComityError | None:
        """Hand over receipts and record what the partner has; the error if the partner as a whole failed."""
        receipts = [receipt for item in items for receipt in item.receipts]
        try:
            client = self._all.partners.get(self._partner)
            verdicts = await client.receipts(receipts)
        except ComityError as problem:
            await self._write([self._defer(item, problem) for item in items])
            return problem
        at = 0
        sent: list[int] = []
        operations: list[Operation] = []
        for item in items:
            own = verdicts[at : at + len(item.receipts)]
            at += len(item.receipts)
            again = next((verdict for verdict in own if verdict is not None and not is_final(verdict)), None)
            if again is not None:
                operations.append(self._defer(item, again))
                continue
            for verdict in own:
                if verdict is not None:
                    self._all.metrics.refusals.labels("delivery", verdict.code).inc()
                    self._all.log.warning("receipt-refused", partner=self._partner, code=verdict.code)
            sent.append(item.outbound_id)
        if sent:
            operations.append(MarkReceiptsSent(tuple(sent)))
            self._all.metrics.delivered.labels(self._partner, "receipt").inc(len(sent))
        return await self._write(operations)

    # --- Recording -----------------------------------------------------------------------------------------------

    def _defer(self, item: OutboundItem, problem: ComityError) -> DeferOutbound:
        settings = self._all.settings
        longest = min(settings.max_backoff_s, settings.first_backoff_s * 2 ** min(item.attempts, 30))
        wait = timedelta(seconds=random.uniform(0, longest))  # noqa: S311 - full jitter, nothing secret
        return DeferOutbound(item.outbound_id, item.attempts + 1, self._all.clock() + wait, problem.code)

    async def _write(self, operations: Sequence[Operation]) -> ComityError | None:
        """Record; the error if something could not be. What failed stays queued and is sent again (idempotent)."""
        problem: ComityError | None = None
        for operation, outcome in zip(operations, await self._all.sequencer.submit_many(operations), strict=True):
            if not isinstance(outcome, Failed) or isinstance(outcome.error, NotFoundError):
                continue  # not found: it was recorded before, or expired meanwhile
            problem = outcome.error
            if isinstance(problem, LogForkError) and isinstance(operation, RecordRelayed):
                self._all.witness.alarm(self._partner, *{r.receipt.checkpoint for r in operation.receipts})
        return problem


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
