"""The parts of a running node that carry evidence files."""

from __future__ import annotations

from dataclasses import dataclass

from node.context import NodeContext
from node.files.holdings import Holdings
from node.files.pace import Pace
from node.files.store import FileStore
from node.monitor.monitor import Monitor


@dataclass(frozen=True, slots=True)
class FilesContext:
    """What takes files in and passes them on: the node, its store of segments, and what it holds of each message."""

    node: NodeContext
    store: FileStore
    holdings: Holdings
    monitor: Monitor
    pace: Pace
