"""What one side asked and the other owes: which word puts something on whose list, and which takes it off.

The table knows no states. Due dates that follow from a state alone (a decision, an expiry) are in
:mod:`protocol.lifecycle.deadlines`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.rules import Side


@dataclass(frozen=True, slots=True)
class Owed:
    """Something that ``side`` owes since ``since``, because of the message ``message``.

    ``targets`` are those that it is about, empty where it is about all; ``answer_by`` until when the other side would
    like to have it. ``conditions`` are those that are not answered yet. ``outlives``: it is owed also when the request
    has ended.
    """

    what: str
    side: Side
    message: UUID
    since: datetime
    source: str
    targets: tuple[str, ...] = ()
    answer_by: datetime | None = None
    conditions: tuple[str, ...] = ()
    outlives: bool = False


@dataclass(frozen=True, slots=True)
class _Duty:
    """One row: ``asked`` by a side puts ``what`` on the list of the other; ``answered`` takes it off.

    ``direct``: only a reply to the very question does. ``dropped`` are words of who asked that take it off as well.
    ``then`` is what who asked owes once it was answered. ``outlives``: it is owed also when the request has ended.
    """

    what: str
    asked: type[f.CaseFact]
    answered: tuple[type[f.CaseFact], ...]
    source: str
    direct: bool = True
    dropped: tuple[type[f.CaseFact], ...] = ()
    outlives: bool = False
    when: Callable[[f.CaseFact], bool] = lambda fact: True
    then: _Duty | None = None


_OUTCOMES = (f.Preserved, f.NotHeld, f.Refused, f.Impossible, f.Answered, f.AnsweredInPart, f.Forwarded)
_DECISIONS = (f.Accepted, f.Postponed, f.ConditionsProposed)
_ENDED = (f.Withdrawn, f.Closed)
_ENDS_CONSULTATION = (f.ConsultationClosed, f.Refused, f.Impossible, f.Answered, *_DECISIONS)
_CONSULTATION = "Budapest Convention Art. 27.6"
_DUTIES: tuple[_Duty, ...] = (
    _Duty(
        "clarification",
        f.ClarificationAsked,
        (f.ClarificationReplied,),
        "Directive (EU) 2023/977 Art. 14",
        dropped=(*_OUTCOMES, *_ENDED),
    ),
    _Duty("clarification", f.QuestionAsked, (f.QuestionAnswered,), "Comity", dropped=_ENDED, outlives=True),
    _Duty(
        "status",
        f.StatusAsked,
        (f.Reported, *_OUTCOMES, *_DECISIONS),
        "UN Convention Art. 40",
        direct=False,
        dropped=_ENDED,
    ),
    _Duty(
        "risk",
        f.RiskRaised,
        (f.RiskAccepted, f.Withdrawn),
        "Budapest Convention Art. 29.6",
        direct=False,
        dropped=(*_OUTCOMES, *_ENDED),
    ),
    _Duty(
        "conditions",
        f.ConditionsProposed,
        (f.ConditionsAccepted, f.ConditionsDeclined, f.ConditionsProposed),
        "Budapest Convention Art. 28.3",
        dropped=(*_OUTCOMES, f.Accepted, *_ENDED),
    ),
    _Duty(
        "conditions",
        f.Submitted,
        (f.ConditionsAccepted, f.ConditionsDeclined),
        "Budapest Convention Art. 26.2",
        dropped=_ENDED,
        when=lambda fact: isinstance(fact, f.Submitted) and fact.offers,
        then=_Duty(
            "disclosure",
            f.Submitted,
            (f.Answered, *_ENDED),
            "Budapest Convention Art. 26.1",
            direct=False,
        ),
    ),
    _Duty("consent", f.ConsentAsked, (f.ConsentDecided,), "Second Additional Protocol Art. 14", outlives=True),
    _Duty("use", f.UseAsked, (f.UseReported,), "Budapest Convention Art. 28.4", outlives=True),
    _Duty(
        "consultation",
        f.ConsultationOpened,
        (f.CaseFact,),  # any reply to it will do
        _CONSULTATION,
        dropped=(*_ENDS_CONSULTATION, *_ENDED),
        then=_Duty(
            "consultation_outcome",
            f.ConsultationOpened,
            _ENDS_CONSULTATION,
            _CONSULTATION,
            direct=False,
            dropped=_ENDED,
        ),
    ),
    _Duty(
        "redirect",
        f.Refused,
        _ENDED,
        "Budapest Convention Art. 27.9",
        direct=False,
        outlives=True,
        when=lambda fact: isinstance(fact, f.Refused) and fact.misdirected,
    ),
    _Duty(
        "data_protection",
        f.Changed,
        (f.DataProtectionNoted,),
        "Directive (EU) 2016/680 Art. 7.3, 16",
        direct=False,
        outlives=True,
    ),
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What is owed, by which row; ``original`` is the message that was corrected or taken back."""

    duty: _Duty
    item: Owed
    original: UUID | None = None


class OwedBook:
    """What is owed while a thread is folded, fact by fact in the shared order."""

    def __init__(self) -> None:
        # By the row of the table: a word costs those that it may settle, and not all that was ever asked. The number
        # is an entry's place in the order of asking.
        self._entries: dict[int, list[tuple[int, _Entry]]] = {}
        self._asked = 0

    @property
    def items(self) -> tuple[Owed, ...]:
        """What is owed now, in the order in which it was asked."""
        placed = [one for entries in self._entries.values() for one in entries]
        return tuple(entry.item for _, entry in sorted(placed, key=lambda one: one[0]))

    def take(self, fact: f.CaseFact, side: Side, targets: tuple[str, ...]) -> None:
        """Note a fact of ``side`` that counts for ``targets``."""
        touched = [
            key
            for key, entries in self._entries.items()
            if entries and isinstance(fact, (*entries[0][1].duty.answered, *entries[0][1].duty.dropped))
        ]
        before = [one for key in touched for one in self._entries.pop(key)]
        for place, entry in before:
            for left in _left(entry, fact, side, targets):
                self._put(place, left)
        for duty in _DUTIES:
            if isinstance(fact, duty.asked) and duty.when(fact):
                original = fact.original if isinstance(fact, f.Changed) else None
                self._asked += 1
                self._put(self._asked, _Entry(duty, _item(duty, fact, _other(side), targets), original))

    def _put(self, place: int, entry: _Entry) -> None:
        self._entries.setdefault(id(entry.duty), []).append((place, entry))


def _item(duty: _Duty, fact: f.CaseFact, side: Side, targets: tuple[str, ...]) -> Owed:
    return Owed(
        what=duty.what,
        side=side,
        message=fact.message_id,
        since=fact.at,
        source=duty.source,
        targets=targets,
        answer_by=getattr(fact, "answer_by", None),
        conditions=fact.conditions if isinstance(fact, f.ConditionsProposed) else (),
        outlives=duty.outlives,
    )


def _left(entry: _Entry, fact: f.CaseFact, side: Side, targets: tuple[str, ...]) -> Iterator[_Entry]:
    """What is left of an entry after a fact, and what follows from its being answered."""
    duty, item = entry.duty, entry.item
    if side is not item.side:
        if not isinstance(fact, duty.dropped):
            yield entry
        elif (left := _without(item, targets)) is not None:
            yield replace(entry, item=left)
        return
    if not _answers(entry, fact):
        yield entry
        return
    left = _unanswered(duty, item, fact, targets)
    if left is not None:
        yield replace(entry, item=left)
    elif duty.then is not None and not isinstance(fact, f.ConditionsDeclined):
        following = replace(_item(duty.then, fact, _other(side), item.targets), message=item.message)
        yield _Entry(duty.then, following)


def _answers(entry: _Entry, fact: f.CaseFact) -> bool:
    """Whether a fact of the side that owes is an answer to what it owes."""
    if not isinstance(fact, entry.duty.answered):
        return False
    if isinstance(fact, f.DataProtectionNoted):
        return fact.concerned in {entry.item.message, entry.original}
    return not entry.duty.direct or fact.about == entry.item.message


def _unanswered(duty: _Duty, item: Owed, fact: f.CaseFact, targets: tuple[str, ...]) -> Owed | None:
    if isinstance(fact, f.ConditionsAccepted) and item.conditions:
        # Agreed is what is agreed in full.
        still_open = tuple(name for name in item.conditions if name not in fact.conditions)
        return replace(item, conditions=still_open) if still_open else None
    return None if duty.direct or isinstance(fact, f.DataProtectionNoted) else _without(item, targets)


def _without(item: Owed, targets: Iterable[str]) -> Owed | None:
    """``item`` without these targets; None when none is left."""
    gone = set(targets)
    left = tuple(name for name in item.targets if name not in gone)
    return replace(item, targets=left) if left else None


def _other(side: Side) -> Side:
    return Side.REQUESTED if side is Side.REQUESTER else Side.REQUESTER
