"""What contact points say to each other: typed messages in JSON, inside the seal.

Adding a type takes one module with its model and one line in :mod:`protocol.messages._registry`.
"""

from __future__ import annotations

from protocol.messages._registry import MESSAGE_TYPES
from protocol.messages.parse import (
    ComposedMessage,
    check_outgoing,
    complete_message,
    compose_message,
    json_schema,
    message_to_bytes,
    notes_of,
    parse_message,
)
from protocol.messages.schema.base import Attachment, Contact, Handling, LegalBasis, Message, Officer, UnknownMessage
from protocol.messages.types.acknowledgement import Acknowledgement
from protocol.messages.types.preservation import PreservationAnswer, PreservationRequest, Target, TargetAnswer
from protocol.messages.types.reply import reply_draft

__all__ = [
    "MESSAGE_TYPES",
    "Acknowledgement",
    "Attachment",
    "ComposedMessage",
    "Contact",
    "Handling",
    "LegalBasis",
    "Message",
    "Officer",
    "PreservationAnswer",
    "PreservationRequest",
    "Target",
    "TargetAnswer",
    "UnknownMessage",
    "check_outgoing",
    "complete_message",
    "compose_message",
    "json_schema",
    "message_to_bytes",
    "notes_of",
    "parse_message",
    "reply_draft",
]
