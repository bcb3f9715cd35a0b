"""Of which type a message is, by the code of the type: rules that ask this load no type that no message has.

Each says what :func:`isinstance` says of the class in its brackets: no type is a kind of another one, and a message of
a version that is not known (:class:`protocol.messages.schema.base.UnknownMessage`) is of none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from protocol.messages.schema.conditions import ConditionAccept, ConditionDecline, ConditionPropose
    from protocol.messages.types.answer import Answer
    from protocol.messages.types.assistance import AssistanceRequest
    from protocol.messages.types.contact import ContactTest
    from protocol.messages.types.correcting import Correction, Retract
    from protocol.messages.types.decision import Decision
    from protocol.messages.types.emergency import EmergencyRequest, EmergencySupplement
    from protocol.messages.types.files import FilesSupplement
    from protocol.messages.types.forward import Forward
    from protocol.messages.types.information import InformationSpontaneous
    from protocol.messages.types.note import NoteMessage
    from protocol.messages.types.preservation import PreservationAnswer, PreservationRequest
    from protocol.messages.types.preservation_course import (
        FollowUpConfirmed,
        PreservationExtend,
        PreservationFollowUp,
        TrafficPartialDisclosure,
    )

M = TypeVar("M")
# The code of each class that was asked about: a model's own answer takes as long as all the rest.
_CODES: dict[type, str] = {}


class OfType(Generic[M]):
    """Whether a message is of the type with this ``code``."""

    __slots__ = ("code",)

    def __init__(self, code: str) -> None:
        self.code = code

    def __call__(self, message: object) -> TypeIs[M]:
        model = type(message)
        code = _CODES.get(model)
        if code is None:
            code = _CODES[model] = getattr(model, "TYPE", "")
        return code == self.code


is_answer: OfType[Answer] = OfType("answer")
is_assistance_request: OfType[AssistanceRequest] = OfType("assistance.request")
is_condition_accept: OfType[ConditionAccept] = OfType("condition.accept")
is_condition_decline: OfType[ConditionDecline] = OfType("condition.decline")
is_condition_propose: OfType[ConditionPropose] = OfType("condition.propose")
is_contact_test: OfType[ContactTest] = OfType("contact.test")
is_correction: OfType[Correction] = OfType("correction")
is_decision: OfType[Decision] = OfType("decision")
is_emergency_request: OfType[EmergencyRequest] = OfType("emergency.request")
is_emergency_supplement: OfType[EmergencySupplement] = OfType("emergency.supplement")
is_extension: OfType[PreservationExtend] = OfType("preservation.extend")
is_files: OfType[FilesSupplement] = OfType("files")
is_follow_up: OfType[PreservationFollowUp] = OfType("preservation.follow-up")
is_follow_up_confirmed: OfType[FollowUpConfirmed] = OfType("follow-up.confirmed")
is_forward: OfType[Forward] = OfType("forward")
is_information: OfType[InformationSpontaneous] = OfType("information.spontaneous")
is_note: OfType[NoteMessage] = OfType("note")
is_partial_disclosure: OfType[TrafficPartialDisclosure] = OfType("traffic.partial-disclosure")
is_preservation_answer: OfType[PreservationAnswer] = OfType("preservation.answer")
is_preservation_request: OfType[PreservationRequest] = OfType("preservation.request")
is_retraction: OfType[Retract] = OfType("retract")


def is_request(message: object) -> TypeIs[PreservationRequest | AssistanceRequest | EmergencyRequest]:
    """Whether the message asks an office of another State to act."""
    return is_preservation_request(message) or is_assistance_request(message) or is_emergency_request(message)
