"""On which legal basis: what is proposed, what is offered, and why one is no answer, by what both nations state.

Proposed is an instrument that is known to bind all the nations asked, and that has an article for such a message. Where
none is known, nothing is proposed: that is told, and the officer chooses.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exchange.wizard import _steps as step
from exchange.wizard import answers as read
from exchange.wizard.question import AnswerProblem, Draft, Fields, KnownBasis, Situation, value_at
from protocol.encoding.phrase import phrase

_FIELD = "legal_basis.instrument"
_IN_FORCE = "in_force"
ARTICLES_BY_BASIS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("preservation.request", "budapest"): "29",
        ("preservation.request", "un_cybercrime"): "42",
        ("preservation.request", "eio"): "32",
        ("emergency.request", "budapest_p2"): "9",
        ("emergency.request", "budapest"): "25, 31",
        ("emergency.request", "eu_police_exchange"): "4",
        ("assistance.request", "budapest"): "25, 31",
        ("assistance.request", "un_cybercrime"): "40",
        ("assistance.request", "eu_police_exchange"): "4",
        ("information.spontaneous", "budapest"): "26",
        ("information.spontaneous", "eu_police_exchange"): "7",
        ("incident", "budapest_p2"): "14",
        ("incident", "budapest"): "",
    }
)
"""The articles that a message of a type rests on under an instrument, the instrument to propose first before others."""


_RESTING = frozenset(kind for kind, _ in ARTICLES_BY_BASIS) - {"incident"}


def why_not(draft: Draft, situation: Situation) -> str:
    """Why the instrument of a draft carries nothing to a nation that is asked; empty where nothing speaks against it.

    A message that is no request or disclosure rests on none: a reply may say that there is none.
    """
    instrument = value_at(draft, _FIELD)
    if draft.get("type") not in _RESTING:
        return ""
    known = (found.get(str(instrument)) for found in _known(draft, situation))
    return next((one.why_not for one in known if one is not None and one.why_not), "")


def _known(draft: Draft, situation: Situation) -> list[Mapping[str, KnownBasis]]:
    """Of each nation asked; before one is named, of this nation alone."""
    return [situation.bases_with(str(one)) for one in draft.get("to") or (situation.address,)]


def _proposed(draft: Draft, situation: Situation) -> str:
    known = _known(draft, situation)
    return next(
        (
            instrument
            for kind, instrument in ARTICLES_BY_BASIS
            if kind == draft.get("type")
            and all(instrument in found and found[instrument].standing == _IN_FORCE for found in known)
        ),
        "",
    )


def _barred(draft: Draft, situation: Situation) -> frozenset[str]:
    if draft.get("type") not in _RESTING:
        return frozenset()
    return frozenset(code for found in _known(draft, situation) for code, one in found.items() if one.why_not)


def _told(draft: Draft, situation: Situation) -> str:
    if not draft.get("to") or _proposed(draft, situation):
        return ""
    return phrase(
        "This desk knows of no treaty for such a message that binds both nations. Ask the contact point first, or"
        " choose reciprocity or national law."
    )


def _read(text: str, draft: Draft, situation: Situation) -> Fields:
    instrument = read.chosen_code("legal_basis", text)
    problem = why_not({**draft, "legal_basis": {"instrument": instrument}}, situation)
    if problem:
        raise AnswerProblem(problem)
    return {_FIELD: instrument}


BASIS = step.code(
    _FIELD,
    "legal_basis",
    phrase("On which legal basis?"),
    reader=_read,
    proposed=_proposed,
    barred=_barred,
    told=_told,
)
