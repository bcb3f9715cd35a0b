"""Of what moves no state, what has a place in a thread: who may say it, and what must have been said before it.

The tables of the lifecycles take such a message whenever a party says it, so that two sides that hold different parts
of a thread agree on its state. A sender knows better. A desk does not compose a message that has no place, by
whichever way it was written, and a page does not offer it: both ask :func:`out_of_place`, which looks at the types that
were said and at nothing else. One that comes all the same is kept, and moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from protocol.lifecycle.reasons import Reason
from protocol.messages.handling_rules import REQUESTS

# These are said of something that was asked for. A thread that asks for nothing has no place for it.
_OF_REQUESTS = frozenset(
    {
        *("preservation.answer", "preservation.extend", "preservation.follow-up", "follow-up.confirmed"),
        *("preservation.release", "preservation.risk", "preservation.risk-reply", "emergency.supplement"),
        *("confidentiality.renew", "traffic.partial-disclosure", "decision", "answer"),
    }
)
_REQUESTER_ONLY = frozenset({"confidentiality.renew"})
# The side that was told of a matter says whose it is, and not the side that told it.
_REQUESTED_ONLY = frozenset({"traffic.partial-disclosure", "misdirected"})
GIVES = frozenset({"answer", "information.spontaneous", "files", "traffic.partial-disclosure", "forward"})
"""The types that hand something over."""
# Each answers one of these types of the other side.
_ANSWERS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "clarification.reply": frozenset({"clarification.ask"}),
        "consent.reply": frozenset({"consent.request"}),
        "contact.test-reply": frozenset({"contact.test"}),
        "follow-up.confirmed": frozenset({"preservation.follow-up"}),
        "data-protection.notice": frozenset({"correction", "retract"}),
    }
)
_OF_CONDITIONS = frozenset({"condition.accept", "condition.decline"})


@dataclass(frozen=True, slots=True)
class SaidBefore:
    """The types that were said in a thread before: by who speaks now (``own``), and by all others (``theirs``).

    ``opening`` is the type that opened it, empty where that is not there; ``asks``: who speaks now opened it.
    ``terms``: the others set conditions.
    """

    opening: str
    asks: bool
    own: frozenset[str]
    theirs: frozenset[str]
    terms: bool = False

    @classmethod
    def of(cls, opening: str, *, asks: bool, said: Iterable[tuple[str, bool]], terms: bool) -> SaidBefore:
        """Of the types with whether who speaks now said them."""
        types = tuple(said)
        own, theirs = (frozenset(kind for kind, mine in types if mine is side) for side in (True, False))
        return cls(opening, asks, own, theirs, terms)


def out_of_place(kind: str, before: SaidBefore) -> Reason | None:
    """Why a message of the type ``kind`` has no place in a thread that said ``before``; None where it has one."""
    code = _of_the_case(kind, before) or _of_what_was_said(kind, before)
    return Reason(code) if code else None


def _of_the_case(kind: str, before: SaidBefore) -> str:
    """By what the thread is about, and whose it is."""
    if not before.opening:
        return ""
    if before.opening not in REQUESTS and kind in _OF_REQUESTS:
        return "no_request"
    if kind in _REQUESTER_ONLY and not before.asks:
        return "requester_only"
    return "requested_only" if kind in _REQUESTED_ONLY and before.asks else ""


def _of_what_was_said(kind: str, before: SaidBefore) -> str:
    """By what must have been said for it to say anything."""
    if kind in _ANSWERS and not _ANSWERS[kind] & before.theirs:
        return "not_asked"
    if kind in _OF_CONDITIONS and not before.terms:
        return "no_conditions"
    if kind == "use.query" and not GIVES & before.own:
        return "nothing_given"
    if kind == "use.report" and not GIVES & before.theirs:
        return "nothing_received"
    return "nothing_received" if kind == "consent.request" and not before.theirs else ""
