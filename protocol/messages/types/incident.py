"""A security incident that touched what was received: Second Additional Protocol (CETS 224) Art. 14."""

from __future__ import annotations

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
    items: Annotated[ItemRefs, Field(min_length=1), Legal(_RULE, "the items touched are missing")]
    incident_kind: Annotated[str, CodeOf("incident_kind"), Legal(_RULE, "the kind of incident is missing")]
    occurred_at: Instant | None = None
    discovered_at: Annotated[
        Instant,
        after("occurred_at", "an incident is discovered after it occurred"),
        Legal(_RULE, "the time of discovery is missing"),
    ]
    description: Annotated[Prose, Legal(_RULE, "the description of the incident is missing")]
    consequences: Annotated[Prose, Legal(_RULE, "the likely consequences are missing")]
    measures: Annotated[Prose, Legal(_RULE, "the measures taken or planned are missing")]
    ongoing: Annotated[bool, Legal(_RULE, "whether the incident is ongoing is missing")]
    contact: Annotated[Contact, Legal(_RULE, "the contact for questions is missing")]
    advice: Note | None = None
