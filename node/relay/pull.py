"""A node that nobody can reach fetches what waits for it at its relay, by one request after another of its own.

Each request says what became of what the one before brought, and waits for more: so what arrives at the relay is here
after half a round trip, as with a push. The node says it again until the relay has it; taking is idempotent.
"""

from __future__ import annotations

import asyncio

from node.log.wakeups import ANY_FILES
from node.operations.logging import log_defect
from node.peers.routes import relay_to_ask
from node.relay.context import RelayContext
from node.relay.receipt_intake import take_receipts
from protocol.errors import ComityError
from protocol.http.problem import is_final
from protocol.http.wire import Taken, Waiting

WAIT_S = 25
# A card that names a relay now may come with any refresh of the directory.
_CARD_S = 5.0


class Puller:
    """Pulls from the relay that this node's card names, as long as the card has no address of its own."""

    def __init__(self, context: RelayContext) -> None:
        self._context = context
        self._taken = Taken()
        self._failures = 0

    async def run(self) -> None:
        """Pull for ever; returns only by cancellation."""
        while True:
            relay = self._relay()
            if relay is None:
                await asyncio.sleep(_CARD_S)
                continue
            try:
                await self._round(relay)
            except ComityError as problem:
                if is_final(problem):
                    self._taken = Taken()  # what the relay cannot take it would never take: it shows what is left
                self._context.node.metrics.delivery_failures.labels(relay, problem.code).inc()
                self._context.node.history.failed(relay, problem)
                await self._failed(relay, problem.code)
            except Exception as problem:  # noqa: BLE001 - a defect in one round must not end the pulling for good
                self._context.node.metrics.internal_errors.inc()
                log_defect(self._context.node.log, problem, partner=relay)
                await self._failed(relay, "internal")

    def _relay(self) -> str | None:
        return relay_to_ask(self._context.node.directory.current, self._context.node.name)

    async def _round(self, relay: str) -> None:
        self._context.monitor.require_trusted(relay)
        waiting = await self._context.node.partners.get(relay).pull(self._taken, WAIT_S)
        # The relay has recorded what was said with this request; a lost answer only has it said again.
        self._taken = Taken()
        if self._failures:
            self._context.node.log.info("partner-back", partner=relay)
            self._failures = 0
        self._context.node.metrics.partner_up.labels(relay).set(1)
        self._context.node.history.took(relay)
        self._taken = await take_waiting(self._context, relay, waiting)

    async def _failed(self, relay: str, code: str) -> None:
        self._failures += 1
        self._context.node.metrics.partner_up.labels(relay).set(0)
        self._context.node.log.warning("pull-failed", partner=relay, code=code, attempts=self._failures)
        await asyncio.sleep(self._context.node.settings.delivery.pause_s(self._failures - 1))


async def take_waiting(context: RelayContext, peer: str, waiting: Waiting) -> Taken:
    """Take what ``peer`` had for this node: durable, logged, with an answer for each envelope and receipt."""
    answers = await context.intake.transfer([raw for _, raw in waiting.envelopes], peer) if waiting.envelopes else []
    if answers:
        context.node.sequencer.wakeups.notify((ANY_FILES,))
    verdicts = iter(await take_receipts(context, peer, [receipt for _, own in waiting.receipts for receipt in own]))
    return Taken(
        tuple((number, answer) for (number, _), answer in zip(waiting.envelopes, answers, strict=True)),
        tuple((number, tuple(next(verdicts) for _ in own)) for number, own in waiting.receipts),
    )
