"""Until when a user must not be told, and the renewal of that: UN Convention Art. 42 (g)."""

from typing import Annotated, ClassVar, Literal

from protocol.messages.schema.base import Reply
from protocol.messages.schema.fields import Instant, Legal, Note
from protocol.messages.schema.parts import TargetNames, after

_RULE = "UN Convention Art. 42 (g)"


class ConfidentialityRenew(Reply):
    """The requester asks, before the former date has passed, that the user is not told until a later one.

    Without targets: of all that the request names.
    """

    TYPE: ClassVar[str] = "confidentiality.renew"

    type: Literal["confidentiality.renew"]
    targets: TargetNames = ()
    until: Annotated[
        Instant,
        after("sent_at", "the new date must be later than the time of sending"),
        Legal(_RULE, "add the date until which the user must not be notified"),
    ]
    reason: Annotated[Note, Legal(_RULE, "give the reason not to notify the user")]
