"""What may be done in a case now; what may not is named with the rule, and with what leads there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.acts.cases import CaseParts
from exchange.text.labels import code_label, state_label
from exchange.web.case.standing import DueLine, is_ours
from exchange.web.case.words import NEXT, next_text, path_of, reply_text, way_text
from exchange.wizard.legal_replies import ReplyStanding, reply_standings
from keys.local.translation import _
from protocol.messages.handling_rules import Objection

# So many states are named of those in which something may be done.
_NAMED = 4
# Nobody misses the answer to a question that was not asked.
_ONLY_WHEN_ASKED = frozenset({"clarification.reply", "preservation.risk-reply"})
_DANGER = frozenset({"withdrawal", "preservation.release", "closure"})


@dataclass(frozen=True, slots=True)
class OfferedAct:
    """An act that may be done: what its button says, where it leads. ``kind`` is primary, danger or empty."""

    text: str
    path: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class NotNow:
    """An act that may not be done now: why, by which rule; ``way`` is what leads there, at ``path``."""

    text: str
    why: str
    rule: str
    way: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class CaseActs:
    """All acts of a case: of its course, beside it, and those of the office alone."""

    now: Sequence[OfferedAct]
    beside: Sequence[OfferedAct]
    office: Sequence[OfferedAct]
    not_now: Sequence[NotNow]


def acts_of(
    parts: CaseParts,
    own: str,
    now: datetime,
    due: Iterable[DueLine],
    objections: Sequence[Objection],
    *,
    call_first: bool = False,
) -> CaseActs:
    """What may be done in the case at ``now``; ``objections`` are those against passing its request on.

    ``call_first``: the asking office was not called back yet, and nothing is disclosed before that.
    """
    case = next(iter(parts.cases.values()), None)
    ours = case is not None and is_ours(case, own)
    standings = reply_standings(case, ours=ours, now=now) if case is not None else ()
    legal = {path_of(parts.thread, one.type) for one in standings if one.legal}
    illegal = {path_of(parts.thread, one.type) for one in standings} - legal
    offered: dict[str, OfferedAct] = {}
    if call_first:
        path = f"/cases/{parts.thread}/call"
        offered[path] = OfferedAct(_("Call back before you disclose"), path, "danger")
    for one in due:
        path = f"/cases/{parts.thread}/{NEXT.get(one.code, '')}"
        if one.ours and (text := next_text(one.code)) and path not in illegal:
            offered.setdefault(path, OfferedAct(text, path))
    for standing in standings:
        path = path_of(parts.thread, standing.type)
        if standing.legal:
            kind = "danger" if standing.type in _DANGER else ""
            offered.setdefault(path, OfferedAct(reply_text(standing.type), path, kind))
    refused = [
        _not_now(parts, one)
        for one in standings
        if not one.legal and one.type not in _ONLY_WHEN_ASKED and path_of(parts.thread, one.type) not in offered
    ]
    status = "status.query" if ours else "status.report"
    offered.setdefault(f"/cases/{parts.thread}/reply/{status}", _status(parts, status))
    if objections and not ours:
        refused.append(_not_passed_on(parts, objections))
    acts = list(offered.values())
    first = next((place for place, one in enumerate(acts) if not one.kind), None)
    if first in {0, 1}:  # what ends or takes back something is never the first thing to do
        acts[first] = OfferedAct(acts[first].text, acts[first].path, "primary")
    return CaseActs(acts, _beside(parts, ours=ours, free=not objections), _office(parts, now), refused)


def _status(parts: CaseParts, kind: str) -> OfferedAct:
    return OfferedAct(reply_text(kind), path_of(parts.thread, kind))


def _not_now(parts: CaseParts, standing: ReplyStanding) -> NotNow:
    states = ", ".join(state_label(state) for state in standing.states[:_NAMED])
    if len(standing.states) > _NAMED:
        states = _("{states} and others").format(states=states)
    why = _("not while the state is: {state}. It can be done while it is: {states}.").format(
        state=state_label(standing.state), states=states
    )
    way, kind = way_text(standing.type)
    path = "/new" if kind == "new" else path_of(parts.thread, kind) if kind else ""
    return NotNow(reply_text(standing.type), why, standing.rule, way, path)


def _not_passed_on(parts: CaseParts, objections: Sequence[Objection]) -> NotNow:
    rules = "; ".join(dict.fromkeys(code_label("handling_objection", one.code) for one in objections))
    return NotNow(
        _("Pass on"),
        _("its labels forbid it: {rules}.").format(rules=rules),
        "",
        _("Ask for their consent."),
        f"/cases/{parts.thread}/do/ask-consent",
    )


def _beside(parts: CaseParts, *, ours: bool, free: bool) -> list[OfferedAct]:
    base = f"/cases/{parts.thread}/do"
    found = [OfferedAct(_("Write a note to them"), f"{base}/send-note")]
    if not ours:
        found.append(OfferedAct(_("Consult them first"), f"{base}/open-consultation"))
        found.append(OfferedAct(_("Pass on within our State"), f"{base}/pass-on"))
        found.append(OfferedAct(_("It belongs to another State"), f"{base}/point-to"))
        found.append(OfferedAct(_("Whom to call"), f"/cases/{parts.thread}/call"))
        if free:
            found.append(OfferedAct(_("Pass on"), f"{base}/forward"))
    found.append(OfferedAct(_("Ask for consent"), f"{base}/ask-consent"))
    return found


def _office(parts: CaseParts, now: datetime) -> list[OfferedAct]:
    base = f"/cases/{parts.thread}/do"
    found = [
        OfferedAct(_("Note something"), f"{base}/note"),
        OfferedAct(_("Say who works on it"), f"{base}/assign"),
        OfferedAct(_("Let it wait"), f"{base}/wait"),
    ]
    if parts.noted.waiting_until(now) is not None:
        found.append(OfferedAct(_("It waits no longer"), f"{base}/wait-no-longer"))
    if parts.noted.authority is None:
        found.append(OfferedAct(_("One of our authorities decides"), f"{base}/await-authority"))
    else:
        found.append(OfferedAct(_("Our authority has decided"), f"{base}/authority-decided"))
    found.append(OfferedAct(_("Tell them that an authority decides"), f"{base}/report-authority"))
    return found
