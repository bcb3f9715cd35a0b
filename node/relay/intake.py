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
from functools import partial

from keys.directory.view import Directory
from node.log.sequencer import Sequencer
from node.operations.limits import TokenBuckets
from node.peers.directory import DirectoryService
from node.peers.routes import Route, onward_route, route
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
from protocol.crypto.signing import Ed25519Verifier
from protocol.envelope import Envelope, VerifiedEnvelope, parse_envelope, verify_envelope
from protocol.errors import ComityError, ForbiddenError, NotYetValidError, RateLimitedError, SenderMismatchError
from protocol.event import EventName
from protocol.http.problem import is_final
from protocol.http.wire import EnvelopeAnswer
from protocol.routing import MAX_CLOCK_SKEW, Routing, check_time
from protocol.statement import parse_statement, verify_statement

UNSIGNED_BURST = 32.0

Admit = Callable[[VerifiedEnvelope, "_Lookups"], AcceptSubmission | AcceptTransfer]


@dataclass(frozen=True, slots=True)
class _Checked:
    """One envelope of a batch: ready as ``operation``, or refused with ``refusal``; ``envelope`` if it parsed.

    ``signed`` if its sender's signature was found to hold.
    """

    envelope: Envelope | None
    operation: AcceptSubmission | AcceptTransfer | None
    refusal: ComityError | None
    signed: bool


class _Lookups:
    """What the directory says at the instant at which a batch is judged: each key and each way is looked up once.

    A refresh in between makes another directory, of which everything is asked anew.
    """

    def __init__(self, service: DirectoryService, now: datetime) -> None:
        self.now = now
        self._service = service
        self._directory: Directory | None = None
        self._keys: dict[tuple[Address, bytes], Ed25519Verifier] = {}
        self._ways: dict[tuple[Address, tuple[Address, ...]], Route] = {}

    def key(self, sender: Address, kid: bytes) -> Ed25519Verifier:
        """As :meth:`Directory.signing_key`."""
        directory = self._current()
        found = self._keys.get((sender, kid))
        if found is None:
            found = self._keys[sender, kid] = directory.signing_key(str(sender), kid, self.now)
        return found

    def way(self, routing: Routing, find: Callable[[Directory], Route]) -> Route:
        """The way of every message of this sender to these recipients."""
        directory = self._current()
        parties = routing.sender, routing.recipients
        found = self._ways.get(parties)
        if found is None:
            found = self._ways[parties] = find(directory)
        return found

    def _current(self) -> Directory:
        current = self._service.current
        if current is not self._directory:
            self._directory = current
            self._keys.clear()
            self._ways.clear()
        return current


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

        def admit(verified: VerifiedEnvelope, lookups: _Lookups) -> AcceptSubmission:
            routing, now = verified.routing, lookups.now
            way = lookups.way(routing, lambda directory: route(self._node, routing.recipients, directory, now))
            return AcceptSubmission(_incoming(verified), way.local, way.onward, now)

        def require_sender(envelope: Envelope) -> None:
            if envelope.routing.sender != desk:
                raise SenderMismatchError(f"the envelope is not from {desk}, who submitted it")

        return await self._take(envelopes, require_sender, admit, str(desk), None)

    async def transfer(self, envelopes: Sequence[bytes], peer: str) -> list[EnvelopeAnswer]:
        """Take envelopes that node ``peer``, authenticated, handed over, for mailboxes here and to hand on."""

        def admit(verified: VerifiedEnvelope, lookups: _Lookups) -> AcceptTransfer:
            routing, now = verified.routing, lookups.now
            way = lookups.way(
                routing,
                lambda directory: onward_route(self._node, peer, routing.sender, routing.recipients, directory, now),
            )
            return AcceptTransfer(_incoming(verified), peer, way.local, now, way.onward)

        return await self._take(envelopes, lambda _: None, admit, peer, peer)

    async def state(self, statements: Sequence[bytes], desk: Address) -> list[EnvelopeAnswer]:
        """Log statements that ``desk``, authenticated, made."""
        since, lookups = time.monotonic(), _Lookups(self._directory, self._clock())
        checked: list[RecordStatement | ComityError] = []
        for raw in statements:
            try:
                checked.append(await self._statement(raw, desk, since, lookups))
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
        since, lookups = time.monotonic(), _Lookups(self._directory, self._clock())
        checked = [await self._check(raw, require_sender, admit, since, lookups) for raw in envelopes]
        operations = [item.operation for item in checked if item.operation is not None]
        outcomes = iter(await self._sequencer.submit_many(operations))
        answers = [
            EnvelopeAnswer(refusal=item.refusal) if item.operation is None else _to_answer(next(outcomes))
            for item in checked
        ]
        await self._log_refusals(checked, answers, caller, peer)
        return answers

    async def _check(
        self, raw: bytes, require_sender: Callable[[Envelope], None], admit: Admit, since: float, lookups: _Lookups
    ) -> _Checked:
        envelope: Envelope | None = None
        signed = False

        def judge(parsed: Envelope) -> AcceptSubmission | AcceptTransfer:
            nonlocal signed
            verified = verify_envelope(parsed, lookups.key(parsed.routing.sender, parsed.kid))
            signed = True
            return self._admit(verified, admit, lookups)

        try:
            envelope = parse_envelope(raw)
            require_sender(envelope)
            operation = await self._directory.with_fresh(partial(judge, envelope), since)
        except ComityError as problem:
            return _Checked(envelope, None, problem, signed)
        return _Checked(envelope, operation, None, signed)

    @staticmethod
    def _admit(verified: VerifiedEnvelope, admit: Admit, lookups: _Lookups) -> AcceptSubmission | AcceptTransfer:
        check_time(verified.routing, lookups.now)
        return admit(verified, lookups)

    async def _statement(self, raw: bytes, desk: Address, since: float, lookups: _Lookups) -> RecordStatement:
        signed = parse_statement(raw)
        if signed.statement.recipient != desk:
            raise ForbiddenError(f"{desk} states only what happened at its own desk")
        if signed.statement.at - lookups.now > MAX_CLOCK_SKEW:
            raise NotYetValidError("the statement was made in the future")
        key = await self._directory.with_fresh(partial(lookups.key, desk, signed.kid), since)
        return RecordStatement(verify_statement(signed, key), lookups.now)

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
        created=routing.created,
        expires=routing.expires,
        priority=int(routing.priority),
        commitment=routing.commitment,
        file_set=routing.file_set,
        ack_by=routing.ack_by,
    )


def _to_answer(outcome: Outcome) -> EnvelopeAnswer:
    if isinstance(outcome, Failed):
        return EnvelopeAnswer(refusal=outcome.error)
    return EnvelopeAnswer(outcome.receipts)
