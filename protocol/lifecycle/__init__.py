"""The rules of a case: tables of transitions, the pure fold over a thread, and the clocks."""

from __future__ import annotations

from protocol.lifecycle._folding import OutOfOrder, Pause, Step
from protocol.lifecycle.assistance import AssistanceCase, WantedCase, fold_assistance
from protocol.lifecycle.assistance_rules import ASSISTANCE_RULES, EMERGENCY_RULES, AssistanceState
from protocol.lifecycle.case import AnyCase, check_step, fold, fold_any, is_over
from protocol.lifecycle.clocks import acknowledgement_due, expires_in, expiry_warnings
from protocol.lifecycle.conversation import ConversationCase, ConversationState
from protocol.lifecycle.deadlines import Deadline, deadlines, overdue
from protocol.lifecycle.preservation import (
    PreservationCase,
    RequestState,
    TargetCase,
    fold_facts,
    state_at,
)
from protocol.lifecycle.preservation_rules import RULES, State
from protocol.lifecycle.rules import Rule, Side
from protocol.lifecycle.thread import ThreadEvent, ThreadMessage, facts_of

__all__ = [
    "ASSISTANCE_RULES",
    "EMERGENCY_RULES",
    "RULES",
    "AnyCase",
    "AssistanceCase",
    "AssistanceState",
    "ConversationCase",
    "ConversationState",
    "Deadline",
    "OutOfOrder",
    "Pause",
    "PreservationCase",
    "RequestState",
    "Rule",
    "Side",
    "State",
    "Step",
    "TargetCase",
    "ThreadEvent",
    "ThreadMessage",
    "WantedCase",
    "acknowledgement_due",
    "check_step",
    "deadlines",
    "expires_in",
    "expiry_warnings",
    "facts_of",
    "fold",
    "fold_any",
    "fold_assistance",
    "fold_facts",
    "is_over",
    "overdue",
    "state_at",
]
