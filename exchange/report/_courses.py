"""The course of one case: when it was received, acknowledged and answered, and what became of each deadline in it.

A deadline is a function of the case, and gone from it once it is met. So the case is folded again after each of its
facts, in the order that all sides share: a deadline that was due before a fact and is not after it was settled by that
fact. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from protocol.address import Address
from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import AssistanceCase
from protocol.lifecycle.case import AnyCase, fold_any
from protocol.lifecycle.conversation import ConversationCase
from protocol.lifecycle.deadlines import Deadline, DueKind, is_open
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.preservation import PreservationCase
from protocol.lifecycle.preservation_rules import State
from protocol.lifecycle.rules import Side

Due = Callable[[AnyCase], Sequence[Deadline]]
"""What is still to be done in a case: :func:`protocol.lifecycle.deadlines`, with a nation's own clocks."""

# Deadlines that are kept by giving a new one: the word that was promised, and the expiry.
_REPLACED = frozenset({"next_update", "expiry"})


class How(StrEnum):
    """How a deadline was settled."""

    MET = "met"
    EXTENDED = "extended"  # an expiry was moved
    FOLLOWED_UP = "followed_up"  # an expiry stands still, because the request that followed was received
    RELEASED = "released"  # the requester let the data go
    ENDED = "ended"  # nothing is owed any more, and nobody did what was due


@dataclass(frozen=True, slots=True)
class SettledCase:
    """A deadline that is no longer due: settled ``at`` when it was ``due`` (None: its clock stood still then)."""

    what: str
    side: Side
    due: datetime | None
    at: datetime
    how: How
    kind: DueKind = DueKind.TARGET


@dataclass(frozen=True, slots=True)
class CountedRefusal:
    """One target was refused, on a ground; ``by`` is the contact point that did."""

    by: str
    ground: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Course:
    """What happened in one case up to some instant, without what it is about.

    ``acknowledged_at`` is the first word of the requested side, also if it was the answer; ``answered_at`` when the
    last target had its answer. ``open`` are the deadlines that are left. ``thread`` is the case, where it matters;
    ``read_at`` when it is proved that an officer of the requested side opened the request.
    """

    kind: str
    requester: str
    opened_at: datetime
    received_at: datetime | None
    acknowledged_at: datetime | None
    answered_at: datetime | None
    state: str
    settled: tuple[SettledCase, ...]
    open: tuple[Deadline, ...]
    refusals: tuple[CountedRefusal, ...]
    thread: UUID | None = None
    urgency: str = ""
    read_at: datetime | None = None

    def asked_by(self, own: Address) -> bool:
        """Whether this contact point opened the case."""
        return self.requester == str(own)


def course_of(facts: Iterable[f.CaseFact], as_of: datetime, due: Due) -> Course | None:
    """The course of the case that these facts make, up to ``as_of``; None as long as its opening has not arrived."""
    ordered = in_order(fact for fact in facts if fact.at <= as_of)
    walk = _Walk(due)
    for number, fact in enumerate(ordered, 1):
        walk.step(fact, fold_any(ordered[:number]))
    return walk.course(as_of)


# --- Inside ---

_Key = tuple[str, str, UUID | None]


class _Walk:
    """The state of one walk through the facts of a case."""

    def __init__(self, due: Due) -> None:
        self._due = due
        self._case: AnyCase | None = None
        self._left: dict[_Key, Deadline] = {}
        self._settled: list[SettledCase] = []
        self._acknowledged_at: datetime | None = None
        self._answered_at: datetime | None = None
        self._now: datetime | None = None

    def step(self, fact: f.CaseFact, case: AnyCase) -> None:
        """Take the case as it is after ``fact``."""
        # A clock that is behind cannot make an answer earlier than its question.
        now = self._now = fact.at if self._now is None else max(self._now, fact.at)
        left = {(deadline.what, deadline.target, deadline.message): deadline for deadline in self._due(case)}
        for key, before in self._left.items():
            settled = _settled(before, left.get(key), fact, case, now)
            if settled is not None:
                self._settled.append(settled)
        self._note_words(fact, case, now)
        self._left, self._case = left, case

    def course(self, as_of: datetime) -> Course | None:
        case = self._case
        if case is None or case.opening is None:
            return None
        return Course(
            kind=case.opening.kind,
            requester=case.opening.by,
            opened_at=case.opening.at,
            received_at=case.delivered_at,
            acknowledged_at=self._acknowledged_at,
            answered_at=self._answered_at,
            state=str(case.state_at(as_of)),
            settled=tuple(self._settled),
            open=tuple(self._left.values()),
            refusals=tuple(_refusals(case)),
            urgency=case.opening.urgency,
        )

    def _note_words(self, fact: f.CaseFact, case: AnyCase, now: datetime) -> None:
        """Note the first word and the last answer of the requested side."""
        opening, before = case.opening, self._case
        if opening is None or fact.by not in opening.requested or isinstance(case, ConversationCase):
            return
        answered = not is_open(case)
        if self._acknowledged_at is None and (case.acknowledged_at is not None or answered):
            self._acknowledged_at = now
        if answered and isinstance(before, PreservationCase | AssistanceCase) and before.opening and is_open(before):
            self._answered_at = self._answered_at or now


def _settled(
    before: Deadline, after: Deadline | None, fact: f.CaseFact, case: AnyCase, now: datetime
) -> SettledCase | None:
    """How ``fact`` settled the deadline ``before``; None if it is still due ``after`` it."""
    if after is not None and (before.what not in _REPLACED or after.due == before.due):
        return None
    how = _expiry_how(before, after, case) if before.what == "expiry" else _how(before, fact, case)
    return SettledCase(before.what, before.side, before.due, now, how, before.kind)


def _how(before: Deadline, fact: f.CaseFact, case: AnyCase) -> How:
    """Met, if who owed it did something; what the other side withdrew or closed is owed no more."""
    opening = case.opening
    owed_by = () if opening is None else (opening.by,) if before.side is Side.REQUESTER else opening.requested
    return How.MET if fact.by in owed_by and not isinstance(fact, f.Closed) else How.ENDED


def _expiry_how(before: Deadline, after: Deadline | None, case: AnyCase) -> How:
    if after is not None:
        return How.EXTENDED
    target = case.target(before.target) if isinstance(case, PreservationCase) else None
    if target is not None and target.state is State.FOLLOWED_UP:
        return How.FOLLOWED_UP
    return How.RELEASED if target is not None and target.state is State.RELEASED else How.ENDED


def _refusals(case: AnyCase) -> Iterator[CountedRefusal]:
    for step in case.history:
        match step.fact:
            case f.Refused(by=by, ground=ground, at=at) | f.Impossible(by=by, ground=ground, at=at):
                yield CountedRefusal(by, ground, at)
            case f.Forwarded(by=by, at=at):
                yield CountedRefusal(by, "not_competent_authority", at)
