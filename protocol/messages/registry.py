"""Every message type this program knows: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from protocol.messages.out_of_order import OutOfOrderNotice
from protocol.messages.schema.base import Message
from protocol.messages.schema.conditions import ConditionAccept, ConditionDecline, ConditionPropose
from protocol.messages.schema.use import ConsentReply, ConsentRequest, UseQuery, UseReport
from protocol.messages.types.acknowledgement import Acknowledgement
from protocol.messages.types.answer import Answer
from protocol.messages.types.assistance import AssistanceRequest
from protocol.messages.types.clarification import ClarificationAsk, ClarificationReply
from protocol.messages.types.confidentiality import ConfidentialityRenew
from protocol.messages.types.consultation import ConsultationClose, ConsultationOpen
from protocol.messages.types.contact import ContactTest, ContactTestReply
from protocol.messages.types.correcting import Correction, Retract
from protocol.messages.types.data_protection import DataProtectionNotice
from protocol.messages.types.decision import Decision
from protocol.messages.types.emergency import EmergencyRequest, EmergencySupplement
from protocol.messages.types.ending import Closure, Misdirected, Withdrawal
from protocol.messages.types.files import FilesSupplement
from protocol.messages.types.forward import Forward
from protocol.messages.types.incident import Incident
from protocol.messages.types.information import InformationSpontaneous
from protocol.messages.types.note import NoteMessage
from protocol.messages.types.preservation import PreservationAnswer, PreservationRequest
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

_TYPES: tuple[type[Message], ...] = (
    PreservationRequest,
    PreservationAnswer,
    PreservationRisk,
    PreservationRiskReply,
    PreservationExtend,
    PreservationFollowUp,
    FollowUpConfirmed,
    PreservationRelease,
    ConfidentialityRenew,
    TrafficPartialDisclosure,
    AssistanceRequest,
    EmergencyRequest,
    EmergencySupplement,
    InformationSpontaneous,
    Acknowledgement,
    ClarificationAsk,
    ClarificationReply,
    StatusQuery,
    StatusReport,
    ConsultationOpen,
    ConsultationClose,
    Decision,
    ConditionPropose,
    ConditionAccept,
    ConditionDecline,
    Answer,
    FilesSupplement,
    UseQuery,
    UseReport,
    ConsentRequest,
    ConsentReply,
    Misdirected,
    Withdrawal,
    Correction,
    Retract,
    DataProtectionNotice,
    NoteMessage,
    Closure,
    ContactTest,
    ContactTestReply,
    Incident,
    Forward,
    OutOfOrderNotice,
)

MESSAGE_TYPES: Mapping[str, type[Message]] = MappingProxyType({model.TYPE: model for model in _TYPES})
