"""What a node checks before it takes an envelope: who sent it, when, and to whom. It never sees the content.

Order: parse, sender's identity, sender's key at this instant, signature, times, recipients, route. An envelope that
passed all of it becomes an operation for the sequencer; any other gets a typed refusal of its own.

Final refusals are logged. The log is kept for ever, so a refusal of what no known sender signed, which anybody can make
in any number, is logged for each caller at most :data:`UNSIGNED_BURST` times at once and as often a day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from node.log.sequencer import Sequencer
from node.operations.limits import TokenBuckets
from node.peers.directory import DirectoryService
from node.peers.routes import onward_route, route
from node.store.operations import (
    AcceptSubmission,
    AcceptTransfer,
    Failed,
    Incoming,
    Outcome,
    RecordRejection,
    RecordStatement,
)
from protocol.address import Address
from protocol.envelope import Envelope, VerifiedEnvelope, parse_envelope, verify_envelope
from protocol.errors import ComityError, ForbiddenError, NotYetValidError, RateLimitedError, SenderMismatchError
from protocol.event import EventName
from protocol.http.problem import is_final
from protocol.http.wire import EnvelopeAnswer
from protocol.routing import MAX_CLOCK_SKEW, check_time
from protocol.statement import parse_statement, verify_statement

UNSIGNED_BURST = 32.0

Admit = Callable[[VerifiedEnvelope, datetime], AcceptSubmission | AcceptTransfer]


@dataclass(frozen=True, slots=True)
class _Checked:
    """One envelope of a batch: ready as ``operation``, or refused with ``refusal``; ``envelope`` if it parsed.

    ``signed`` if its sender's signature was found to hold.
    """

    envelope: Envelope | None
    operation: AcceptSubmission | AcceptTransfer | None
    refusal: ComityError | None
    signed: bool


class Intake:
    """Checks envelopes and statements and hands them to the sequencer. One answer per item, in order."""

    def __init__(
        self, node: str, directory: DirectoryService, sequencer: Sequencer, clock: Callable[[], datetime]
    ) -> None:
        self._node = node
        self._directory = directory
        self._sequencer = sequencer
        self._clock = clock
        self._unsigned = TokenBuckets(UNSIGNED_BURST / 86_400, UNSIGNED_BURST)

    async def submit(self, envelopes: Sequence[bytes], desk: Address) -> list[EnvelopeAnswer]:
        """Take envelopes that ``desk``, authenticated, submitted."""

        def admit(verified: VerifiedEnvelope, now: datetime) -> AcceptSubmission:
            way = route(self._node, verified.routing.recipients, self._directory.current, now)
            return AcceptSubmission(_incoming(verified), way.local, way.onward, now)

        def require_sender(envelope: Envelope) -> None:
            if envelope.routing.sender != desk:
                raise SenderMismatchError(f"the envelope is not from {desk}, who submitted it")

        return await self._take(envelopes, require_sender, admit, str(desk), None)

    async def transfer(self, envelopes: Sequence[bytes], peer: str) -> list[EnvelopeAnswer]:
        """Take envelopes that node ``peer``, authenticated, handed over, for mailboxes here and to hand on."""

        def admit(verified: VerifiedEnvelope, now: datetime) -> AcceptTransfer:
            routing, directory = verified.routing, self._directory.current
            way = onward_route(self._node, peer, routing.sender, routing.recipients, directory, now)
            return AcceptTransfer(_incoming(verified), peer, way.local, now, way.onward)

        return await self._take(envelopes, lambda _: None, admit, peer, peer)

    async def state(self, statements: Sequence[bytes], desk: Address) -> list[EnvelopeAnswer]:
        """Log statements that ``desk``, authenticated, made."""
        since = time.monotonic()
        checked: list[RecordStatement | ComityError] = []
        for raw in statements:
            try:
                checked.append(await self._statement(raw, desk, since))
            except ComityError as problem:
                checked.append(problem)
        operations = [item for item in checked if isinstance(item, RecordStatement)]
        outcomes = iter(await self._sequencer.submit_many(operations))
        return [
            EnvelopeAnswer(refusal=item) if isinstance(item, ComityError) else _to_answer(next(outcomes))
            for item in checked
        ]

    # --- Inside ---

    async def _take(
        self,
        envelopes: Sequence[bytes],
        require_sender: Callable[[Envelope], None],
        admit: Admit,
        caller: str,
        peer: str | None,
    ) -> list[EnvelopeAnswer]:
        since = time.monotonic()
        checked = [await self._check(raw, require_sender, admit, since) for raw in envelopes]
        operations = [item.operation for item in checked if item.operation is not None]
        outcomes = iter(await self._sequencer.submit_many(operations))
        answers = [
            EnvelopeAnswer(refusal=item.refusal) if item.operation is None else _to_answer(next(outcomes))
            for item in checked
        ]
        await self._log_refusals(checked, answers, caller, peer)
        return answers

    async def _check(
        self, raw: bytes, require_sender: Callable[[Envelope], None], admit: Admit, since: float
    ) -> _Checked:
        envelope: Envelope | None = None
        signed = False
        try:
            envelope = parsed = parse_envelope(raw)
            require_sender(envelope)
            verified = await self._directory.with_fresh(lambda: self._verify(parsed), since)
            signed = True
            operation = await self._directory.with_fresh(lambda: self._admit(verified, admit), since)
        except ComityError as problem:
            return _Checked(envelope, None, problem, signed)
        return _Checked(envelope, operation, None, signed)

    def _verify(self, envelope: Envelope) -> VerifiedEnvelope:
        sender = str(envelope.routing.sender)
        return verify_envelope(envelope, self._directory.current.signing_key(sender, envelope.kid, self._clock()))

    def _admit(self, verified: VerifiedEnvelope, admit: Admit) -> AcceptSubmission | AcceptTransfer:
        now = self._clock()
        check_time(verified.routing, now)
        return admit(verified, now)

    async def _statement(self, raw: bytes, desk: Address, since: float) -> RecordStatement:
        signed = parse_statement(raw)
        if signed.statement.recipient != desk:
            raise ForbiddenError(f"{desk} states only what happened at its own desk")
        now = self._clock()
        if signed.statement.at - now > MAX_CLOCK_SKEW:
            raise NotYetValidError("the statement was made in the future")
        key = await self._directory.with_fresh(
            lambda: self._directory.current.signing_key(str(desk), signed.kid, now), since
        )
        return RecordStatement(verify_statement(signed, key), now)

    async def _log_refusals(
        self, checked: Sequence[_Checked], answers: Sequence[EnvelopeAnswer], caller: str, peer: str | None
    ) -> None:
        """Log final refusals of envelopes; one that may be sent again is not logged as refused."""
        event = EventName.SubmissionRejection if peer is None else EventName.RelayRejection
        now = self._clock()
        rejections = [
            RecordRejection(item.envelope.routing.id, item.envelope.digest, event, peer, None, (refusal.code,), now)
            for item, refusal in zip(checked, (answer.refusal for answer in answers), strict=True)
            if item.envelope is not None and refusal is not None and is_final(refusal)
            if item.signed or self._may_log_unsigned(caller)
        ]
        if rejections:
            await self._sequencer.submit_many(rejections)

    def _may_log_unsigned(self, caller: str) -> bool:
        try:
            self._unsigned.take(caller)
        except RateLimitedError:
            return False
        return True


def _incoming(verified: VerifiedEnvelope) -> Incoming:
    routing = verified.routing
    return Incoming(
        raw=verified.raw,
        digest=verified.digest,
        message_id=routing.id,
        sender=routing.sender,
        recipients=routing.recipients,
        expires=routing.expires,
        priority=int(routing.priority),
        commitment=routing.commitment,
    )


def _to_answer(outcome: Outcome) -> EnvelopeAnswer:
    if isinstance(outcome, Failed):
        return EnvelopeAnswer(refusal=outcome.error)
    return EnvelopeAnswer(outcome.receipts)
