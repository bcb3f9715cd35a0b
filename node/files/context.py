"""The parts of a running node that carry evidence files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from keys.transport.precedence import Precedence
from node.context import NodeContext
from node.files._shares import ToldShares
from node.files.carried.hands import SignedHands
from node.files.holdings import Holdings
from node.files.pace import Pace
from node.files.store import FileStore
from node.monitor.monitor import Monitor

BATCHES_IN_MEMORY = 16


@dataclass(frozen=True, slots=True)
class FilesContext:
    """What takes files in and passes them on: the node, its store of segments, what it holds of each message, and
    by whose hands that was carried."""

    node: NodeContext
    store: FileStore
    holdings: Holdings
    monitor: Monitor
    pace: Pace
    hands: SignedHands
    shares: ToldShares = field(default_factory=ToldShares)
    first: Precedence = field(default_factory=Precedence)
    # Batches on their way to all partners together, of each a MiB or two in memory: who waits gets a place in turn.
    in_memory: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BATCHES_IN_MEMORY))
