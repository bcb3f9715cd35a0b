"""What the HTTP handlers of one node work with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from aiohttp import web

from node.context import NodeContext
from node.files.intake import FileIntake
from node.files.serving import FileServing
from node.http.authentication import Authenticator
from node.http.connections import Connections
from node.log.clock import ClockWatch
from node.log.wakeups import calling
from node.monitor.gossip import Gossip
from node.operations.expiry_watch import ExpiryWatch
from node.operations.limits import Allowances
from node.relay.context import RelayContext
from node.witness.cosignatures import Cosignatures
from node.witness.gateway import WitnessGateway
from node.witness.witness import Witness


@dataclass(slots=True)
class Polls:
    """Requests that wait on purpose: how many of whom. They end when ``stopping`` is set and they are woken."""

    of: Counter[str] = field(default_factory=Counter)
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class HttpContext:
    """The parts of a running node that answer requests."""

    relay: RelayContext
    authenticator: Authenticator
    witness: Witness
    cosignatures: Cosignatures
    gateway: WitnessGateway
    gossip: Gossip
    expiry_watch: ExpiryWatch
    clock_watch: ClockWatch
    allowances: Allowances
    connections: Connections
    files: FileIntake
    file_serving: FileServing
    polls: Polls = field(default_factory=Polls)

    @property
    def node(self) -> NodeContext:
        """What all parts of the node share."""
        return self.relay.node

    def heard_from(self, peer: str | None) -> None:
        """A request of this partner was authenticated: what waits for it need not wait longer."""
        if peer is not None:
            self.node.history.called(peer)
            self.node.sequencer.wakeups.notify((calling(peer),))

    def end_polls(self) -> None:
        """End every long poll and stream."""
        self.polls.stopping = True
        self.node.sequencer.wakeups.notify(list(self.polls.of))


CONTEXT = web.AppKey("context", HttpContext)
