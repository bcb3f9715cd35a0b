"""Reports in numbers: of verified logs for an auditor, of its own cases for an office; as HTML or PDF, in any language.

It never holds the content of a message. The way: ``sources`` read, figures count (pure), ``audit_document`` and
``office_document`` say it in the reader's language, ``html`` and ``pdf`` show it, ``sign`` signs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.report._measures import Suppression

__all__ = ["Suppression"]

# Loaded when it is used: a desk that opens needs the period of a report, and none of what verifies logs.
_HOMES = {"Suppression": "exchange.report._measures"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
