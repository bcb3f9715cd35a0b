"""The duty board as a page, and its lanes alone for a page that follows what happens."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from exchange.acts.cases import require_lane
from exchange.office.officers import Login
from exchange.views import Lane
from exchange.web.board.lanes import lanes_of
from exchange.web.calls import PageCall
from protocol.errors import SignInNeededError


async def show(call: PageCall) -> web.StreamResponse:
    """The duty board. On a wall it needs a session, and no unlocking: it shows references and clocks alone."""
    if call.query("wall") != "1":
        call.signed_in()
    elif call.session is None:
        raise SignInNeededError
    return call.page("board/board.html", **await _values(call))


async def lanes(call: PageCall) -> web.StreamResponse:
    """The lanes and the line above them, as they stand now; for a locked session references and clocks alone."""
    if call.session is None:
        raise SignInNeededError
    if not call.session.locked and call.site.service.opened is not None:
        call.facts = await call.site.facts.now(call.site.service.opened)
    return call.page("board/anew.html", **await _values(call))


async def _values(call: PageCall) -> dict[str, Any]:
    session = call.session
    locked = session is None or session.locked
    desk = await call.site.service.desk(Login(), waits=False) if locked else await call.desk()
    wanted = call.query("lane") or None
    require_lane(wanted)
    wall = call.query("wall") == "1"
    only = Lane(wanted) if wanted is not None else None
    found = await lanes_of(desk, call.now, only=only, bare=wall or locked)
    query = "&".join(
        f"{name}={value}" for name, value in (("wall", "1" if wall or locked else ""), ("lane", wanted or "")) if value
    )
    return {
        "lanes": found,
        "wall": wall,
        "bare": wall or locked,
        "only": only,
        "live": f"/board/lanes?{query}" if query else "/board/lanes",
    }
