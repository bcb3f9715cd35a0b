"""The stream of what happens at the desk: server-sent events, from any number on that is still kept."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from aiohttp import web

from exchange.service.api.declared import Call, Declared, Parameter
from exchange.store.rows import DeskEvent
from exchange.text.objects import plain
from protocol.errors import ComityError, RateLimitedError, UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk

MAX_FOLLOWERS = 64
# So often the database is asked what other programs of the desk wrote; a row number, no content.
LOOK_EVERY_S = 0.3
# A comment after so long keeps the connection known to be alive.
STILL_HERE_S = 15.0
STILL_HERE = b": still here\n\n"
# A follower that does not read for so long is left: it comes back with its last number.
WRITE_WITHIN_S = 10.0


def event_object(number: int, event: DeskEvent) -> dict[str, Any]:
    """An event as programs get it."""
    return {
        "sequence": number,
        "event": event.name.value,
        "at": plain(event.at),
        "message": plain(event.message),
        "thread": plain(event.thread),
        **{name: value for name, value in event.more.items() if name not in {"event"}},
        **({"proved": event.more["event"]} if "event" in event.more else {}),
    }


async def _follow(call: Call) -> web.StreamResponse:
    desk = await call.acting()
    place, once = await _begin(call, desk), call.flag("once")
    followers = call.running.followers
    if len(followers) >= MAX_FOLLOWERS:
        raise RateLimitedError(f"{MAX_FOLLOWERS} programs follow the events of this desk")
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = "text/event-stream"
    response.charset = "utf-8"
    follower = object()
    followers.add(follower)
    try:
        await response.prepare(call.request)
        with suppress(ConnectionError, TimeoutError):
            try:
                await _write_all(call, response, place, once=once)
            except ComityError as problem:  # the officer was signed out, or the disk fails: the follower is told
                await _send(response, _frame("ended", None, {"code": problem.code}))
    finally:
        followers.discard(follower)
    return response


async def _begin(call: Call, desk: Desk) -> int:
    given = call.request.headers.get("Last-Event-ID") or call.text("after")
    if given is None:
        return await desk.events.last()
    if not (given.isascii() and given.isdigit() and len(given) <= 15):
        raise UsageError("Last-Event-ID is the number of an event")
    return int(given)


async def _write_all(call: Call, response: web.StreamResponse, place: int, *, once: bool) -> None:
    idle = 0.0
    while not call.running.ending.is_set():
        # The officer is looked up each time: a session that ended sees nothing more.
        desk = await call.caller.desk(call.request, used=False)
        page = await desk.events.after(place)
        if place > page.last:  # numbers of another database: it was restored from a copy
            await _write(response, "gap", page.last, {"from": None, "to": page.last})
            place = page.last
        elif page.first > place + 1 or (not page.events and page.last > place):
            to = (page.first or page.last + 1) - 1
            await _write(response, "gap", to, {"from": place + 1, "to": to})
            place = to
        for number, event in page.events:
            await _write(response, event.name.value, number, event_object(number, event))
            place = number
        if page.events:
            idle = 0.0
            continue
        if once:
            return
        await asyncio.sleep(LOOK_EVERY_S)
        idle += LOOK_EVERY_S
        if idle >= STILL_HERE_S:
            idle = 0.0
            await _send(response, STILL_HERE)


async def _write(response: web.StreamResponse, name: str, number: int, said: dict[str, Any]) -> None:
    await _send(response, _frame(name, number, said))


def _frame(name: str, number: int | None, said: dict[str, Any]) -> bytes:
    data = json.dumps(said, ensure_ascii=True, separators=(",", ":"))
    placed = f"id: {number}\n" if number is not None else ""
    return f"{placed}event: {name}\ndata: {data}\n\n".encode()


async def _send(response: web.StreamResponse, content: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN_S):
        await response.write(content)


ENDPOINTS = (
    Declared(
        "GET",
        "/v1/events",
        "What happens at the desk, as it happens (server-sent events). The header Last-Event-ID, or after, names the"
        " last event that was seen; an event of the name gap says which are not kept any more.",
        _follow,
        None,
        query=(
            Parameter(
                "after", "The number of the last event that was seen; else only what happens from now on.", "integer"
            ),
            Parameter("once", "End when all that happened is told.", "boolean"),
        ),
        media_type="text/event-stream",
        commands=("desk events", "watch"),
    ),
)
