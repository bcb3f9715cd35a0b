"""The pages of a desk as an application: its routes, and what every request must be before a page sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from exchange.text.zones import show_times_of
from exchange.web.calls import WEB_DESK, Page, PageCall, WebDesk
from exchange.web.pages import PAGES
from exchange.web.signin.cookies import session_of
from keys.local.translation import speaking
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token
from keys.pages.headers import protect
from keys.pages.languages import language_of
from protocol.errors import (
    ComityError,
    FormError,
    MethodError,
    NotFoundError,
    SignInNeededError,
    TooLargeError,
    UnavailableError,
)

TEMPLATES = Path(__file__).parent / "templates"
MAX_FORM_BYTES = 4 * 1024 * 1024
MAX_FIELDS = 5_000
FORM_WITHIN_S = 60.0
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def build(desk: WebDesk) -> web.Application:
    """The application of a desk's pages."""
    app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[_guard])
    app[WEB_DESK] = desk
    desk.assets.route(app)
    for page in PAGES:
        app.router.add_route(page.method, page.path, _handler(page))
    return app


def _handler(page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        desk = request.app[WEB_DESK]
        desk.origins.check(request, listens=page.listens)
        session = session_of(request, desk, used=not (page.quiet or page.listens))
        call = PageCall(request, desk, session)
        show_times_of(_zone_of(desk))
        if page.method == "POST" and not page.streams:
            fields = await _fields(request)
            call = replace(
                call, fields=fields, form={name: one for name, one in fields.items() if isinstance(one, str)}
            )
            if session is not None:
                check_token(session.form_key, request.path, call.form.get(TOKEN, ""))
        if not page.public:
            call.signed_in()
        return await page.handle(call)

    return handle


def _zone_of(desk: WebDesk) -> str | None:
    opened = desk.service.opened
    if opened is None:
        raise UnavailableError("the desk is not open")
    try:
        return opened.context.current().contact_point(opened.context.address).time_zone
    except ComityError:
        return None


async def _fields(request: web.Request) -> MultiDictProxy[Any]:
    if request.content_type not in _FORM_TYPES:
        raise FormError
    try:
        async with asyncio.timeout(FORM_WITHIN_S):
            fields = await request.post()
    except TimeoutError:
        raise UnavailableError("the form did not come in time") from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLargeError(f"a form has at most {MAX_FORM_BYTES} bytes") from None
    except (ValueError, AssertionError):
        raise FormError from None
    if len(fields) > MAX_FIELDS:
        raise FormError
    return fields


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Speak the reader's language, show every refusal as a page, and put the headers on."""
    with speaking(language_of(request)):
        try:
            response = await handler(request)
        except ComityError as problem:
            response = _refused(request, problem)
        except web.HTTPNotFound:
            response = _refused(request, NotFoundError("there is no such page"))
        except web.HTTPMethodNotAllowed:
            response = _refused(request, MethodError())
        except web.HTTPException as problem:
            response = _refused(request, FormError(f"the request cannot be read ({problem.status})"))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as defect:  # noqa: BLE001 - the last resort: a defect is named by type, never by its values
            response = _refused(request, ComityError(f"a defect of the program ({type(defect).__name__})"))
    if not response.prepared:
        protect(response)
    return response


def _refused(request: web.Request, problem: ComityError) -> web.Response:
    desk = request.app[WEB_DESK]
    try:
        session = session_of(request, desk, used=False)
    except ComityError:
        session = None
    call = PageCall(request, desk, session)
    if isinstance(problem, SignInNeededError) and request.method == "GET":
        return call.go("/sign-in")
    return call.page("problem.html", status=problem.http_status, problem=problem)
