"""The answer to a message that no rule of its case allows: it was kept, it changed nothing, and why."""

from typing import Annotated, ClassVar, Literal

from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import Legal, Note
from protocol.messages.schema.parts import TargetNames


class OutOfOrderNotice(Reply):
    """What this replies to was kept and shown, and changed nothing in the case: which rule is against it."""

    TYPE: ClassVar[str] = "out-of-order"

    type: Literal["out-of-order"]
    targets: TargetNames = ()
    reason: Annotated[Note, Legal("lifecycle", "explain why the message changed nothing")]
    remark: Note | None = None
