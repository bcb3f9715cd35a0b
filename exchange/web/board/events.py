"""The board, live: server-sent events that say that something changed, and which emergencies there are.

It tells numbers and the ends of ids, never content: so a locked page and a wall screen follow too, and ring. The
stream ends with its session.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from exchange.web.calls import PageCall
from exchange.web.signin.cookies import session_of
from keys.pages.headers import protect
from protocol.errors import SignInNeededError

STILL_HERE = b": still here\n\n"
WRITE_WITHIN_S = 10.0
# So often it is looked whether the session is still there.
LOOK_AGAIN_S = 1.0


async def follow(call: PageCall) -> web.StreamResponse:
    """Tell a page what changes, until its session ends or it goes."""
    session = call.session
    if session is None:
        raise SignInNeededError
    async with call.site.following.follower(session.name, call.site.service):
        response = web.StreamResponse(headers={"Cache-Control": "no-store"})
        response.content_type, response.charset = "text/event-stream", "utf-8"
        protect(response)
        await response.prepare(call.request)
        with suppress(ConnectionError, TimeoutError):
            await _tell(call, response)
        return response


async def _tell(call: PageCall, response: web.StreamResponse) -> None:
    following = call.site.following
    number = -1
    while session_of(call.request, call.site, used=False) is not None:
        now = await following.next(number, LOOK_AGAIN_S)
        if now == number:
            await _write(response, STILL_HERE)
            continue
        if now and following.told:
            await _write(response, _frame(now, following.told))
        number = now
    await _write(response, b"event: ended\ndata: {}\n\n")


def _frame(number: int, told: str) -> bytes:
    return b"".join((b"id: ", str(number).encode(), b"\nevent: board\ndata: ", told.encode(), b"\n\n"))


async def _write(response: web.StreamResponse, content: bytes) -> None:
    async with asyncio.timeout(WRITE_WITHIN_S):
        await response.write(content)
