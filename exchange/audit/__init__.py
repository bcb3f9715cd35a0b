"""Auditing: mirror a node's log, verify it, and compare what two nodes' logs say, without seeing any content."""

from exchange.audit.compare import Comparison, TraceRow, compare, trace
from exchange.audit.mirror import FolderSource, LogSource, Mirrored, NodeSource, mirror
from exchange.audit.verify import Finding, LoggedEvent, VerifiedLog, verify_mirror
from exchange.audit.witnessed import Witnessed, witnessed

__all__ = [
    "Comparison",
    "Finding",
    "FolderSource",
    "LogSource",
    "LoggedEvent",
    "Mirrored",
    "NodeSource",
    "TraceRow",
    "VerifiedLog",
    "Witnessed",
    "compare",
    "mirror",
    "trace",
    "verify_mirror",
    "witnessed",
]
