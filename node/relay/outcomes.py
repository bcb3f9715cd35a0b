"""What a partner's answers to queued envelopes and receipts come to, however they travelled.

Nothing that a partner answers is taken on trust: a receipt counts when it is proved to be an entry of the partner's log
about this very envelope, and the envelope leaves the queue only when the partner has proved for every recipient behind
it that it consigned the message or has custody of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from node.context import NodeContext
from node.log.wakeups import ANY_FILES
from node.monitor.monitor import Monitor
from node.peers.directory import DirectoryService
from node.store.operations import DeferOutbound, Failed, MarkReceiptsSent, Operation, RecordRefused, RecordRelayed
from node.store.reads import OutboundItem
from protocol.address import Address
from protocol.envelope import parse_envelope
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

# The receipts of one answer take some 50 microseconds to verify, at most 65 times that: after so many answers others
# get their turn.
_TURN = 16


class PartnerReceiptJudge:
    """Decides whether a receipt counts: its log, its proof, its statement, and who may state such an event."""

    def __init__(self, directory: DirectoryService, monitor: Monitor) -> None:
        self._directory = directory
        self._monitor = monitor
        self._verifier = ReceiptVerifier(self._log_of)

    def prove(self, receipt: Receipt) -> VerifiedReceipt:
        """The receipt, proved to be of the log of a node that may state it; raises what is wrong with it."""
        return self._prove(receipt)[0]

    def _prove(self, receipt: Receipt) -> tuple[VerifiedReceipt, str]:
        """The same, and the node whose log it is."""
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
        return verified, node

    def needs_origin(self, receipt: VerifiedReceipt) -> bool:
        """Whether it depends on who made the message, and when, if this log may hold the event."""
        return self._directory.current.needs_origin(receipt.event)

    def require_place(self, receipt: VerifiedReceipt, sender: Address, created: datetime | None) -> None:
        """Return if this log may hold an event about the message that ``sender`` made then; raises what forbids it."""
        self._directory.current.require_may_log(receipt.event, self.node_of(receipt), sender, created)

    def judge(self, receipt: Receipt, partner: str) -> VerifiedReceipt:
        """The receipt, proved to be of ``partner``'s own log; raises what is wrong with it."""
        self._monitor.require_trusted(partner)
        verified, node = self._prove(receipt)
        if node != partner:
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
        now = self._node.clock()
        for position, (item, answer) in enumerate(zip(items, answers, strict=True)):
            if position % _TURN == _TURN - 1:
                await asyncio.sleep(0)
            operation, problem = self._outcome(partner, item, answer, now)
            operations.append(operation)
            failed = failed or problem
        written = await self.write(partner, operations)
        relayed = sum(isinstance(operation, RecordRelayed) for operation in operations)
        self._node.metrics.delivered.labels(partner, "envelope").inc(relayed)
        if relayed:
            self._node.history.took(partner)
            self._node.sequencer.wakeups.notify((ANY_FILES,))
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
            self._node.history.took(partner)
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
        self, partner: str, item: OutboundItem, answer: EnvelopeAnswer, now: datetime
    ) -> tuple[Operation, ComityError | None]:
        """What to record of one envelope, and the error if the partner's answer is not one."""
        if answer.refusal is not None:
            if is_final(answer.refusal):
                self._node.metrics.refusals.labels("delivery", answer.refusal.code).inc()
                return RecordRefused(item.outbound_id, partner, (answer.refusal.code,), now), None
            return self.defer(item, answer.refusal), None
        try:
            verified = tuple(self._judge.judge(receipt, partner) for receipt in answer.receipts)
            self._require_places(item, verified)
            accepted = self._acceptance(item, verified)
        except LogForkError as problem:
            return self.defer(item, problem), problem
        except ComityError as problem:
            failure = PeerFailedError(f"{partner} answered with receipts that do not hold: {problem.code}")
            return self.defer(item, failure), failure
        reference = LeafReference(accepted.origin, accepted.index, accepted.leaf_hash)
        return RecordRelayed(item.outbound_id, verified, reference, now), None

    def _require_places(self, item: OutboundItem, receipts: Sequence[VerifiedReceipt]) -> None:
        """Return if each of the logs may hold its event about this envelope; raises what forbids it."""
        dependent = [receipt for receipt in receipts if self._judge.needs_origin(receipt)]
        if dependent and item.raw is not None:
            routing = parse_envelope(item.raw).routing
            for receipt in dependent:
                self._judge.require_place(receipt, routing.sender, routing.created)

    def _acceptance(self, item: OutboundItem, receipts: Sequence[VerifiedReceipt]) -> VerifiedReceipt:
        """The partner's RelayAcceptance of this envelope from this node; raises :class:`PeerFailedError`."""
        accepted: VerifiedReceipt | None = None
        cared_for: set[Address] = set()
        for receipt in receipts:
            event = receipt.event
            if event.digest != item.digest:
                raise PeerFailedError("a receipt is about another message")
            own = event.name is EventName.RelayAcceptance and event.peer == self._node.name
            if event.recipient is not None and (own or event.name is EventName.ContentConsignment):
                cared_for.add(event.recipient)
            elif own:
                accepted = receipt
        if accepted is None or not cared_for or not cared_for.issuperset(item.recipients):
            raise PeerFailedError("the receipts do not say that the message was accepted for every recipient")
        return accepted
