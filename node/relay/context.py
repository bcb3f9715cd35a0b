"""The parts of a running node that relaying works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from node.log.sequencer import Sequencer
from node.monitor.monitor import Monitor
from node.operations.logging import Log
from node.operations.metrics import Metrics
from node.peers.directory import DirectoryService
from node.relay.intake import Intake
from node.relay.outcomes import Outcomes, PartnerReceiptJudge
from node.store.interface import Store


@dataclass(frozen=True, slots=True)
class RelayContext:
    """What takes messages and receipts in and passes them on, however they travel."""

    node: str
    clock: Callable[[], datetime]
    store: Store
    sequencer: Sequencer
    directory: DirectoryService
    intake: Intake
    judge: PartnerReceiptJudge
    outcomes: Outcomes
    monitor: Monitor
    metrics: Metrics
    log: Log
