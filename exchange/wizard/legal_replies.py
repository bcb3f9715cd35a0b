"""Which types of message the rules of a case allow one side to write now, and of which targets: what forms offer.

Composing a message judges it by the same rules (:mod:`protocol.lifecycle.possible`): what is offered here is taken, as
long as the dates that the message itself names are possible, and what is barred here is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from exchange.cases.threads import targets_of_case
from protocol.lifecycle.assistance import AssistanceCase
from protocol.lifecycle.assistance_rules import TERMINAL as ASSISTANCE_OVER
from protocol.lifecycle.case import AnyCase
from protocol.lifecycle.conversation import OVER as CONVERSATION_OVER
from protocol.lifecycle.conversation import ConversationCase
from protocol.lifecycle.possible import STATED, SaidNow, barred, lifecycle_of, nothing_left, state_met
from protocol.lifecycle.preservation import PreservationCase, state_at
from protocol.lifecycle.preservation_rules import TERMINAL as PRESERVATION_OVER
from protocol.lifecycle.reasons import Reason
from protocol.lifecycle.rules import Side
from protocol.messages.registry import MESSAGE_TYPES

# The types that an officer is offered, most wanted first.
_OFFERED = (
    "acknowledgement",
    "preservation.answer",
    "answer",
    "decision",
    "preservation.extend",
    "preservation.follow-up",
    "preservation.release",
    "emergency.supplement",
    "preservation.risk",
    "preservation.risk-reply",
    "clarification.ask",
    "clarification.reply",
    "follow-up.confirmed",
    "condition.propose",
    "condition.accept",
    "condition.decline",
    "misdirected",
    "withdrawal",
    "closure",
)
# Of these, those that have a place in a thread that asks for nothing.
_OF_CONVERSATIONS = frozenset({"acknowledgement", "condition.accept", "condition.decline", "withdrawal", "closure"})
# Questions of how it stands move no state.
_ALWAYS: Mapping[Side, str] = MappingProxyType({Side.REQUESTER: "status.query", Side.REQUESTED: "status.report"})

# Nobody is to go on with a target that is over, although late words about it are taken.
_OVER = frozenset(map(str, (*PRESERVATION_OVER, *ASSISTANCE_OVER, *CONVERSATION_OVER)))


@dataclass(frozen=True, slots=True)
class TargetChoice:
    """Of which targets of a case something can be said now, in the case's order, and what bars the others. ``about``
    is what names them in the request, where that can be read.
    """

    possible: tuple[str, ...] = ()
    barred: Mapping[str, Reason] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReplyStanding:
    """Whether one side may write a message of ``type`` now, and for which ``targets``.

    Where it may not: ``state`` is the one that keeps it from being written, ``states`` are those in which it may be
    written, ``rule`` is what says so, and ``reason`` what is against it where the state alone is not. ``moves``: it
    would bring one of the targets on, and is no courtesy beside what was said already. ``over``: all targets of the
    case have ended. ``idle`` is a code of the list ``no_effect`` where it would do nothing.
    """

    type: str
    targets: tuple[str, ...]
    state: str
    states: tuple[str, ...]
    rule: str
    moves: bool = False
    over: bool = False
    reason: Reason | None = None
    idle: str | None = None

    @property
    def legal(self) -> bool:
        """Whether it may be written."""
        return bool(self.targets)


def target_choice(
    cases: Iterable[AnyCase], kind: str, *, own: str, now: datetime, about: UUID | None = None
) -> TargetChoice:
    """The targets of which the desk ``own`` can write a message of the type ``kind`` now, in reply to ``about``.

    Of a thread with several nations a target can be chosen as long as the case with one of them allows it.
    """
    possible: dict[str, None] = {}
    against: dict[str, Reason] = {}
    for case in cases:
        if case.opening is None:
            continue
        found = barred(case, kind, SaidNow(_by(case, own), now, about))
        for target in targets_of_case(case):
            reason = found.get(target.name)
            if target.name and reason is None:
                possible[target.name] = None
            elif target.name and reason is not None:
                against.setdefault(target.name, reason)
    return TargetChoice(tuple(possible), {name: one for name, one in against.items() if name not in possible})


def _by(case: AnyCase, own: str) -> str:
    """Who speaks in the case: this desk, or in the place of those who were asked where it is none of them."""
    assert case.opening is not None  # noqa: S101 - the caller has looked
    if own == case.opening.by or own in case.opening.requested or not case.opening.requested:
        return own
    return case.opening.requested[0]


def reply_standings(case: Any, *, ours: bool, now: datetime) -> tuple[ReplyStanding, ...]:
    """Each type that this side ever writes in such a case, with whether it may be written at ``now``.

    A thread that asks for nothing has one target without a name.
    """
    if not case.targets or case.opening is None:
        return ()
    talks = isinstance(case, ConversationCase)
    side, by = (Side.REQUESTER, case.opening.by) if ours else (Side.REQUESTED, _by(case, ""))
    shown = {target.name: _state_of(case, target, now) for target in case.targets}
    met = {target.name: str(state_met(case, target, now)) for target in case.targets}
    first, over = next(iter(shown.values())), all(state in _OVER for state in shown.values())
    rules = tuple(dict.fromkeys(lifecycle_of(case).rules.values()))
    found = []
    for name in _OFFERED:
        if talks and name not in _OF_CONVERSATIONS:
            continue
        rows = [row for row in rules if row.fact in STATED[name] and row.side in (None, side)]
        if not rows:
            continue
        rows.sort(key=lambda row: row.fact is not STATED[name][0])
        before = tuple(dict.fromkeys(str(state) for row in rows for state in row.before))
        against = barred(case, name, SaidNow(by, now))
        idle = nothing_left(case, name, SaidNow(by, now))
        fitting = tuple(target for target, reason in against.items() if reason is None and idle is None)
        moving = {str(state) for row in rows if row.after is not None for state in row.before} - _OVER
        moves = any(met[target] in moving for target in fitting)
        # A state in which it may be written otherwise is not what bars it.
        reason = next((one for one in against.values() if one is not None and not one.state), None)
        found.append(ReplyStanding(name, fitting, first, before, rows[0].source, moves, over, reason, idle))
    return tuple(found)


def _state_of(case: AnyCase, target: Any, now: datetime) -> str:
    match case:
        case PreservationCase():
            return str(state_at(target, now))
        case AssistanceCase():
            return str(case.target_state_at(target, now))
        case _:
            return str(target.state)


def legal_replies(case: Any, *, ours: bool, now: datetime) -> tuple[str, ...]:
    """The types that this side may write in the case as it stands at ``now``; ``ours``: this desk asked.

    Of a thread that asks for nothing, all that reply to something.
    """
    if case is None or isinstance(case, ConversationCase):
        return tuple(name for name in MESSAGE_TYPES if "in_reply_to" in MESSAGE_TYPES[name].model_fields)
    found = [one.type for one in reply_standings(case, ours=ours, now=now) if one.legal and one.type in MESSAGE_TYPES]
    return (*found, *_always(Side.REQUESTER if ours else Side.REQUESTED))


def _always(side: Side) -> Iterator[str]:
    if _ALWAYS[side] in MESSAGE_TYPES:
        yield _ALWAYS[side]
