"""What may be done in a case now; what may not is named with the rule, and with what leads there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from exchange.acts.cases import CaseParts
from exchange.office.officers import Acting, Role
from exchange.text.labels import code_label, reason_label, state_label
from exchange.views import Direction, InboxRow, SendStatus
from exchange.web.case.standing import DueLine, is_ours
from exchange.web.case.words import ANSWERS, NEXT, next_text, path_of, reply_text, way_text
from exchange.wizard.legal_replies import ReplyStanding, reply_standings
from keys.local.translation import _
from protocol.lifecycle.beside import GIVES, SaidBefore, out_of_place
from protocol.lifecycle.facts import ConditionsProposed
from protocol.lifecycle.possible import SaidNow, barred_awaiting
from protocol.lifecycle.rules import Side
from protocol.messages.handling_rules import REQUESTS, Objection

# So many states are named of those in which something may be done.
_NAMED = 4
# Word of how it stands: an act that brings the case on says more, as long as nobody is late with the word.
_WORDS = frozenset({"next_update", "status", "authorisation"})
# Said beside the course of a case, in the order in which they are offered.
_BESIDE = (
    *("note", "clarification.ask", "clarification.reply", "consultation.open", "consultation.close"),
    *("condition.propose", "condition.accept", "condition.decline", "consent.request", "consent.reply"),
    *("use.query", "use.report", "confidentiality.renew", "traffic.partial-disclosure", "misdirected"),
    *("status.query", "status.report"),
)
# The tables judge them, and say nothing of them where they are the other side's.
_OF_CONDITIONS = frozenset({"condition.accept", "condition.decline"})
_STATED_BY_RULES = frozenset({"condition.propose", "misdirected", *_OF_CONDITIONS})
# In a course as in a word beside it: the first questions of a request and what is owed stand with what is done next.
_OF_THE_COURSE = frozenset({"clarification.ask", "clarification.reply"})
# By the last part of their page: acts that need no more than a reader.
_SENDS_NOTHING = frozenset(
    {
        "call",
        "note",
        "assign",
        "wait",
        "wait-no-longer",
        "await-authority",
        "authority-decided",
        "review-glass",
        "erasure",
    }
)
# At a desk without officers whoever looks may do everything.
ANYBODY = Acting("")
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
    """An act that may not be done now: why, by which rule; ``way`` is what leads there, at ``path``.

    ``act`` is the page on which it is done when it may.
    """

    text: str
    why: str
    rule: str
    way: str = ""
    path: str = ""
    act: str = ""


@dataclass(frozen=True, slots=True)
class CaseActs:
    """All acts of a case: of its course, beside it, and those of the office alone.

    All that the service would take of this side stands in one of them, or on the page of the message that it is about
    (:mod:`exchange.web.case.on_message`). Left out is what the other side does, and what answers nothing that was said:
    the service refuses that too (:mod:`protocol.lifecycle.beside`). ``now`` begins with what is due next; no act of it
    is primary where nothing is due from this office.
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
    acting: Acting = ANYBODY,
) -> CaseActs:
    """What may be done in the case at ``now``; ``objections`` are those against passing its request on.

    ``call_first``: the asking office was not called back yet, and nothing is disclosed before that. ``acting`` is the
    officer who looks.
    """
    case = next(iter(parts.cases.values()), None)
    ours = case is not None and is_ours(case, own)
    before = said_before(parts, own)
    standings: Sequence[ReplyStanding] = reply_standings(case, ours=ours, now=now) if case is not None else ()
    standings = [one for one in standings if _has_a_place(one.type, before)]
    course = [one for one in standings if one.type not in _BESIDE or one.type in _OF_THE_COURSE]
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
    for standing in sorted(course, key=lambda one: not one.moves):
        path = path_of(parts.thread, standing.type)
        if standing.legal:
            kind = "danger" if standing.type in _DANGER else ""
            offered.setdefault(path, OfferedAct(reply_text(standing.type), path, kind))
            called_for += [path] if standing.moves and not kind else []
    called_for += [f"/cases/{parts.thread}/{NEXT[one.code]}" for one in due if one.ours and one.code in _WORDS]
    status = "status.query" if ours else "status.report"
    offered.setdefault(f"/cases/{parts.thread}/reply/{status}", _act(parts, status))
    refused = [
        _not_now(parts, one, legal)
        for one in standings
        if not one.legal and path_of(parts.thread, one.type) not in offered
    ]
    first, done = next(iter(called_for), None), _done_before(parts)
    acts = [
        replace(one, kind="primary" if one.path == first else one.kind, done_at=done.get(one.path))
        for one in offered.values()
    ]
    acts.sort(key=lambda one: (not call_first or one.path != call, one.kind != "primary"))
    beside, more = _beside(parts, before, standings, objections)
    beside = [replace(one, done_at=done.get(one.path)) for one in beside if one.path not in offered]
    office, awaiting = _office(parts, now, own=own, ours=ours)
    found = CaseActs(acts, beside, [*office, *_erasing(acting)], [*refused, *more, *awaiting, *_no_erasing(acting)])
    return found if may_send(acting) else _unsent(found)


def may_send(acting: Acting) -> bool:
    """Whether an officer has a role that sends, or that keeps a draft for somebody who may."""
    return acting.may(Role.DRAFTER, Role.RELEASER)


def said_before(parts: CaseParts, own: str) -> SaidBefore:
    """Which types were said in the case, and by whom."""
    opening = next((case.opening for case in parts.cases.values() if case.opening is not None), None)
    said = [(row.type, row.direction is Direction.SENT) for row in parts.rows]
    asks = opening is not None and opening.by == own
    # A request that was passed on lies here inside of what passed it on.
    carried = [(opening.kind, asks)] if opening is not None else []
    kind = opening.kind if opening is not None else ""
    return SaidBefore.of(kind, asks=asks, said=[*said, *carried], terms=_conditions_set(parts, own))


def _soonest(line: DueLine) -> tuple[bool, datetime]:
    """What is due, by its date; what is paused last."""
    return line.at is None, line.at or datetime.max.replace(tzinfo=UTC)


def _done_before(parts: CaseParts) -> dict[str, datetime]:
    """When this office last did each thing in the case, by the page it is done on."""
    found: dict[str, datetime] = {}
    for row in parts.rows:
        if row.direction is Direction.SENT and row.id != parts.thread:
            path = path_of(parts.thread, row.type)
            found[path] = max(row.sent_at, found.get(path, row.sent_at))
    return found


def _act(parts: CaseParts, kind: str) -> OfferedAct:
    return OfferedAct(reply_text(kind), path_of(parts.thread, kind))


def _not_now(parts: CaseParts, standing: ReplyStanding, legal: set[str]) -> NotNow:
    # The names of states hold commas themselves.
    states = "; ".join(state_label(state) for state in standing.states[:_NAMED])
    if len(standing.states) > _NAMED:
        states = _("{states} and others").format(states=states)
    if standing.idle is not None:
        why = _("{why}.").format(why=code_label("no_effect", standing.idle))
    elif standing.reason is not None:
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
    return NotNow(reply_text(standing.type), why, standing.rule, way, path, path_of(parts.thread, standing.type))


def _not_passed_on(parts: CaseParts, objections: Sequence[Objection], *, ours: bool) -> NotNow:
    rules = "; ".join(dict.fromkeys(code_label("handling_objection", one.code) for one in objections))
    why, act = _("its labels forbid it: {rules}.").format(rules=rules), path_of(parts.thread, "forward")
    if ours:  # nobody is asked for consent to pass on what this office made itself
        return NotNow(reply_text("forward"), why, "", act=act)
    way = _("Ask for their consent."), path_of(parts.thread, "consent.request")
    return NotNow(reply_text("forward"), why, "", *way, act)


def _has_a_place(kind: str, before: SaidBefore) -> bool:
    """Whether such a message has something that it answers: nobody misses the answer to what was not asked."""
    asked = ANSWERS.get(kind) if kind not in _OF_CONDITIONS else None
    return out_of_place(kind, before) is None and (asked is None or not before.theirs.isdisjoint(asked))


def _conditions_set(parts: CaseParts, own: str) -> bool:
    """Whether the other side set conditions for this office, in words of their own or with an offer."""
    proposed = any(
        isinstance(step.fact, ConditionsProposed) and step.fact.by != own
        for case in parts.cases.values()
        for step in case.history
    )
    return proposed or any(
        case.opening is not None and case.opening.offers and case.opening.by != own for case in parts.cases.values()
    )


def _is_emergency(parts: CaseParts) -> bool:
    return any(row.id == parts.thread and row.urgency == "emergency" for row in parts.rows)


def _beside(
    parts: CaseParts, before: SaidBefore, standings: Sequence[ReplyStanding], objections: Sequence[Objection]
) -> tuple[list[OfferedAct], list[NotNow]]:
    """What may be said beside the course of the case, and what may not."""
    base = f"/cases/{parts.thread}"
    judged = {one.type: one for one in standings}
    stated = _STATED_BY_RULES if before.opening in REQUESTS else _OF_CONDITIONS
    found: list[OfferedAct] = []
    refused: list[NotNow] = []
    for kind in _BESIDE:
        if kind == "note" and _is_emergency(parts):
            rule = _(
                "a note is no part of an emergency: ask, report or answer by the message type that is meant for it"
            )
            refused.append(NotNow(reply_text(kind), rule, "", act=path_of(parts.thread, kind)))
        elif kind in judged and judged[kind].legal:
            found.append(_act(parts, kind))
        elif kind not in judged and kind not in stated and out_of_place(kind, before) is None:
            found += _said_freely(parts, kind, before)
    if not before.asks and before.opening in REQUESTS:
        found.append(OfferedAct(_("Pass on within our State"), f"{base}/do/pass-on"))
    found.append(OfferedAct(_("Whom to call"), f"{base}/call"))
    if objections:
        refused.append(_not_passed_on(parts, objections, ours=before.asks))
    else:
        found.append(_act(parts, "forward"))
    return found, refused


def _said_freely(parts: CaseParts, kind: str, before: SaidBefore) -> list[OfferedAct]:
    """What no table judges, where it has a place; on the page of the message that it is about, where it needs one."""
    base = f"/cases/{parts.thread}"
    match kind:
        case "consultation.close":
            return [_act(parts, kind)] if _is_consulting(parts, before) else []
        case "consent.request":
            # Consent is asked of whoever made a message: of one's own nobody is asked.
            about = _last(parts, None)
            path = f"/messages/{about.id}/do/ask-consent" if before.asks and about is not None else ""
            return [OfferedAct(reply_text(kind), path or f"{base}/do/ask-consent")]
        case "consent.reply":
            return [_act(parts, kind), OfferedAct(_("Refuse consent"), f"{base}/do/refuse-consent")]
        case "use.report" if "use.query" not in before.theirs:
            given = _last(parts, GIVES)
            return [OfferedAct(reply_text(kind), f"/messages/{given.id}/reply/use.report")] if given is not None else []
    return [_act(parts, kind)]


def _is_consulting(parts: CaseParts, before: SaidBefore) -> bool:
    """Whether this office can end a consultation: an open one, or one of its own whose outcome it owes."""
    side = Side.REQUESTER if before.asks else Side.REQUESTED
    return any(
        item.what == "consultation" or (item.what == "consultation_outcome" and item.side is side)
        for case in parts.cases.values()
        for item in case.owed
    )


def _last(parts: CaseParts, types: Set[str] | None) -> InboxRow | None:
    """The last message of one of these types that was received; of any where none is named."""
    rows = [row for row in parts.rows if row.direction is Direction.RECEIVED and (types is None or row.type in types)]
    return rows[-1] if rows else None


def _office(parts: CaseParts, now: datetime, *, own: str, ours: bool) -> tuple[list[OfferedAct], list[NotNow]]:
    """What concerns this office alone, with word of its authorities to who asked."""
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
    found += [
        OfferedAct(_("Keep back what still waits here"), f"/messages/{row.id}/do/call-off", "danger")
        for row in parts.rows
        if row.status is SendStatus.SCHEDULED
    ]
    case = next(iter(parts.cases.values()), None)
    if ours or case is None:
        return found, []
    tell, path = _("Tell them that an authority decides"), f"{base}/report-authority"
    against = barred_awaiting(case, SaidNow(own, now))
    if against is None:
        return [*found, OfferedAct(tell, path)], []
    return found, [NotNow(tell, _("{why}.").format(why=reason_label(against)), "", act=path)]


def _erasing(acting: Acting) -> list[OfferedAct]:
    return [OfferedAct(_("Erase what it says"), "/erasure")] if acting.may(Role.ADMINISTRATOR) else []


def _no_erasing(acting: Acting) -> list[NotNow]:
    why = _("it is for officers with the role of an administrator.")
    return [] if acting.may(Role.ADMINISTRATOR) else [NotNow(_("Erase what it says"), why, "", act="/erasure")]


def of_one_role(offered: Sequence[OfferedAct]) -> tuple[list[OfferedAct], list[NotNow]]:
    """Those that an officer may do whose roles send nothing; and the others, with the role that they are for."""
    why = _("it is for officers with the role of a drafter or releaser: an administrator gives roles.")
    kept = [one for one in offered if one.path.rpartition("/")[2] in _SENDS_NOTHING]
    return kept, [NotNow(one.text, why, "", act=one.path) for one in offered if one not in kept]


def _unsent(acts: CaseActs) -> CaseActs:
    """The same for an officer whose roles send nothing."""
    (now, a), (beside, b), (office, c) = (of_one_role(group) for group in (acts.now, acts.beside, acts.office))
    return CaseActs(now, beside, office, [*a, *b, *c, *acts.not_now])
