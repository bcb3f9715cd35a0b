"""A test whether a contact point answers at any hour (Budapest Convention Art. 35). The reply time is measured."""

from typing import Annotated, ClassVar, Literal

from protocol.messages.schema.base import Contact, Message, Reply
from protocol.messages.schema.fields import Instant, Legal, Note

_RULE = "Budapest Convention Art. 35"


class ContactTest(Message):
    """Is somebody there? Carries nothing but the common fields."""

    TYPE: ClassVar[str] = "contact.test"

    type: Literal["contact.test"]


class ContactTestReply(Reply):
    """Somebody is there."""

    TYPE: ClassVar[str] = "contact.test-reply"

    type: Literal["contact.test-reply"]
    received_at: Annotated[Instant, Legal(_RULE, "add the time of receipt")]
    handler: Contact | None = None
    remark: Note | None = None
