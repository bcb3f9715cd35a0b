"""Drafts of replies: what a reply takes over from the case that it is in, and nothing else."""

from __future__ import annotations

from typing import Any

from protocol.encoding.phrase import phrase
from protocol.messages.handling_rules import labels_of_case
from protocol.messages.schema.base import Message

# The case is urgent, not its words: a reply has a reason of its own, in its own language.
REPLY_REASON = phrase("It replies in a case that is urgent.")


def reply_draft(
    message: Message, reply_type: str, /, *, by: str | None = None, language: str = "en", **fields: Any
) -> dict[str, Any]:
    """A draft of ``reply_type`` to ``message``: addressed to its sender, in its thread.

    Of the case it has the urgency, the legal basis, and who may see it: TLP, PAP and the limits on passing on (H2, H3).
    Its ``language`` is that of who writes it, and so are its reason and its references. The labels that the sender
    of ``message`` put on their own words stay theirs: use conditions, judicial use, grade.

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
        "language": language,
        "urgency": message.urgency,
        "handling": labels_of_case(message.handling),
    }
    if message.urgency != "routine":
        draft["urgency_reason"] = REPLY_REASON
    if own:
        references = {"own_reference": message.own_reference, "peer_reference": message.peer_reference}
    else:
        references = {"peer_reference": message.own_reference}
    draft.update((name, reference) for name, reference in references.items() if reference is not None)
    if message.legal_basis is not None:
        draft["legal_basis"] = message.legal_basis.model_dump(mode="json", exclude_none=True)
    return {**draft, **fields}
