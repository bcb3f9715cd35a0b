"""Auditing: mirror nodes' logs, verify them, and reconcile what two of them say, without seeing any content."""

from exchange.audit._finding import Finding
from exchange.audit._handovers import Status
from exchange.audit._ledger import Keeper
from exchange.audit._proofs import proof_name, write_proofs
from exchange.audit.mirror import LogSource, Mirrored, NodeSource, TileFolderSource, mirror
from exchange.audit.period import ALWAYS, Period
from exchange.audit.reconcile import Cited, ReconciledRow, Reconciliation, reconcile
from exchange.audit.trace import TraceRow, trace
from exchange.audit.verify import EVERYTHING, LoggedView, LogMirror, VerifiedLog, VerifyPlan, verify_mirror
from exchange.audit.witnessing import Witnessed, demand_witnessed, witnessed
from keys.local.tile_folder import PLAIN, SCOPED, BundleForm

__all__ = [
    "ALWAYS",
    "EVERYTHING",
    "PLAIN",
    "SCOPED",
    "BundleForm",
    "Cited",
    "Finding",
    "Keeper",
    "LogMirror",
    "LogSource",
    "LoggedView",
    "Mirrored",
    "NodeSource",
    "Period",
    "ReconciledRow",
    "Reconciliation",
    "Status",
    "TileFolderSource",
    "TraceRow",
    "VerifiedLog",
    "VerifyPlan",
    "Witnessed",
    "demand_witnessed",
    "mirror",
    "proof_name",
    "reconcile",
    "trace",
    "verify_mirror",
    "witnessed",
    "write_proofs",
]
