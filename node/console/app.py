"""The application on the admin address: health and metrics for programs, and the console, behind its gate.

A page is given to nobody who asks for another host, and but for the sign-in to nobody without a session. Health and
metrics pass no gate: they are as they were before there was a console.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from typing import Final

from aiohttp import web

from keys.local.translation import speaking
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token
from keys.pages.forms import read_form
from keys.pages.headers import protect
from keys.pages.languages import language_of
from keys.pages.serving import REFUSALS, refusal_of
from node.console.admin import HEALTH, METRICS, route_figures
from node.console.calls import ConsoleCall, ConsolePage
from node.console.pages import PAGES
from node.console.signin import PAGES as SIGNIN_PAGES
from node.console.site import CONSOLE, Console
from node.http.listener import TrackedHandler
from node.operations.logging import log_defect
from protocol.errors import (
    ComityError,
    SignInNeededError,
)

MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 16
FORM_WITHIN_S = 10.0
# The holder of a connection that does not make room for those of others.
_OPERATOR: Final = "operator"
_FIGURES = frozenset({HEALTH, METRICS})

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_admin(console: Console) -> web.Application:
    """The application of the admin listener."""
    app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[_guard])
    app[CONSOLE] = console
    route_figures(app, console.watch)
    console.assets.route(app)
    for page in (*SIGNIN_PAGES, *PAGES):
        app.router.add_route(page.method, page.path, _handler(page))
    return app


def _handler(page: ConsolePage) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        console = request.app[CONSOLE]
        console.origins.check(request)
        # A page that renews itself keeps nobody signed in.
        used = "HX-Request" not in request.headers
        session = console.sessions.find(request.cookies.get(console.cookie), used=used)
        if session is not None:
            _keep_connection(request)
        call = ConsoleCall(request, console, session)
        if not page.public:
            call.signed_in()
        if page.method == "POST":
            fields = await read_form(request, max_bytes=MAX_FORM_BYTES, max_fields=MAX_FIELDS, within_s=FORM_WITHIN_S)
            call.form = {name: value for name, value in fields.items() if isinstance(value, str)}
            if session is not None:
                check_token(session.form_key, request.path, call.form.get(TOKEN, ""))
        return await page.handle(call)

    return handle


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Count the connection as busy; speak the reader's language, show a refusal as a page, put the headers on."""
    with ExitStack() as under_way:
        protocol = request.protocol
        if isinstance(protocol, TrackedHandler):
            under_way.enter_context(protocol.connections.serving(protocol.connection))
        if request.path in _FIGURES:
            return await handler(request)
        with speaking(language_of(request)):
            response = await _answered(request, handler)
    if not response.prepared:
        protect(response)
    return response


async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    log = request.app[CONSOLE].watch.context.node.log
    try:
        return await handler(request)
    except REFUSALS as problem:
        return _refused(request, refusal_of(problem))
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as defect:  # noqa: BLE001 - the last edge: a defect is named by type and place, never by values
        log_defect(log, defect, route="console")
        return _refused(request, ComityError("a defect of the program: its log says where"))


def _refused(request: web.Request, problem: ComityError) -> web.StreamResponse:
    """The refusal as a page; who is not signed in is led to the form. Of another host nothing is told but that."""
    console = request.app[CONSOLE]
    try:
        console.origins.check(request)
    except ComityError as forged:
        response = web.Response(status=forged.http_status, text=f"{forged.detail}\n{forged.advice}\n")
        return _closing(request, response)
    session = console.sessions.find(request.cookies.get(console.cookie), used=False)
    call = ConsoleCall(request, console, session)
    if isinstance(problem, SignInNeededError):
        if "HX-Request" in request.headers:
            return web.Response(status=problem.http_status, headers={"HX-Redirect": "/sign-in"})
        if request.method == "GET":
            return call.go("/sign-in")
    return _closing(request, call.refused("problem.html", problem))


def _closing(request: web.Request, response: web.Response) -> web.Response:
    """The rest of a body that was refused is not read."""
    if request.can_read_body and not request.content.is_eof():
        response.force_close()
    return response


def _keep_connection(request: web.Request) -> None:
    """The connection is the operator's: strangers' connections do not end it."""
    protocol = request.protocol
    if isinstance(protocol, TrackedHandler):
        protocol.connections.authenticated(protocol.connection, _OPERATOR)
