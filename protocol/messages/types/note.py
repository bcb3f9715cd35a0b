"""A note in a case: what two officers tell each other that no other type is for."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Attachment, Message
from protocol.messages.schema.fields import CodeOf, Legal, MessageId, Prose, problem

_RULE = "note"
_IN_EMERGENCIES = "a note is no part of an emergency: ask, report or answer by the message type that is meant for it"


def _opens(info: ValidationInfo) -> bool:
    return "thread" in info.data and info.data["thread"] == info.data.get("id")


class NoteMessage(Message):
    """Words that are part of the case file: they move nothing, hand over nothing, and carry no files.

    In a case it replies to a message of it. Without a case it is for service matters only, and says which. ``asks``:
    the sender would like a note in return; nothing is owed by it.
    """

    TYPE: ClassVar[str] = "note"

    type: Literal["note"]
    in_reply_to: Annotated[MessageId | None, Legal("thread", "add the message of the case that this note is about")] = (
        Field(default=None, validate_default=True)
    )
    attachments: tuple[Attachment, ...] = ()
    service: Annotated[
        Annotated[str, CodeOf("service_matter")] | None, Legal(_RULE, "state the service matter that it is about")
    ] = Field(default=None, validate_default=True)
    text: Annotated[Prose, Legal(_RULE, "add the text of the note")]
    asks: Annotated[bool, Legal(_RULE, "state whether a note in return is expected (yes or no)")]

    @field_validator("urgency")
    @classmethod
    def _is_no_emergency(cls, urgency: str) -> str:
        if urgency == "emergency":
            raise problem("urgency", _IN_EMERGENCIES)
        return urgency

    @field_validator("in_reply_to")
    @classmethod
    def _is_in_a_case(cls, in_reply_to: MessageId | None, info: ValidationInfo) -> MessageId | None:
        if in_reply_to is None and "thread" in info.data and not _opens(info):
            raise problem("blank", "add the message of the case that this note is about")
        return in_reply_to

    @field_validator("attachments")
    @classmethod
    def _carries_no_files(cls, attachments: tuple[Attachment, ...]) -> tuple[Attachment, ...]:
        if attachments:
            raise problem("not_applicable", "a note carries no files and no evidence: hand them over in an answer")
        return attachments

    @field_validator("service")
    @classmethod
    def _is_of_service(cls, service: str | None, info: ValidationInfo) -> str | None:
        if service is None and _opens(info):
            raise problem("blank", "a note without a case is for service matters: state which, or reply to a message")
        return service
