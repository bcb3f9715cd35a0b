"""Corrections and retractions: what a thread says once they are taken into account, whatever came first.

Rules:
1. Only the sender of a message corrects it or takes it back. Of several corrections the last by (time of sending, id)
   counts. After a retraction nothing is corrected; a retraction of a correction lets the former version stand again.
2. The corrected content is read where the original stands in the thread's order, under the same guards. A correction
   that a guard is against is out of order as a whole: the former version stays in force.
3. Where the other side had acted on the former version, that version stands for the targets concerned, and so does what
   was done. The corrected one counts from its own place on, like any later message.
4. "Had acted": something that the other side sent before the correction was in order, and would not be in order with
   the correction in the original's place. A release or withdrawal always counts as acted on: the data may be gone.
5. A retracted request is withdrawn. Any other retracted message states nothing any more, as far as rule 3 allows.
6. At most :data:`MOST_ACTS` of one sender count in a thread. One whose original has not arrived waits for it. Nothing
   is removed: receipts, logs and messages stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from protocol.errors import InvalidMessageError
from protocol.lifecycle import facts as f
from protocol.lifecycle._by_kind import fold_any
from protocol.lifecycle.folding import Case, MessageStanding, OutOfOrder, StandingState
from protocol.lifecycle.ordering import in_order
from protocol.lifecycle.reasons import Reason
from protocol.lifecycle.thread import Beside, ThreadMessage, facts_stated, receipts_of
from protocol.messages.corrections import acts_of, corrected, original_of
from protocol.messages.schema.base import Message
from protocol.messages.types.correcting import Correction, Retract

# The thread does not show all that was done because of these: the data may be gone.
_IRREVOCABLE = (f.Released, f.Withdrawn)
_IN_FORCE = MessageStanding()
# The message whose place a version has, and what it states there.
_Version = tuple[UUID, tuple[f.CaseFact, ...]]
_Versions = Mapping[UUID, list[_Version]]


@dataclass(frozen=True, slots=True)
class Effective:
    """What a thread states: ``facts`` as they count, ``refused`` corrections and retractions, how messages stand."""

    facts: tuple[f.CaseFact, ...]
    refused: tuple[OutOfOrder, ...] = ()
    standings: Mapping[UUID, MessageStanding] | None = None


def effective(thread: Iterable[ThreadMessage]) -> Effective:
    """The facts of a thread with its corrections and retractions taken into account; any order gives the same."""
    entries = tuple(thread)
    return _Reading(entries).result()


def standing(thread: Iterable[ThreadMessage], message_id: UUID) -> MessageStanding:
    """How a message of the thread stands: in force, corrected by, taken back by, or waiting for its original."""
    return standing_of(effective(thread).standings or {}, message_id)


def standing_of(standings: Mapping[UUID, MessageStanding], message_id: UUID) -> MessageStanding:
    """As :func:`standing`, of a case's :attr:`standings`."""
    return standings.get(message_id, _IN_FORCE)


class _Reading:
    """One reading of a thread. ``_versions`` holds, by original, its versions: whose place each has, and its facts."""

    def __init__(self, entries: Sequence[ThreadMessage]) -> None:
        entries, others = _one_of_each(entries)
        self._entries = {entry.message.id: entry for entry in entries}
        self._messages: dict[UUID, Message] = {key: entry.message for key, entry in self._entries.items()}
        self._receipts = [fact for entry in (*entries, *others) for fact in receipts_of(entry)]
        self._acts, self._too_many = acts_of(self._messages.values())
        beside = Beside.of(self._messages.values())
        self._versions: dict[UUID, list[_Version]] = {
            entry.message.id: [(entry.message.id, facts_stated(entry, beside))] for entry in entries
        }
        self._of_others = [
            fact
            for entry in others
            if entry.message != self._messages[entry.message.id]
            for fact in facts_stated(entry, beside)
        ]
        self._changes: list[f.CaseFact] = []
        self._refused: list[OutOfOrder] = []
        self._standings: dict[UUID, MessageStanding] = {}

    def result(self) -> Effective:
        taken_back = {(act.retracts, act.sender) for act in self._acts if isinstance(act, Retract)}
        for act in self._too_many:
            self._refuse(act, act.corrects if isinstance(act, Correction) else act.retracts, Reason("too_many_changes"))
        for act in self._acts:
            original = original_of(act, self._messages)
            if original is None:
                self._standings[act.id] = MessageStanding(StandingState.AWAITING_ORIGINAL)
            elif act.sender != original.sender or act.thread != original.thread:
                self._refuse(act, original.id, Reason("not_its_sender"))
            elif isinstance(act, Retract):
                self._take_back(act, original)
            elif (act.id, act.sender) not in taken_back:
                self._correct(act, original)
        facts = (*self._facts(), *self._changes)
        return Effective(tuple(facts), tuple(self._refused), self._standings)

    # --- Acts ---

    def _take_back(self, act: Retract, original: Message) -> None:
        if isinstance(original, Retract):
            self._refuse(act, original.id, Reason("not_taken_back"))
            return
        if self._is_retracted(original.id):
            return
        marker = f.Retracted(**self._common(act), original=original.id)
        if isinstance(original, Correction):
            self._note(act, original.id, StandingState.RETRACTED, marker)
            return
        if original.id == original.thread:
            self._withdraw(f.Withdrawn(**self._common(act)), marker)
            self._note(act, original.id, StandingState.RETRACTED, marker)
            return
        former = self._versions[original.id]
        was, would = self._folded(self._versions, marker), self._folded({**self._versions, original.id: []}, marker)
        relied = _relied(was, would, marker.by) | _irrevocable(fact for _, facts in former for fact in facts)
        touched = _targets_of(fact for _, facts in former for fact in facts)
        kept = [(place, _only(facts, relied)) for place, facts in former]
        self._versions[original.id] = [(place, facts) for place, facts in kept if facts]
        self._note(act, original.id, StandingState.RETRACTED, _about(marker, touched, relied))

    def _withdraw(self, withdrawal: f.Withdrawn, marker: f.Changed) -> None:
        """Withdraw what is left of a request; nothing where all of it has ended."""
        case = fold_any((*self._before(self._versions, marker), withdrawal))
        if any(step.fact == withdrawal for step in case.history):
            self._changes.append(withdrawal)

    def _correct(self, act: Correction, original: Message) -> None:
        if self._is_retracted(original.id):
            self._refuse(act, original.id, Reason("taken_back_before"))
            return
        try:
            message = corrected(original, act)
        except InvalidMessageError:
            self._refuse(act, original.id, Reason("not_a_correction"))
            return
        marker = f.Corrected(**self._common(act), original=original.id)
        versions = self._versions[original.id]
        place, former = versions[-1] if versions else (original.id, ())
        new = tuple(_moved(fact, place, self._place_time(place)) for fact in self._stated(original.id, message, act))
        was = self._folded(self._versions, marker)
        would = self._folded({**self._versions, original.id: [*versions[:-1], (place, new)]}, marker)
        relied = _relied(was, would, marker.by) | (_irrevocable(former) - _irrevocable(new))
        if relied and any(isinstance(fact, f.Submitted) for fact in new):
            self._refuse(act, original.id, Reason("relied_on"))
            return
        against = _against(was, would, place, relied)
        if against is not None:
            self._refuse(act, original.id, against)
            return
        at = max(act.sent_at, original.sent_at)
        stays = (*_only(former, relied), *_without(new, relied))
        later = tuple(_moved(fact, act.id, at) for fact in _only(new, relied))
        self._versions[original.id] = [*versions[:-1], (place, stays), *([(act.id, later)] if later else [])]
        self._note(act, original.id, StandingState.CORRECTED, _about(marker, _targets_of((*former, *new)), relied))

    def _stated(self, original: UUID, message: Message, act: Correction) -> tuple[f.CaseFact, ...]:
        entry = replace(self._entries[original], message=message)
        messages = [message if other.id == original else other for other in self._messages.values()]
        return facts_stated(entry, Beside.of(messages), said_at=act.sent_at)

    # --- A version, folded ---

    def _folded(self, versions: _Versions, marker: f.Changed) -> Case[Any]:
        """The case as it stands before ``marker`` with these versions."""
        return fold_any(self._before(versions, marker))

    def _before(self, versions: _Versions, marker: f.Changed) -> list[f.CaseFact]:
        ordered = in_order((*self._facts(versions), *self._changes, marker))
        return ordered[: ordered.index(marker)]

    def _facts(self, versions: _Versions | None = None) -> Iterator[f.CaseFact]:
        for chain in (versions or self._versions).values():
            for _, facts in chain:
                yield from facts
        yield from self._of_others
        yield from self._receipts

    # --- Notes ---

    def _place_time(self, place: UUID) -> datetime:
        return self._messages[place].sent_at

    def _common(self, act: Message) -> dict[str, Any]:
        return {"message_id": act.id, "at": act.sent_at, "by": act.sender, "about": act.in_reply_to}

    def _is_retracted(self, message_id: UUID) -> bool:
        return standing_of(self._standings, message_id).state is StandingState.RETRACTED

    def _note(self, act: Message, original: UUID, state: StandingState, fact: f.Changed) -> None:
        self._changes.append(fact)
        self._standings[original] = MessageStanding(state, act.id, fact.relied)

    def _refuse(self, act: Message, original: UUID, reason: Reason) -> None:
        kind = f.Retracted if isinstance(act, Retract) else f.Corrected
        self._refused.append(OutOfOrder(kind(**self._common(act), original=original), "", reason))
        self._standings[act.id] = MessageStanding(StandingState.NOT_TAKEN)


def _one_of_each(entries: Iterable[ThreadMessage]) -> tuple[list[ThreadMessage], list[ThreadMessage]]:
    """One entry for each id, and the rest: other receipts of the same message, or another message under its id.

    Of different messages the same one is taken on every machine.
    """
    by_id: dict[UUID, list[ThreadMessage]] = {}
    for entry in entries:
        known = by_id.setdefault(entry.message.id, [])
        if entry not in known:
            known.append(entry)
    taken, others = [], []
    for known in by_id.values():
        if any(entry.message != known[0].message for entry in known):
            known.sort(key=lambda entry: entry.message.model_dump_json())
        taken.append(known[0])
        others += known[1:]
    return taken, others


def _relied(was: Case[Any], would: Case[Any], by: str) -> set[str]:
    """The targets for which something of the other side was in order and would not be any more."""
    return {target for _, target in _steps_of_others(was, by) - _steps_of_others(would, by)}


def _against(was: Case[Any], would: Case[Any], place: UUID, relied: set[str]) -> Reason | None:
    """The guard that is against the corrected version in this place, and was not against the former one."""
    before = {(entry.target, entry.reason.code) for entry in was.out_of_order if entry.fact.message_id == place}
    for entry in would.out_of_order:
        known = entry.target in relied or (entry.target, entry.reason.code) in before
        if entry.fact.message_id == place and not known:
            return entry.reason
    return None


def _steps_of_others(case: Case[Any], by: str) -> set[tuple[f.CaseFact, str]]:
    return {
        (step.fact, step.target)
        for step in case.history
        if step.fact.by != by and not isinstance(step.fact, f.Delivered | f.Acknowledged | f.Changed)
    }


def _targets_of(facts: Iterable[f.CaseFact]) -> tuple[str, ...]:
    """The targets that facts are about, sorted; empty where one is about all."""
    every = list(facts)
    if any(not fact.targets for fact in every):
        return ()
    return tuple(sorted({name for fact in every for name in fact.targets}))


def _irrevocable(facts: Iterable[f.CaseFact]) -> set[str]:
    return {name for fact in facts if isinstance(fact, _IRREVOCABLE) for name in fact.targets or ("",)}


def _only(facts: Iterable[f.CaseFact], targets: set[str]) -> tuple[f.CaseFact, ...]:
    """The facts as far as they are about ``targets``; one about all of the request as a whole, if there are any."""
    return tuple(_restricted(facts, lambda name: name in targets, whole=bool(targets)))


def _without(facts: Iterable[f.CaseFact], targets: set[str]) -> tuple[f.CaseFact, ...]:
    return tuple(_restricted(facts, lambda name: name not in targets, whole=not targets))


def _restricted(facts: Iterable[f.CaseFact], wanted: Any, *, whole: bool) -> Iterator[f.CaseFact]:
    for fact in facts:
        if not fact.targets:
            if whole:
                yield fact
        elif names := tuple(name for name in fact.targets if wanted(name)):
            yield fact if names == fact.targets else replace(fact, targets=names)


def _moved(fact: f.CaseFact, place: UUID, at: datetime) -> f.CaseFact:
    """The fact as if the message ``place`` stated it, at its time."""
    return replace(fact, message_id=place, at=at)


def _about(fact: f.Changed, targets: tuple[str, ...], relied: set[str]) -> f.Changed:
    return replace(fact, targets=targets, relied=tuple(sorted(relied)))
