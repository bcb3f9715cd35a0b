"""Which types of message the rules of a case allow one side to write now: the ones that a wizard offers.

It is a help for choosing. Composing a message judges it by the same rules, with the guards on dates that only a whole
message can meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import AssistanceCase
from protocol.lifecycle.assistance_rules import ASSISTANCE_RULES, EMERGENCY_RULES
from protocol.lifecycle.assistance_rules import TERMINAL as ASSISTANCE_OVER
from protocol.lifecycle.preservation import PreservationCase, state_at
from protocol.lifecycle.preservation_rules import RULES as PRESERVATION_RULES
from protocol.lifecycle.preservation_rules import TERMINAL as PRESERVATION_OVER
from protocol.lifecycle.rules import Rule, Side
from protocol.messages.registry import MESSAGE_TYPES

# The fact that a message of each type is, most wanted first.
_FACTS: Mapping[str, type[f.CaseFact]] = MappingProxyType(
    {
        "acknowledgement": f.Acknowledged,
        "preservation.answer": f.Preserved,
        "answer": f.Answered,
        "decision": f.Accepted,
        "preservation.extend": f.ExtensionAsked,
        "preservation.follow-up": f.FollowedUp,
        "preservation.release": f.Released,
        "emergency.supplement": f.Supplemented,
        "preservation.risk": f.RiskRaised,
        "preservation.risk-reply": f.RiskAccepted,
        "clarification.ask": f.ClarificationAsked,
        "clarification.reply": f.ClarificationReplied,
        "withdrawal": f.Withdrawn,
        "closure": f.Closed,
    }
)
# Questions of how it stands move no state.
_ALWAYS: Mapping[Side, str] = MappingProxyType({Side.REQUESTER: "status.query", Side.REQUESTED: "status.report"})
# Other facts that a message of a type may be, where they decide whether it may be written at all.
_ALSO: Mapping[str, tuple[type[f.CaseFact], ...]] = MappingProxyType(
    {
        "preservation.answer": (f.NotHeld, f.Refused),
        "answer": (f.AnsweredInPart,),
        "decision": (f.Refused, f.Postponed, f.ConditionsProposed, f.Impossible),
    }
)

# Nobody is to go on with a target that is over, although late words about it are taken.
_OVER = frozenset(map(str, (*PRESERVATION_OVER, *ASSISTANCE_OVER)))


@dataclass(frozen=True, slots=True)
class ReplyStanding:
    """Whether one side may write a message of ``type`` now, and for which ``targets``.

    Where it may not: ``state`` is the one that keeps it from being written, ``states`` are those in which it may be
    written, and ``rule`` is what says so. ``moves``: it would bring one of the targets on, and is no courtesy beside
    what was said already. ``over``: all targets of the case have ended.
    """

    type: str
    targets: tuple[str, ...]
    state: str
    states: tuple[str, ...]
    rule: str
    moves: bool = False
    over: bool = False

    @property
    def legal(self) -> bool:
        """Whether it may be written."""
        return bool(self.targets)


def reply_standings(case: Any, *, ours: bool, now: datetime) -> tuple[ReplyStanding, ...]:
    """Each type that this side ever writes in such a case, with whether it may be written at ``now``.

    Empty for a thread that asks for nothing. Composing a message judges it by the same rules, with their guards.
    """
    rules = _rules_of(case)
    if rules is None or not case.targets:
        return ()
    side = Side.REQUESTER if ours else Side.REQUESTED
    states = {target.name: _state_of(case, target, now) for target in case.targets}
    first, over = next(iter(states.values())), all(state in _OVER for state in states.values())
    found = []
    for name, fact in _FACTS.items():
        rows = [row for row in rules if row.fact in (fact, *_ALSO.get(name, ())) and row.side in (None, side)]
        if not rows:
            continue
        before = tuple(dict.fromkeys(str(state) for row in rows for state in row.before))
        fitting = tuple(target for target, state in states.items() if state in before)
        moving = {str(state) for row in rows if row.after is not None for state in row.before} - _OVER
        moves = any(states[target] in moving for target in fitting)
        found.append(ReplyStanding(name, fitting, first, before, rows[0].source, moves, over))
    return tuple(found)


def _state_of(case: Any, target: Any, now: datetime) -> str:
    return str(state_at(target, now) if isinstance(case, PreservationCase) else case.target_state_at(target, now))


def legal_replies(case: Any, *, ours: bool) -> tuple[str, ...]:
    """The types that this side may write in the case as it stands; ``ours``: this desk asked.

    Of a thread that asks for nothing, all that reply to something.
    """
    side = Side.REQUESTER if ours else Side.REQUESTED
    rules = _rules_of(case)
    if rules is None:
        return tuple(name for name in MESSAGE_TYPES if "in_reply_to" in MESSAGE_TYPES[name].model_fields)
    states = {target.state for target in case.targets}
    found = [name for name, fact in _FACTS.items() if name in MESSAGE_TYPES and _allows(rules, fact, side, states)]
    return (*found, *_always(side))


def _always(side: Side) -> Iterator[str]:
    if _ALWAYS[side] in MESSAGE_TYPES:
        yield _ALWAYS[side]


def _rules_of(case: Any) -> tuple[Rule[Any], ...] | None:
    if isinstance(case, PreservationCase):
        return PRESERVATION_RULES
    if isinstance(case, AssistanceCase):
        return EMERGENCY_RULES if case.is_emergency else ASSISTANCE_RULES
    return None


def _allows(rules: tuple[Rule[Any], ...], fact: type[f.CaseFact], side: Side, states: set[Any]) -> bool:
    return any(rule.fact is fact and rule.side in (None, side) and states & set(rule.before) for rule in rules)
