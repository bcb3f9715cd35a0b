"""The pure fold: from the facts of a thread to the state of each target. Any order of arrival gives the same result.

Facts are sorted by an order that both sides share: a fact is never before the message it replies to, then by time,
then by id. So a clock that is wrong on one side cannot put an answer before its question.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.preservation_rules import LIVING, RULE_FOR, TERMINAL, Rule, Side, State
from protocol.lifecycle.thread import ThreadMessage, facts_of_thread, unread_in
from protocol.messages.base import Message


class RequestState(StrEnum):
    """The state of a request, derived from its targets."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    UNDER_REVIEW = "under_review"
    PARTLY_ANSWERED = "partly_answered"
    PRESERVED = "preserved"
    PARTLY_PRESERVED = "partly_preserved"
    FOLLOWED_UP = "followed_up"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class TargetCase:
    """One target. ``expires_at`` is what the requested side gave; whether it has passed: :func:`state_at`."""

    name: str
    state: State = State.DRAFT
    partly: bool = False
    preserved_at: datetime | None = None
    expires_at: datetime | None = None
    wanted_until: datetime | None = None
    refusal_ground: str | None = None
    follow_ups: tuple[UUID, ...] = ()
    follow_up_received_at: datetime | None = None
    follow_up_refused_at: datetime | None = None

    @property
    def expiry_suspended(self) -> bool:
        """Whether the expiry does not run: a request followed and was received in time.

        Then the data stay pending the decision (Art. 29.7). After a refusal that came later than the expiry would
        have, nothing is left to lapse: the target waits for its release.
        """
        if self.expires_at is None or self.follow_up_received_at is None:
            return False
        if self.state is State.FOLLOW_UP_REFUSED:
            return self.follow_up_refused_at is not None and self.follow_up_refused_at >= self.expires_at
        return self.state is State.FOLLOWED_UP and self.follow_up_received_at < self.expires_at


@dataclass(frozen=True, slots=True)
class Step:
    """A fact that a rule allowed, for one target, and what it did."""

    fact: f.CaseFact
    target: str
    before: State
    after: State
    source: str


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """A fact that no rule allows: kept and shown with the reason. ``target`` is empty where it concerns all."""

    fact: f.CaseFact
    target: str
    reason: str


@dataclass(frozen=True, slots=True)
class PreservationCase:
    """What both sides know of a preservation request. ``unread`` are messages of types this program does not know."""

    opening: f.Submitted | None
    targets: tuple[TargetCase, ...]
    history: tuple[Step, ...]
    out_of_order: tuple[OutOfOrder, ...]
    delivered_at: datetime | None = None
    acknowledged_at: datetime | None = None
    will_answer: str | None = None
    eta: datetime | None = None
    next_update_by: datetime | None = None
    unread: tuple[UUID, ...] = ()

    @property
    def state(self) -> RequestState:
        """The request's state, before the clock is looked at (see :meth:`state_at`)."""
        return _request_state([target.state for target in self.targets])

    def state_at(self, now: datetime) -> RequestState:
        """The request's state at ``now``, lapsed targets counted as such."""
        return _request_state([state_at(target, now) for target in self.targets])

    def target(self, name: str) -> TargetCase | None:
        """The target of that name."""
        return next((target for target in self.targets if target.name == name), None)

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


def fold(thread: Iterable[ThreadMessage]) -> PreservationCase:
    """The case of a thread: its messages with the receipts known about them, in any order."""
    messages = tuple(thread)
    return replace(fold_facts(facts_of_thread(messages)), unread=unread_in(messages))


def check_step(thread: Iterable[ThreadMessage], message: Message) -> tuple[OutOfOrder, ...]:
    """What would be out of order if ``message`` were added to ``thread``; empty when every rule allows it."""
    case = fold((*thread, ThreadMessage(message)))
    return tuple(entry for entry in case.out_of_order if entry.fact.message_id == message.id)


def fold_facts(facts: Iterable[f.CaseFact]) -> PreservationCase:
    """The case of these facts; the order and the number of times they are given do not matter."""
    ordered = in_order(facts)
    opening = next((fact for fact in ordered if isinstance(fact, f.Submitted) and fact.message_id == fact.thread), None)
    if opening is None:
        waiting = tuple(OutOfOrder(fact, "", "the request that opens the thread has not arrived") for fact in ordered)
        return PreservationCase(None, (), (), waiting)
    folding = _Folding(opening)
    for fact in ordered:
        folding.take(fact)
    return folding.case()


class _Folding:
    """The state of one fold while it runs over the sorted facts."""

    def __init__(self, opening: f.Submitted) -> None:
        self._opening = opening
        self._targets = {name: TargetCase(name) for name in opening.targets}
        self._history: list[Step] = []
        self._out_of_order: list[OutOfOrder] = []
        self._applied: dict[tuple[UUID, str, str], f.CaseFact] = {}
        self._delivered_at: datetime | None = None
        self._acknowledged: f.Acknowledged | None = None
        self._acknowledged_at: datetime | None = None

    def take(self, fact: f.CaseFact) -> None:
        if isinstance(fact, f.Submitted) and fact != self._opening:
            self._refuse(fact, "", "a new request opens its own thread")
            return
        if self._side_of(fact) is None:
            if isinstance(fact, f.Delivered):
                # The receipt of someone who got a copy: proof for the sender, no step in the case.
                return
            self._refuse(fact, "", "the sender is not a party to this request")
            return
        if isinstance(fact, f.Delivered | f.Acknowledged) and self._notes_receipt(fact):
            return
        unknown = [name for name in fact.targets if name not in self._targets]
        for name in unknown:
            self._refuse(fact, name, "the request has no such target")
        for name in fact.targets or tuple(self._targets):
            if name in self._targets:
                self._apply(fact, name)

    def case(self) -> PreservationCase:
        latest = self._acknowledged
        return PreservationCase(
            opening=self._opening,
            targets=tuple(self._targets.values()),
            history=tuple(self._history),
            out_of_order=tuple(self._out_of_order),
            delivered_at=self._delivered_at,
            acknowledged_at=self._acknowledged_at,
            will_answer=latest.will_answer if latest else None,
            eta=latest.eta if latest else None,
            next_update_by=latest.next_update_by if latest else None,
        )

    def _notes_receipt(self, fact: f.Delivered | f.Acknowledged) -> bool:
        """Record a proof of receipt; True when it is not about the request itself and so moves no state."""
        subject = fact.message_id if isinstance(fact, f.Delivered) else fact.about
        if subject != self._opening.message_id:
            if fact.by in self._opening.requested:
                self._confirm_follow_up(subject, fact)
            return True
        if fact.by in self._opening.requested:
            if isinstance(fact, f.Acknowledged):
                self._acknowledged = fact
                self._acknowledged_at = self._acknowledged_at or fact.at
            else:
                self._delivered_at = self._delivered_at or fact.at
        return False

    def _confirm_follow_up(self, subject: UUID | None, fact: f.CaseFact) -> None:
        for name, target in self._targets.items():
            if subject in target.follow_ups and target.follow_up_received_at is None:
                self._targets[name] = replace(target, follow_up_received_at=fact.at)

    def _apply(self, fact: f.CaseFact, name: str) -> None:
        target = self._targets[name]
        before = state_at(target, fact.at)
        rule = RULE_FOR.get((before, type(fact)))
        reason = self._reason_against(rule, fact, target, before)
        if reason or rule is None:
            self._refuse(fact, name, reason)
            return
        self._applied[_key(fact, name)] = fact
        after = rule.after or target.state
        self._targets[name] = _changed(replace(target, state=after), fact)
        self._history.append(Step(fact, name, before, after, rule.source))

    def _reason_against(self, rule: Rule | None, fact: f.CaseFact, target: TargetCase, before: State) -> str:
        if _key(fact, target.name) in self._applied and not isinstance(fact, f.Delivered):
            return "another message with this id was taken before"
        if rule is None:
            return f"not possible while the target is {before.replace('_', ' ')}"
        if rule.side is not self._side_of(fact):
            return f"only the {rule.side} side does this"
        return rule.guard(target, fact, self._opening) if rule.guard else ""

    def _side_of(self, fact: f.CaseFact) -> Side | None:
        if fact.by == self._opening.by:
            return Side.REQUESTER
        return Side.REQUESTED if fact.by in self._opening.requested else None

    def _refuse(self, fact: f.CaseFact, target: str, reason: str) -> None:
        self._out_of_order.append(OutOfOrder(fact, target, reason))


def _key(fact: f.CaseFact, target: str) -> tuple[UUID, str, str]:
    return fact.message_id, fact.NAME, target


def _changed(target: TargetCase, fact: f.CaseFact) -> TargetCase:
    """The target with what the fact says recorded in it."""
    match fact:
        case f.Preserved():
            return replace(
                target,
                partly=fact.partly,
                preserved_at=target.preserved_at or fact.preserved_at,
                expires_at=fact.expires_at,
                wanted_until=None,
            )
        case f.Refused():
            return replace(target, refusal_ground=fact.ground, wanted_until=None)
        case f.ExtensionAsked():
            return replace(target, wanted_until=fact.until)
        case f.FollowUpRefused():
            return replace(target, follow_up_refused_at=fact.at)
        case f.FollowedUp():
            return replace(target, follow_ups=(*target.follow_ups, fact.message_id))
        case _:
            return target


_PROGRESS: Mapping[State, RequestState] = {
    State.SUBMITTED: RequestState.SUBMITTED,
    State.DELIVERED: RequestState.DELIVERED,
    State.ACKNOWLEDGED: RequestState.ACKNOWLEDGED,
    State.UNDER_REVIEW: RequestState.UNDER_REVIEW,
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
