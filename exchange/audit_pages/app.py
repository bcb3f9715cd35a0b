"""The application of the auditor's view: its routes, and what every request must be before a page sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from exchange.audit_pages.calls import AuditCall, AuditPage
from exchange.audit_pages.pages import PAGES
from exchange.audit_pages.signin import PAGES as SIGNIN_PAGES
from exchange.audit_pages.site import SITE, AuditSite
from keys.local.translation import speaking
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token
from keys.pages.forms import read_form
from keys.pages.headers import protect
from keys.pages.languages import language_of
from keys.pages.serving import REFUSALS, PageHandler, refusal_of
from protocol.errors import (
    ComityError,
    PageHostError,
    SignInNeededError,
)

MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 16
FORM_WITHIN_S = 10.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build(site: AuditSite) -> web.Application:
    """The application of an auditor's view."""
    app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[_guard])
    app[SITE] = site
    site.assets.route(app)
    for page in (*SIGNIN_PAGES, *PAGES):
        app.router.add_route(page.method, page.path, _handler(page))
    return app


def _handler(page: AuditPage) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        site = request.app[SITE]
        site.origins.check(request)
        call = AuditCall(request, site, site.sessions.find(request.cookies.get(site.cookie), used=True))
        if not page.public:
            call.signed_in()
        if page.method == "POST":
            fields = await read_form(request, max_bytes=MAX_FORM_BYTES, max_fields=MAX_FIELDS, within_s=FORM_WITHIN_S)
            call.form = {name: value for name, value in fields.items() if isinstance(value, str)}
            if call.session is not None:
                check_token(call.session.form_key, request.path, call.form.get(TOKEN, ""))
        return await page.handle(call)

    return handle


@web.middleware
async def _guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Speak the reader's language, show a refusal as a page, put the headers on."""
    connection = request.protocol
    if isinstance(connection, PageHandler):
        connection.busy += 1
    try:
        with speaking(language_of(request)):
            response = await _answered(request, handler)
    finally:
        if isinstance(connection, PageHandler):
            connection.busy -= 1
    if not response.prepared:
        protect(response)
    return response


async def _answered(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        request.app[SITE].origins.require_host(request)
        return await handler(request)
    except REFUSALS as problem:
        return _refused(request, refusal_of(problem))
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as defect:  # noqa: BLE001 - the last edge: a defect is named by type, never by values
        return _refused(request, ComityError(f"a defect of the program ({type(defect).__name__})"))


def _refused(request: web.Request, problem: ComityError) -> web.StreamResponse:
    """The refusal as a page; who is not signed in is led to the form. Of another host nothing is told but that."""
    site = request.app[SITE]
    if isinstance(problem, PageHostError):
        return web.Response(status=problem.http_status, text=f"{problem.detail}\n{problem.advice}\n")
    session = site.sessions.find(request.cookies.get(site.cookie), used=False)
    call = AuditCall(request, site, session)
    if isinstance(problem, SignInNeededError) and request.method == "GET":
        return call.go("/sign-in")
    return call.refused("problem.html", problem)
