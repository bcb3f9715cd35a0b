"""What a note may be, given the case it is in; and the type that says formally what a note would say in passing.

A note is part of the file, and whoever reads the file reads it: its labels are the strictest of the case. It is no way
round the types that ask and give: those have clocks, states, conditions and an authorisation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from protocol.errors import InvalidMessageError
from protocol.messages.handling_rules import PAP_ORDER, TLP_ORDER, rank, weakened
from protocol.messages.schema.base import Handling, Message

if TYPE_CHECKING:
    from protocol.messages.types.note import NoteMessage

_RULE = "note"
_ASKS = re.compile(r"[?؟？;]\s*(?:$|\s)|\b(?:please|could you|can you|kindly|we request|we need)\b", re.IGNORECASE)
_STATUS = re.compile(r"\b(?:status|progress|when|how far|update|eta|delay)\b", re.IGNORECASE)
_GIVES = re.compile(
    r"\b(?:subscriber|registered (?:to|by)|belongs to|holder|logged in|was used by|lives (?:in|at)|born on)\b"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}\b|[^\s@]+@[^\s@]+\.[a-z]{2,}|\+\d{7,15}\b|\b[A-Z]{2}\d{2}[A-Z0-9]{11,30}\b",
    re.IGNORECASE,
)


def check_note(note: NoteMessage, thread: Iterable[Message]) -> None:
    """Return if the note may be sent in its case; raises :class:`InvalidMessageError`."""
    messages = [other for other in thread if other.id != note.id]
    problems: list[tuple[str, str, str]] = []
    if in_emergency(messages):
        text = "a note is no part of an emergency: ask, report or answer by the message type that is meant for it"
        problems.append(("type", _RULE, text))
    weaker = {name for other in messages for name in weakened(note.handling, other.handling)} - {"grade"}
    text = "the labels of a note are not weaker than those of the case: take the strictest"
    problems += [(f"handling.{name}", _RULE, text) for name in sorted(weaker)]
    if problems:
        raise InvalidMessageError("this note may not be sent in this case", tuple(problems))


def in_emergency(thread: Iterable[Message]) -> bool:
    """Whether the case was opened as an emergency."""
    return any(other.id == other.thread and other.urgency == "emergency" for other in thread)


def all_labels(labels: Sequence[Handling]) -> Handling | None:
    """Labels that are weaker than none of ``labels``, without a grade; None of none."""
    if not labels:
        return None
    marks = [label.pap for label in labels if label.pap is not None]
    texts = dict.fromkeys(label.text for label in labels if label.text is not None)
    codes = dict.fromkeys(code for label in labels for code in label.codes)
    return Handling(
        tlp=max((label.tlp for label in labels), key=lambda tlp: rank(TLP_ORDER, tlp)),
        pap=max(marks, key=lambda pap: rank(PAP_ORDER, pap)) if marks else None,
        codes=tuple(code for code in codes if code != "H0" or len(codes) == 1),
        text="\n".join(texts) or None,
        use_conditions=tuple(dict.fromkeys(terms for label in labels for terms in label.use_conditions)),
    )


def formal_type(text: str, *, asks: bool, requester: bool) -> str | None:
    """The message type that would say this with effect; None for words that neither ask nor give.

    A guess from signs and English words: it is offered, never enforced. ``requester``: the writer opened the case.
    """
    if asks or _ASKS.search(text):
        if not requester:
            return "clarification.ask"
        return "status.query" if _STATUS.search(text) else "consultation.open"
    if _GIVES.search(text):
        return "clarification.reply" if requester else "answer"
    return None
