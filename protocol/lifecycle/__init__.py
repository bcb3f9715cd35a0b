"""The rules of a case: tables of transitions, the pure fold over a thread, and the clocks."""

from __future__ import annotations

from protocol.lifecycle.clocks import acknowledgement_due, acknowledgement_overdue, expires_in, expiry_warnings
from protocol.lifecycle.preservation import (
    OutOfOrder,
    PreservationCase,
    RequestState,
    Step,
    TargetCase,
    check_step,
    fold,
    fold_facts,
    state_at,
)
from protocol.lifecycle.preservation_rules import RULES, Rule, Side, State
from protocol.lifecycle.thread import ThreadEvent, ThreadMessage, facts_of

__all__ = [
    "RULES",
    "OutOfOrder",
    "PreservationCase",
    "RequestState",
    "Rule",
    "Side",
    "State",
    "Step",
    "TargetCase",
    "ThreadEvent",
    "ThreadMessage",
    "acknowledgement_due",
    "acknowledgement_overdue",
    "check_step",
    "expires_in",
    "expiry_warnings",
    "facts_of",
    "fold",
    "fold_facts",
    "state_at",
]
