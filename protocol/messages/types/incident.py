"""A security incident that touched what was received: Second Additional Protocol (CETS 224) Art. 14."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import Contact, Message
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Note, Prose
from protocol.messages.schema.parts import ItemRefs, after

_RULE = "Second Additional Protocol Art. 14"


class Incident(Message):
    """What happened, to which items, and what is done about it. Sent promptly to the authority that gave them."""

    TYPE: ClassVar[str] = "incident"

    type: Literal["incident"]
    items: Annotated[ItemRefs, Field(min_length=1), Legal(_RULE, "add the items that are affected")]
    incident_kind: Annotated[str, CodeOf("incident_kind"), Legal(_RULE, "add the kind of incident")]
    occurred_at: Instant | None = None
    discovered_at: Annotated[
        Instant,
        after("occurred_at", "the time of discovery must be later than the time of the incident"),
        Legal(_RULE, "add the time of discovery"),
    ]
    description: Annotated[Prose, Legal(_RULE, "describe the incident")]
    consequences: Annotated[Prose, Legal(_RULE, "describe the likely consequences")]
    measures: Annotated[Prose, Legal(_RULE, "describe the measures that were taken or are planned")]
    ongoing: Annotated[bool, Legal(_RULE, "state whether the incident is ongoing")]
    contact: Annotated[Contact, Legal(_RULE, "add the contact for questions")]
    advice: Note | None = None
