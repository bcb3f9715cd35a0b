"""The lifecycle of one preservation target, as a table: state × fact × side → state, with the rule it follows from.

The table does not know on which side it is read. A fact that no row allows changes nothing and is kept as out of order.

States. A target is *submitted* when the request exists, *delivered* when the requested desk proved it has it,
*acknowledged* when a person said so, *under review* when it is being examined. *Clarification* and *risk dialogue*
wait for the requester, *awaiting authorisation* for a magistrate or other authority of the requested State. *Preserved*
and *extended* have an expiry; *extension asked* still has the old one. *Followed up* waits for the decision on the
request that followed; its expiry stands until the requested side confirms that this request arrived.
*Lapsed* is never reached by a message: it is derived from the expiry and the time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.reasons import Reason
from protocol.lifecycle.rules import Rule, Side, by_state_and_fact


class State(StrEnum):
    """The states of a target."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    UNDER_REVIEW = "under_review"
    AWAITING_AUTHORISATION = "awaiting_authorisation"
    CLARIFICATION = "clarification"
    RISK_DIALOGUE = "risk_dialogue"
    PRESERVED = "preserved"
    EXTENSION_ASKED = "extension_asked"
    EXTENDED = "extended"
    FOLLOWED_UP = "followed_up"
    FOLLOW_UP_REFUSED = "follow_up_refused"
    REFUSED = "refused"
    NOT_HELD = "not_held"
    PRODUCED = "produced"
    RELEASED = "released"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"


S = State
TERMINAL = frozenset({S.REFUSED, S.NOT_HELD, S.PRODUCED, S.RELEASED, S.LAPSED, S.WITHDRAWN})
# States with an expiry that runs, unless it is suspended.
LIVING = (S.PRESERVED, S.EXTENSION_ASKED, S.EXTENDED, S.FOLLOWED_UP, S.FOLLOW_UP_REFUSED)
_OPEN = (S.SUBMITTED, S.DELIVERED, S.ACKNOWLEDGED, S.UNDER_REVIEW, S.AWAITING_AUTHORISATION)
_UNDECIDED = (*_OPEN, S.CLARIFICATION)
_EXTENDABLE = (S.PRESERVED, S.EXTENSION_ASKED, S.EXTENDED)
_NON_TERMINAL = tuple(state for state in S if state not in TERMINAL and state is not S.DRAFT)
_TERMINAL = tuple(state for state in S if state in TERMINAL)
_AFTER_DRAFT = tuple(state for state in S if state is not S.DRAFT)


class TargetView(Protocol):
    """What a guard may look at."""

    @property
    def preserved_at(self) -> datetime | None: ...
    @property
    def expires_at(self) -> datetime | None: ...
    @property
    def wanted_until(self) -> datetime | None: ...
    @property
    def follow_ups(self) -> tuple[UUID, ...]: ...


def _at_least_the_minimum(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    if isinstance(fact, f.Preserved) and fact.expires_at - fact.preserved_at < timedelta(days=opening.minimum_days):
        return Reason("below_minimum", days=opening.minimum_days)
    return None


def _not_shortened(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    if isinstance(fact, f.Preserved) and target.expires_at is not None and fact.expires_at < target.expires_at:
        return Reason("brought_forward")
    return _at_least_the_minimum(target, fact, opening)


def _before_expiry(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    if target.expires_at is not None and fact.at >= target.expires_at:
        return Reason("expired")
    if isinstance(fact, f.ExtensionAsked) and target.expires_at is not None and fact.until <= target.expires_at:
        return Reason("not_later")
    return None


def _asked_in_time(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    if target.wanted_until is None:
        return Reason("not_asked_in_time")
    if isinstance(fact, f.Preserved) and fact.expires_at <= fact.at:
        return Reason("given_too_late")
    return _not_shortened(target, fact, opening)


def _granted_in_part(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    return None if target.wanted_until is not None else Reason("target_state", state=str(S.EXTENDED))


def _followed_up_in_time(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    return None if target.follow_ups else Reason("not_followed_up_in_time")


def _received_in_time(target: TargetView, fact: f.CaseFact, opening: f.Submitted) -> Reason | None:
    if not isinstance(fact, f.FollowUpArrived):
        return None
    if fact.received_at > fact.at:
        return Reason("not_received_yet")
    late = target.expires_at is not None and fact.received_at > target.expires_at
    return Reason("received_too_late") if late else None


_ASKS, _DOES = Side.REQUESTER, Side.REQUESTED

RULES: tuple[Rule[State], ...] = (
    Rule((S.DRAFT,), f.Submitted, _ASKS, S.SUBMITTED, "Art. 29.2"),
    Rule((S.SUBMITTED,), f.Delivered, _DOES, S.DELIVERED, "ETSI EN 319 522-1 ContentHandover"),
    Rule((S.SUBMITTED, S.DELIVERED), f.Acknowledged, _DOES, S.ACKNOWLEDGED, "Directive 2013/40/EU Art. 13"),
    Rule(_OPEN, f.ReviewStarted, _DOES, S.UNDER_REVIEW, "Art. 29.3"),
    Rule(_OPEN, f.ClarificationAsked, _DOES, S.CLARIFICATION, "Art. 27.6"),
    Rule((S.CLARIFICATION,), f.ClarificationReplied, _ASKS, S.UNDER_REVIEW, "Art. 27.6"),
    Rule(_OPEN, f.RiskRaised, _DOES, S.RISK_DIALOGUE, "Art. 29.6"),
    Rule((S.RISK_DIALOGUE,), f.RiskAccepted, _ASKS, S.UNDER_REVIEW, "Art. 29.6"),
    Rule(_UNDECIDED, f.Preserved, _DOES, S.PRESERVED, "Art. 29.3, 29.7", _at_least_the_minimum),
    Rule(_UNDECIDED, f.NotHeld, _DOES, S.NOT_HELD, "Art. 29.3"),
    Rule((*_UNDECIDED, S.RISK_DIALOGUE), f.Refused, _DOES, S.REFUSED, "Art. 29.4, 29.5"),
    Rule(_EXTENDABLE, f.ExtensionAsked, _ASKS, S.EXTENSION_ASKED, "UN Convention Art. 42", _before_expiry),
    Rule((S.EXTENSION_ASKED,), f.Preserved, _DOES, S.EXTENDED, "Art. 29.7", _not_shortened),
    Rule((S.EXTENSION_ASKED,), f.Refused, _DOES, S.PRESERVED, "Art. 27.7"),
    Rule((S.EXTENDED,), f.Refused, _DOES, None, "Art. 27.7", _granted_in_part),
    Rule((S.LAPSED,), f.Preserved, _DOES, S.EXTENDED, "Art. 29.7", _asked_in_time),
    Rule((S.PRESERVED, S.EXTENDED), f.Preserved, _DOES, None, "Art. 29.7", _not_shortened),
    Rule(_EXTENDABLE, f.FollowedUp, _ASKS, S.FOLLOWED_UP, "Art. 29.7", _before_expiry),
    Rule((S.FOLLOWED_UP,), f.FollowedUp, _ASKS, None, "Art. 29.7", _before_expiry),
    # The arrival of the request itself counts, also where its announcement here came late or never.
    Rule((*_EXTENDABLE, S.LAPSED), f.FollowUpArrived, _DOES, S.FOLLOWED_UP, "Art. 29.7", _received_in_time),
    Rule(
        (S.FOLLOWED_UP, S.FOLLOW_UP_REFUSED, S.PRODUCED),
        f.FollowUpArrived,
        _DOES,
        None,
        "Art. 29.7",
        _received_in_time,
    ),
    Rule((S.FOLLOWED_UP,), f.AuthorisationAwaited, _DOES, None, "Directive (EU) 2023/977 Art. 5"),
    Rule((S.FOLLOWED_UP,), f.ExtensionAsked, _ASKS, None, "UN Convention Art. 42", _before_expiry),
    Rule((S.FOLLOWED_UP,), f.Preserved, _DOES, None, "Art. 29.7", _not_shortened),
    # Here a refusal is of an extension that was asked for; one of the request that followed is a FollowUpRefused.
    Rule((S.FOLLOWED_UP,), f.Refused, _DOES, None, "Art. 27.7"),
    Rule((S.FOLLOWED_UP,), f.AnsweredInPart, _DOES, None, "Art. 31"),
    Rule((S.FOLLOWED_UP,), f.Answered, _DOES, S.PRODUCED, "Art. 31"),
    Rule((S.LAPSED,), f.Answered, _DOES, S.PRODUCED, "Art. 31", _followed_up_in_time),
    # The data that the request that followed asked for are offered under conditions before they are given.
    Rule((S.FOLLOWED_UP,), f.ConditionsProposed, _DOES, None, "Art. 28.2"),
    Rule((S.LAPSED,), f.ConditionsProposed, _DOES, None, "Art. 28.2", _followed_up_in_time),
    Rule((S.FOLLOWED_UP,), f.FollowUpRefused, _DOES, S.FOLLOW_UP_REFUSED, "Art. 27.4, 27.7"),
    Rule(LIVING, f.Released, _ASKS, S.RELEASED, "Regulation (EU) 2023/1543 Art. 11.3"),
    Rule(_NON_TERMINAL, f.Withdrawn, _ASKS, S.WITHDRAWN, "Comity; Art. 29.6"),
    # A decision to execute is not yet an outcome: the data are safe when their expiry is known.
    Rule(_OPEN, f.Accepted, _DOES, S.UNDER_REVIEW, "Art. 29.3"),
    Rule(_OPEN, f.ConditionsProposed, _DOES, S.UNDER_REVIEW, "Art. 27.6"),
    Rule(_OPEN, f.ExecutionStarted, _DOES, S.UNDER_REVIEW, "Art. 29.3"),
    Rule(_OPEN, f.AuthorisationAwaited, _DOES, S.AWAITING_AUTHORISATION, "Directive (EU) 2023/977 Art. 5"),
    Rule((*_UNDECIDED, S.RISK_DIALOGUE), f.Impossible, _DOES, S.REFUSED, "Art. 27.7"),
    Rule((*_UNDECIDED, S.RISK_DIALOGUE), f.Forwarded, _DOES, S.REFUSED, "Art. 27.9"),
    Rule((S.FOLLOWED_UP,), f.Accepted, _DOES, None, "Art. 31"),
    Rule((S.FOLLOWED_UP,), f.Postponed, _DOES, None, "Art. 27.5"),
    # Where something is still preserved nothing is closed: it is released, or it lapses.
    Rule(_TERMINAL, f.Closed, None, None, "Comity"),
    Rule(_AFTER_DRAFT, f.ConditionsAccepted, None, None, "Art. 28.3"),
    Rule(_AFTER_DRAFT, f.ConditionsDeclined, None, None, "Art. 28.3"),
    Rule(_AFTER_DRAFT, f.Reported, _DOES, None, "UN Convention Art. 40"),
    # Proof and courtesy may arrive late: they are recorded and move nothing back.
    Rule(tuple(s for s in _AFTER_DRAFT if s is not S.SUBMITTED), f.Delivered, _DOES, None, "ETSI EN 319 522-1"),
    Rule(
        tuple(s for s in _AFTER_DRAFT if s not in (S.SUBMITTED, S.DELIVERED)),
        f.Acknowledged,
        _DOES,
        None,
        "Directive 2013/40/EU Art. 13",
    ),
)


RULE_FOR = by_state_and_fact(RULES)
