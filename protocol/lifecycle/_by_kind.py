"""The lifecycle of a thread: the message that opens it chooses."""

from __future__ import annotations

from collections.abc import Iterable

from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import AssistanceCase, fold_assistance
from protocol.lifecycle.conversation import ConversationCase, fold_conversation
from protocol.lifecycle.folding import opening_of
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.preservation import PreservationCase, fold_facts

AnyCase = PreservationCase | AssistanceCase | ConversationCase


def fold_any(facts: Iterable[f.CaseFact]) -> AnyCase:
    """The case of these facts, by the lifecycle of the opening; without an opening all wait for it."""
    facts = tuple(facts)
    opening = opening_of(in_order(fact for fact in facts if isinstance(fact, f.Submitted)))
    kind = opening.kind if opening else "preservation.request"
    if kind == "preservation.request":
        return fold_facts(facts)
    if kind in {"assistance.request", "emergency.request"}:
        return fold_assistance(facts, emergency=kind == "emergency.request")
    return fold_conversation(facts)
