"""The session's cookie: of this desk alone, never read by a script, never sent from another site."""

from __future__ import annotations

from aiohttp import web

from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import LONGEST_S, WebSession
from protocol.errors import SignInNeededError


def session_of(request: web.Request, desk: WebDesk, *, used: bool) -> WebSession | None:
    """The session of the browser that asks, which may be locked; None without one."""
    try:
        return desk.sessions.find(request.cookies.get(desk.cookie), used=used)
    except SignInNeededError:
        return None


def give(response: web.Response, desk: WebDesk, secret: str) -> None:
    """Give the browser its session."""
    response.set_cookie(
        desk.cookie, secret, max_age=int(LONGEST_S), path="/", secure=desk.secure, httponly=True, samesite="Strict"
    )


def take_back(response: web.Response, desk: WebDesk) -> None:
    """Let the browser forget its session."""
    response.del_cookie(desk.cookie, path="/", secure=desk.secure, httponly=True, samesite="Strict")
