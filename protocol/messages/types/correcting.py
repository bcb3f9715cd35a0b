"""What was said wrongly: corrected, or taken back. Directive (EU) 2016/680 Art. 7.3.

Neither removes anything: receipts, logs and the message itself stay, and so does what the other side did relying on it.
"""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import CodeOf, Legal, MessageId, Note, check_prose, problem

_RULE = "Directive (EU) 2016/680 Art. 7.3"
# These stay as they were in the message that is corrected; and its officer, who signed that one and not this.
KEPT_FIELDS = frozenset({"type", "id", "thread", "from", "to", "in_reply_to", "sent_at", "officer"})
_SAME = "this must be the message that this replies to"


class Correction(Reply):
    """The whole content of an earlier message as it should have been; the same sender's, in the same thread.

    ``message`` holds all fields of the corrected message but :data:`KEPT_FIELDS`. It is read as a message of the type
    of the one it corrects. A correction of a correction corrects the original.
    """

    TYPE: ClassVar[str] = "correction"

    type: Literal["correction"]
    corrects: Annotated[MessageId, Legal(_RULE, "add the id of the message that is corrected")]
    reason: Annotated[Note, Legal(_RULE, "explain what was wrong")]
    message: Annotated[
        dict[str, Any],
        Field(max_length=200),
        Legal(_RULE, "add all fields of the message as they should have been"),
    ]

    @field_validator("corrects")
    @classmethod
    def _is_replied_to(cls, corrects: MessageId, info: ValidationInfo) -> MessageId:
        if info.data.get("in_reply_to", corrects) != corrects:
            raise problem("scope", _SAME)
        return corrects

    @field_validator("message")
    @classmethod
    def _holds_own_fields(cls, message: dict[str, Any]) -> dict[str, Any]:
        if not message:
            raise problem("blank", "add all fields of the message as they should have been")
        for name in message:
            if name in KEPT_FIELDS:
                raise problem("not_applicable", "remove the field {name}: a correction leaves it as it was", name=name)
        for text in _texts(message):
            if text:
                check_prose(text)
        return message


class Retract(Reply):
    """The sender takes back an earlier message of its own. The recipient says what became of the data.

    A recipient that has not opened it is not shown it any more; it keeps it all the same.
    """

    TYPE: ClassVar[str] = "retract"

    type: Literal["retract"]
    retracts: Annotated[MessageId, Legal(_RULE, "add the id of the message that is taken back")]
    why: Annotated[str, CodeOf("retraction_reason"), Legal(_RULE, "give the code of the reason")]
    reason: Annotated[Note, Legal(_RULE, "explain why it is taken back")]

    @field_validator("retracts")
    @classmethod
    def _is_replied_to(cls, retracts: MessageId, info: ValidationInfo) -> MessageId:
        if info.data.get("in_reply_to", retracts) != retracts:
            raise problem("scope", _SAME)
        return retracts


def _texts(value: object) -> Iterator[str]:
    """All names and texts of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
