"""The parts of a running node that relaying works with."""

from __future__ import annotations

from dataclasses import dataclass

from node.context import NodeContext
from node.monitor.monitor import Monitor
from node.relay.intake import Intake
from node.relay.outcomes import Outcomes, PartnerReceiptJudge


@dataclass(frozen=True, slots=True)
class RelayContext:
    """What takes messages and receipts in and passes them on, however they travel."""

    node: NodeContext
    intake: Intake
    judge: PartnerReceiptJudge
    outcomes: Outcomes
    monitor: Monitor
