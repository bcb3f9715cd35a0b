"""The end of a shift: what the coming one must know, who is on duty, and the hand-over that both officers sign."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.cases.agenda import AgendaFilter
from exchange.cases.listing import CaseFilter
from exchange.desk.desk import Desk
from exchange.office.officers import Role
from exchange.office.release import DraftState
from exchange.text.due import unopened_lines
from exchange.views import AgendaItem, Lane
from exchange.web.calls import Page, PageCall
from exchange.web.lists._query import moment_of
from exchange.web.lists._showing import refuse, show
from protocol.errors import ComityError

_TEMPLATE = "lists/hand-over.html"
_PER_LANE = 15
_CASES = 100


async def show_hand_over(call: PageCall) -> web.StreamResponse:
    """The page."""
    return await _shown(call, await call.desk())


async def _shown(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    due = await desk.cases.agenda_page(AgendaFilter(pressing=True), limit=_PER_LANE)
    own = desk.office.acting.officer
    mine = await desk.cases.listing(CaseFilter(owner=own.id), limit=_CASES) if own is not None else None
    duty = await desk.office.duty()
    officers = [one for one in await desk.office.officers() if one.withdrawn_at is None]
    drafts = await desk.messages.saved_drafts()
    unopened = await desk.messages.inbox_page(unopened=True, limit=_PER_LANE)
    threads = {item.thread for item in due.items} | {row.thread for row in unopened.messages}
    cases = await desk.cases.of_threads(threads)
    values: dict[str, Any] = {
        "lanes": [(lane, _of(due.items, lane), lane in due.more) for lane in Lane if _of(due.items, lane)],
        "cases": cases,
        "unopened_lines": unopened_lines,
        "mine": mine,
        "duty": duty,
        "officers": officers,
        "names": {one.id: one.name for one in officers},
        "waiting": sum(draft.state is DraftState.WAITING for draft in drafts),
        "queued": await desk.messages.queued(),
        "unopened": unopened,
        "for_me": [one for one in duty.handovers if own is not None and one.taker == own.id],
        "may_rota": own is None or bool(own.roles & {Role.ADMINISTRATOR, Role.RELEASER}),
        "latest": await desk.office.handovers(),
    }
    if problem is not None:
        return refuse(call, _TEMPLATE, desk, problem, **values)
    return show(call, _TEMPLATE, desk, **values)


def _of(items: list[AgendaItem], lane: Lane) -> list[AgendaItem]:
    return [item for item in items if item.lane is lane]


async def hand_over(call: PageCall) -> web.StreamResponse:
    """Hand the acting officer's cases to another."""
    desk = await call.desk()
    try:
        await desk.office.hand_over(call.text("taker"), call.text("note"))
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/hand-over?done=handed-over")


async def take_over(call: PageCall) -> web.StreamResponse:
    """Take what was handed to the acting officer."""
    desk = await call.desk()
    try:
        await desk.office.take_over()
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/hand-over?done=taken-over")


async def add_shift(call: PageCall) -> web.StreamResponse:
    """Put an officer on duty."""
    desk = await call.desk()
    try:
        begins, ends = moment_of(call, "begins", needed=True), moment_of(call, "ends", needed=True)
        await desk.office.add_shift(call.text("officer"), begins, ends)
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/hand-over?done=shift-added")


async def remove_shift(call: PageCall) -> web.StreamResponse:
    """Take a shift off the rota."""
    desk = await call.desk()
    try:
        await desk.office.remove_shift(call.text("shift"))
    except ComityError as problem:
        return await _shown(call, desk, problem)
    return call.go("/hand-over?done=shift-removed")


PAGES = (
    Page("GET", "/hand-over", show_hand_over),
    Page("POST", "/hand-over", hand_over),
    Page("POST", "/hand-over/take", take_over),
    Page("POST", "/hand-over/shifts", add_shift),
    Page("POST", "/hand-over/shifts/remove", remove_shift),
)
