"""Of which targets of a case a message of some type can still say something, judged by the fold's own rules.

A form offers what this says, and composing a message judges it by the same rules. It probes the most favourable message
of the type: a guard on a date that the message itself names finds a date that it has nothing against. So a target that
is barred here is barred for every message of the type, now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import ASSISTANCE, EMERGENCY, AssistanceCase
from protocol.lifecycle.case import AnyCase, is_over
from protocol.lifecycle.conversation import CONVERSATION, MOVING, ConversationCase
from protocol.lifecycle.folding import Lifecycle, as_asked_by, side_of
from protocol.lifecycle.preservation import PRESERVATION, PreservationCase
from protocol.lifecycle.reasons import Reason

# The facts that a message of each type can be, the one that it is written for first. Of types that are not here no
# target is barred: what they say is in order whenever a party says it.
STATED: Mapping[str, tuple[type[f.CaseFact], ...]] = MappingProxyType(
    {
        "acknowledgement": (f.Acknowledged,),
        "preservation.answer": (f.Preserved, f.NotHeld, f.Refused),
        "answer": (f.Answered, f.AnsweredInPart, f.Impossible),
        "decision": (f.Accepted, f.Refused, f.Postponed, f.ConditionsProposed, f.Impossible),
        "preservation.extend": (f.ExtensionAsked,),
        "preservation.follow-up": (f.FollowedUp,),
        "follow-up.confirmed": (f.FollowUpArrived,),
        "preservation.release": (f.Released,),
        "emergency.supplement": (f.Supplemented,),
        "preservation.risk": (f.RiskRaised,),
        "preservation.risk-reply": (f.RiskAccepted,),
        "clarification.ask": (f.ClarificationAsked,),
        "clarification.reply": (f.ClarificationReplied,),
        "condition.propose": (f.ConditionsProposed,),
        "condition.accept": (f.ConditionsAccepted,),
        "condition.decline": (f.ConditionsDeclined, f.ConditionsProposed),
        "misdirected": (f.Forwarded, f.Refused),
        "withdrawal": (f.Withdrawn,),
        "closure": (f.Closed,),
    }
)
# Later than every expiry that a guard may compare with.
_FAR = timedelta(days=36_500)


@dataclass(frozen=True, slots=True)
class SaidNow:
    """Who says something now, and in reply to which message of the thread (None: to its opening)."""

    by: str
    at: datetime
    about: UUID | None = None


def barred(case: AnyCase, kind: str, said: SaidNow) -> Mapping[str, Reason | None]:
    """What is against a message of the type ``kind``, for each target of the case; None where nothing is.

    A case without targets has one, the whole of it, under an empty name.
    """
    opening, lifecycle = case.opening, lifecycle_of(case)
    if opening is None:
        return {}
    return {
        target.name: _against(lifecycle, opening, target, _probes(kind, target, opening, said))
        for target in case.targets
    }


def nothing_left(case: AnyCase, kind: str, said: SaidNow) -> str | None:
    """The code of the list ``no_effect`` by which a message of the type does nothing here now, whatever it says.

    Each side closes for itself, once. A request that ended unseen can still be acknowledged; once that was done, and
    all of it has ended, another acknowledgement promises nothing any more.
    """
    own = [step for step in case.history if step.fact.by == said.by]
    if kind == "closure" and (closed := {step.target for step in own if isinstance(step.fact, f.Closed)}):
        left = (name for name, reason in barred(case, kind, said).items() if reason is None and name not in closed)
        return None if any(True for _name in left) else "closed_before"
    if kind == "acknowledgement" and any(isinstance(step.fact, f.Acknowledged) for step in own):
        asks = not isinstance(case, ConversationCase)
        return "over_before" if asks and is_over(case, said.at) else None
    return None


def barred_awaiting(case: AnyCase, said: SaidNow) -> Reason | None:
    """What is against saying that an authority of the requested side must decide first; None where nothing is."""
    opening, lifecycle = case.opening, lifecycle_of(case)
    if opening is None:
        return None
    found = [_against(lifecycle, opening, target, (_awaited(target, opening, said),)) for target in case.targets]
    return None if None in found else next(iter(found), None)


def _awaited(target: Any, opening: f.Submitted, said: SaidNow) -> f.CaseFact:
    return f.AuthorisationAwaited(**_common(target, opening, said), until=_far(said.at))


def state_met(case: AnyCase, target: Any, at: datetime) -> StrEnum:
    """The state of a target that a message of the instant ``at`` meets: what the rules are looked up with."""
    return lifecycle_of(case).state_at(target, at)


def lifecycle_of(case: AnyCase) -> Lifecycle[Any]:
    """The table by which a case was folded."""
    if isinstance(case, PreservationCase):
        return PRESERVATION
    if isinstance(case, AssistanceCase):
        return EMERGENCY if case.is_emergency else ASSISTANCE
    return CONVERSATION


def _against(
    lifecycle: Lifecycle[Any], opening: f.Submitted, target: Any, probes: Iterable[f.CaseFact]
) -> Reason | None:
    first: Reason | None = None
    for fact in probes:
        side = side_of(opening, fact)
        if side is None:
            return Reason("no_party")
        met = as_asked_by(side, fact)
        if not met.MOVES or (lifecycle is CONVERSATION and type(met) not in MOVING):
            return None
        reason = lifecycle.judged(target, met, opening)[3]
        if reason is None:
            return None
        # Of several the one that says more than the state is told.
        if first is None or (first.code in _PLAIN and reason.code not in _PLAIN):
            first = reason
    return first


_PLAIN = frozenset({"target_state", "request_state", "requester_only", "requested_only"})


def _probes(kind: str, target: Any, opening: f.Submitted, said: SaidNow) -> Iterator[f.CaseFact]:
    """The most favourable facts of a type: nothing in them that a guard could be against, if it need not be there."""
    common = _common(target, opening, said)
    for fact in STATED.get(kind, ()):
        if fact is f.Preserved:
            yield f.Preserved(**common, preserved_at=said.at, expires_at=_far(said.at))
        elif fact is f.ExtensionAsked:
            yield f.ExtensionAsked(**common, until=_far(said.at))
        elif fact is f.FollowUpArrived:
            expires_at = getattr(target, "expires_at", None)
            arrived = said.at if expires_at is None else min(said.at, expires_at)
            yield f.FollowUpArrived(**common, authority="-", file_number="-", received_at=arrived)
        elif fact in {f.ConditionsAccepted, f.ConditionsProposed}:
            yield fact(**common, conditions=getattr(target, "open_conditions", ()))
        else:
            yield fact(**common)


def _common(target: Any, opening: f.Submitted, said: SaidNow) -> dict[str, Any]:
    return {
        "message_id": UUID(int=0),
        "at": said.at,
        "by": said.by,
        "about": said.about or opening.message_id,
        "targets": (target.name,) if target.name else (),
    }


def _far(at: datetime) -> datetime:
    try:
        return at + _FAR
    except OverflowError:
        return datetime.max.replace(tzinfo=at.tzinfo)
