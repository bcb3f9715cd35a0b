"""What the HTTP handlers of one node work with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from aiohttp import web

from node.http.authentication import Authenticator
from node.http.connections import Connections
from node.log.clock import ClockWatch
from node.log.sequencer import Sequencer
from node.log.wakeups import calling
from node.monitor.gossip import Gossip
from node.monitor.monitor import Monitor
from node.operations.disk import Disk
from node.operations.expiry_watch import ExpiryWatch
from node.operations.limits import Room, TokenBuckets
from node.operations.logging import Log
from node.operations.metrics import Metrics
from node.peers.directory import DirectoryService
from node.relay.context import RelayContext
from node.relay.intake import Intake
from node.relay.outcomes import Outcomes, PartnerReceiptJudge
from node.settings import LimitSettings
from node.store.interface import Store
from node.witness.cosignatures import Cosignatures
from node.witness.gateway import WitnessGateway
from node.witness.witness import Witness


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
    judge: PartnerReceiptJudge
    outcomes: Outcomes
    monitor: Monitor
    witness: Witness
    cosignatures: Cosignatures
    gateway: WitnessGateway
    gossip: Gossip
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
            outcomes=self.outcomes,
            monitor=self.monitor,
            metrics=self.metrics,
            log=self.log,
        )

    def heard_from(self, peer: str | None) -> None:
        """A request of this partner was authenticated: what waits for it need not wait longer."""
        if peer is not None:
            self.sequencer.wakeups.notify((calling(peer),))

    def end_polls(self) -> None:
        """Wake every long poll and stream, so that they see ``stopping``."""
        self.stopping = True
        self.sequencer.wakeups.notify(list(self.polls))


CONTEXT = web.AppKey("context", Context)
