"""The parts of a running node that relaying works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from node.directory_refresh import DirectoryService
from node.handover import Handover, ReceiptJudge
from node.logging import Log
from node.metrics import Metrics
from node.sequencer import Sequencer
from node.store.base import Store
from node.transfer import Intake
from node.witness import Witness


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
