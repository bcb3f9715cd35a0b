"""The pure fold: from the facts of a thread to the state of each target. Any order of arrival gives the same result.

Facts are sorted by an order that both sides share: a fact is never before the message it replies to, then by time,
then by id. So a clock that is wrong on one side cannot put an answer before its question.

A :class:`Lifecycle` gives what differs between lifecycles: their table, and what a target remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.reasons import Reason
from protocol.lifecycle.rules import Rule, Side

MISSING_OPENING = Reason("missing_opening")


class FoldedTarget(Protocol):
    """What every lifecycle's target has."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> StrEnum: ...


T = TypeVar("T", bound=FoldedTarget)


@dataclass(frozen=True, slots=True)
class Pause:
    """A span in which a clock stands still; ``until`` is None while it lasts."""

    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A fact that a rule allowed, for one target, and what it did."""

    fact: f.CaseFact
    target: str
    before: StrEnum
    after: StrEnum
    source: str


@dataclass(frozen=True, slots=True)
class OutOfOrder:
    """A fact that no rule allows: kept and shown with the reason. ``target`` is empty where it concerns all."""

    fact: f.CaseFact
    target: str
    reason: Reason


@dataclass(frozen=True, slots=True)
class Case(Generic[T]):
    """What both sides know of a thread.

    ``delay`` is the reason (a code of ``delay_reason``) that the requested side gave last for taking longer.
    ``unread`` are messages of types that this program does not know, ``explained`` those whose sender was told that
    they are out of order.
    """

    opening: f.Submitted | None
    targets: tuple[T, ...]
    history: tuple[Step, ...]
    out_of_order: tuple[OutOfOrder, ...]
    delivered_at: datetime | None = None
    acknowledged_at: datetime | None = None
    will_answer: str | None = None
    eta: datetime | None = None
    next_update_by: datetime | None = None
    delay: str = ""
    pauses: tuple[Pause, ...] = ()
    unread: tuple[UUID, ...] = ()
    explained: frozenset[UUID] = frozenset()

    def target(self, name: str) -> T | None:
        """The target of this name."""
        return next((target for target in self.targets if target.name == name), None)


@dataclass(frozen=True, slots=True)
class Lifecycle(Generic[T]):
    """A table of rules, and what its targets do with facts.

    ``state_at`` is the state that a fact of that instant meets; ``as_met`` what the fact is for this target;
    ``changed`` the target after a fact that a rule allowed, its new state set; ``proved`` the target after proof that
    the requested side has the message ``subject``, which is not the request.
    """

    rules: Mapping[tuple[Any, type[f.CaseFact]], Rule[Any]]
    new_target: Callable[[str], T]
    state_at: Callable[[T, datetime], StrEnum]
    as_met: Callable[[T, f.CaseFact], f.CaseFact]
    changed: Callable[[T, StrEnum, f.CaseFact], T]
    proved: Callable[[T, UUID | None, f.CaseFact], T]

    def fold(self, facts: Iterable[f.CaseFact]) -> Case[T]:
        """The case of these facts; the order and the number of times they are given do not matter."""
        ordered = in_order(facts)
        opening = opening_of(ordered)
        if opening is None:
            return Case(None, (), (), tuple(OutOfOrder(fact, "", MISSING_OPENING) for fact in ordered))
        folding = _Folding(self, opening)
        for fact in ordered:
            folding.take(fact)
        return folding.case()


def opening_of(ordered: Iterable[f.CaseFact]) -> f.Submitted | None:
    """The fact that opens the thread, of facts in order."""
    return next((fact for fact in ordered if isinstance(fact, f.Submitted) and fact.message_id == fact.thread), None)


class _Folding(Generic[T]):
    """The state of one fold while it runs over the sorted facts."""

    def __init__(self, lifecycle: Lifecycle[T], opening: f.Submitted) -> None:
        self._lifecycle = lifecycle
        self._opening = opening
        # A request without targets is one target as a whole.
        self._targets = {name: lifecycle.new_target(name) for name in opening.targets or ("",)}
        self._history: list[Step] = []
        self._out_of_order: list[OutOfOrder] = []
        self._applied: set[tuple[UUID, str, str]] = set()
        self._delivered_at: datetime | None = None
        self._acknowledged_at: datetime | None = None
        self._will_answer: str | None = None
        self._expected: f.Acknowledged | f.Reported | None = None
        self._delay = ""
        self._pauses: dict[UUID, Pause] = {}
        self._explained: set[UUID] = set()

    def take(self, fact: f.CaseFact) -> None:
        if isinstance(fact, f.Submitted) and fact != self._opening:
            self._refuse(fact, "", Reason("new_request"))
        elif self._side_of(fact) is None:
            # The receipt of someone who got a copy is proof for the sender, and no step in the case.
            if not isinstance(fact, f.Delivered):
                self._refuse(fact, "", Reason("no_party"))
        elif isinstance(fact, f.Explained):
            self._explained |= {fact.about} if fact.about is not None else set()
        elif not (isinstance(fact, f.Delivered | f.Acknowledged) and self._is_proof_only(fact)):
            self._apply_to_targets(fact)

    def case(self) -> Case[T]:
        return Case(
            opening=self._opening,
            targets=tuple(self._targets.values()),
            history=tuple(self._history),
            out_of_order=tuple(self._out_of_order),
            delivered_at=self._delivered_at,
            acknowledged_at=self._acknowledged_at,
            will_answer=self._will_answer,
            eta=self._expected.eta if self._expected else None,
            next_update_by=self._expected.next_update_by if self._expected else None,
            delay=self._delay,
            pauses=tuple(self._pauses.values()),
            explained=frozenset(self._explained),
        )

    def _is_proof_only(self, fact: f.Delivered | f.Acknowledged) -> bool:
        """Record a proof of receipt; True when it is not about the request itself and so moves no state."""
        subject = fact.message_id if isinstance(fact, f.Delivered) else fact.about
        by_requested = fact.by in self._opening.requested
        if subject != self._opening.message_id:
            if by_requested:
                for name, target in self._targets.items():
                    self._targets[name] = self._lifecycle.proved(target, subject, fact)
            return True
        if by_requested:
            if isinstance(fact, f.Acknowledged):
                self._expected, self._will_answer = fact, fact.will_answer
                self._acknowledged_at = self._acknowledged_at or fact.at
            else:
                self._delivered_at = self._delivered_at or fact.at
        return False

    def _apply_to_targets(self, fact: f.CaseFact) -> None:
        """Apply a fact to the targets it names. One about all of the request touches those that it can."""
        reasons: list[tuple[str, Reason]] = []
        applied = False
        for name in fact.targets or tuple(self._targets):
            reason = self._apply(fact, name) if name in self._targets else Reason("no_such_target")
            applied = applied or reason is None
            if reason is not None:
                reasons.append((name, reason))
        if fact.targets:
            for name, reason in reasons:
                self._refuse(fact, name, reason)
        elif not applied:
            self._refuse(fact, "", reasons[0][1])
        if applied:
            self._note(fact)

    def _note(self, fact: f.CaseFact) -> None:
        if isinstance(fact, f.Reported):
            self._expected = fact
            self._delay = fact.delay or self._delay
        elif isinstance(fact, f.ClarificationAsked) and fact.pauses:
            self._pauses[fact.message_id] = Pause(fact.at)
        elif isinstance(fact, f.ClarificationReplied) and fact.about in self._pauses:
            pause = self._pauses[fact.about]
            if pause.until is None:
                self._pauses[fact.about] = Pause(pause.since, max(fact.at, pause.since))

    def _apply(self, fact: f.CaseFact, name: str) -> Reason | None:
        """Apply the fact to one target; returns the reason why no rule allows it, if none does."""
        target = self._targets[name]
        before = self._lifecycle.state_at(target, fact.at)
        met = self._lifecycle.as_met(target, fact)
        rule = self._lifecycle.rules.get((before, type(met)))
        reason = self._reason_against(rule, met, target, before)
        if reason is not None or rule is None:
            return reason
        self._applied.add(_key(met, name))
        changed = self._lifecycle.changed(target, rule.after or target.state, met)
        self._targets[name] = changed
        self._history.append(Step(fact, name, before, changed.state, rule.source))
        return None

    def _reason_against(self, rule: Rule[Any] | None, fact: f.CaseFact, target: T, before: StrEnum) -> Reason | None:
        if _key(fact, target.name) in self._applied and not isinstance(fact, f.Delivered):
            return Reason("taken_before")
        if rule is None:
            return Reason("target_state" if target.name else "request_state", state=str(before))
        if rule.side is not None and rule.side is not self._side_of(fact):
            return Reason(f"{rule.side}_only")
        return rule.guard(target, fact, self._opening) if rule.guard else None

    def _side_of(self, fact: f.CaseFact) -> Side | None:
        if fact.by == self._opening.by:
            return Side.REQUESTER
        return Side.REQUESTED if fact.by in self._opening.requested else None

    def _refuse(self, fact: f.CaseFact, target: str, reason: Reason) -> None:
        self._out_of_order.append(OutOfOrder(fact, target, reason))


def _key(fact: f.CaseFact, target: str) -> tuple[UUID, str, str]:
    return fact.message_id, fact.NAME, target
