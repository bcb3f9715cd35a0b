"""Every message type this program knows: one line each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from protocol.messages.acknowledgement import Acknowledgement
from protocol.messages.answer import Answer
from protocol.messages.assistance import AssistanceRequest
from protocol.messages.base import Message
from protocol.messages.clarification import ClarificationAsk, ClarificationReply
from protocol.messages.conditions import ConditionAccept, ConditionDecline, ConditionPropose
from protocol.messages.contact import ContactTest, ContactTestReply
from protocol.messages.decision import Decision
from protocol.messages.emergency import EmergencyRequest, EmergencySupplement
from protocol.messages.ending import Closure, Misdirected, Withdrawal
from protocol.messages.forward import Forward
from protocol.messages.incident import Incident
from protocol.messages.information import InformationSpontaneous
from protocol.messages.out_of_order import OutOfOrderNotice
from protocol.messages.preservation import PreservationAnswer, PreservationRequest
from protocol.messages.preservation_course import (
    PreservationExtend,
    PreservationFollowUp,
    PreservationRelease,
    PreservationRisk,
    PreservationRiskReply,
    TrafficPartialDisclosure,
)
from protocol.messages.status import StatusQuery, StatusReport
from protocol.messages.use import ConsentReply, ConsentRequest, UseQuery, UseReport

_TYPES: tuple[type[Message], ...] = (
    PreservationRequest,
    PreservationAnswer,
    PreservationRisk,
    PreservationRiskReply,
    PreservationExtend,
    PreservationFollowUp,
    PreservationRelease,
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
    Decision,
    ConditionPropose,
    ConditionAccept,
    ConditionDecline,
    Answer,
    UseQuery,
    UseReport,
    ConsentRequest,
    ConsentReply,
    Misdirected,
    Withdrawal,
    Closure,
    ContactTest,
    ContactTestReply,
    Incident,
    Forward,
    OutOfOrderNotice,
)

MESSAGE_TYPES: Mapping[str, type[Message]] = MappingProxyType({model.TYPE: model for model in _TYPES})
