"""From messages and receipts to facts. A later message type adds one line to ``_FACTS_OF``.

A message that opens its thread states that it was submitted; what a reply states does not depend on the thread that it
is in: each lifecycle's table says what it makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.profiles import minimum_days
from protocol.messages.out_of_order import OutOfOrderNotice
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.schema.conditions import ConditionAccept, ConditionDecline, ConditionPropose
from protocol.messages.schema.parts import Condition
from protocol.messages.types.acknowledgement import Acknowledgement
from protocol.messages.types.answer import Answer
from protocol.messages.types.assistance import AssistanceRequest
from protocol.messages.types.clarification import ClarificationAsk, ClarificationReply
from protocol.messages.types.consent import is_given
from protocol.messages.types.decision import Decision
from protocol.messages.types.emergency import EmergencyRequest, EmergencySupplement
from protocol.messages.types.ending import Closure, Misdirected, Withdrawal
from protocol.messages.types.information import InformationSpontaneous
from protocol.messages.types.preservation import PreservationAnswer, PreservationRequest, TargetAnswer
from protocol.messages.types.preservation_course import (
    PreservationExtend,
    PreservationFollowUp,
    PreservationRelease,
    PreservationRisk,
    PreservationRiskReply,
)
from protocol.messages.types.status import StatusReport

Facts = Iterator[f.CaseFact]
_HANDOVER = "ContentHandover"


@dataclass(frozen=True, slots=True)
class ThreadEvent:
    """A verified receipt about a message: the event's name, the recipient it concerns, and its time."""

    name: str
    recipient: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ThreadMessage:
    """A verified message (its inner sender is its outer sender) with the verified receipts known about it."""

    message: Message
    events: tuple[ThreadEvent, ...] = ()


def facts_of(message: Message) -> tuple[f.CaseFact, ...]:
    """The facts that a message states; none for a type that moves no case or is not known."""
    if message.thread == message.id:
        return (_opening(message),)
    mapping = _FACTS_OF.get(type(message))
    return tuple(mapping(message)) if mapping else ()


def facts_of_thread(thread: Iterable[ThreadMessage]) -> list[f.CaseFact]:
    """The facts of all messages and of the handover receipts about them.

    Content under conditions that nobody accepted states nothing yet, on either side.
    """
    facts: list[f.CaseFact] = []
    entries = tuple(thread)
    messages = [entry.message for entry in entries]
    for entry in entries:
        facts.extend(facts_of(entry.message) if is_given(entry.message, messages) else ())
        facts.extend(
            f.Delivered(message_id=entry.message.id, at=event.at, by=str(event.recipient))
            for event in entry.events
            if event.name == _HANDOVER
        )
    return facts


def unread_in(thread: Iterable[ThreadMessage]) -> tuple[UUID, ...]:
    """The ids of messages of types that this program does not know, sorted: they are shown, never dropped."""
    return tuple(sorted({entry.message.id for entry in thread if isinstance(entry.message, UnknownMessage)}))


def _opening(message: Message) -> f.Submitted:
    """A message that opens a thread; one of an unknown type opens a conversation."""
    wanted_by = getattr(message, "wanted_by", None) or getattr(message, "needed_by", None)
    instrument = message.legal_basis.instrument if message.legal_basis else None
    return f.Submitted(
        **_common(message),
        targets=tuple(target.target for target in message.targets) if isinstance(message, _WITH_TARGETS) else (),
        thread=message.thread,
        requested=message.to,
        minimum_days=minimum_days(instrument) if instrument and isinstance(message, PreservationRequest) else 0,
        urgency=message.urgency,
        kind=message.type,
        instrument=instrument,
        wanted_by=wanted_by if isinstance(message, _WITH_TARGETS) else None,
        supplement_by=message.supplement_by if isinstance(message, EmergencyRequest) else None,
        offers=isinstance(message, InformationSpontaneous) and message.stage == "offer",
    )


def _common(message: Message) -> dict[str, Any]:
    return {"message_id": message.id, "at": message.sent_at, "by": message.sender, "about": message.in_reply_to}


def _new_request(message: Message) -> Facts:
    """A request inside another's thread: it opens nothing, and is shown as out of order."""
    yield _opening(message)


def _answer_of_preservation(message: PreservationAnswer) -> Facts:
    for target in message.targets:
        yield _outcome(message, target)


def _outcome(message: PreservationAnswer, target: TargetAnswer) -> f.CaseFact:
    common = {**_common(message), "targets": (target.target,)}
    if target.preserved_at is not None and target.expires_at is not None:
        return f.Preserved(
            **common,
            preserved_at=target.preserved_at,
            expires_at=target.expires_at,
            partly=target.result == "partly_preserved",
        )
    if target.ground is not None:
        return f.Refused(**common, ground=target.ground.code)
    return f.NotHeld(**common)


def _acknowledgement(message: Acknowledgement) -> Facts:
    yield f.Acknowledged(
        **_common(message),
        will_answer=message.will_answer,
        eta=message.eta,
        next_update_by=message.next_update_by,
    )


def _of_targets(kind: type[f.CaseFact]) -> Callable[[Any], Facts]:
    """A message that states one fact about the targets that it names."""

    def facts(message: Any) -> Facts:
        yield kind(**_common(message), targets=message.targets)

    return facts


def _extension(message: PreservationExtend) -> Facts:
    yield f.ExtensionAsked(**_common(message), targets=message.targets, until=message.until)


def _risk_reply(message: PreservationRiskReply) -> Facts:
    kind = f.RiskAccepted if message.proceed else f.Withdrawn
    yield kind(**_common(message), targets=message.targets)


def _question(message: ClarificationAsk) -> Facts:
    yield f.ClarificationAsked(**_common(message), targets=message.targets, pauses=message.pauses_clock)


def _report(message: StatusReport) -> Facts:
    delay = message.delay.code if message.delay else ""
    yield f.Reported(**_common(message), eta=message.eta, next_update_by=message.next_update_by, delay=delay)
    kind = _REPORTED_STATES.get(message.state)
    if kind is not None:
        yield kind(**_common(message))
    for target in message.targets:
        of_target = _REPORTED_STATES.get(target.state)
        if of_target is not None and of_target is not kind:
            yield of_target(**_common(message), targets=(target.target,))


def _decision(message: Decision) -> Facts:
    updates = [decision.next_update_by for decision in message.decisions if decision.next_update_by is not None]
    if message.eta is not None or updates:
        yield f.Reported(**_common(message), eta=message.eta, next_update_by=min(updates, default=None))
    for decision in message.decisions:
        common = {**_common(message), "targets": (decision.target,) if decision.target is not None else ()}
        ground = decision.ground.code if decision.ground else "other"
        match decision.decision:
            case "accept":
                yield f.Accepted(**common)
            case "conditional":
                yield f.ConditionsProposed(**common, conditions=_names(decision.conditions))
            case "postpone":
                yield f.Postponed(**common)
            case "impossible":
                yield f.Impossible(**common, ground=ground)
            case _:
                yield f.Refused(**common, ground=ground)


def _answer(message: Answer) -> Facts:
    """What is handed over, target by target; a final answer that names none is about all that is open."""
    if message.next_update_by is not None:
        yield f.Reported(**_common(message), next_update_by=message.next_update_by)
    named = tuple(dict.fromkeys(target for item in message.items for target in item.targets))
    missing = tuple(target.target for target in message.not_answered)
    for target in message.not_answered:
        yield f.Impossible(**_common(message), targets=(target.target,), ground=target.ground.code)
    partial = message.completeness == "partial"
    in_part = tuple(target for target in named if target in message.remaining)
    in_full = tuple(target for target in named if target not in message.remaining and target not in missing)
    if in_part or (partial and not named):
        yield f.AnsweredInPart(**_common(message), targets=in_part)
    if in_full or (not partial and not named and not missing):
        yield f.Answered(**_common(message), targets=in_full)


def _proposal(message: ConditionPropose) -> Facts:
    yield f.ConditionsProposed(**_common(message), targets=message.targets, conditions=_names(message.conditions))


def _acceptance(message: ConditionAccept) -> Facts:
    yield f.ConditionsAccepted(**_common(message), targets=message.targets, conditions=message.conditions)


def _declination(message: ConditionDecline) -> Facts:
    if message.proposal:
        yield f.ConditionsProposed(**_common(message), targets=message.targets, conditions=_names(message.proposal))
    else:
        yield f.ConditionsDeclined(**_common(message), targets=message.targets)


def _names(conditions: Iterable[Condition]) -> tuple[str, ...]:
    return tuple(condition.condition for condition in conditions)


def _misdirected(message: Misdirected) -> Facts:
    if message.forwarded:
        yield f.Forwarded(**_common(message), targets=message.targets)
    else:
        yield f.Refused(**_common(message), targets=message.targets, ground="not_competent_authority")


def _information(message: InformationSpontaneous) -> Facts:
    """Inside a thread it is the information that was offered."""
    yield f.Answered(**_common(message))


def _closure(message: Closure) -> Facts:
    yield f.Closed(**_common(message))


_WITH_TARGETS = (PreservationRequest, AssistanceRequest, EmergencyRequest)
# Other reported states repeat what a message of their own states, and move nothing.
_REPORTED_STATES: Mapping[str, type[f.CaseFact]] = MappingProxyType(
    {
        "under_review": f.ReviewStarted,
        "awaiting_authorisation": f.AuthorisationAwaited,
        "postponed": f.Postponed,
        "in_execution": f.ExecutionStarted,
    }
)
_FACTS_OF: Mapping[type[Message], Callable[[Any], Facts]] = MappingProxyType(
    {
        PreservationRequest: _new_request,
        AssistanceRequest: _new_request,
        EmergencyRequest: _new_request,
        PreservationAnswer: _answer_of_preservation,
        PreservationRisk: _of_targets(f.RiskRaised),
        PreservationRiskReply: _risk_reply,
        PreservationExtend: _extension,
        PreservationFollowUp: _of_targets(f.FollowedUp),
        PreservationRelease: _of_targets(f.Released),
        EmergencySupplement: _of_targets(f.Supplemented),
        Acknowledgement: _acknowledgement,
        ClarificationAsk: _question,
        ClarificationReply: _of_targets(f.ClarificationReplied),
        StatusReport: _report,
        Decision: _decision,
        ConditionPropose: _proposal,
        ConditionAccept: _acceptance,
        ConditionDecline: _declination,
        Answer: _answer,
        InformationSpontaneous: _information,
        Misdirected: _misdirected,
        OutOfOrderNotice: _of_targets(f.Explained),
        Withdrawal: _of_targets(f.Withdrawn),
        Closure: _closure,
    }
)
