"""Finding messages by words and identifiers, however they are spelt; and the boxes of messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from aiohttp import web

from exchange.acts.messages import list_messages as messages_of
from exchange.acts.messages import list_refused
from exchange.desk.desk import Desk
from exchange.text.typed import read_otherwise
from exchange.views import CaseRow, InboxRow
from exchange.web.calls import Page, PageCall
from exchange.web.lists._query import MOST, PER_PAGE, link, number_of
from exchange.web.lists._showing import refuse, show
from keys.local.translation import _
from protocol.errors import UsageError

_BOXES = ("received", "sent", "refused")
_LAST = 1 << 40


async def search(call: PageCall) -> web.StreamResponse:
    """Messages that have every word, with the case that each belongs to."""
    desk, query = await call.desk(), call.query("q").strip()
    values: dict[str, Any] = {"query": query, "found": None, "cases": {}, "far": {}, "longer": "", "otherwise": ()}
    if not query:
        return show(call, "lists/search.html", desk, **values)
    try:
        limit = number_of(call, "limit", PER_PAGE, MOST)
        found = await desk.cases.search(query, limit=limit)
    except UsageError as problem:
        return refuse(call, "lists/search.html", desk, problem, **values)
    more = min(MOST, limit + PER_PAGE)
    values |= {
        "otherwise": read_otherwise(query),
        "found": found,
        "cases": await _cases_of(desk, found.messages),
        "far": await desk.cases.how_far_sent(found.messages),
        "longer": link("/search", {"q": query, "limit": more}) if found.more and more > limit else "",
    }
    return show(call, "lists/search.html", desk, **values)


async def _cases_of(desk: Desk, rows: Sequence[InboxRow]) -> dict[UUID, CaseRow]:
    return await desk.cases.of_threads({row.thread for row in rows})


async def boxes(call: PageCall) -> web.StreamResponse:
    """The messages that came, that were sent, or that were refused when they came."""
    desk, box = await call.desk(), call.query("box", "received")
    if box not in _BOXES:
        raise UsageError(_("the box is received, sent or refused"))
    before = number_of(call, "before", _LAST, _LAST)
    start = None if before == _LAST else before
    if box == "refused":
        return await _refused_box(call, desk, start)
    unopened, unread = call.query("unopened") == "1", call.query("unread") == "1"
    asked = {"unopened": unopened, "unread": unread}
    found = await messages_of(desk, box="sent" if box == "sent" else "received", before=start, limit=PER_PAGE, **asked)
    rows = found["messages"]
    later = {"box": box, "unopened": "1" if unopened else "", "unread": "1" if unread else ""}
    oldest = min((row.sequence for row in rows), default=None)
    return show(
        call,
        "lists/messages.html",
        desk,
        box=box,
        boxes=_BOXES,
        shown=rows,
        far=found["how_far"],
        refused=[],
        cases=await _cases_of(desk, rows),
        unread=await desk.messages.unread([row.id for row in rows]) if box == "received" else set(),
        asked=asked,
        waiting=await desk.messages.queued(),
        older=link("/messages", {**later, "before": oldest}) if found["more"] and oldest else "",
        later=bool(start),
    )


async def _refused_box(call: PageCall, desk: Desk, start: int | None) -> web.Response:
    found = await list_refused(desk, limit=PER_PAGE, before=start)
    rows = found["refused"]
    return show(
        call,
        "lists/messages.html",
        desk,
        box="refused",
        boxes=_BOXES,
        shown=[],
        far={},
        refused=rows,
        cases={},
        unread=set(),
        asked={"unopened": False, "unread": False},
        waiting=await desk.messages.queued(),
        older=link("/messages", {"box": "refused", "before": rows[-1].sequence}) if found["more"] else "",
        later=bool(start),
    )


PAGES = (
    Page("GET", "/search", search),
    Page("GET", "/messages", boxes),
)
