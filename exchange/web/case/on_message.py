"""What may be done with one message: answered, passed on, corrected, taken back. The rest is named with why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from exchange.acts.cases import CaseParts
from exchange.office.officers import Acting
from exchange.text.labels import code_label, reason_label
from exchange.views import Direction, InboxRow, SendStatus
from exchange.web.case.acting import ANYBODY, NotNow, OfferedAct, may_send, of_one_role, said_before
from exchange.web.case.words import PAGES, reply_text
from keys.local.translation import _
from protocol.lifecycle.beside import GIVES, out_of_place
from protocol.lifecycle.possible import STATED, SaidNow, barred, nothing_left
from protocol.messages.attached import SUPPLEMENTED
from protocol.messages.handling_rules import Objection

# The answers to a received message of each type, beside those to any.
_ANSWERED_BY: Mapping[str, tuple[str, ...]] = {
    "clarification.ask": ("clarification.reply",),
    "preservation.risk": ("preservation.risk-reply",),
    "preservation.follow-up": ("follow-up.confirmed",),
    "consultation.open": ("consultation.close",),
    "condition.propose": ("condition.accept", "condition.decline"),
    "use.query": ("use.report",),
    "consent.request": ("consent.reply",),
    "correction": ("data-protection.notice",),
    "retract": ("data-protection.notice",),
}
_ANY = ("clarification.ask", "acknowledgement")


@dataclass(frozen=True, slots=True)
class OfMessage:
    """What is known of a message beside its row. ``objections`` are those against passing it on.

    ``under_conditions``: it sets conditions for who reads it. ``taken_back``: its sender did. ``not_anew`` is why it is
    not sent anew, empty where it may be, None for one that was received.
    """

    row: InboxRow
    objections: Sequence[Objection] = ()
    under_conditions: bool = False
    taken_back: bool = False
    not_anew: str | None = None


@dataclass(frozen=True, slots=True)
class MessageActs:
    """What may be done with a message, and what not."""

    now: Sequence[OfferedAct]
    not_now: Sequence[NotNow]


def acts_on(about: OfMessage, parts: CaseParts, own: str, now: datetime, acting: Acting = ANYBODY) -> MessageActs:
    """What may be done with the message ``about`` of the case ``parts`` at ``now``; ``acting`` is who looks."""
    sent = about.row.direction is Direction.SENT
    offered, refused = _with_own(about) if sent else _with_theirs(about, parts, own, now)
    more, against = _with_any(about)
    found = MessageActs([*offered, *more], [*refused, *against])
    if may_send(acting):
        return found
    kept, barred_by_role = of_one_role(found.now)
    return MessageActs(kept, [*barred_by_role, *found.not_now])


def _with_own(about: OfMessage) -> tuple[list[OfferedAct], list[NotNow]]:
    base = f"/messages/{about.row.id}"
    if about.row.status is SendStatus.SCHEDULED:
        keep_back = OfferedAct(_("Keep it back: it waits here"), f"{base}/do/call-off", "danger")
        return [keep_back, _act(about, "correction"), _act(about, "retract", "danger")], []
    found, refused = [], []
    if about.taken_back:
        why = _("it was taken back.")
        refused += [NotNow(reply_text(kind), why, "", act=_path(about, kind)) for kind in ("correction", "retract")]
    else:
        found += [_act(about, "correction"), _act(about, "retract", "danger")]
    if about.row.type in SUPPLEMENTED and about.taken_back:
        refused.append(NotNow(reply_text("files"), _("it was taken back."), "", act=_path(about, "files")))
    elif about.row.type in SUPPLEMENTED:
        found.append(_act(about, "files"))
    if about.not_anew == "":
        found.append(OfferedAct(_("Send it anew"), f"{base}/do/resend"))
        found.append(OfferedAct(_("It is needed no more"), f"{base}/do/put-aside"))
    else:
        why = _("{why}.").format(why=_(about.not_anew or ""))
        refused.append(NotNow(_("Send it anew"), why, "", act=f"{base}/do/resend"))
    return found, refused


def _with_theirs(about: OfMessage, parts: CaseParts, own: str, now: datetime) -> tuple[list[OfferedAct], list[NotNow]]:
    # There it is acknowledged and answered.
    found = [OfferedAct(_("The case"), f"/cases/{about.row.thread}", "primary")]
    refused: list[NotNow] = []
    before = replace(said_before(parts, own), terms=about.under_conditions)
    kinds = list(_ANSWERED_BY.get(about.row.type, ()))
    if about.under_conditions:
        kinds += [kind for kind in ("condition.accept", "condition.decline") if kind not in kinds]
    kinds += ["use.report"] if about.row.type in GIVES else []
    for kind in (*kinds, *_ANY):
        if out_of_place(kind, before) is not None:
            continue
        against = _against(about, parts, kind, own, now)
        if against is None:
            found.append(_act(about, kind))
        else:
            refused.append(NotNow(reply_text(kind), against, "", act=_path(about, kind)))
        if kind == "consent.reply":
            found.append(OfferedAct(_("Refuse consent"), f"/messages/{about.row.id}/do/refuse-consent"))
    found.append(_act(about, "consent.request"))
    if any(entry.fact.message_id == about.row.id for case in parts.cases.values() for entry in case.out_of_order):
        found.append(_act(about, "out-of-order"))
    else:
        refused.append(
            NotNow(reply_text("out-of-order"), _("the message is in order."), "", act=_path(about, "out-of-order"))
        )
    return found, refused


def _with_any(about: OfMessage) -> tuple[list[OfferedAct], list[NotNow]]:
    call = OfferedAct(_("Whom to call about it"), f"/messages/{about.row.id}/call")
    if not about.objections:
        return [_act(about, "forward"), call], []
    rules = "; ".join(dict.fromkeys(code_label("handling_objection", one.code) for one in about.objections))
    why = _("its labels forbid it: {rules}.").format(rules=rules)
    act = _path(about, "forward")
    if about.row.direction is Direction.SENT:  # nobody is asked for consent to pass on what this office made itself
        return [call], [NotNow(reply_text("forward"), why, "", act=act)]
    way = _("Ask for their consent."), _path(about, "consent.request")
    return [call], [NotNow(reply_text("forward"), why, "", *way, act)]


def _against(about: OfMessage, parts: CaseParts, kind: str, own: str, now: datetime) -> str | None:
    """What the tables have against such a reply in every case of the thread; None where one allows it."""
    if kind not in STATED or (kind == "acknowledgement" and about.row.id != parts.thread):
        return None
    said = SaidNow(own, now, about.row.id)
    idle = [nothing_left(case, kind, said) for case in parts.cases.values()]
    if code := next((one for one in idle if one is not None), None):
        return _("{why}.").format(why=code_label("no_effect", code))
    found = [reason for case in parts.cases.values() for reason in barred(case, kind, said).values()]
    if not found or None in found:
        return None
    return _("{why}.").format(why="; ".join(dict.fromkeys(reason_label(one) for one in found if one is not None)))


def _act(about: OfMessage, kind: str, style: str = "") -> OfferedAct:
    return OfferedAct(reply_text(kind), _path(about, kind), style)


def _path(about: OfMessage, kind: str) -> str:
    return f"/messages/{about.row.id}/{PAGES.get(kind, 'reply/' + kind)}"
