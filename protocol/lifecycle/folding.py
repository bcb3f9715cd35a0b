"""The pure fold: from the facts of a thread to the state of each target. Any order of arrival gives the same result.

Facts are sorted by an order that both sides share: a fact is never before the message it replies to, then by time,
then by id. So a clock that is wrong on one side cannot put an answer before its question.

A :class:`Lifecycle` gives what differs between lifecycles: their table, and what a target remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle._owed import Owed, OwedBook
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


class StandingState(StrEnum):
    """How a message stands in its thread."""

    IN_FORCE = "in_force"
    CORRECTED = "corrected"
    RETRACTED = "retracted"
    AWAITING_ORIGINAL = "awaiting_original"
    NOT_TAKEN = "not_taken"


@dataclass(frozen=True, slots=True)
class MessageStanding:
    """How a message stands; ``by`` is the message that corrected it or took it back, ``relied`` as of that fact."""

    state: StandingState = StandingState.IN_FORCE
    by: UUID | None = None
    relied: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """A fact that a rule allowed, for one target, and what it did.

    ``notes`` are codes of the list ``step_note``: what a reader of the history is told beside it.
    """

    fact: f.CaseFact
    target: str
    before: StrEnum
    after: StrEnum
    source: str
    notes: tuple[str, ...] = ()


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
    ``silent_until`` is the end of the request not to notify the user, as it was renewed last.
    ``owed`` is what one side asked and the other has not answered. ``standings`` say of each message that was
    corrected or taken back, and of each that did so, how it stands (:mod:`protocol.lifecycle.corrections`). ``unread``
    are messages of types that this program does not know, ``explained`` those whose sender was told that
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
    silent_until: datetime | None = None
    owed: tuple[Owed, ...] = ()
    standings: Mapping[UUID, MessageStanding] = field(default_factory=dict)
    unread: tuple[UUID, ...] = ()
    explained: frozenset[UUID] = frozenset()

    def target(self, name: str) -> T | None:
        """The target of this name."""
        return next((target for target in self.targets if target.name == name), None)


@dataclass(frozen=True, slots=True)
class Lifecycle(Generic[T]):
    """A table of rules, and what its targets do with facts.

    ``state_at`` is the state that a fact of that instant meets; ``as_met`` what the fact is for this target;
    ``changed`` the target after a fact that a rule allowed, its new state set.
    """

    rules: Mapping[tuple[Any, type[f.CaseFact]], Rule[Any]]
    new_target: Callable[[str, f.Submitted], T]
    state_at: Callable[[T, datetime], StrEnum]
    as_met: Callable[[T, f.CaseFact], f.CaseFact]
    changed: Callable[[T, StrEnum, f.CaseFact], T]

    def judged(
        self, target: T, fact: f.CaseFact, opening: f.Submitted
    ) -> tuple[StrEnum, f.CaseFact, Rule[Any] | None, Reason | None]:
        """(the state that the fact meets, what it is for this target, the rule for it, what is against it)."""
        before = self.state_at(target, fact.at)
        met = self.as_met(target, fact)
        rule = self.rules.get((before, type(met)))
        if rule is None:
            return before, met, None, Reason("target_state" if target.name else "request_state", state=str(before))
        if rule.side is not None and rule.side is not side_of(opening, met):
            return before, met, rule, Reason(f"{rule.side}_only")
        return before, met, rule, rule.guard(target, met, opening) if rule.guard else None

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
        self._targets = {name: lifecycle.new_target(name, opening) for name in opening.targets or ("",)}
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
        self._owed = OwedBook()
        self._silent_until = opening.silent_until
        self._consultations: dict[UUID, f.ConsultationOpened] = {}
        self._consulted: set[UUID] = set()

    def take(self, fact: f.CaseFact) -> None:
        side = side_of(self._opening, fact)
        if isinstance(fact, f.Submitted) and fact != self._opening:
            self._refuse(fact, "", Reason("new_request"))
        elif side is None:
            # The receipt of someone who got a copy is proof for the sender, and no step in the case.
            if not isinstance(fact, f.Delivered):
                self._refuse(fact, "", Reason("no_party"))
        elif fact.doubt:
            self._refuse(fact, "", Reason(fact.doubt))
        elif isinstance(fact, f.Explained):
            self._explained |= {fact.about} if fact.about is not None else set()
        elif not (isinstance(fact, f.Delivered | f.Acknowledged) and self._is_proof_only(fact)):
            met = as_asked_by(side, fact)
            if side is Side.REQUESTER and fact.about in self._consultations:
                self._consulted.add(fact.about)
            if met.MOVES:
                self._apply_to_targets(met, side)
            else:
                self._take_note(fact, met, side)

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
            silent_until=self._silent_until,
            owed=self._owed.items,
            explained=frozenset(self._explained),
        )

    def _is_proof_only(self, fact: f.Delivered | f.Acknowledged) -> bool:
        """Record a proof of receipt; True when it is not about the request itself and so moves no state."""
        subject = fact.message_id if isinstance(fact, f.Delivered) else fact.about
        by_requested = fact.by in self._opening.requested
        if subject != self._opening.message_id:
            return True
        if by_requested:
            if isinstance(fact, f.Acknowledged):
                self._expected, self._will_answer = fact, fact.will_answer
                self._acknowledged_at = self._acknowledged_at or fact.at
            else:
                self._delivered_at = self._delivered_at or fact.at
        return False

    def _take_note(self, said: f.CaseFact, fact: f.CaseFact, side: Side) -> None:
        """Note what moves no state, in the history and in what is owed; ``said`` is the fact as it came."""
        names = tuple(name for name in fact.targets if name in self._targets) or tuple(self._targets)
        if isinstance(fact, f.ConsultationOpened) and side is Side.REQUESTED:
            self._consultations[fact.message_id] = replace(fact, targets=names)
        if isinstance(fact, f.SilenceRenewed) and side is Side.REQUESTER:
            self._silent_until = max(fact.until, self._silent_until or fact.until)
        relied = fact.relied if isinstance(fact, f.Changed) else ()
        for name in names:
            state = self._targets[name].state
            notes = ("relied_on",) if name in relied else ()
            self._history.append(Step(said, name, state, state, fact.SOURCE, notes))
        self._owed.take(fact, side, names)

    def _apply_to_targets(self, fact: f.CaseFact, side: Side) -> None:
        """Apply a fact to the targets it names. One about all of the request touches those that it can."""
        reasons: list[tuple[str, Reason]] = []
        applied: list[str] = []
        for name in fact.targets or tuple(self._targets):
            reason = self._apply(fact, name) if name in self._targets else Reason("no_such_target")
            if reason is None:
                applied.append(name)
            else:
                reasons.append((name, reason))
        if fact.targets:
            for name, reason in reasons:
                self._refuse(fact, name, reason)
        elif not applied:
            self._refuse(fact, "", reasons[0][1])
        if applied:
            self._note(fact)
            self._owed.take(fact, side, tuple(applied))

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
        before, met, rule, reason = self._lifecycle.judged(target, fact, self._opening)
        if _key(met, name) in self._applied and not isinstance(met, f.Delivered):
            reason = Reason("taken_before")
        if reason is not None or rule is None:
            return reason
        self._applied.add(_key(met, name))
        changed = self._lifecycle.changed(target, rule.after or target.state, met)
        self._targets[name] = changed
        self._history.append(Step(fact, name, before, changed.state, rule.source, self._notes(met, name)))
        return None

    def _notes(self, fact: f.CaseFact, name: str) -> tuple[str, ...]:
        """What the history says beside a step: a refusal or postponement before which nobody was consulted.

        Preserving has grounds of its own (Art. 29.5); there only the decision on the request that followed is meant.
        """
        refuses = isinstance(fact, f.FollowUpRefused | f.Postponed) or (
            isinstance(fact, f.Refused) and not fact.misdirected and self._opening.kind != "preservation.request"
        )
        if refuses and self._opening.consults and not self._was_consulted(fact.at, name):
            return ("without_consultation",)
        return ()

    def _was_consulted(self, at: datetime, name: str) -> bool:
        """Whether the requester was asked and answered, or had the time to that it was given."""
        return any(
            name in asked.targets
            and (key in self._consulted or (asked.answer_by is not None and asked.answer_by <= at))
            for key, asked in self._consultations.items()
        )

    def _refuse(self, fact: f.CaseFact, target: str, reason: Reason) -> None:
        self._out_of_order.append(OutOfOrder(fact, target, reason))


# A central authority is heard in a case of its nation's contact point with the request that followed, and how it goes.
_OF_CENTRAL_AUTHORITIES = (
    f.FollowUpArrived,
    f.FollowUpRefused,
    f.Accepted,
    f.Postponed,
    f.Refused,
    f.Impossible,
    f.ConditionsProposed,
    f.AnsweredInPart,
    f.Answered,
    f.Reported,
    f.AuthorisationAwaited,
    f.ClarificationAsked,
    f.QuestionAnswered,
    f.ConsultationOpened,
    f.ConsultationClosed,
    f.Changed,
    f.NoteWritten,
    f.FilesFollowed,
)


def side_of(opening: f.Submitted, fact: f.CaseFact) -> Side | None:
    """The side of who states a fact; None for somebody who is no party."""
    if fact.by == opening.by:
        return Side.REQUESTER
    if fact.by in opening.requested or _is_of_central_authority(opening, fact):
        return Side.REQUESTED
    return None


def _is_of_central_authority(opening: f.Submitted, fact: f.CaseFact) -> bool:
    """Whether the central authority of a requested nation says what is its own to say."""
    nations = {nation_of(address) for address in opening.requested}
    return fact.central and isinstance(fact, _OF_CENTRAL_AUTHORITIES) and nation_of(fact.by) in nations


def nation_of(address: str) -> str:
    """The node of an address: a nation's country code in lower case, or an organisation's name."""
    return address.rpartition("@")[2]


def as_asked_by(side: Side, fact: f.CaseFact) -> f.CaseFact:
    """The fact as it is from this side: the requester may ask and be answered too, which stops no clock."""
    if isinstance(fact, f.ClarificationAsked) and side is Side.REQUESTER:
        return f.QuestionAsked(**_common(fact), answer_by=fact.answer_by)
    if isinstance(fact, f.ClarificationReplied) and side is Side.REQUESTED:
        return f.QuestionAnswered(**_common(fact))
    return fact


def _common(fact: f.CaseFact) -> dict[str, Any]:
    return {field.name: getattr(fact, field.name) for field in fields(f.CaseFact)}


def _key(fact: f.CaseFact, target: str) -> tuple[UUID, str, str]:
    return fact.message_id, fact.NAME, target
