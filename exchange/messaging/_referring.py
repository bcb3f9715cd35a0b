"""A request that belongs to another office, passed on: the forward, and with it the word to who asked.

Rules:
1. A request that is passed on goes in its own thread: to the office that is to act, and to who made it, who so has the
   signed forward by which that office is heard in the case.
2. With the forward goes a ``misdirected`` that says so. Both are sealed in one transaction, or neither.
3. That a request was passed on is said by the program, of a forward that this desk keeps or is sealing. No draft says
   it otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import HandlingError, UsageError
from protocol.messages.handling_rules import REQUESTS, labels_of_case

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message
    from protocol.messages.types.forward import Forward

Draft = Mapping[str, Any]
TOLD = "told"
"""The name in the draft of a forward under which stands what its requester is told, in a message of its own; False
where that message stands beside it. It never leaves the desk.
"""

_REASON = phrase("It replies in a case that is urgent.")


def is_passing_on(draft: Draft) -> bool:
    """Whether a draft passes a request on, and not a copy of one."""
    original = draft.get("original")
    if draft.get("type") != "forward" or not draft.get("thread") or not isinstance(original, Mapping):
        return False
    return original.get("type") in REQUESTS and original.get("message") == draft.get("thread")


def accompanied(draft: Draft) -> list[Draft]:
    """The draft, with the word to the requester where it passes a request on."""
    if not is_passing_on(draft) or draft.get(TOLD) is False:
        return [draft]
    return [{**draft, TOLD: False}, _told(draft)]


def as_it_was(draft: Draft, own: str, thread: Iterable[Message]) -> Draft:
    """A draft of ``misdirected`` with when the request was passed on, by the forward that ``thread`` has of ``own``.

    Raises :class:`HandlingError` for one that says so and was not.
    """
    if draft.get("type") != "misdirected" or draft.get("forwarded") is not True:
        return draft
    named = draft.get("right_authority")
    address = named.get("address") if isinstance(named, Mapping) else None
    for forward in _passed_on(thread, own, str(draft.get("in_reply_to"))):
        if address is None or address in forward.to:
            return {**draft, "forwarded_at": forward.sent_at.isoformat()}
    raise HandlingError(
        phrase("this desk did not pass that request on to that office: comity pass-on does both, and says so")
    )


def check_recipients(request: Message, own: Address, recipients: Sequence[Address]) -> None:
    """Return if a request can be passed on to ``recipients``; raises :class:`UsageError`."""
    if request.type not in REQUESTS or request.thread != request.id:
        raise UsageError(phrase("that message asks for nothing: comity forward passes a copy on"))
    if str(own) not in request.to:
        raise UsageError(phrase("that request was not made to this desk"))
    if not recipients or len({recipient.node for recipient in recipients}) != 1:
        raise UsageError(phrase("pass it on to desks of one State")).at("recipients")
    if own in recipients or request.sender in {str(recipient) for recipient in recipients}:
        raise UsageError(phrase("name the office that is to act")).at("recipients")


def _passed_on(thread: Iterable[Message], own: str, request: str) -> Iterable[Forward]:
    from protocol.messages.types.forward import Forward

    for message in thread:
        if isinstance(message, Forward) and message.sender == own and str(message.original.message) == request:
            yield message


def _told(draft: Draft) -> dict[str, Any]:
    from protocol.messages.parse import parse_message

    original: Mapping[str, Any] = draft["original"]
    request = parse_message(str(original["content"]).encode())
    to = next(text for text in draft["to"] if text != request.sender)
    told: dict[str, Any] = {
        "type": "misdirected",
        "to": [request.sender],
        "thread": draft["thread"],
        "in_reply_to": original["message"],
        "language": draft.get("language"),
        "urgency": request.urgency,
        "handling": labels_of_case(request.handling),
        "right_authority": {"organisation": to, "country": Address.parse(to).node.upper(), "address": to},
        "forwarded": True,
        "reason": draft.get("reason"),
    }
    if request.urgency != "routine":
        told["urgency_reason"] = draft.get("urgency_reason") or _REASON
    if request.own_reference is not None:
        told["peer_reference"] = request.own_reference
    told |= {name: draft[name] for name in ("officer", "own_reference", "legal_basis") if draft.get(name) is not None}
    return {**told, **(draft.get(TOLD) or {})}
