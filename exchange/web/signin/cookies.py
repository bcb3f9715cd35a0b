"""The session's cookie: of this desk alone, never read by a script, never sent from another site."""

from __future__ import annotations

from aiohttp import web

from exchange.web.agency.flow import GOOD_FOR_S
from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import LONGEST_S, WebSession
from protocol.errors import SignInNeededError

# One is brought back by a browser that was sent to the agency; the other is shown by it afterwards.
BEGUN, SAID = "agency", "said"
_KNOWN_S = 365 * 86_400
_MOST_KNOWN = 8


def values_of(request: web.Request, name: str) -> list[str]:
    """All values of the cookies of that name, each once.

    A page under a name above ours can give a browser a second cookie of the same name (RFC 6265, 8.6), and a browser
    does not say which is whose.
    """
    found = (one.partition("=") for header in request.headers.getall("Cookie", ()) for one in header.split(";"))
    return list(dict.fromkeys(value.strip().strip('"') for given, _is, value in found if given.strip() == name))


def secret_of(request: web.Request, desk: WebDesk) -> str | None:
    """The value of the session's cookie: of several, the only one that this desk gave to somebody who is signed in.

    So a cookie that another page put beside it neither signs in nor keeps anybody out.
    """
    return desk.sessions.known(values_of(request, desk.cookie))


def session_of(request: web.Request, desk: WebDesk, *, used: bool) -> WebSession | None:
    """The session of the browser that asks, which may be locked; None without one."""
    try:
        return desk.sessions.find(secret_of(request, desk), used=used)
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
    return ".".join(values_of(request, f"{desk.cookie}-known"))[:400]


def take_back(response: web.Response, desk: WebDesk) -> None:
    """Let the browser forget its session."""
    response.del_cookie(desk.cookie, path="/", secure=desk.secure, httponly=True, samesite="Strict")


def give_agency(response: web.Response, desk: WebDesk, name: str, value: str) -> None:
    """Give the browser one of :data:`BEGUN` and :data:`SAID`, for some minutes.

    The agency's page leads the browser back: a cookie that is kept from every other site would not come along. It goes
    with a page that is opened, and with nothing that another site's page sends or loads.
    """
    response.set_cookie(
        f"{desk.cookie}-{name}",
        value,
        max_age=int(GOOD_FOR_S),
        path="/",
        secure=desk.secure,
        httponly=True,
        samesite="Lax",
    )


def agency_cookie(request: web.Request, desk: WebDesk, name: str) -> str | None:
    """One of :data:`BEGUN` and :data:`SAID`; None where the browser has two of them."""
    found = values_of(request, f"{desk.cookie}-{name}")
    return found[0] if len(found) == 1 else None


def take_agency(response: web.Response, desk: WebDesk, name: str) -> None:
    """Let the browser forget it."""
    response.del_cookie(f"{desk.cookie}-{name}", path="/", secure=desk.secure, httponly=True, samesite="Lax")
