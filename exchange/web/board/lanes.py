"""What the duty board shows: what needs somebody now, lane by lane, the most pressing first.

On a wall, and while a session is locked, it shows references and clocks alone: no nation, no type, no text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from exchange.acts.cases import numbers_of, wants_call
from exchange.cases.agenda import AgendaFilter
from exchange.cases.calls import CallSheet
from exchange.desk.desk import Desk
from exchange.text.due import delivery_lines, due_text, kind_label, lane_label, span_text, unopened_lines
from exchange.text.labels import code_label, deadline_label, nation_label
from exchange.views import AgendaItem, Lane
from exchange.web.case.acting import OfferedAct
from exchange.web.case.words import ASK, NEXT, next_text, path_of, reply_text
from keys.local.translation import _, labelled
from protocol.address import Address

SHOWN, MOST = 5, 200
_SHORT_ID = 8
_SOON_S = 2 * 86_400


@dataclass(frozen=True, slots=True)
class CallBox:
    """Whom to call: the directory's number, and whether the message names another one, which is not to be called."""

    message: UUID
    number: str
    differs: bool
    required: bool
    verified: bool


@dataclass(frozen=True, slots=True)
class BoardItem:
    """One thing: how much time is left, with whom, what, and what is done next. ``tone`` is late, soon or calm."""

    thread: UUID
    left: str
    tone: str
    with_whom: str
    what: str
    path: str
    reference: str
    lines: Sequence[str]
    marks: Sequence[str]
    call: CallBox | None
    acts: Sequence[OfferedAct]


@dataclass(frozen=True, slots=True)
class BoardLane:
    """One lane: its first items, and how many others it has."""

    code: str
    title: str
    count: int
    items: Sequence[BoardItem]
    more: int
    path: str


async def lanes_of(desk: Desk, now: datetime, *, only: Lane | None = None, bare: bool = False) -> list[BoardLane]:
    """The lanes at ``now``: the first things of each; of ``only`` one lane many. ``bare``: references and clocks."""
    limit = MOST if only is not None else SHOWN
    page = await desk.cases.agenda_page(AgendaFilter(lane=only), limit=limit)
    items = [item for item in page.items if item.lane is not Lane.EMERGENCIES]
    groups: list[list[AgendaItem]] = []
    if only in {None, Lane.EMERGENCIES}:
        pressing = await desk.cases.agenda_page(AgendaFilter(lane=Lane.EMERGENCIES), limit=MOST)
        groups = _of_threads(pressing.items)[:limit]
    counts = await desk.cases.lane_counts()
    numbers: Mapping[Address, str] = {}
    sheets: Mapping[UUID, CallSheet] = {}
    if not bare:
        numbers = await numbers_of(desk, items)
        emergencies = [group[0].thread for group in groups if group[0].proved]
        sheets = await desk.cases.call_sheets(emergencies) if emergencies else {}
    found = []
    for lane in (only,) if only is not None else Lane:
        shown = groups if lane is Lane.EMERGENCIES else [[item] for item in items if item.lane is lane]
        cards = [_bare(group, now) if bare else _card(group, now, numbers, sheets) for group in shown]
        path = f"/?lane={lane.value}&wall=1" if bare else f"/?lane={lane.value}"
        found.append(BoardLane(lane.value, lane_label(lane), counts[lane], cards, counts[lane] - len(cards), path))
    return found


def _of_threads(items: Sequence[AgendaItem]) -> list[list[AgendaItem]]:
    """The items of each emergency together: it is one thing that needs somebody."""
    grouped: dict[UUID, list[AgendaItem]] = {}
    for item in items:
        grouped.setdefault(item.thread, []).append(item)
    return list(grouped.values())


def _card(
    items: Sequence[AgendaItem],
    now: datetime,
    numbers: Mapping[Address, str],
    sheets: Mapping[UUID, CallSheet],
) -> BoardItem:
    first = items[0]
    left, tone = _left(first, now)
    number = numbers.get(first.peers[0]) if first.peers and wants_call(first) else None
    return BoardItem(
        thread=first.thread,
        left=left,
        tone=tone,
        with_whom=_with_whom(first),
        what=_what(first),
        path=_path(first),
        reference=first.reference or "",
        lines=_lines(items, now),
        marks=_marks(first),
        call=_call_box(sheets[first.thread]) if first.thread in sheets else None,
        acts=_acts(items, number),
    )


def _bare(items: Sequence[AgendaItem], now: datetime) -> BoardItem:
    first = items[0]
    left, tone = _left(first, now)
    reference = first.reference or f"…{str(first.thread)[-_SHORT_ID:]}"
    lines = [due_text(first, now)] if first.due is not None else []
    return BoardItem(first.thread, left, tone, "", "", "", reference, lines, (), None, ())


def _left(item: AgendaItem, now: datetime) -> tuple[str, str]:
    """How much time is left, in one short line, and how pressing that is."""
    at = item.harm_at if item.lane is Lane.EMERGENCIES and item.harm_at is not None else item.due
    if item.delivery is not None:
        tone = "late" if item.delivery.state in {"refused", "failed"} else "soon"
        return _("since {span}").format(span=span_text(now - item.delivery.sent_at)), tone
    if item.unopened is not None and item.what == "unopened":
        tone = "late" if item.urgency == "emergency" else "soon"
        return _("since {span}").format(span=span_text(now - item.unopened.since)), tone
    if at is None:
        if item.since is not None:
            return _("since {span}").format(span=span_text(now - item.since)), "calm"
        return _("stands still"), "calm"
    span = span_text(abs(at - now))
    if at > now:
        pressing = item.lane is Lane.EMERGENCIES
        tone = "late" if pressing and (at - now).total_seconds() < 3600 else "calm"
        if tone == "calm" and (pressing or (at - now).total_seconds() < _SOON_S):
            tone = "soon"
        return _("{span} left").format(span=span), tone
    if item.late or item.lane is Lane.EMERGENCIES:
        return _("late by {span}").format(span=span), "late"
    return _("our target passed {span} ago").format(span=span) if item.ours else _(
        "past our own target by {span}"
    ).format(span=span), "soon"


def _with_whom(item: AgendaItem) -> str:
    nations = ", ".join(dict.fromkeys(nation_label(one.node) for one in item.peers))
    if item.lane is Lane.EMERGENCIES and item.ours:
        return _("from {nation}").format(nation=nations)
    return _("with {nation}").format(nation=nations) if nations else ""


def _what(item: AgendaItem) -> str:
    if item.lane is Lane.EMERGENCIES:
        return code_label("message_type", item.type)
    what = deadline_label(item.what)
    return _("{what}: {target}").format(what=what, target=item.target) if item.target else what


def _path(item: AgendaItem) -> str:
    return f"/cases/{item.thread}" if item.proved else f"/unproved/{item.thread}"


def _marks(item: AgendaItem) -> list[str]:
    found = [_("SUSPECTED FORGERY")] if item.suspected else []
    return found + ([] if item.proved else [_("NOT PROVED")])


def _lines(items: Sequence[AgendaItem], now: datetime) -> list[str]:
    """What else is said of it: of an emergency all that is owed, each with its own date."""
    first = items[0]
    if first.lane is Lane.EMERGENCIES:
        return [
            text
            for one in items
            if one.what not in {"call_back"}
            for text in (unopened_lines(one) if one.what == "unopened" else ()) or [_owed(one, now)]
        ]
    if first.delivery is not None:
        return delivery_lines(first)
    if first.unopened is not None and first.what == "unopened":
        return unopened_lines(first)
    if first.due is None:
        return [kind_label(first)]
    return [_("{due}, {kind}").format(due=due_text(first, now), kind=kind_label(first)), *unopened_lines(first)]


def _owed(item: AgendaItem, now: datetime) -> str:
    """What is owed until when; an emergency stands in one lane whoever owes it, so that is said too."""
    text = _("{what}: {due}").format(what=deadline_label(item.what), due=due_text(item, now))
    if item.what == "needed_by":
        return text
    return labelled(_("we") if item.ours else _("they"), text)


def _call_box(sheet: CallSheet) -> CallBox | None:
    if not sheet.received:
        return None
    reach = sheet.reach
    number = reach.numbers[0] if reach is not None and reach.numbers else ""
    differs = any(one.differs for one in sheet.written)
    return CallBox(sheet.message, number, differs, sheet.required, sheet.calls.verified)


def _acts(items: Sequence[AgendaItem], number: str | None) -> list[OfferedAct]:
    first = items[0]
    base = f"/cases/{first.thread}"
    if not first.proved:
        return [OfferedAct(_("Open it"), _path(first), "primary")]
    if first.delivery is not None:
        message = f"/messages/{first.delivery.message}"
        call = _("Call {number}").format(number=number) if number else _("Whom to call")
        acts = [OfferedAct(call, f"{message}/call", "danger")]
        if "resend" in first.next:
            acts.append(OfferedAct(_("Send it anew"), f"{message}/do/resend"))
            acts.append(OfferedAct(_("It is needed no more"), f"{message}/do/put-aside"))
        return acts
    if first.lane is Lane.EMERGENCIES:
        return _emergency_acts(items, base)
    if first.unopened is not None and (first.overdue or first.what == "unopened"):
        aside = f"/messages/{first.unopened.message}/do/put-aside"
        return [_call_them(first, number), OfferedAct(_("It is needed no more"), aside)]
    if first.ours:
        acts = [OfferedAct(text, f"{base}/{NEXT[first.what]}", "primary")] if (text := next_text(first.what)) else []
        if first.what == "next_update" and not first.overdue:
            # As on the page of the case: an answer says more than word of how it stands.
            kind = "preservation.answer" if first.type == "preservation.request" else "answer"
            acts = [OfferedAct(reply_text(kind), path_of(first.thread, kind), "primary"), replace(acts[0], kind="")]
        if first.what == "expiry":
            acts.append(OfferedAct(_("Follow up"), f"{base}/reply/preservation.follow-up"))
        return acts
    if first.overdue:
        return [OfferedAct(_("Ask how it stands"), f"{base}/{ASK}"), OfferedAct(_("Whom to call"), f"{base}/call")]
    return []


def _call_them(item: AgendaItem, number: str | None) -> OfferedAct:
    """What was not opened is told by telephone: by the directory's number."""
    assert item.unopened is not None  # noqa: S101 - the caller has looked
    text = _("Call {number}").format(number=number) if number else _("Whom to call")
    return OfferedAct(text, f"/messages/{item.unopened.message}/call", "danger")


def _emergency_acts(items: Sequence[AgendaItem], base: str) -> list[OfferedAct]:
    acts = []
    for item in items:
        if item.ours and (text := next_text(item.what)):
            kind = "danger" if item.what == "call_back" else ""
            acts.append(OfferedAct(text, f"{base}/{NEXT[item.what]}", kind))
    acts += [_call_them(item, None) for item in items if item.unopened is not None]
    acts.sort(key=lambda one: one.kind != "danger")
    if acts and not acts[0].kind:
        acts[0] = OfferedAct(acts[0].text, acts[0].path, "primary")
    # It is read first, and answered then.
    opening = OfferedAct(_("Open"), base)
    after_call = next((place for place, one in enumerate(acts) if one.kind != "danger"), len(acts))
    return list(dict.fromkeys([*acts[:after_call], opening, *acts[after_call:]]))
