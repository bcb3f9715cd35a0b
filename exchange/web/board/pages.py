"""The start page: what is due, in lanes, the most pressing first."""

from __future__ import annotations

from aiohttp import web

from exchange.text.due import due_text, lane_label
from exchange.text.labels import deadline_label
from exchange.views import Lane
from exchange.web.calls import Page, PageCall


async def show(call: PageCall) -> web.StreamResponse:
    """The duty board."""
    desk = await call.desk()
    found = await desk.cases.agenda()
    lanes = [(lane_label(lane), [one for one in found if one.lane is lane]) for lane in Lane]
    return call.page("board/board.html", lanes=lanes, due_text=due_text, what=deadline_label)


PAGES = (Page("GET", "/", show),)
