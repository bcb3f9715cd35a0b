"""The case of any other thread: spontaneous information, notices, tests: received, perhaps under conditions, closed.

Information may be offered under conditions first (Budapest Convention Art. 26.2): it is given when they are accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum

from protocol.lifecycle import facts as f
from protocol.lifecycle.folding import Case, Lifecycle
from protocol.lifecycle.rules import Rule, Side, by_state_and_fact


class ConversationState(StrEnum):
    """The states of a thread that asks for nothing to be executed."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    CONDITIONS_AGREED = "conditions_agreed"
    CONDITIONS_DECLINED = "conditions_declined"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


S = ConversationState
_OPEN = (S.SUBMITTED, S.DELIVERED, S.ACKNOWLEDGED)
_AFTER_DRAFT = tuple(state for state in S if state is not S.DRAFT)
# The opener is called the requester in all lifecycles.
_OPENS, _RECEIVES = Side.REQUESTER, Side.REQUESTED

CONVERSATION_RULES: tuple[Rule[ConversationState], ...] = (
    Rule((S.DRAFT,), f.Submitted, _OPENS, S.SUBMITTED, "Art. 26.1"),
    Rule((S.SUBMITTED,), f.Delivered, _RECEIVES, S.DELIVERED, "ETSI EN 319 522-1 ContentHandover"),
    Rule((S.SUBMITTED, S.DELIVERED), f.Acknowledged, _RECEIVES, S.ACKNOWLEDGED, "Directive 2013/40/EU Art. 13"),
    Rule((*_OPEN, S.CONDITIONS_DECLINED), f.ConditionsAccepted, _RECEIVES, S.CONDITIONS_AGREED, "Art. 26.2"),
    Rule((S.CONDITIONS_AGREED, S.ANSWERED), f.ConditionsAccepted, _RECEIVES, None, "Art. 26.2"),
    Rule(_OPEN, f.ConditionsDeclined, _RECEIVES, S.CONDITIONS_DECLINED, "Art. 26.2"),
    Rule((S.CONDITIONS_AGREED,), f.Answered, _OPENS, S.ANSWERED, "Art. 26.1"),
    Rule((S.ANSWERED,), f.Answered, _OPENS, None, "Art. 26.1"),
    Rule(
        tuple(s for s in _AFTER_DRAFT if s not in {S.WITHDRAWN, S.CLOSED}), f.Withdrawn, _OPENS, S.WITHDRAWN, "Comity"
    ),
    Rule(tuple(s for s in _AFTER_DRAFT if s not in {S.WITHDRAWN, S.CLOSED}), f.Closed, None, S.CLOSED, "Comity"),
    Rule((S.WITHDRAWN, S.CLOSED), f.Closed, None, None, "Comity"),
    Rule(tuple(s for s in _AFTER_DRAFT if s is not S.SUBMITTED), f.Delivered, _RECEIVES, None, "ETSI EN 319 522-1"),
    Rule(
        tuple(s for s in _AFTER_DRAFT if s not in {S.SUBMITTED, S.DELIVERED}),
        f.Acknowledged,
        _RECEIVES,
        None,
        "Directive 2013/40/EU Art. 13",
    ),
)
CONVERSATION_RULE_FOR = by_state_and_fact(CONVERSATION_RULES)
# In which nothing is asked or owed any more.
OVER = frozenset({S.WITHDRAWN, S.CLOSED})
_ENDED = frozenset({S.ANSWERED, S.WITHDRAWN, S.CLOSED, S.CONDITIONS_DECLINED})
MOVING = frozenset(rule.fact for rule in CONVERSATION_RULES)
"""What moves such a thread. All else moves nothing in it, and is in order whenever it comes."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The thread as one thing."""

    name: str = ""
    state: ConversationState = ConversationState.DRAFT


@dataclass(frozen=True, slots=True)
class ConversationCase(Case[Subject]):
    """What both sides know of a thread that asks for nothing to be executed."""

    @property
    def state(self) -> ConversationState:
        """Where the thread stands."""
        return self.targets[0].state if self.targets else ConversationState.DRAFT

    def state_at(self, now: datetime) -> ConversationState:
        """Where the thread stands; no clock moves it."""
        return self.state

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is offered any more; see :func:`protocol.lifecycle.is_over`. No clock ends a conversation."""
        if self.opening is None or self.opening.message_id in self.unread:
            return self.opening is None
        return not self.opening.offers or self.state in _ENDED


def fold_conversation(facts: Iterable[f.CaseFact]) -> ConversationCase:
    """The case of these facts; the order and the number of times they are given do not matter."""
    of_it = (replace(fact, targets=()) for fact in facts if type(fact) in MOVING or not fact.MOVES)
    folded = CONVERSATION.fold(of_it)
    return ConversationCase(**{field.name: getattr(folded, field.name) for field in fields(folded)})


def _state_met(target: Subject, at: datetime) -> StrEnum:
    return target.state


def _as_met(target: Subject, fact: f.CaseFact) -> f.CaseFact:
    return fact


def _changed(target: Subject, after: StrEnum, fact: f.CaseFact) -> Subject:
    return replace(target, state=ConversationState(after))


def _new(name: str, opening: f.Submitted) -> Subject:
    return Subject(name)


CONVERSATION = Lifecycle(CONVERSATION_RULE_FOR, _new, _state_met, _as_met, _changed)
