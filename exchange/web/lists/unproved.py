"""What came by Interpol, mail or telephone: registered, listed, called about, linked to what proves it, put aside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.acts.calls import register as registered
from exchange.desk.desk import Desk
from exchange.web.calls import Page, PageCall, read_from
from exchange.web.lists._query import PER_PAGE, link, moment_of, page_of, uuid_of
from exchange.web.lists._showing import refuse, show
from protocol.address import Address
from protocol.codes import load_codes
from protocol.errors import ComityError

_LIST, _ONE = "lists/unproved.html", "lists/unproved-one.html"


async def list_entries(call: PageCall) -> web.StreamResponse:
    """What was registered, emergencies first, then the newest; and the form for more."""
    return await _listed(call, await call.desk())


async def _listed(call: PageCall, desk: Desk, problem: ComityError | None = None) -> web.Response:
    page, found = page_of(call), await desk.cases.registered()
    first = (page - 1) * PER_PAGE
    shown = found[first : first + PER_PAGE]
    values: dict[str, Any] = {
        "entries": shown,
        "first": first,
        "more": max(0, len(found) - first - len(shown)),
        "before": link("/unproved", {"page": page - 1}) if page > 1 else "",
        "after": link("/unproved", {"page": page + 1}) if len(found) > first + len(shown) else "",
        "channels": [one.code for one in load_codes("request_channel").entries if one.code != "comity"],
        "types": [one.code for one in load_codes("message_type").entries],
        "urgencies": [one.code for one in load_codes("urgency").entries],
    }
    if problem is not None:
        return refuse(call, _LIST, desk, problem, **values)
    return show(call, _LIST, desk, **values)


async def register(call: PageCall) -> web.StreamResponse:
    """Register what came."""
    desk = await call.desk()
    try:
        with read_from("contact"):
            contact = Address.parse(call.text("contact"))
        entry = await registered(
            desk,
            call.text("text"),
            channel=call.text("channel"),
            contact=contact,
            sender=call.text("sender"),
            kind=call.text("kind"),
            reference=call.text("reference") or None,
            urgency=call.text("urgency"),
            received_at=moment_of(call, "received_at"),
            needed_by=moment_of(call, "needed_by"),
            confirm_by=moment_of(call, "confirm_by"),
            again=call.text("again") == "1",
        )
    except ComityError as problem:
        return await _listed(call, desk, problem)
    return call.go(f"/unproved/{entry.id}?done=unproved-registered")


async def show_entry(call: PageCall) -> web.StreamResponse:
    """One entry, and whom to call about it."""
    return await _shown(call, await call.desk(), uuid_of(call.part("entry")))


async def _shown(call: PageCall, desk: Desk, entry: UUID, problem: ComityError | None = None) -> web.Response:
    found, card = await desk.cases.registered_entry(entry)
    outcomes = [one.code for one in load_codes("call_outcome").entries]
    values = {"entry": found, "card": card, "outcomes": outcomes}
    if problem is not None:
        return refuse(call, _ONE, desk, problem, **values)
    return show(call, _ONE, desk, **values)


async def call_about(call: PageCall) -> web.StreamResponse:
    """Record what came of a call on a number of the directory."""
    desk, entry = await call.desk(), uuid_of(call.part("entry"))
    number, spoke_to = call.text("number") or None, call.text("spoke_to") or None
    try:
        await desk.cases.call_about(entry, call.text("outcome"), number=number, spoke_to=spoke_to)
    except ComityError as problem:
        return await _shown(call, desk, entry, problem)
    return call.go(f"/unproved/{entry}?done=unproved-called")


async def link_entry(call: PageCall) -> web.StreamResponse:
    """Say which message proves it."""
    desk, entry = await call.desk(), uuid_of(call.part("entry"))
    try:
        with read_from("message"):
            await desk.cases.link_registered(entry, await desk.messages.resolve(call.text("message")))
    except ComityError as problem:
        return await _shown(call, desk, entry, problem)
    return call.go(f"/unproved/{entry}?done=unproved-linked")


async def drop(call: PageCall) -> web.StreamResponse:
    """Say why no proved message is waited for."""
    desk, entry = await call.desk(), uuid_of(call.part("entry"))
    try:
        await desk.cases.drop_registered(entry, call.text("reason"))
    except ComityError as problem:
        return await _shown(call, desk, entry, problem)
    return call.go(f"/unproved/{entry}?done=unproved-settled")


async def erase(call: PageCall) -> web.StreamResponse:
    """Erase one that is settled."""
    desk, entry = await call.desk(), uuid_of(call.part("entry"))
    try:
        await desk.cases.erase_registered(entry)
    except ComityError as problem:
        return await _shown(call, desk, entry, problem)
    return call.go("/unproved?done=unproved-erased")


PAGES = (
    Page("GET", "/unproved", list_entries),
    Page("POST", "/unproved", register),
    Page("GET", "/unproved/{entry}", show_entry),
    Page("POST", "/unproved/{entry}/calls", call_about),
    Page("POST", "/unproved/{entry}/link", link_entry),
    Page("POST", "/unproved/{entry}/drop", drop),
    Page("POST", "/unproved/{entry}/erase", erase),
)
