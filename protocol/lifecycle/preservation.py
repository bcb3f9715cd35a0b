"""The case of a preservation request: one state, expiry and refusal for each target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.folding import Case, Lifecycle
from protocol.lifecycle.preservation_rules import LIVING, RULE_FOR, TERMINAL, State
from protocol.lifecycle.waiting import AuthorityWait, waiting_after


class RequestState(StrEnum):
    """The state of a request, derived from its targets."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    UNDER_REVIEW = "under_review"
    AWAITING_AUTHORISATION = "awaiting_authorisation"
    PARTLY_ANSWERED = "partly_answered"
    PRESERVED = "preserved"
    PARTLY_PRESERVED = "partly_preserved"
    FOLLOWED_UP = "followed_up"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class CentralLeg:
    """The way of the request that followed through the central authority, as far as either side said.

    ``channel``, ``filed_at`` and ``reference`` are the requester's word; ``authority``, ``file_number``,
    ``received_at`` and ``confirmed_at`` (when it said so) the requested side's. ``decision`` is accepted, postponed,
    refused or produced, and ``decided_at`` when that was said.
    """

    announced_at: datetime | None = None
    channel: str | None = None
    filed_at: datetime | None = None
    reference: str = ""
    authority: str | None = None
    file_number: str | None = None
    received_at: datetime | None = None
    confirmed_at: datetime | None = None
    decision: str | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class TargetCase:
    """One target. ``expires_at`` is what the requested side gave; whether it has passed: :func:`state_at`.

    ``follow_ups`` are the messages that announced the request that followed, or confirmed its arrival. ``wanted_until``
    is what is still owed of an extension that was asked for by the message ``extension`` at
    ``extension_asked_at``. ``renewal``: its expiry runs also when a request has followed.
    """

    name: str
    state: State = State.DRAFT
    partly: bool = False
    preserved_at: datetime | None = None
    expires_at: datetime | None = None
    wanted_until: datetime | None = None
    extension: UUID | None = None
    extension_asked_at: datetime | None = None
    refusal_ground: str | None = None
    follow_ups: tuple[UUID, ...] = ()
    central: CentralLeg | None = None
    closed_at: datetime | None = None
    waiting: AuthorityWait | None = None
    renewal: bool = False

    @property
    def expiry_suspended(self) -> bool:
        """Whether the expiry does not run: the requested side confirmed that the request that followed came in time.

        Then the data stay pending the decision (Art. 29.7), unless the law wants a renewal all the same. After a
        refusal that came later than the expiry would have, nothing is left to lapse: the target waits for its release.
        """
        leg = self.central
        if self.expires_at is None or self.renewal or leg is None or leg.confirmed_at is None:
            return False
        if self.state is State.FOLLOW_UP_REFUSED:
            return leg.decided_at is not None and leg.decided_at >= self.expires_at
        return self.state is State.FOLLOWED_UP


@dataclass(frozen=True, slots=True)
class PreservationCase(Case[TargetCase]):
    """What both sides know of a preservation request."""

    @property
    def state(self) -> RequestState:
        """The request's state, before the clock is looked at (see :meth:`state_at`)."""
        return _request_state([target.state for target in self.targets])

    def state_at(self, now: datetime) -> RequestState:
        """The request's state at ``now``, lapsed targets counted as such."""
        return _request_state([state_at(target, now) for target in self.targets])

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is asked or kept any more at ``now``; see :func:`protocol.lifecycle.is_over`."""
        return all(state_at(target, now) in TERMINAL for target in self.targets)

    @property
    def expires_at(self) -> datetime | None:
        """The earliest expiry among the targets whose expiry runs."""
        running = [t.expires_at for t in self.targets if t.expires_at and t.state in LIVING and not t.expiry_suspended]
        return min(running, default=None)


def state_at(target: TargetCase, now: datetime) -> State:
    """The state at ``now``: a living target whose expiry has passed and is not suspended is lapsed."""
    if target.state in LIVING and target.expires_at is not None and now >= target.expires_at:
        return target.state if target.expiry_suspended else State.LAPSED
    return target.state


def fold_facts(facts: Iterable[f.CaseFact]) -> PreservationCase:
    """The case of these facts; the order and the number of times they are given do not matter."""
    folded = PRESERVATION.fold(facts)
    return PreservationCase(**{field.name: getattr(folded, field.name) for field in fields(folded)})


def _as_met(target: TargetCase, fact: f.CaseFact) -> f.CaseFact:
    """What refuses the request that followed is not about the preservation: a refusal that replies to it or to its
    confirmation, or that the central authority states; and every word that something cannot be had, which is no answer
    to an extension."""
    about_follow_up = isinstance(fact, f.Refused) and (fact.about in target.follow_ups or fact.central)
    if about_follow_up or (isinstance(fact, f.Impossible) and target.follow_ups):
        common = {field.name: getattr(fact, field.name) for field in fields(f.CaseFact)}
        return f.FollowUpRefused(**common)
    return fact


def _new(name: str, opening: f.Submitted) -> TargetCase:
    return TargetCase(name, renewal=opening.renewal)


def _changed(target: TargetCase, after: StrEnum, fact: f.CaseFact) -> TargetCase:
    """The target in its new state, with what the fact says recorded in it."""
    leg = _leg_after(target.central, fact)
    target = replace(target, state=State(after), central=leg, waiting=waiting_after(target.waiting, fact))
    match fact:
        case f.Preserved():
            # An extension granted in half is owed for the rest, unless that was said to be all.
            rest = target.wanted_until is not None and fact.expires_at < target.wanted_until and not fact.final
            return replace(
                target,
                partly=fact.partly,
                preserved_at=target.preserved_at or fact.preserved_at,
                expires_at=fact.expires_at,
                wanted_until=target.wanted_until if rest else None,
            )
        case f.Refused() | f.Impossible():
            return replace(target, refusal_ground=fact.ground, wanted_until=None)
        case f.Forwarded():
            return replace(target, refusal_ground="not_competent_authority")
        case f.ExtensionAsked():
            asked = fact.message_id
            return replace(target, wanted_until=fact.until, extension=asked, extension_asked_at=fact.at)
        case f.Closed():
            return replace(target, closed_at=target.closed_at or fact.at)
        case f.FollowedUp() | f.FollowUpArrived():
            return replace(target, follow_ups=(*target.follow_ups, fact.message_id))
        case _:
            return target


_DECISIONS: Mapping[type[f.CaseFact], str] = {
    f.Accepted: "accepted",
    f.Postponed: "postponed",
    f.FollowUpRefused: "refused",
    f.Answered: "produced",
}


def _leg_after(leg: CentralLeg | None, fact: f.CaseFact) -> CentralLeg | None:
    """How far the request that followed is after ``fact``; None while no request followed."""
    match fact:
        case f.FollowedUp():
            return replace(
                leg or CentralLeg(),
                announced_at=fact.at,
                channel=fact.channel,
                filed_at=fact.filed_at,
                reference=fact.reference,
            )
        case f.FollowUpArrived():
            return replace(
                leg or CentralLeg(),
                authority=fact.authority,
                file_number=fact.file_number,
                received_at=fact.received_at,
                confirmed_at=fact.at,
            )
        case _ if leg is not None and type(fact) in _DECISIONS:
            return replace(leg, decision=_DECISIONS[type(fact)], decided_at=fact.at)
        case _:
            return leg


PRESERVATION = Lifecycle(RULE_FOR, _new, state_at, _as_met, _changed)

_PROGRESS: Mapping[State, RequestState] = {
    State.SUBMITTED: RequestState.SUBMITTED,
    State.DELIVERED: RequestState.DELIVERED,
    State.ACKNOWLEDGED: RequestState.ACKNOWLEDGED,
    State.UNDER_REVIEW: RequestState.UNDER_REVIEW,
    State.AWAITING_AUTHORISATION: RequestState.AWAITING_AUTHORISATION,
    State.CLARIFICATION: RequestState.UNDER_REVIEW,
    State.RISK_DIALOGUE: RequestState.UNDER_REVIEW,
}


def _request_state(states: list[State]) -> RequestState:
    if not states or State.DRAFT in states:
        return RequestState.DRAFT
    undecided = [_PROGRESS[state] for state in states if state in _PROGRESS]
    if undecided:
        # The least advanced target speaks for the rest, as long as none has an outcome.
        order = list(RequestState)
        return min(undecided, key=order.index) if len(undecided) == len(states) else RequestState.PARTLY_ANSWERED
    living = [state for state in states if state not in TERMINAL]
    if not living:
        return RequestState.CLOSED
    if all(state is State.FOLLOWED_UP for state in living):
        return RequestState.FOLLOWED_UP
    return RequestState.PRESERVED if len(living) == len(states) else RequestState.PARTLY_PRESERVED
