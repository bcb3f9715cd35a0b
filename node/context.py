"""What the HTTP handlers of one node work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from node.authentication import Authenticator
from node.changes import calling
from node.collector import Collector
from node.cosignatures import Cosignatures
from node.cosigner import Cosigner
from node.directory_refresh import DirectoryService
from node.expiry_watch import ExpiryWatch
from node.handover import Handover, ReceiptJudge
from node.http.connections import Connections
from node.limits import Room, TokenBuckets
from node.logging import Log
from node.metrics import Metrics
from node.operations.clock import ClockWatch
from node.operations.disk import Disk
from node.proof_exchange import ProofExchange
from node.relay_context import RelayContext
from node.sequencer import Sequencer
from node.settings import LimitSettings
from node.store.base import Store
from node.transfer import Intake
from node.witness import Witness


@dataclass(slots=True)
class Context:
    """The parts of a running node. ``polls`` counts open long polls and streams by desk; ``stopping`` ends them."""

    node: str
    clock: Callable[[], datetime]
    limits: LimitSettings
    store: Store
    sequencer: Sequencer
    directory: DirectoryService
    authenticator: Authenticator
    intake: Intake
    judge: ReceiptJudge
    handover: Handover
    witness: Witness
    cosigner: Cosigner
    cosignatures: Cosignatures
    collector: Collector
    proof_exchange: ProofExchange
    expiry_watch: ExpiryWatch
    disk: Disk
    clock_watch: ClockWatch
    desk_buckets: TokenBuckets
    partner_buckets: TokenBuckets
    desk_byte_buckets: TokenBuckets
    partner_byte_buckets: TokenBuckets
    failure_buckets: TokenBuckets
    requests: Room
    bodies: Room
    connections: Connections
    metrics: Metrics
    log: Log
    polls: Counter[str] = field(default_factory=Counter)
    stopping: bool = False

    @property
    def relaying(self) -> RelayContext:
        """The parts that take messages and receipts in and pass them on."""
        return RelayContext(
            node=self.node,
            clock=self.clock,
            store=self.store,
            sequencer=self.sequencer,
            directory=self.directory,
            intake=self.intake,
            judge=self.judge,
            handover=self.handover,
            witness=self.witness,
            metrics=self.metrics,
            log=self.log,
        )

    def heard_from(self, peer: str | None) -> None:
        """A request of this partner was authenticated: what waits for it need not wait longer."""
        if peer is not None:
            self.sequencer.changes.notify((calling(peer),))

    def end_polls(self) -> None:
        """Wake every long poll and stream, so that they see ``stopping``."""
        self.stopping = True
        self.sequencer.changes.notify(list(self.polls))


CONTEXT = web.AppKey("context", Context)
