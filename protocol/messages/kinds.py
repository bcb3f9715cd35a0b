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


class Kind(Generic[M]):
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


is_answer: Kind[Answer] = Kind("answer")
is_assistance_request: Kind[AssistanceRequest] = Kind("assistance.request")
is_condition_accept: Kind[ConditionAccept] = Kind("condition.accept")
is_condition_decline: Kind[ConditionDecline] = Kind("condition.decline")
is_condition_propose: Kind[ConditionPropose] = Kind("condition.propose")
is_contact_test: Kind[ContactTest] = Kind("contact.test")
is_correction: Kind[Correction] = Kind("correction")
is_decision: Kind[Decision] = Kind("decision")
is_emergency_request: Kind[EmergencyRequest] = Kind("emergency.request")
is_emergency_supplement: Kind[EmergencySupplement] = Kind("emergency.supplement")
is_extension: Kind[PreservationExtend] = Kind("preservation.extend")
is_files: Kind[FilesSupplement] = Kind("files")
is_follow_up: Kind[PreservationFollowUp] = Kind("preservation.follow-up")
is_follow_up_confirmed: Kind[FollowUpConfirmed] = Kind("follow-up.confirmed")
is_forward: Kind[Forward] = Kind("forward")
is_information: Kind[InformationSpontaneous] = Kind("information.spontaneous")
is_note: Kind[NoteMessage] = Kind("note")
is_partial_disclosure: Kind[TrafficPartialDisclosure] = Kind("traffic.partial-disclosure")
is_preservation_answer: Kind[PreservationAnswer] = Kind("preservation.answer")
is_preservation_request: Kind[PreservationRequest] = Kind("preservation.request")
is_retraction: Kind[Retract] = Kind("retract")


def is_request(message: object) -> TypeIs[PreservationRequest | AssistanceRequest | EmergencyRequest]:
    """Whether the message asks an office of another State to act."""
    return is_preservation_request(message) or is_assistance_request(message) or is_emergency_request(message)
