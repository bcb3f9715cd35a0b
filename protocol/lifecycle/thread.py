"""From messages and receipts to facts. A later message type adds one line to ``_FACTS_OF``.

A message that opens its thread states that it was submitted; what a reply states does not depend on the thread that it
is in: each lifecycle's table says what it makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from protocol.lifecycle import facts as f
from protocol.lifecycle.folding import nation_of
from protocol.lifecycle.profiles import consulting_instruments, minimum_days, renewing_nations
from protocol.messages.out_of_order import OutOfOrderNotice
from protocol.messages.plausibility import held_back
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.schema.conditions import ConditionAccept, ConditionDecline, ConditionPropose
from protocol.messages.schema.parts import Condition
from protocol.messages.schema.use import ConsentReply, ConsentRequest, UseQuery, UseReport
from protocol.messages.types.acknowledgement import Acknowledgement
from protocol.messages.types.answer import Answer
from protocol.messages.types.assistance import AssistanceRequest
from protocol.messages.types.clarification import ClarificationAsk, ClarificationReply
from protocol.messages.types.confidentiality import ConfidentialityRenew
from protocol.messages.types.consent import is_given
from protocol.messages.types.consultation import ConsultationClose, ConsultationOpen
from protocol.messages.types.data_protection import DataProtectionNotice
from protocol.messages.types.decision import Decision
from protocol.messages.types.emergency import EmergencyRequest, EmergencySupplement
from protocol.messages.types.ending import Closure, Misdirected, Withdrawal
from protocol.messages.types.files import FilesSupplement
from protocol.messages.types.information import InformationSpontaneous
from protocol.messages.types.note import NoteMessage
from protocol.messages.types.preservation import PreservationAnswer, PreservationRequest, TargetAnswer
from protocol.messages.types.preservation_course import (
    FollowUpConfirmed,
    PreservationExtend,
    PreservationFollowUp,
    PreservationRelease,
    PreservationRisk,
    PreservationRiskReply,
    TrafficPartialDisclosure,
)
from protocol.messages.types.status import StatusQuery, StatusReport

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
    """A verified message (its inner sender is its outer sender) with the verified receipts known about it.

    ``central``: the directory names the sender as the central authority of its nation.
    """

    message: Message
    events: tuple[ThreadEvent, ...] = ()
    central: bool = False


def facts_of(message: Message) -> tuple[f.CaseFact, ...]:
    """The facts that a message states; none for a type that moves no case or is not known."""
    if message.thread == message.id:
        return (_opening(message),)
    mapping = _FACTS_OF.get(type(message))
    return tuple(mapping(message)) if mapping else ()


@dataclass(frozen=True, slots=True)
class Beside:
    """The messages of a thread, as each of them is judged beside the others: found, and never read through for each.

    ``accepted`` are the acceptances of conditions, with the messages that they are about.
    """

    known: Mapping[UUID, Message]
    accepted: tuple[Message, ...]

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Beside:
        """Of the messages of a thread, each id once."""
        known = {message.id: message for message in messages}
        accepts = [message for message in known.values() if isinstance(message, ConditionAccept)]
        about = {accept.in_reply_to for accept in accepts}
        return cls(known, (*accepts, *(known[key] for key in known.keys() & about)))


def facts_stated(entry: ThreadMessage, beside: Beside, said_at: datetime | None = None) -> tuple[f.CaseFact, ...]:
    """What a message states beside the others of its thread: nothing, while its conditions are open.

    ``said_at`` is when its content was said, where that is later than its time of sending: in a correction.
    """
    message = entry.message
    if not is_given(message, beside.accepted):
        return ()
    facts = facts_of(message)
    # An opening opens its thread whatever it says: there would be no case to show it in.
    if all(isinstance(fact, f.Submitted) for fact in facts):
        return facts
    held = held_back(message, beside.known, said_at=said_at)
    unauthorised = discloses_unauthorised(message)

    def marked(fact: f.CaseFact) -> f.CaseFact:
        doubt = "no_authorisation" if unauthorised else "implausible" if held.covers(fact.targets) else ""
        if not (doubt or entry.central):
            return fact
        return replace(fact, central=entry.central, doubt=doubt)

    return tuple(marked(fact) for fact in facts)


def receipts_of(entry: ThreadMessage) -> Iterator[f.CaseFact]:
    """The handovers of a message that its receipts prove."""
    for event in entry.events:
        if event.name == _HANDOVER:
            yield f.Delivered(message_id=entry.message.id, at=event.at, by=str(event.recipient))


def discloses_unauthorised(message: Message) -> bool:
    """Whether the message hands something over and does not say who allowed that."""
    match message:
        case Answer():
            return bool(message.items) and message.authorisation is None
        case InformationSpontaneous():
            return message.stage == "disclosure" and message.authorisation is None
        case TrafficPartialDisclosure():
            return message.authorisation is None and any(part.withheld is None for part in message.disclosures)
        case _:
            return False


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
        silent_until=message.do_not_notify_until if isinstance(message, _SILENT) else None,
        renewal=any(nation_of(address) in renewing_nations() for address in message.to),
        consults=instrument is not None and instrument in consulting_instruments(),
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
            final=target.remark is not None,
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


def _follow_up(message: PreservationFollowUp) -> Facts:
    yield f.FollowedUp(
        **_common(message),
        targets=message.targets,
        channel=message.channel,
        filed_at=message.submitted_at or message.issued_at,
        reference=message.reference,
    )


def _confirmation(message: FollowUpConfirmed) -> Facts:
    yield f.FollowUpArrived(
        **_common(message),
        targets=message.targets,
        authority=message.authority.organisation,
        file_number=message.file_number,
        received_at=message.received_at,
    )


def _asking(kind: type[f.Asked]) -> Callable[[Any], Facts]:
    """A message that asks something that the other side owes a reply to."""

    def facts(message: Any) -> Facts:
        targets = getattr(message, "targets", ())
        yield kind(**_common(message), targets=targets, answer_by=message.answer_by)

    return facts


def _about_nothing_named(kind: type[f.CaseFact]) -> Callable[[Any], Facts]:
    """A message that states one fact about the thread as a whole."""

    def facts(message: Any) -> Facts:
        yield kind(**_common(message))

    return facts


def _risk(message: PreservationRisk) -> Facts:
    yield f.RiskRaised(**_common(message), targets=message.targets, answer_by=message.answer_by)


def _renewal(message: ConfidentialityRenew) -> Facts:
    yield f.SilenceRenewed(**_common(message), targets=message.targets, until=message.until)


def _consultation(message: ConsultationOpen) -> Facts:
    yield f.ConsultationOpened(
        **_common(message), targets=message.targets, answer_by=message.answer_by, intends=message.intends
    )


def _consulted(message: ConsultationClose) -> Facts:
    yield f.ConsultationClosed(**_common(message), targets=message.targets, outcome=message.outcome)


def _protection(message: DataProtectionNotice) -> Facts:
    yield f.DataProtectionNoted(**_common(message), concerned=message.about, action=message.action)


def _path(message: TrafficPartialDisclosure) -> Facts:
    yield f.PathDisclosed(**_common(message), targets=tuple(part.target for part in message.disclosures))


def _extension(message: PreservationExtend) -> Facts:
    yield f.ExtensionAsked(**_common(message), targets=message.targets, until=message.until)


def _risk_reply(message: PreservationRiskReply) -> Facts:
    kind = f.RiskAccepted if message.proceed else f.Withdrawn
    yield kind(**_common(message), targets=message.targets)


def _question(message: ClarificationAsk) -> Facts:
    yield f.ClarificationAsked(
        **_common(message), targets=message.targets, pauses=message.pauses_clock, answer_by=message.answer_by
    )


def _report(message: StatusReport) -> Facts:
    delay = message.delay.code if message.delay else ""
    yield f.Reported(**_common(message), eta=message.eta, next_update_by=message.next_update_by, delay=delay)
    kind = _REPORTED_STATES.get(message.state)
    if kind is not None:
        yield _reported(message, kind, ())
    for target in message.targets:
        of_target = _REPORTED_STATES.get(target.state)
        if of_target is not None and of_target is not kind:
            yield _reported(message, of_target, (target.target,))


def _reported(message: StatusReport, kind: type[f.CaseFact], targets: tuple[str, ...]) -> f.CaseFact:
    if kind is f.AuthorisationAwaited and message.delay is not None:
        delay = message.delay
        return f.AuthorisationAwaited(
            **_common(message), targets=targets, reason=delay.code, until=delay.expected_until
        )
    return kind(**_common(message), targets=targets)


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
    yield f.ConditionsProposed(
        **_common(message),
        targets=message.targets,
        conditions=_names(message.conditions),
        answer_by=message.answer_by,
    )


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
        yield f.Refused(**_common(message), targets=message.targets, ground="not_competent_authority", misdirected=True)


def _information(message: InformationSpontaneous) -> Facts:
    """Inside a thread it is the information that was offered."""
    yield f.Answered(**_common(message))


def _closure(message: Closure) -> Facts:
    yield f.Closed(**_common(message))


_SILENT = (PreservationRequest, EmergencyRequest)
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
        PreservationRisk: _risk,
        PreservationRiskReply: _risk_reply,
        PreservationExtend: _extension,
        PreservationFollowUp: _follow_up,
        FollowUpConfirmed: _confirmation,
        TrafficPartialDisclosure: _path,
        PreservationRelease: _of_targets(f.Released),
        ConfidentialityRenew: _renewal,
        EmergencySupplement: _of_targets(f.Supplemented),
        Acknowledgement: _acknowledgement,
        ClarificationAsk: _question,
        ClarificationReply: _of_targets(f.ClarificationReplied),
        StatusQuery: _asking(f.StatusAsked),
        StatusReport: _report,
        ConsultationOpen: _consultation,
        ConsultationClose: _consulted,
        UseQuery: _asking(f.UseAsked),
        UseReport: _about_nothing_named(f.UseReported),
        ConsentRequest: _asking(f.ConsentAsked),
        ConsentReply: _about_nothing_named(f.ConsentDecided),
        DataProtectionNotice: _protection,
        NoteMessage: _about_nothing_named(f.NoteWritten),
        FilesSupplement: _about_nothing_named(f.FilesFollowed),
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
