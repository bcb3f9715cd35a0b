"""Drafts of replies: what a reply takes over from the message it answers."""

from __future__ import annotations

from typing import Any

from protocol.messages.base import Message


def reply_draft(message: Message, reply_type: str, **fields: Any) -> dict[str, Any]:
    """A draft of ``reply_type`` to ``message``: addressed to its sender, in its thread, under its labels.

    ``fields`` are added to the draft and win over what is taken over. What the type asks for and is not there yet
    (``officer``, for one) is reported by :func:`protocol.messages.check_outgoing`.
    """
    draft: dict[str, Any] = {
        "type": reply_type,
        "to": [message.sender],
        "thread": str(message.thread),
        "in_reply_to": str(message.id),
        "language": message.language,
        "urgency": message.urgency,
        "handling": message.handling.model_dump(mode="json", exclude_none=True),
    }
    if message.urgency_reason is not None:
        draft["urgency_reason"] = message.urgency_reason
    if message.own_reference is not None:
        draft["peer_reference"] = message.own_reference
    if message.legal_basis is not None:
        draft["legal_basis"] = message.legal_basis.model_dump(mode="json", exclude_none=True)
    return {**draft, **fields}
