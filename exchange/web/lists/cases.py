"""All cases, by what an officer looks for; the views that they keep of it; what was asked of several nations."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.cases.listing import CaseFilter
from exchange.desk.desk import Desk
from exchange.office.officers import DeskOfficer
from exchange.web.calls import Page, PageCall
from exchange.web.lists._query import PER_PAGE, day_of, end_of, given, link, page_of
from exchange.web.lists._showing import refuse, show
from exchange.web.lists._words import nation_label
from keys.local.translation import _
from protocol.codes import load_codes
from protocol.errors import ComityError, UsageError

_TEMPLATE = "lists/cases.html"
_NAMES = ("q", "nation", "offence", "state", "owner", "reference", "label", "side", "since", "until")
_NOBODY = "-"
_SIDES = {"ours": True, "theirs": False}


async def list_cases(call: PageCall) -> web.StreamResponse:
    """The cases that fit, a page of them."""
    desk = await call.desk()
    return await _listed(call, desk)


async def _listed(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    wanted = given(call, *_NAMES)
    values: dict[str, Any] = {"wanted": wanted, "page": 1, "cases": [], "more": 0, "first": 0}
    try:
        page = page_of(call)
        found = await desk.cases.listing(_filter(call), limit=PER_PAGE, after=(page - 1) * PER_PAGE)
        values |= {"page": page, "cases": found.cases, "more": found.more, "first": (page - 1) * PER_PAGE}
    except UsageError as refused:
        problem = problem or refused
    views = await desk.office.saved_views()
    values |= {
        # A view that was refused is still there to be kept.
        "filtered": any(wanted.values()) or "query" in call.form,
        "before": link("/cases", {**wanted, "page": values["page"] - 1 or None}) if values["page"] > 1 else "",
        "after": link("/cases", {**wanted, "page": values["page"] + 1}) if values["more"] else "",
        "query": call.form.get("query", link("", wanted).removeprefix("?")),
        "views": views,
        "choices": await _choices(desk),
    }
    if problem is not None:
        return refuse(call, _TEMPLATE, desk, problem, **values)
    return show(call, _TEMPLATE, desk, **values)


def _filter(call: PageCall) -> CaseFilter:
    """What is looked for; raises :class:`UsageError`."""
    side, owner, state, label = (call.query(name) for name in ("side", "owner", "state", "label"))
    if side and side not in _SIDES:
        raise UsageError(_("the side is ours or theirs"))
    if state and state not in _states():
        raise UsageError(_("there is no such state")).at("state")
    if label and label.upper() not in _labels():
        raise UsageError(_("there is no such label")).at("label")
    return CaseFilter(
        nation=call.query("nation") or None,
        state=state or None,
        owner="" if owner == _NOBODY else owner or None,
        ours=_SIDES.get(side),
        text=call.query("q") or None,
        offence=call.query("offence") or None,
        reference=call.query("reference") or None,
        label=label or None,
        opened_from=day_of(call, "since"),
        opened_before=end_of(call, "until"),
    )


def _states() -> list[str]:
    lists = (load_codes("case_state"), load_codes("derived_state"))
    return list(dict.fromkeys(entry.code for codes in lists for entry in codes.entries))


def _labels() -> list[str]:
    """The labels as officers write them."""
    return [
        *(f"TLP:{entry.code}" for entry in load_codes("tlp").entries),
        *(f"PAP:{entry.code}" for entry in load_codes("pap").entries),
        *(entry.code for entry in load_codes("handling").entries),
    ]


async def _choices(desk: Desk) -> dict[str, Any]:
    """What can be chosen: nations of the directory by name, states, labels, and who works here."""
    names = {*desk.directory.members_read(), *desk.directory.unread} - {desk.address.node}
    return {
        "nations": sorted(((name, nation_label(name)) for name in names), key=lambda one: one[1].casefold()),
        "states": _states(),
        "labels": _labels(),
        "owners": [one.id for one in await desk.office.officers() if _is_here(one)],
    }


def _is_here(officer: DeskOfficer) -> bool:
    return officer.withdrawn_at is None


# --- Views ---


async def save_view(call: PageCall) -> web.StreamResponse:
    """Keep what is looked for under a name."""
    desk = await call.desk()
    try:
        view = await desk.office.save_view(call.text("name"), call.form.get("query", ""))
    except ComityError as problem:
        return await _listed(call, desk, problem)
    return call.go(link("/cases", {"done": "view-kept"}) + (f"&{view.query}" if view.query else ""))


async def remove_view(call: PageCall) -> web.StreamResponse:
    """Forget a view."""
    desk = await call.desk()
    try:
        await desk.office.remove_view(call.form.get("name", ""))
    except ComityError as problem:
        return await _listed(call, desk, problem)
    return call.go("/cases?done=view-removed")


# --- Several nations ---


async def list_parents(call: PageCall) -> web.StreamResponse:
    """What was asked of several nations, the newest first."""
    desk = await call.desk()
    page = page_of(call)
    first = (page - 1) * PER_PAGE
    found, more = await desk.parents.page(limit=PER_PAGE, after=first)
    return show(
        call,
        "lists/parents.html",
        desk,
        parents=found,
        first=first,
        more=more,
        before=link("/parents", {"page": page - 1}) if page > 1 else "",
        after=link("/parents", {"page": page + 1}) if more else "",
    )


PAGES = (
    Page("GET", "/cases", list_cases),
    Page("POST", "/cases/views", save_view),
    Page("POST", "/cases/views/remove", remove_view),
    Page("GET", "/parents", list_parents),
)
