"""What became of data that were wrong or should not have been sent: Directive (EU) 2016/680 Art. 7.3 and 16."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import CodeOf, Instant, Legal, MessageId, Note
from protocol.messages.schema.parts import needed_if

_RULE = "Directive (EU) 2016/680 Art. 16"


class DataProtectionNotice(Reply):
    """The recipient of a correction or retraction says what it did with the data of the message ``about``."""

    TYPE: ClassVar[str] = "data-protection.notice"

    type: Literal["data-protection.notice"]
    about: Annotated[MessageId, Legal(_RULE, "add the id of the message whose data this is about")]
    action: Annotated[str, CodeOf("data_protection_action"), Legal(_RULE, "state what was done with the data")]
    because: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("action") in {"restricted", "kept"}),
        Legal(_RULE, "explain why the data were not erased"),
    ] = Field(default=None, validate_default=True)
    at: Annotated[Instant, Legal(_RULE, "add the time when it was done")]
