"""What may be done in a case now; what may not is named with the rule, and with what leads there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exchange.acts.cases import CaseParts
from exchange.text.labels import code_label, reason_label, state_label
from exchange.views import Direction
from exchange.web.case.standing import DueLine, is_ours
from exchange.web.case.words import ANSWERS, BESIDE, NEXT, next_text, path_of, reply_text, way_text
from exchange.wizard.legal_replies import ReplyStanding, reply_standings
from keys.local.translation import _
from protocol.messages.handling_rules import Objection

# So many states are named of those in which something may be done.
_NAMED = 4
# Nobody misses the answer to a question that was not asked.
_ONLY_WHEN_ASKED = frozenset({"clarification.reply", "preservation.risk-reply"})
# Word of how it stands: an act that brings the case on says more, as long as nobody is late with the word.
_WORDS = frozenset({"next_update", "status", "authorisation"})
# While one of these may be said, an authority of the requested State may still have to decide.
_DECIDES = frozenset({"preservation.answer", "answer", "decision"})
_DANGER = frozenset({"withdrawal", "preservation.release", "closure"})


@dataclass(frozen=True, slots=True)
class OfferedAct:
    """An act that may be done: what its button says, where it leads. ``kind`` is primary, danger or empty.

    ``done_at`` is when this office last did it in the case, where it may be done again.
    """

    text: str
    path: str
    kind: str = ""
    done_at: datetime | None = None


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
    """All acts of a case: of its course, beside it, and those of the office alone.

    ``now`` begins with what is due next; no act of it is primary where nothing is due from this office.
    """

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
    standings: Sequence[ReplyStanding] = reply_standings(case, ours=ours, now=now) if case is not None else ()
    standings = [one for one in standings if _is_asked(parts, one.type)]
    legal = {path_of(parts.thread, one.type) for one in standings if one.legal}
    illegal = {path_of(parts.thread, one.type) for one in standings} - legal
    offered: dict[str, OfferedAct] = {}
    call = f"/cases/{parts.thread}/call"
    if call_first:
        offered[call] = OfferedAct(_("Call back before you disclose"), call, "danger")
    called_for: list[str] = []
    for one in sorted(due, key=_soonest):
        path = f"/cases/{parts.thread}/{NEXT.get(one.code, '')}"
        if one.ours and (text := next_text(one.code)) and path not in illegal:
            offered.setdefault(path, OfferedAct(text, path))
            called_for += [path] if one.at is not None and (one.tone == "late" or one.code not in _WORDS) else []
    # An act that brings the case on stands before one that only adds to something said already.
    for standing in sorted(standings, key=lambda one: not one.moves):
        path = path_of(parts.thread, standing.type)
        if standing.legal:
            kind = "danger" if standing.type in _DANGER else ""
            offered.setdefault(path, OfferedAct(reply_text(standing.type), path, kind))
            called_for += [path] if standing.moves and not kind else []
    called_for += [f"/cases/{parts.thread}/{NEXT[one.code]}" for one in due if one.ours and one.code in _WORDS]
    refused = [
        _not_now(parts, one, legal)
        for one in standings
        if not one.legal and one.type not in _ONLY_WHEN_ASKED and path_of(parts.thread, one.type) not in offered
    ]
    status = "status.query" if ours else "status.report"
    offered.setdefault(f"/cases/{parts.thread}/reply/{status}", _status(parts, status))
    if objections and not ours:
        refused.append(_not_passed_on(parts, objections))
    if _is_emergency(parts):
        refused.append(_no_note())
    first, before = next(iter(called_for), None), _done_before(parts)
    acts = [
        replace(one, kind="primary" if one.path == first else one.kind, done_at=before.get(one.path))
        for one in offered.values()
    ]
    acts.sort(key=lambda one: (not call_first or one.path != call, one.kind != "primary"))
    beside = [replace(one, done_at=before.get(one.path)) for one in _beside(parts, ours=ours, free=not objections)]
    undecided = not ours and any(one.legal and one.type in _DECIDES for one in standings)
    return CaseActs(acts, beside, _office(parts, now, undecided=undecided), refused)


def _soonest(line: DueLine) -> tuple[bool, datetime]:
    """What is due, by its date; what is paused last."""
    return line.at is None, line.at or datetime.max.replace(tzinfo=UTC)


def _done_before(parts: CaseParts) -> dict[str, datetime]:
    """When this office last did each thing in the case, by the page it is done on."""
    sent = [row for row in parts.rows if row.direction is Direction.SENT and row.id != parts.thread]
    named = [(f"/cases/{parts.thread}/{BESIDE[row.type]}" if row.type in BESIDE else "", row) for row in sent]
    found: dict[str, datetime] = {}
    for path, row in [*named, *((path_of(parts.thread, row.type), row) for row in sent)]:
        if path:
            found[path] = max(row.sent_at, found.get(path, row.sent_at))
    return found


def _status(parts: CaseParts, kind: str) -> OfferedAct:
    return OfferedAct(reply_text(kind), path_of(parts.thread, kind))


def _not_now(parts: CaseParts, standing: ReplyStanding, legal: set[str]) -> NotNow:
    # The names of states hold commas themselves.
    states = "; ".join(state_label(state) for state in standing.states[:_NAMED])
    if len(standing.states) > _NAMED:
        states = _("{states} and others").format(states=states)
    if standing.reason is not None:
        why = _("{why}.").format(why=reason_label(standing.reason))
    else:
        why = _("not while the state is: {state}. It can be done while it is: {states}.").format(
            state=state_label(standing.state), states=states
        )
    way, kind = way_text(standing.type)
    path = "/new" if kind == "new" else path_of(parts.thread, kind) if kind else ""
    # A way that is not open leads nowhere: what has not ended needs no new request, and who cannot release does not.
    if not (standing.over if kind == "new" else path in legal):
        way = path = ""
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


def _is_asked(parts: CaseParts, kind: str) -> bool:
    """Whether the other side sent what a reply of that type answers."""
    answered = ANSWERS.get(kind)
    return answered is None or any(row.type in answered for row in parts.rows if row.direction is Direction.RECEIVED)


def _is_emergency(parts: CaseParts) -> bool:
    return any(row.id == parts.thread and row.urgency == "emergency" for row in parts.rows)


def _no_note() -> NotNow:
    rule = _("a note is no part of an emergency: ask, report or answer by the message type that is meant for it")
    return NotNow(_("Write a note to them"), rule, "")


def _beside(parts: CaseParts, *, ours: bool, free: bool) -> list[OfferedAct]:
    base = f"/cases/{parts.thread}/do"
    found = [] if _is_emergency(parts) else [OfferedAct(_("Write a note to them"), f"{base}/send-note")]
    if not ours:
        found.append(OfferedAct(_("Consult them first"), f"{base}/open-consultation"))
        if not _only_informs(parts):
            found.append(OfferedAct(_("Pass on within our State"), f"{base}/pass-on"))
        found.append(OfferedAct(_("It belongs to another State"), f"{base}/point-to"))
        found.append(OfferedAct(_("Whom to call"), f"/cases/{parts.thread}/call"))
        if free:
            found.append(OfferedAct(_("Pass on"), f"{base}/forward"))
    # Consent is asked of whoever made a message: of one's own nobody is asked.
    received = [row for row in parts.rows if row.direction is Direction.RECEIVED]
    if not ours:
        found.append(OfferedAct(_("Ask for consent"), f"{base}/ask-consent"))
    elif received:
        found.append(OfferedAct(_("Ask for consent"), f"/messages/{received[-1].id}/do/ask-consent"))
    return found


def _only_informs(parts: CaseParts) -> bool:
    return any(row.id == parts.thread and row.type == "information.spontaneous" for row in parts.rows)


def _office(parts: CaseParts, now: datetime, *, undecided: bool) -> list[OfferedAct]:
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
    if undecided:
        found.append(OfferedAct(_("Tell them that an authority decides"), f"{base}/report-authority"))
    return found
