"""The session's cookie: of this desk alone, never read by a script, never sent from another site."""

from __future__ import annotations

from aiohttp import web

from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import LONGEST_S, WebSession
from protocol.errors import SignInNeededError

_KNOWN_S = 365 * 86_400
_MOST_KNOWN = 8


def session_of(request: web.Request, desk: WebDesk, *, used: bool) -> WebSession | None:
    """The session of the browser that asks, which may be locked; None without one."""
    try:
        return desk.sessions.find(request.cookies.get(desk.cookie), used=used)
    except SignInNeededError:
        return None


def give(request: web.Request, response: web.Response, desk: WebDesk, secret: str, officer: str | None) -> None:
    """Give the browser its session, and mark it as one in which the officer signed in."""
    response.set_cookie(
        desk.cookie, secret, max_age=int(LONGEST_S), path="/", secure=desk.secure, httponly=True, samesite="Strict"
    )
    marks = [one for one in known_marks(request, desk).split(".") if one and one != desk.door.known_as(officer)]
    kept = ".".join([desk.door.known_as(officer), *marks][:_MOST_KNOWN])
    response.set_cookie(
        f"{desk.cookie}-known", kept, max_age=_KNOWN_S, path="/", secure=desk.secure, httponly=True, samesite="Strict"
    )


def known_marks(request: web.Request, desk: WebDesk) -> str:
    """The marks of the officers who signed in in this browser."""
    return str(request.cookies.get(f"{desk.cookie}-known", ""))[:400]


def take_back(response: web.Response, desk: WebDesk) -> None:
    """Let the browser forget its session."""
    response.del_cookie(desk.cookie, path="/", secure=desk.secure, httponly=True, samesite="Strict")
