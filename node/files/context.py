"""The parts of a running node that carry evidence files."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

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
    # Batches in memory on their way to all partners together: who waits for a place gets it in turn.
    in_memory: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BATCHES_IN_MEMORY))
