"""Auditing: mirror nodes' logs, verify them, and reconcile what two of them say.

It never opens an envelope, and never takes a log's word for what the log's own tree can prove.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.audit._finding import Finding
    from exchange.audit._handovers import Status
    from exchange.audit._proofs import proof_name, write_proofs
    from exchange.audit._resume import keep_verified, verified_before

__all__ = ["Finding", "Status", "keep_verified", "proof_name", "verified_before", "write_proofs"]

# Loaded when it is used: a desk that opens needs the period of a report, and none of what verifies logs.
_HOMES = {
    "Finding": "exchange.audit._finding",
    "Status": "exchange.audit._handovers",
    "proof_name": "exchange.audit._proofs",
    "write_proofs": "exchange.audit._proofs",
    "keep_verified": "exchange.audit._resume",
    "verified_before": "exchange.audit._resume",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
