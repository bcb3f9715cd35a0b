"""The lifecycle of a request for assistance, and of an emergency request, as tables: state × fact × side → state.

States. *Submitted*, *delivered*, *acknowledged* and *under review* are as for a preservation. *Clarification* waits for
the requester, *awaiting authorisation* and *postponed* for something else; the requested side goes on from each. Of
*accepted with conditions* the terms are still open; *conditions agreed* and *declined* say what became of them, and
after *declined* the requested side may still decide to give (Art. 28.3). *Answered* and *forwarded* wait to be closed.
*Expired unanswered* is never reached by a message: it is derived from the date until which the answer was of use.

An emergency request differs in one thing: what is disclosed is owed a supplement, and that closes it.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from protocol.lifecycle import facts as f
from protocol.lifecycle.reasons import Reason
from protocol.lifecycle.rules import Rule, Side, by_state_and_fact


class AssistanceState(StrEnum):
    """The states of a request, and of each thing that is asked for in it."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    UNDER_REVIEW = "under_review"
    CLARIFICATION = "clarification"
    AWAITING_AUTHORISATION = "awaiting_authorisation"
    POSTPONED = "postponed"
    ACCEPTED = "accepted"
    ACCEPTED_WITH_CONDITIONS = "accepted_with_conditions"
    CONDITIONS_AGREED = "conditions_agreed"
    CONDITIONS_DECLINED = "conditions_declined"
    IN_EXECUTION = "in_execution"
    PARTIALLY_ANSWERED = "partially_answered"
    ANSWERED = "answered"
    SUPPLEMENT_DUE = "supplement_due"
    FORWARDED = "forwarded"
    REFUSED = "refused"
    IMPOSSIBLE = "impossible"
    WITHDRAWN = "withdrawn"
    EXPIRED_UNANSWERED = "expired_unanswered"
    CLOSED = "closed"


S = AssistanceState
TERMINAL = frozenset({S.CLOSED, S.REFUSED, S.IMPOSSIBLE, S.WITHDRAWN, S.CONDITIONS_DECLINED, S.EXPIRED_UNANSWERED})
_OPEN = (S.SUBMITTED, S.DELIVERED, S.ACKNOWLEDGED, S.UNDER_REVIEW)
_WAITING = (S.CLARIFICATION, S.AWAITING_AUTHORISATION, S.POSTPONED)
_UNDECIDED = (*_OPEN, *_WAITING)
_GOING = (S.ACCEPTED, S.CONDITIONS_AGREED, S.IN_EXECUTION, S.PARTIALLY_ANSWERED)
# Nothing, or not all, was given yet: what a date of use can pass.
UNANSWERED = frozenset({*_UNDECIDED, *_GOING, S.ACCEPTED_WITH_CONDITIONS})
_REFUSABLE = (*_UNDECIDED, *_GOING, S.ACCEPTED_WITH_CONDITIONS)
_AFTER_DRAFT = tuple(state for state in S if state not in {S.DRAFT, S.EXPIRED_UNANSWERED})
_NOT_PENDING = tuple(state for state in _AFTER_DRAFT if state is not S.ACCEPTED_WITH_CONDITIONS)
_NON_TERMINAL = tuple(state for state in _AFTER_DRAFT if state not in TERMINAL)
_ASKS, _DOES = Side.REQUESTER, Side.REQUESTED


def _by_the_other_side(target: object, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    if getattr(target, "conditions_by", None) == fact.by:
        return Reason("own_conditions")
    return None


ASSISTANCE_RULES: tuple[Rule[AssistanceState], ...] = (
    Rule((S.DRAFT,), f.Submitted, _ASKS, S.SUBMITTED, "UN Convention Art. 40"),
    Rule((S.SUBMITTED,), f.Delivered, _DOES, S.DELIVERED, "ETSI EN 319 522-1 ContentHandover"),
    Rule((S.SUBMITTED, S.DELIVERED), f.Acknowledged, _DOES, S.ACKNOWLEDGED, "Directive 2013/40/EU Art. 13"),
    Rule((*_OPEN, S.AWAITING_AUTHORISATION, S.POSTPONED), f.ReviewStarted, _DOES, S.UNDER_REVIEW, "Art. 25.3"),
    Rule(
        (*_OPEN, S.AWAITING_AUTHORISATION, S.POSTPONED),
        f.ClarificationAsked,
        _DOES,
        S.CLARIFICATION,
        "Directive (EU) 2023/977 Art. 14",
    ),
    Rule((*_GOING, S.CLARIFICATION), f.ClarificationAsked, _DOES, None, "Directive (EU) 2023/977 Art. 14"),
    Rule((S.CLARIFICATION,), f.ClarificationReplied, _ASKS, S.UNDER_REVIEW, "Directive (EU) 2023/977 Art. 14"),
    Rule(
        tuple(state for state in _AFTER_DRAFT if state is not S.CLARIFICATION),
        f.ClarificationReplied,
        _ASKS,
        None,
        "Directive (EU) 2023/977 Art. 14",
    ),
    Rule(
        (*_UNDECIDED, *_GOING),
        f.AuthorisationAwaited,
        _DOES,
        S.AWAITING_AUTHORISATION,
        "Directive (EU) 2023/977 Art. 5",
    ),
    Rule((*_UNDECIDED, *_GOING), f.Postponed, _DOES, S.POSTPONED, "Art. 27.5"),
    Rule((*_UNDECIDED, S.CONDITIONS_DECLINED), f.Accepted, _DOES, S.ACCEPTED, "Art. 25.1"),
    Rule(
        (*_UNDECIDED, S.ACCEPTED, S.CONDITIONS_DECLINED),
        f.ConditionsProposed,
        _DOES,
        S.ACCEPTED_WITH_CONDITIONS,
        "Art. 27.6, 28.2",
    ),
    Rule((S.ACCEPTED_WITH_CONDITIONS,), f.ConditionsProposed, None, None, "Art. 28.3"),
    # The result is offered under conditions before it is given.
    Rule(
        (S.CONDITIONS_AGREED, S.IN_EXECUTION, S.PARTIALLY_ANSWERED, S.ANSWERED),
        f.ConditionsProposed,
        _DOES,
        None,
        "Art. 28.2",
    ),
    Rule(
        (S.ACCEPTED_WITH_CONDITIONS,),
        f.ConditionsAccepted,
        None,
        S.CONDITIONS_AGREED,
        "Art. 28.3",
        _by_the_other_side,
    ),
    Rule(
        (S.ACCEPTED_WITH_CONDITIONS,),
        f.ConditionsDeclined,
        None,
        S.CONDITIONS_DECLINED,
        "Art. 28.3",
        _by_the_other_side,
    ),
    Rule((S.ACCEPTED_WITH_CONDITIONS,), f.Accepted, _DOES, S.ACCEPTED, "Art. 28.3"),
    # Conditions on what was handed over are accepted, or not, without moving the request.
    Rule(_NOT_PENDING, f.ConditionsAccepted, None, None, "Art. 28.3"),
    Rule(_NOT_PENDING, f.ConditionsDeclined, None, None, "Art. 28.3"),
    Rule((*_UNDECIDED, S.ACCEPTED, S.CONDITIONS_AGREED), f.ExecutionStarted, _DOES, S.IN_EXECUTION, "Art. 25.1"),
    Rule((S.IN_EXECUTION, S.PARTIALLY_ANSWERED), f.ExecutionStarted, _DOES, None, "Art. 25.1"),
    Rule((*_UNDECIDED, *_GOING), f.AnsweredInPart, _DOES, S.PARTIALLY_ANSWERED, "Art. 27.7"),
    Rule((*_UNDECIDED, *_GOING, S.CONDITIONS_DECLINED, S.FORWARDED), f.Answered, _DOES, S.ANSWERED, "Art. 25.1, 28.3"),
    Rule((S.ANSWERED,), f.Answered, _DOES, None, "Art. 25.1"),
    Rule(_REFUSABLE, f.Refused, _DOES, S.REFUSED, "Art. 27.4, 27.7"),
    Rule(_REFUSABLE, f.Impossible, _DOES, S.IMPOSSIBLE, "Art. 27.7"),
    Rule(_UNDECIDED, f.Forwarded, _DOES, S.FORWARDED, "Art. 27.9"),
    Rule(_NON_TERMINAL, f.Withdrawn, _ASKS, S.WITHDRAWN, "Comity"),
    Rule((S.ANSWERED, S.FORWARDED), f.Closed, None, S.CLOSED, "Comity"),
    Rule((*_REFUSABLE,), f.Closed, _ASKS, S.CLOSED, "Comity"),
    Rule(tuple(s for s in S if s in TERMINAL and s is not S.EXPIRED_UNANSWERED), f.Closed, None, None, "Comity"),
    Rule(_AFTER_DRAFT, f.Reported, _DOES, None, "UN Convention Art. 40"),
    # Proof and courtesy may arrive late: they are recorded and move nothing back.
    Rule(tuple(s for s in _AFTER_DRAFT if s is not S.SUBMITTED), f.Delivered, _DOES, None, "ETSI EN 319 522-1"),
    Rule(
        tuple(s for s in _AFTER_DRAFT if s not in {S.SUBMITTED, S.DELIVERED}),
        f.Acknowledged,
        _DOES,
        None,
        "Directive 2013/40/EU Art. 13",
    ),
)


def _in_an_emergency(rule: Rule[AssistanceState]) -> Rule[AssistanceState]:
    """The row with *answered* read as *supplement due*."""
    before = tuple(
        S.SUPPLEMENT_DUE if state is S.ANSWERED else state for state in rule.before if state is not S.SUPPLEMENT_DUE
    )
    return replace(rule, before=before, after=S.SUPPLEMENT_DUE if rule.after is S.ANSWERED else rule.after)


_SUPPLEMENT = "Second Additional Protocol Art. 9.3"
EMERGENCY_RULES: tuple[Rule[AssistanceState], ...] = (
    # The supplement is owed: only it closes what was disclosed.
    *(_in_an_emergency(rule) for rule in ASSISTANCE_RULES if not (rule.fact is f.Closed and S.ANSWERED in rule.before)),
    Rule((S.FORWARDED,), f.Closed, None, S.CLOSED, "Comity"),
    Rule((S.SUPPLEMENT_DUE,), f.Supplemented, _ASKS, S.CLOSED, _SUPPLEMENT),
    Rule(
        tuple(state for state in _AFTER_DRAFT if state not in {S.ANSWERED, S.SUPPLEMENT_DUE}),
        f.Supplemented,
        _ASKS,
        None,
        _SUPPLEMENT,
    ),
)
ASSISTANCE_RULE_FOR = by_state_and_fact(ASSISTANCE_RULES)
EMERGENCY_RULE_FOR = by_state_and_fact(EMERGENCY_RULES)
