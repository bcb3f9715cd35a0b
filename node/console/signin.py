"""Signing in to the console by a one-time code, which only the node's system user can have made."""

from __future__ import annotations

import asyncio

from aiohttp import web

from keys.pages.languages import FIELD, keep_choice
from node.console.calls import ConsoleCall, ConsolePage
from protocol.errors import ConsoleCodeError

_TEMPLATE = "sign-in.html"
# Not the home: this page is shown to whoever has the address.
_COMMAND = "comity-node console code HOME"
# A wrong guess is answered late; whoever is right never waits.
_WRONG_S = 1.0


async def show(call: ConsoleCall) -> web.StreamResponse:
    """The form."""
    return call.go("/") if call.session is not None else call.page(_TEMPLATE, command=_COMMAND)


async def sign_in(call: ConsoleCall) -> web.StreamResponse:
    """Begin a session with a code."""
    site, log = call.site, call.site.watch.context.node.log
    if site.codes.take(call.text("code")) is None:
        site.watch.context.node.history.refused("", "console", ConsoleCodeError.code)
        log.warning("console-code-refused", count=site.codes.wrong)
        await asyncio.sleep(_WRONG_S)
        return call.refused(_TEMPLATE, ConsoleCodeError(), command=_COMMAND)
    if call.session is not None:  # the earlier one of this browser
        site.sessions.end(call.session)
    secret = site.sessions.begin(call.request.headers.get("User-Agent", ""))
    log.info("console-signed-in", count=len(site.sessions))
    response = call.go("/")
    response.set_cookie(
        site.cookie, secret, max_age=int(site.sessions.longest_s), path="/", httponly=True, samesite="Strict"
    )
    return response


async def sign_out(call: ConsoleCall) -> web.StreamResponse:
    """End the session."""
    call.site.sessions.end(call.signed_in())
    response = call.go("/sign-in")
    response.del_cookie(call.site.cookie, path="/", httponly=True, samesite="Strict")
    return response


async def choose_language(call: ConsoleCall) -> web.StreamResponse:
    """Show pages in another language from now on, in this browser."""
    response = call.go(call.text("back") or "/")
    keep_choice(response, call.text(FIELD), secure=False)
    return response


PAGES = (
    ConsolePage("POST", "/language", choose_language, public=True),
    ConsolePage("GET", "/sign-in", show, public=True),
    ConsolePage("POST", "/sign-in", sign_in, public=True),
    ConsolePage("POST", "/sign-out", sign_out),
)
