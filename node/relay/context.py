"""The parts of a running node that relaying works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from node.log.sequencer import Sequencer
from node.monitor.monitor import Witness
from node.operations.logging import Log
from node.operations.metrics import Metrics
from node.peers.directory import DirectoryService
from node.relay.intake import Intake
from node.relay.outcomes import Handover, ReceiptJudge
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
    judge: ReceiptJudge
    handover: Handover
    witness: Witness
    metrics: Metrics
    log: Log
