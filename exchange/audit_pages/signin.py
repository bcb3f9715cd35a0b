"""Signing in to the auditor's view by the one-time code that the command printed."""

from __future__ import annotations

import asyncio

from aiohttp import web

from exchange.audit_pages.calls import AuditCall, AuditPage
from keys.pages.languages import FIELD, keep_choice
from protocol.errors import AuditCodeError

_TEMPLATE = "sign-in.html"
# A wrong guess is answered late; whoever is right never waits.
_WRONG_S = 1.0


async def show(call: AuditCall) -> web.StreamResponse:
    """The form."""
    return call.go("/") if call.session is not None else call.page(_TEMPLATE)


async def sign_in(call: AuditCall) -> web.StreamResponse:
    """Begin a session with a code."""
    site = call.site
    if site.codes.take(call.text("code")) is None:
        await asyncio.sleep(_WRONG_S)
        return call.refused(_TEMPLATE, AuditCodeError())
    if call.session is not None:
        site.sessions.end(call.session)
    secret = site.sessions.begin(call.request.headers.get("User-Agent", ""))
    response = call.go("/")
    response.set_cookie(
        site.cookie, secret, max_age=int(site.sessions.longest_s), path="/", httponly=True, samesite="Strict"
    )
    return response


async def sign_out(call: AuditCall) -> web.StreamResponse:
    """End the session."""
    call.site.sessions.end(call.signed_in())
    response = call.go("/sign-in")
    response.del_cookie(call.site.cookie, path="/", httponly=True, samesite="Strict")
    return response


async def choose_language(call: AuditCall) -> web.StreamResponse:
    """Show pages in another language from now on, in this browser."""
    response = call.go(call.text("back") or "/")
    keep_choice(response, call.text(FIELD), secure=False)
    return response


PAGES = (
    AuditPage("POST", "/language", choose_language, public=True),
    AuditPage("GET", "/sign-in", show, public=True),
    AuditPage("POST", "/sign-in", sign_in, public=True),
    AuditPage("POST", "/sign-out", sign_out),
)
