"""The case of a request for assistance or of an emergency request: one state for each thing that is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum

from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance_rules import (
    ASSISTANCE_RULE_FOR,
    EMERGENCY_RULE_FOR,
    TERMINAL,
    UNANSWERED,
    AssistanceState,
)
from protocol.lifecycle.folding import Case, Lifecycle
from protocol.lifecycle.waiting import AuthorityWait, waiting_after

S = AssistanceState


@dataclass(frozen=True, slots=True)
class WantedCase:
    """One thing that is asked for; its name is empty where the request has no targets.

    ``open_conditions`` are the names of the conditions that wait for an answer, ``conditions_by`` who proposed them.
    ``waiting`` is for what the requested side waits at its own authorities.
    """

    name: str
    state: AssistanceState = AssistanceState.DRAFT
    refusal_ground: str | None = None
    open_conditions: tuple[str, ...] = ()
    conditions_by: str | None = None
    answered_at: datetime | None = None
    supplemented_at: datetime | None = None
    waiting: AuthorityWait | None = None


@dataclass(frozen=True, slots=True)
class AssistanceCase(Case[WantedCase]):
    """What both sides know of a request for assistance, or of an emergency request."""

    @property
    def is_emergency(self) -> bool:
        """Whether a supplement is owed."""
        return self.opening is not None and self.opening.kind == "emergency.request"

    @property
    def state(self) -> AssistanceState:
        """The request's state, before the clock is looked at (see :meth:`state_at`)."""
        return _request_state([target.state for target in self.targets])

    def state_at(self, now: datetime) -> AssistanceState:
        """The request's state at ``now``: expired where the date of use has passed without the whole answer."""
        return _request_state([self.target_state_at(target, now) for target in self.targets])

    def is_over(self, now: datetime) -> bool:
        """Whether nothing is asked or owed any more at ``now``; see :func:`protocol.lifecycle.is_over`."""
        return all(self._is_done(target, now) for target in self.targets)

    def _is_done(self, target: WantedCase, now: datetime) -> bool:
        state = self.target_state_at(target, now)
        wanted_by = self.opening.wanted_by if self.opening else None
        # The office that it was forwarded to may still answer, as long as that is of use.
        too_late = state is S.FORWARDED and wanted_by is not None and now >= wanted_by
        return state in TERMINAL or state is S.ANSWERED or too_late

    def target_state_at(self, target: WantedCase, now: datetime) -> AssistanceState:
        """The target's state at ``now``. A late answer still counts: this is what is shown until it comes."""
        wanted_by = self.opening.wanted_by if self.opening else None
        if wanted_by is not None and now >= wanted_by and target.state in UNANSWERED:
            return AssistanceState.EXPIRED_UNANSWERED
        return target.state


def fold_assistance(facts: Iterable[f.CaseFact], *, emergency: bool) -> AssistanceCase:
    """The case of these facts; the order and the number of times they are given do not matter."""
    folded = (EMERGENCY if emergency else ASSISTANCE).fold(facts)
    return AssistanceCase(**{field.name: getattr(folded, field.name) for field in fields(folded)})


def _state_met(target: WantedCase, at: datetime) -> StrEnum:
    return target.state


def _as_met(target: WantedCase, fact: f.CaseFact) -> f.CaseFact:
    return fact


def _new(name: str, opening: f.Submitted) -> WantedCase:
    return WantedCase(name)


def _changed(target: WantedCase, after: StrEnum, fact: f.CaseFact) -> WantedCase:
    """The target in its new state, with what the fact says recorded in it."""
    target = replace(target, state=AssistanceState(after), waiting=waiting_after(target.waiting, fact))
    match fact:
        case f.Refused() | f.Impossible():
            return replace(target, refusal_ground=fact.ground)
        case f.ConditionsProposed():
            return replace(target, open_conditions=fact.conditions, conditions_by=fact.by)
        case f.ConditionsAccepted():
            still_open = tuple(name for name in target.open_conditions if name not in fact.conditions)
            # Agreed is what is agreed in full.
            pending = target.state is S.CONDITIONS_AGREED and still_open
            state = S.ACCEPTED_WITH_CONDITIONS if pending else target.state
            return replace(target, state=state, open_conditions=still_open)
        case f.Answered():
            answered = replace(target, answered_at=target.answered_at or fact.at)
            return _settled(answered)
        case f.Supplemented():
            return replace(target, supplemented_at=target.supplemented_at or fact.at)
        case _:
            return target


def _settled(target: WantedCase) -> WantedCase:
    """A supplement, which only an emergency has, came before the disclosure: it is not owed again."""
    if target.supplemented_at is not None:
        return replace(target, state=S.CLOSED)
    return target


ASSISTANCE = Lifecycle(ASSISTANCE_RULE_FOR, _new, _state_met, _as_met, _changed)
EMERGENCY = Lifecycle(EMERGENCY_RULE_FOR, _new, _state_met, _as_met, _changed)

_ORDER = list(AssistanceState)
_GIVEN = frozenset({S.PARTIALLY_ANSWERED, S.ANSWERED, S.SUPPLEMENT_DUE, S.CLOSED})


def _request_state(states: list[AssistanceState]) -> AssistanceState:
    """The state of the whole: what all targets share, else the least advanced of those that are still open."""
    if not states:
        return S.DRAFT
    if len(set(states)) == 1:
        return states[0]
    living = [state for state in states if state not in TERMINAL]
    if not living:
        return S.CLOSED
    unanswered = [state for state in living if state in UNANSWERED]
    if not unanswered:
        return min(living, key=_ORDER.index)
    return S.PARTIALLY_ANSWERED if _GIVEN.intersection(states) else min(unanswered, key=_ORDER.index)
