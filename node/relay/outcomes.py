"""What a partner's answers to queued envelopes and receipts come to, however they travelled.

Nothing that a partner answers is taken on trust: a receipt counts when it is proved to be an entry of the partner's log
about this very envelope, and the envelope leaves the queue only when the partner has proved for every recipient behind
it that it consigned the message or has custody of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from node.context import NodeContext
from node.monitor.monitor import Monitor
from node.peers.directory import DirectoryService
from node.store.operations import DeferOutbound, Failed, MarkReceiptsSent, Operation, RecordRefused, RecordRelayed
from node.store.reads import OutboundItem
from protocol.errors import (
    ComityError,
    LogForkError,
    NotFoundError,
    NotRecordedError,
    PeerFailedError,
)
from protocol.event import EventName, LeafReference
from protocol.http.problem import is_final
from protocol.http.wire import EnvelopeAnswer
from protocol.log.checkpoint import LogVerifier
from protocol.receipt import Receipt, ReceiptVerifier, VerifiedReceipt
from protocol.statement import verify_statement

Verdicts = Sequence[ComityError | None]


class PartnerReceiptJudge:
    """Decides whether a receipt counts: its log, its proof, its statement, and who may state such an event."""

    def __init__(self, directory: DirectoryService, monitor: Monitor) -> None:
        self._directory = directory
        self._monitor = monitor
        self._verifier = ReceiptVerifier(self._log_of)

    def prove(self, receipt: Receipt) -> VerifiedReceipt:
        """The receipt, proved to be of the log of a node that may state it; raises what is wrong with it."""
        verified = self._verifier.verify(receipt)
        directory = self._directory.current
        node = directory.node_of_origin(verified.origin)
        self._monitor.require_trusted(node)
        self._monitor.require_dated(node, verified)
        event = verified.event
        if event.recipient is not None:
            directory.require_may_log(event, node, None, None)
        if event.recipient is not None and verified.statement is not None:
            key = directory.signing_key(str(event.recipient), verified.statement.kid, event.at)
            verify_statement(verified.statement, key)
        return verified

    def judge(self, receipt: Receipt, partner: str) -> VerifiedReceipt:
        """The receipt, proved to be of ``partner``'s own log; raises what is wrong with it."""
        self._monitor.require_trusted(partner)
        verified = self.prove(receipt)
        if self.node_of(verified) != partner:
            raise PeerFailedError(f"the receipt is not of a log of {partner}")
        return verified

    def _log_of(self, origin: str) -> LogVerifier:
        return self._directory.current.log_verifier(origin)

    def node_of(self, receipt: VerifiedReceipt) -> str:
        """The node whose log it is."""
        return self._directory.current.node_of_origin(receipt.origin)


class Outcomes:
    """Turns answers into operations and has them written."""

    def __init__(self, node: NodeContext, judge: PartnerReceiptJudge, monitor: Monitor) -> None:
        self._node = node
        self._judge = judge
        self._monitor = monitor

    async def answered(
        self, partner: str, items: Sequence[OutboundItem], answers: Sequence[EnvelopeAnswer]
    ) -> ComityError | None:
        """Record what ``partner`` answered to envelopes; the first error if an answer is none or was not recorded."""
        operations: list[Operation] = []
        failed: ComityError | None = None
        for item, answer in zip(items, answers, strict=True):
            await asyncio.sleep(0)  # an answer has dozens of receipts to verify: others get their turn
            operation, problem = self._outcome(partner, item, answer)
            operations.append(operation)
            failed = failed or problem
        written = await self.write(partner, operations)
        relayed = sum(isinstance(operation, RecordRelayed) for operation in operations)
        self._node.metrics.delivered.labels(partner, "envelope").inc(relayed)
        return failed or written

    async def judged(
        self, partner: str, items: Sequence[OutboundItem], verdicts: Sequence[Verdicts]
    ) -> ComityError | None:
        """Record what ``partner`` said to the receipts of each item; the error if it was not recorded."""
        sent: list[int] = []
        operations: list[Operation] = []
        for item, own in zip(items, verdicts, strict=True):
            again = next((verdict for verdict in own if verdict is not None and not is_final(verdict)), None)
            if again is not None:
                operations.append(self.defer(item, again))
                continue
            for verdict in own:
                if verdict is not None:
                    self._node.metrics.refusals.labels("delivery", verdict.code).inc()
                    self._node.log.warning("receipt-refused", partner=partner, code=verdict.code)
            sent.append(item.outbound_id)
        if sent:
            operations.append(MarkReceiptsSent(tuple(sent)))
            self._node.metrics.delivered.labels(partner, "receipt").inc(len(sent))
        return await self.write(partner, operations)

    def defer(self, item: OutboundItem, problem: ComityError) -> DeferOutbound:
        """Try the item again later: exponential back-off with full jitter."""
        wait = timedelta(seconds=self._node.settings.delivery.pause_s(item.attempts))
        return DeferOutbound(item.outbound_id, item.attempts + 1, self._node.clock() + wait, problem.code)

    async def write(self, partner: str, operations: Sequence[Operation]) -> ComityError | None:
        """Record; the error if something could not be: :class:`NotRecordedError`, or the partner's contradiction.

        An item that failed stays queued and is sent again (idempotent).
        """
        problem: ComityError | None = None
        for operation, outcome in zip(operations, await self._node.sequencer.submit_many(operations), strict=True):
            if not isinstance(outcome, Failed) or isinstance(outcome.error, NotFoundError):
                continue  # not found: it was recorded before, or expired meanwhile
            refused = outcome.error
            if isinstance(refused, LogForkError) and isinstance(operation, RecordRelayed):
                self._monitor.contradicted(partner, refused, *{r.receipt.checkpoint for r in operation.receipts})
                problem = refused
            else:
                problem = NotRecordedError(f"an answer of {partner} could not be recorded: {refused.code}")
        return problem

    # --- Inside ---

    def _outcome(
        self, partner: str, item: OutboundItem, answer: EnvelopeAnswer
    ) -> tuple[Operation, ComityError | None]:
        """What to record of one envelope, and the error if the partner's answer is not one."""
        now = self._node.clock()
        if answer.refusal is not None:
            if is_final(answer.refusal):
                self._node.metrics.refusals.labels("delivery", answer.refusal.code).inc()
                return RecordRefused(item.outbound_id, partner, (answer.refusal.code,), now), None
            return self.defer(item, answer.refusal), None
        try:
            verified = tuple(self._judge.judge(receipt, partner) for receipt in answer.receipts)
            accepted = self._acceptance(item, verified)
        except LogForkError as problem:
            return self.defer(item, problem), problem
        except ComityError as problem:
            failure = PeerFailedError(f"{partner} answered with receipts that do not hold: {problem.code}")
            return self.defer(item, failure), failure
        reference = LeafReference(accepted.origin, accepted.index, accepted.leaf_hash)
        return RecordRelayed(item.outbound_id, verified, reference, now), None

    def _acceptance(self, item: OutboundItem, receipts: Sequence[VerifiedReceipt]) -> VerifiedReceipt:
        """The partner's RelayAcceptance of this envelope from this node; raises :class:`PeerFailedError`."""
        if any(receipt.event.digest != item.digest for receipt in receipts):
            raise PeerFailedError("a receipt is about another message")
        own = [r for r in receipts if r.event.name is EventName.RelayAcceptance and r.event.peer == self._node.name]
        cared_for = {r.event.recipient for r in receipts if r.event.name is EventName.ContentConsignment}
        cared_for |= {r.event.recipient for r in own if r.event.recipient is not None}
        accepted = next((receipt for receipt in own if receipt.event.recipient is None), None)
        if accepted is None or not cared_for or not cared_for.issuperset(item.recipients):
            raise PeerFailedError("the receipts do not say that the message was accepted for every recipient")
        return accepted
