"""What all parts of a running node share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from node.log.sequencer import Sequencer
from node.operations.disk import Disk
from node.operations.history import History
from node.operations.logging import Log
from node.operations.metrics import Metrics
from node.peers.client import Partners
from node.peers.directory import DirectoryService
from node.settings import NodeSettings
from node.store.interface import Store


@dataclass(frozen=True, slots=True)
class NodeContext:
    """Which node it is, its clock, what it keeps, whom it knows, and how it tells its operator what happens."""

    name: str
    settings: NodeSettings
    clock: Callable[[], datetime]
    store: Store
    sequencer: Sequencer
    directory: DirectoryService
    partners: Partners
    metrics: Metrics
    log: Log
    disk: Disk
    history: History
