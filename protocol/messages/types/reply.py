"""Drafts of replies: what a reply takes over from the message it answers."""

from __future__ import annotations

from typing import Any

from protocol.messages.schema.base import Message


def reply_draft(message: Message, reply_type: str, /, *, by: str | None = None, **fields: Any) -> dict[str, Any]:
    """A draft of ``reply_type`` to ``message``: addressed to its sender, in its thread, under its labels.

    Where ``by``, who replies, sent ``message`` itself (an extension replies to the own request), it goes to those whom
    that went to, under the same references.

    ``fields`` are added to the draft and win over what is taken over. :func:`protocol.messages.check_outgoing` reports
    what the type asks for and is not there yet (``officer``, for one).
    """
    own = message.sender == by
    draft: dict[str, Any] = {
        "type": reply_type,
        "to": list(message.to) if own else [message.sender],
        "thread": str(message.thread),
        "in_reply_to": str(message.id),
        "language": message.language,
        "urgency": message.urgency,
        "handling": message.handling.model_dump(mode="json", exclude_none=True),
    }
    if message.urgency_reason is not None:
        draft["urgency_reason"] = message.urgency_reason
    if own:
        references = {"own_reference": message.own_reference, "peer_reference": message.peer_reference}
    else:
        references = {"peer_reference": message.own_reference}
    draft.update((name, reference) for name, reference in references.items() if reference is not None)
    if message.legal_basis is not None:
        draft["legal_basis"] = message.legal_basis.model_dump(mode="json", exclude_none=True)
    return {**draft, **fields}
