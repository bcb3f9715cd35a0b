"""Auditing: mirror nodes' logs, verify them, and reconcile what two of them say.

It never opens an envelope, and never takes a log's word for what the log's own tree can prove.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.audit._finding import Finding
    from exchange.audit._handovers import Status
    from exchange.audit._ledger import Keeper
    from exchange.audit._proofs import proof_name, write_proofs

__all__ = ["Finding", "Keeper", "Status", "proof_name", "write_proofs"]

# Loaded when it is used: a desk that opens needs the period of a report, and none of what verifies logs.
_HOMES = {
    "Finding": "exchange.audit._finding",
    "Keeper": "exchange.audit._ledger",
    "Status": "exchange.audit._handovers",
    "proof_name": "exchange.audit._proofs",
    "write_proofs": "exchange.audit._proofs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
