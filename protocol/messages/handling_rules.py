"""What labels and conditions say against an action, and what the originator's consent makes of it.

Four labels stand side by side, never merged: TLP (who may see), PAP (what may be done), handling codes H0 to H3
(judicial use, dissemination), use conditions. PAP is about what is done to suspects' infrastructure, which nothing
here does, so it forbids none of these actions.

Rules:
1. A label or condition binds whoever holds the content, except the office that set it.
2. It is lifted by the consent of the office that set it, and by nobody else's. An item of an answer may name another
   originator: then its further use is lifted by that office.
3. A message that was passed on stays under the labels of its original, whoever passes it on and however often. The
   labels of the message around it are never weaker; what they add is lifted by who added it.
4. A request stays with the State that was asked. To another one it goes only with the consent of who made it: in the
   request itself (``passing_on``, which is consent by rule 2 for the States named), or asked for and given (Budapest
   Convention Art. 27.8, 28). It may always be given back to who made it, and within the State that was asked
   only TLP:RED keeps it from the office that is competent (Art. 27.9).
5. Consent answers what the holder asked: this action, for this recipient. The last word counts, and a word on the
   message as a whole replaces all earlier words on its items.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from protocol.address import Address
from protocol.encoding.instants import as_written
from protocol.errors import InvalidMessageError
from protocol.messages.schema.kinds import is_answer, is_correction, is_forward, is_information

if TYPE_CHECKING:
    from protocol.messages.schema.base import Handling, Message
    from protocol.messages.schema.parts import PassingOnConsent
    from protocol.messages.schema.use import ConsentReply, ConsentRequest
    from protocol.messages.types.correcting import Correction
    from protocol.messages.types.forward import Original


REQUESTS = frozenset({"preservation.request", "assistance.request", "emergency.request"})
"""The types that ask an office of one State to act."""

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


@dataclass(frozen=True, slots=True)
class Barrier:
    """An objection, with the office whose consent lifts it and the message that the consent is about."""

    objection: Objection
    originator: str
    message: UUID


_FORWARD_CONDITIONS = frozenset({"no_onward_transfer", "confidential", "use_limited"})
_ONWARD_CODES = {"consent_needed": "onward_consent", "forbidden": "onward_forbidden"}
_USES = {Action.FORWARD: "onward_transfer", Action.PROCEEDINGS: "proceedings"}
# From free to strict. A label that is not among them is newer than this program: it counts as the strictest.
TLP_ORDER = ("CLEAR", "GREEN", "AMBER", "AMBER+STRICT", "RED")
PAP_ORDER = ("CLEAR", "GREEN", "AMBER", "RED")
_SAME = {"WHITE": "CLEAR"}
_FREE = "H0"
# The handling codes that say to whom content may go: not without asking, and as the text says.
_BY_TEXT = "H3"
_DISSEMINATION = ("H2", _BY_TEXT)


def objections(
    message: Message,
    action: Action,
    holder: Address,
    recipient: Address | None,
    thread: Iterable[Message],
    now: datetime,
) -> tuple[Objection, ...]:
    """What still forbids ``holder`` the action on ``message``, given the consent that ``thread`` holds.

    ``recipient`` is to whom it would be passed on; None is somebody who is no contact point. An office may do as it
    likes with what it wrote itself. Raises :class:`InvalidMessageError` for an original that cannot be read.
    """
    open_ = open_barriers(message, action, holder, recipient, thread, now)
    return tuple(dict.fromkeys(barrier.objection for barrier in open_))


def open_barriers(
    message: Message,
    action: Action,
    holder: Address,
    recipient: Address | None,
    thread: Iterable[Message],
    now: datetime,
) -> tuple[Barrier, ...]:
    """As :func:`objections`, each with the office to ask for consent."""
    found = barriers(message, action, holder, recipient)
    if not found:
        return ()
    consents = _Consents(action, holder, recipient, tuple(thread), now)
    return tuple(barrier for barrier in found if not consents.lift(barrier))


def barriers(message: Message, action: Action, holder: Address, recipient: Address | None) -> tuple[Barrier, ...]:
    """What forbids the action as long as nobody consents."""
    inner: tuple[Barrier, ...] = ()
    if is_forward(message):
        inner = barriers(read_original(message.original), action, holder, recipient)
    if message.sender == str(holder):
        return inner
    if is_correction(message):
        inner = tuple(_of_correction(message, action, holder, recipient))
    own = _forwarding(message, holder, recipient) if action is Action.FORWARD else _proceedings(message)
    # The labels of what was passed on come from its original: asking there is asking enough.
    said = {replace(barrier.objection, item=None) for barrier in inner}
    added = (barrier for barrier in own if replace(barrier.objection, item=None) not in said)
    return tuple(dict.fromkeys((*inner, *(barrier for barrier in added if barrier.originator != str(holder)))))


# A field that only messages of one type have which set terms for what they hold: where it stands, the rest follows.
_TYPE_BY_FIELD = {
    "items": "answer",
    "stage": "information.spontaneous",
    "decisions": "decision",
    "proposal": "condition.decline",
    "conditions": "condition.propose",
}


def _of_correction(
    message: Correction, action: Action, holder: Address, recipient: Address | None
) -> Iterator[Barrier]:
    """What the labels, items and conditions inside a correction forbid; all, where they cannot be read."""
    from protocol.messages.parse import parse_message

    kind = next((kind for field, kind in _TYPE_BY_FIELD.items() if field in message.message), "note")
    kept = {"type": kind, "id": str(message.id), "thread": str(message.thread), "in_reply_to": str(message.corrects)}
    whole = {**message.message, **kept, "from": message.sender, "to": list(message.to)}
    whole |= {"sent_at": as_written(message.sent_at), "officer": {"name": "-", "role": "-"}}
    if kind == "note":
        whole = {
            name: whole[name]
            for name in (*kept, "from", "to", "sent_at", "officer", "language", "handling")
            if name in whole
        } | {"text": "-", "asks": False}
    try:
        content = parse_message(json.dumps(whole, ensure_ascii=False).encode())
    except InvalidMessageError:
        yield _of(message, Objection("tlp_red"))
        return
    yield from barriers(content, action, holder, recipient)


def read_original(original: Original) -> Message:
    """The message that was passed on; nothing is verified. Raises :class:`InvalidMessageError`."""
    from protocol.messages.parse import parse_message

    return parse_message(original.content.encode())


def weakened(outer: Handling, inner: Handling) -> tuple[str, ...]:
    """The labels in which ``outer`` is weaker than ``inner``, by the names of their fields; empty when in none."""
    found: list[str] = []
    if rank(TLP_ORDER, outer.tlp) < rank(TLP_ORDER, inner.tlp):
        found.append("tlp")
    if inner.pap is not None and (outer.pap is None or rank(PAP_ORDER, outer.pap) < rank(PAP_ORDER, inner.pap)):
        found.append("pap")
    if not set(inner.codes) - {_FREE} <= set(outer.codes):
        found.append("codes")
    if inner.text is not None and inner.text not in (outer.text or ""):
        found.append("text")
    if not set(inner.use_conditions) <= set(outer.use_conditions):
        found.append("use_conditions")
    if inner.grade is not None and outer.grade != inner.grade:
        found.append("grade")
    return tuple(found)


def labels_of_case(*labels: Handling) -> dict[str, Any]:
    """The labels, as JSON, that a reply in a case with these has at least: who may see it, and who may get it next.

    Not what speaks of the content alone that it was set on: judicial use (H0, H1), use conditions, grade.
    """
    found: dict[str, Any] = {"tlp": max((one.tlp for one in labels), key=lambda tlp: rank(TLP_ORDER, tlp))}
    paps = [one.pap for one in labels if one.pap is not None]
    if paps:
        found["pap"] = max(paps, key=lambda pap: rank(PAP_ORDER, pap))
    codes = [code for code in _DISSEMINATION if any(code in one.codes for one in labels)]
    if codes:
        found["codes"] = codes
    texts = dict.fromkeys(one.text for one in labels if one.text is not None and _BY_TEXT in one.codes)
    if texts:
        found["text"] = "\n".join(texts)
    return found


def weaker_than_case(handling: Handling, *labels: Handling) -> tuple[str, ...]:
    """The labels in which a reply is weaker than its case, by the names of their fields; see :func:`labels_of_case`."""
    least = labels_of_case(*labels)
    found = [] if rank(TLP_ORDER, handling.tlp) >= rank(TLP_ORDER, least["tlp"]) else ["tlp"]
    if "pap" in least and (handling.pap is None or rank(PAP_ORDER, handling.pap) < rank(PAP_ORDER, least["pap"])):
        found.append("pap")
    if not set(least.get("codes", ())) <= set(handling.codes):
        found.append("codes")
    if any(text not in (handling.text or "") for text in least.get("text", "").split("\n") if text):
        found.append("text")
    return tuple(found)


def items_of(message: Message) -> tuple[str | None, ...]:
    """The items that consent is asked for: those of an answer, else the message as a whole (None)."""
    if is_answer(message) and message.items:
        return tuple(item.item for item in message.items)
    return (None,)


def rank(labels: Sequence[str], label: str) -> int:
    """How strict a label is among ``labels``; one that is not among them is the strictest."""
    known = _SAME.get(label, label)
    return labels.index(known) if known in labels else len(labels)


def _forwarding(message: Message, holder: Address, recipient: Address | None) -> Iterator[Barrier]:
    asked_for = recipient if message.type in REQUESTS else None
    if asked_for is not None and (str(asked_for) == message.sender or asked_for.node in _nations_consented(message)):
        return
    handling = message.handling
    if asked_for is not None and asked_for.node == holder.node:
        # Art. 27.9: within the State that was asked it goes to who is competent.
        if handling.tlp == "RED" and str(asked_for) not in message.to:
            yield _of(message, Objection("tlp_red"))
        return
    if _leaves_its_state(message, holder, recipient):
        yield _of(message, Objection("third_state"))
    if recipient is None or str(recipient) not in (*message.to, message.sender):
        code = _tlp_objection(handling.tlp, holder, recipient)
        if code is not None:
            yield _of(message, Objection(code))
    if "H2" in handling.codes:
        yield _of(message, Objection("h2"))
    if "H3" in handling.codes:
        yield _of(message, Objection("h3", terms=handling.text or ""))
    for terms in handling.use_conditions:
        yield _of(message, Objection("use_condition", terms=terms))
    yield from _by_condition(message, _FORWARD_CONDITIONS)
    if is_answer(message):
        for item in message.items:
            if item.onward_use in _ONWARD_CODES:
                objection = Objection(_ONWARD_CODES[item.onward_use], item.item)
                yield Barrier(objection, item.originator or message.sender, message.id)


def _leaves_its_state(message: Message, holder: Address, recipient: Address | None) -> bool:
    """Whether a request would go to a State that neither holds it nor was asked."""
    if message.type not in REQUESTS or recipient is None:
        return False
    return recipient.node != holder.node and str(recipient) not in (message.sender, *message.to)


def _nations_consented(message: Message) -> frozenset[str]:
    """The nations to which who made a request lets it go, whatever labels they put on it: it goes under them."""
    consent: PassingOnConsent | None = getattr(message, "passing_on", None) if message.type in REQUESTS else None
    return frozenset(country.lower() for country in consent.countries) if consent is not None else frozenset()


def _tlp_objection(tlp: str, holder: Address, recipient: Address | None) -> str | None:
    match tlp:
        case "CLEAR" | "GREEN":
            return None
        case "AMBER":
            return None if recipient is not None and recipient.node == holder.node else "tlp_amber"
        case "AMBER+STRICT":
            return "tlp_amber_strict"
        case _:
            return "tlp_red"


def _proceedings(message: Message) -> Iterator[Barrier]:
    if "H1" in message.handling.codes:
        yield _of(message, Objection("h1"))
    yield from _by_condition(message, frozenset({"no_judicial_use"}))
    if is_information(message) and message.evidential_status == "intelligence":
        yield _of(message, Objection("intelligence"))
    if is_answer(message):
        for item in message.items:
            if item.evidential_status == "intelligence":
                yield _of(message, Objection("intelligence", item.item))


def _by_condition(message: Message, kinds: frozenset[str]) -> Iterator[Barrier]:
    from protocol.messages.types.consent import conditions_of

    if is_answer(message):
        for item in message.items:
            for condition in item.conditions:
                if condition.kind in kinds:
                    yield _of(message, Objection(condition.kind, item.item, condition.text))
        return
    for condition in conditions_of(message):
        if condition.kind in kinds:
            yield _of(message, Objection(condition.kind, terms=condition.text))


def _of(message: Message, objection: Objection) -> Barrier:
    return Barrier(objection, message.sender, message.id)


_Said = dict[tuple[str, UUID], dict[str | None, bool]]


class _Consents:
    """What offices consented to of this action, message by message and item by item."""

    def __init__(
        self,
        action: Action,
        holder: Address,
        recipient: Address | None,
        thread: tuple[Message, ...],
        now: datetime,
    ) -> None:
        from protocol.messages.schema.use import ConsentReply, ConsentRequest

        asked = {
            other.id
            for other in thread
            if isinstance(other, ConsentRequest) and other.sender == str(holder) and _asks(other, action, recipient)
        }
        self._last: _Said = {}
        replies = (other for other in thread if isinstance(other, ConsentReply) and other.in_reply_to in asked)
        for reply in sorted(replies, key=lambda reply: (reply.sent_at, reply.id)):
            self._take(reply, now)

    def _take(self, reply: ConsentReply, now: datetime) -> None:
        # A word on the whole first: it replaces what was said before of the items, not what this reply says of them.
        for given in sorted(reply.items, key=lambda given: given.item.item is not None):
            words = self._last.setdefault((reply.sender, given.item.message), {})
            if given.item.item is None:
                words.clear()
            valid = given.valid_until is None or given.valid_until > now
            words[given.item.item] = given.consent in _GRANTED and valid

    def lift(self, barrier: Barrier) -> bool:
        """Whether who set the barrier consented, to the item or to the message as a whole."""
        words = self._last.get((barrier.originator, barrier.message), {})
        return words.get(barrier.objection.item, words.get(None, False))


def _asks(request: ConsentRequest, action: Action, recipient: Address | None) -> bool:
    if request.use != _USES[action]:
        return False
    return action is Action.PROCEEDINGS or (recipient is not None and str(recipient) in request.recipients)
