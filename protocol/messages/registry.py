"""Every message type this program knows: one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from protocol.messages.schema.base import Message

# By its code, where the class of each type is: in this room.
_PLACES = {
    "preservation.request": "types.preservation:PreservationRequest",
    "preservation.answer": "types.preservation:PreservationAnswer",
    "preservation.risk": "types.preservation_course:PreservationRisk",
    "preservation.risk-reply": "types.preservation_course:PreservationRiskReply",
    "preservation.extend": "types.preservation_course:PreservationExtend",
    "preservation.follow-up": "types.preservation_course:PreservationFollowUp",
    "follow-up.confirmed": "types.preservation_course:FollowUpConfirmed",
    "preservation.release": "types.preservation_course:PreservationRelease",
    "confidentiality.renew": "types.confidentiality:ConfidentialityRenew",
    "traffic.partial-disclosure": "types.preservation_course:TrafficPartialDisclosure",
    "assistance.request": "types.assistance:AssistanceRequest",
    "emergency.request": "types.emergency:EmergencyRequest",
    "emergency.supplement": "types.emergency:EmergencySupplement",
    "information.spontaneous": "types.information:InformationSpontaneous",
    "acknowledgement": "types.acknowledgement:Acknowledgement",
    "clarification.ask": "types.clarification:ClarificationAsk",
    "clarification.reply": "types.clarification:ClarificationReply",
    "status.query": "types.status:StatusQuery",
    "status.report": "types.status:StatusReport",
    "consultation.open": "types.consultation:ConsultationOpen",
    "consultation.close": "types.consultation:ConsultationClose",
    "decision": "types.decision:Decision",
    "condition.propose": "schema.conditions:ConditionPropose",
    "condition.accept": "schema.conditions:ConditionAccept",
    "condition.decline": "schema.conditions:ConditionDecline",
    "answer": "types.answer:Answer",
    "files": "types.files:FilesSupplement",
    "use.query": "schema.use:UseQuery",
    "use.report": "schema.use:UseReport",
    "consent.request": "schema.use:ConsentRequest",
    "consent.reply": "schema.use:ConsentReply",
    "misdirected": "types.ending:Misdirected",
    "withdrawal": "types.ending:Withdrawal",
    "correction": "types.correcting:Correction",
    "retract": "types.correcting:Retract",
    "data-protection.notice": "types.data_protection:DataProtectionNotice",
    "note": "types.note:NoteMessage",
    "closure": "types.ending:Closure",
    "contact.test": "types.contact:ContactTest",
    "contact.test-reply": "types.contact:ContactTestReply",
    "incident": "types.incident:Incident",
    "forward": "types.forward:Forward",
    "out-of-order": "out_of_order:OutOfOrderNotice",
}


class _Types(Mapping[str, type[Message]]):
    """The classes by the codes of their types: each is loaded by who asks for it first."""

    def __init__(self) -> None:
        self._loaded: dict[str, type[Message]] = {}

    def __getitem__(self, code: str) -> type[Message]:
        model = self._loaded.get(code)
        if model is None:
            module, _colon, name = _PLACES[code].partition(":")
            model = self._loaded[code] = getattr(import_module(f"protocol.messages.{module}"), name)
        return model

    def __contains__(self, code: object) -> bool:
        return code in _PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


MESSAGE_TYPES: Mapping[str, type[Message]] = _Types()
