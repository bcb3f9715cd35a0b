"""What labels and conditions say against an action, and what the originator's consent makes of it.

Four labels stand side by side, never merged: TLP (who may see), PAP (what may be done), handling codes H0 to H3
(judicial use, dissemination), use conditions. PAP is about what is done to suspects' infrastructure, which nothing
here does, so it forbids none of these actions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from protocol.address import Address
from protocol.messages.answer import Answer
from protocol.messages.base import Message
from protocol.messages.consent import conditions_of
from protocol.messages.information import InformationSpontaneous
from protocol.messages.use import ConsentReply, ConsentRequest

_GRANTED = frozenset({"granted", "granted_with_conditions"})


class Action(StrEnum):
    """What an office does with what it was given; codes of the list handling_action."""

    FORWARD = "forward"
    PROCEEDINGS = "proceedings"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why an action is forbidden: a code of the list handling_objection, and the terms where they are in words.

    ``item`` is the item of an answer that it is about; None: the message as a whole.
    """

    code: str
    item: str | None = None
    terms: str = ""


_FORWARD_CONDITIONS = frozenset({"no_onward_transfer", "confidential", "use_limited"})
_ONWARD_CODES = {"consent_needed": "onward_consent", "forbidden": "onward_forbidden"}


def objections(
    message: Message,
    action: Action,
    holder: Address,
    recipient: Address | None,
    thread: Iterable[Message],
    now: datetime,
) -> tuple[Objection, ...]:
    """What still forbids ``holder`` the action on ``message``, given the consent that ``thread`` holds.

    ``recipient`` is to whom it would be passed on. What an office wrote itself it may do with as it likes.
    """
    if message.sender == str(holder):
        return ()
    found = _forwarding(message, holder, recipient) if action is Action.FORWARD and recipient else _proceedings(message)
    consents = _Consents(message, action, holder, recipient, tuple(thread), now)
    return tuple(objection for objection in dict.fromkeys(found) if not consents.cover(objection.item))


def _forwarding(message: Message, holder: Address, recipient: Address) -> Iterator[Objection]:
    handling = message.handling
    if str(recipient) not in (*message.to, message.sender):
        match handling.tlp:
            case "RED":
                yield Objection("tlp_red")
            case "AMBER+STRICT":
                yield Objection("tlp_amber_strict")
            case "AMBER" if recipient.node != holder.node:
                yield Objection("tlp_amber")
    if "H2" in handling.codes:
        yield Objection("h2")
    if "H3" in handling.codes:
        yield Objection("h3", terms=handling.text or "")
    for terms in handling.use_conditions:
        yield Objection("use_condition", terms=terms)
    yield from _by_condition(message, _FORWARD_CONDITIONS)
    if isinstance(message, Answer):
        for item in message.items:
            if item.onward_use in _ONWARD_CODES:
                yield Objection(_ONWARD_CODES[item.onward_use], item.item)


def _proceedings(message: Message) -> Iterator[Objection]:
    if "H1" in message.handling.codes:
        yield Objection("h1")
    yield from _by_condition(message, frozenset({"no_judicial_use"}))
    if isinstance(message, InformationSpontaneous) and message.evidential_status == "intelligence":
        yield Objection("intelligence")
    if isinstance(message, Answer):
        for item in message.items:
            if item.evidential_status == "intelligence":
                yield Objection("intelligence", item.item)


def _by_condition(message: Message, kinds: frozenset[str]) -> Iterator[Objection]:
    if isinstance(message, Answer):
        for item in message.items:
            for condition in item.conditions:
                if condition.kind in kinds:
                    yield Objection(condition.kind, item.item, condition.text)
        return
    for condition in conditions_of(message):
        if condition.kind in kinds:
            yield Objection(condition.kind, terms=condition.text)


class _Consents:
    """Consent that the originator gave to this action, as a whole or item by item."""

    def __init__(
        self,
        message: Message,
        action: Action,
        holder: Address,
        recipient: Address | None,
        thread: tuple[Message, ...],
        now: datetime,
    ) -> None:
        asked = {
            other.id: other
            for other in thread
            if isinstance(other, ConsentRequest) and other.sender == str(holder) and _asks(other, action, recipient)
        }
        # The last word on an item counts: consent can be taken back.
        self._last: dict[str | None, bool] = {}
        replies = (other for other in thread if isinstance(other, ConsentReply) and other.sender == message.sender)
        for reply in sorted(replies, key=lambda reply: (reply.sent_at, reply.id)):
            if reply.in_reply_to not in asked:
                continue
            for given in reply.items:
                if given.item.message == message.id:
                    valid = given.valid_until is None or given.valid_until > now
                    self._last[given.item.item] = given.consent in _GRANTED and valid

    def cover(self, item: str | None) -> bool:
        """Whether the item, or the message as a whole, was consented to."""
        return self._last.get(item, self._last.get(None, False))


def _asks(request: ConsentRequest, action: Action, recipient: Address | None) -> bool:
    if action is Action.PROCEEDINGS:
        return request.use == "proceedings"
    return request.use == "onward_transfer" and str(recipient) in request.recipients


def items_of(message: Message) -> tuple[str | None, ...]:
    """The items that consent is asked for: those of an answer, else the message as a whole (None)."""
    if isinstance(message, Answer) and message.items:
        return tuple(item.item for item in message.items)
    return (None,)
