"""The pages of a desk as an application: its routes, and what every request must be before a page sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from multidict import MultiDict, MultiDictProxy

from exchange.desk.desk import OpenedDesk
from exchange.service.api.connections import ApiConnections
from exchange.text.zones import show_times_of
from exchange.web.advice import shown_on_page
from exchange.web.calls import EMERGENCIES, WEB_DESK, Page, PageCall, WebDesk
from exchange.web.field_names import field_name
from exchange.web.pages import PAGES
from exchange.web.signin.cookies import secret_of, session_of
from exchange.web.signin.kept import KeptForm, was_typed
from exchange.web.signin.sessions import WebSession
from keys.local.translation import speaking
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token
from keys.pages.headers import protect
from keys.pages.languages import language_of
from keys.pages.serving import REFUSALS, refusal_of
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    FormError,
    JustificationError,
    PageEarlierError,
    PageForgedError,
    PageHostError,
    ServiceBusyError,
    SignInNeededError,
    TooLargeError,
    UnavailableError,
)

# A form that came: where no page of its own shows it again, it is shown to its own browser beside the refusal.
_LOST: web.RequestKey[list[tuple[str, str]]] = web.RequestKey("lost_form", list)
# Where it is kept for its officer: the id among the kept forms.
_KEPT_AS: web.RequestKey[str] = web.RequestKey("kept_as", str)
# So long an address may be that stands in another one.
_LONGEST_BACK = 1_000
# Something was done, and another page shows it.
_DONE = 303
# Handlers that answer by the name too that stays over all starts.
_STEADY: web.AppKey[set[object]] = web.AppKey("steady")
CONNECTIONS: web.AppKey[ApiConnections] = web.AppKey("connections")
TEMPLATES = Path(__file__).parent / "templates"
MAX_FORM_BYTES = 4 * 1024 * 1024
# Of who is not signed in: a name and a passphrase.
MAX_STRANGERS_BYTES = 64 * 1024
# A larger form of a session that nobody remembers, since the service was started anew, is shown to its own browser
# again. Anybody can send such a one: there is room for one of them at a time, whoever sends it.
_LARGE: web.RequestKey[bool] = web.RequestKey("large", bool)
MAX_FIELDS = 5_000
FORM_WITHIN_S = 60.0
_FORM_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def build(desk: WebDesk) -> web.Application:
    """The application of a desk's pages."""
    app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[_guard])
    app[WEB_DESK] = desk
    app[_STEADY] = set()
    desk.assets.route(app)
    for page in PAGES:
        handler = _handler(page)
        app.router.add_route(page.method, page.path, handler)
        app[_STEADY].update({handler} if page.steady else ())
    return app


def _handler(page: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        desk = request.app[WEB_DESK]
        desk.origins.check(request, listens=page.listens, steady=page.steady)
        session = session_of(request, desk, used=not (page.quiet or page.listens))
        call = PageCall(request, desk, session)
        # The service's own zone is nobody's: the officer's choice counts, then that of the office.
        office = _zone_of(desk)
        show_times_of(office, (session.zone if session is not None else "") or office or "")
        if page.method == "POST" and not page.streams:
            call = await _with_form(call, page)
        if not page.public:
            call.signed_in()
        if session is not None and not session.locked:
            desk.signed_in.add(request.protocol)
        if session is not None and not session.locked and not (page.quiet or page.listens):
            call.facts = await desk.facts.now(_opened(desk))
        if session is not None and not (page.quiet or page.listens):
            # Before the page reads anything: what arrives from here on rings on it, and what it shows does not.
            request[EMERGENCIES] = await desk.following.standing(desk.service)
        response = await page.handle(call)
        if session is not None and response.status == _DONE and (kept := call.form.get("_kept")):
            session.kept.drop(kept)
        return response

    return handle


async def _with_form(call: PageCall, page: Page) -> PageCall:
    """The call with what its form brought, whose token is right.

    Where the session is locked, or has ended, the form is kept for its officer; raises :class:`SignInNeededError`.
    """
    known = call.session or call.site.sessions.ended(secret_of(call.request, call.site))
    most = MAX_FORM_BYTES if known is not None else _room_for_stranger(call, page)
    fields = await _fields(call.request, most)
    form = {name: one for name, one in fields.items() if isinstance(one, str)}
    call = replace(call, fields=fields, form=form)
    session = call.session
    before = session or known
    call.request[_LOST] = [(name, one) for name, one in fields.items() if isinstance(one, str)]
    if session is not None or (before is not None and not page.public):
        try:
            check_token(before.form_key if before is not None else b"", call.request.path, form.get(TOKEN, ""))
        except PageForgedError:
            # It came from a page of ours, of an earlier session: what was typed there is the officer's all the same.
            if session is not None and not (session.locked or page.public or page.quiet):
                _keep(call, session)
            raise
    if page.public or (session is not None and not session.locked):
        return call
    if before is not None and not page.quiet:
        _keep(call, before)
    raise SignInNeededError


def _room_for_stranger(call: PageCall, page: Page) -> int:
    """How many bytes the form of somebody may have whose session nobody knows."""
    request, site = call.request, call.site
    large = request.content_length is None or request.content_length > MAX_STRANGERS_BYTES
    if page.public or not large or site.large.is_read:
        return MAX_STRANGERS_BYTES
    site.large.is_read = request[_LARGE] = True
    return MAX_FORM_BYTES


def _keep(call: PageCall, session: WebSession) -> None:
    """Keep a form that could not be sent: it comes back in the page that it stands on."""
    request, fields = call.request, call.fields
    back = call.back if "Referer" in request.headers else request.path
    request[_KEPT_AS] = session.keep(KeptForm.of(request.path, back, fields.items() if fields is not None else ()))


def _opened(desk: WebDesk) -> OpenedDesk:
    if desk.service.opened is None:
        raise UnavailableError(phrase("the desk is not open"))
    return desk.service.opened


def _zone_of(desk: WebDesk) -> str | None:
    opened = _opened(desk)
    try:
        return opened.context.current().contact_point(opened.context.address).time_zone
    except ComityError:
        return None


async def _fields(request: web.Request, most: int) -> MultiDictProxy[Any]:
    if request.content_type not in _FORM_TYPES:
        raise FormError
    try:
        async with asyncio.timeout(FORM_WITHIN_S):
            fields = await request.clone(client_max_size=most).post()
    except TimeoutError:
        raise UnavailableError(phrase("the form did not come in time")) from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLargeError(phrase("a form has no more bytes than {most}", most=most)) from None
    except (ValueError, AssertionError, LookupError):  # a character set that there is not
        raise FormError from None
    if len(fields) > MAX_FIELDS:
        raise FormError
    return fields


@web.middleware
async def _guard(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Speak the reader's language, show every refusal as a page, and put the headers on."""
    connections, connection = request.app.get(CONNECTIONS), request.protocol
    if connections is not None:
        connections.begin(connection)
    try:
        return await _answered(request, handler)
    finally:
        if request.get(_LARGE):
            request.app[WEB_DESK].large.is_read = False
        if connections is not None:
            connections.end(connection)


async def _answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    desk = request.app[WEB_DESK]
    with speaking(language_of(request, desk.language_cookie)), shown_on_page(dict(request.match_info)):
        try:
            _require_room(request)
            desk.origins.require_host(request, steady=request.match_info.handler in request.app[_STEADY])
            response = await handler(request)
        except REFUSALS as problem:
            response = _refused(request, refusal_of(problem))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as defect:  # noqa: BLE001 - the last resort: a defect is named by type, never by its values
            named = phrase("a defect of the program ({name})", name=type(defect).__name__)
            response = _refused(request, ComityError(named))
    if not response.prepared:
        protect(response, tls=desk.secure)
        if response.status == TooLargeError.http_status:
            response.force_close()
    return response


def _require_room(request: web.Request) -> None:
    connections = request.app.get(CONNECTIONS)
    if connections is not None and not connections.make_room(request.protocol):
        raise ServiceBusyError(phrase("too many browsers are connected"))


def _refused(request: web.Request, problem: ComityError) -> web.Response:
    desk = request.app[WEB_DESK]
    if isinstance(problem, PageEarlierError):
        return _earlier(request, problem)
    # A page of ours did not ask: what it is shown names nobody, and holds no token and no mark of this start.
    strange = isinstance(problem, PageHostError | PageForgedError)
    session = None if strange else session_of(request, desk, used=False)
    typed = request.get(_LOST, [])
    call = PageCall(request, desk, session, form=dict(typed))
    if isinstance(problem, SignInNeededError):
        ended = desk.sessions.ended(secret_of(request, desk))
        if session is not None and session.locked:
            return _led(call, _unlock_path(call, session))
        if request.method == "GET" or (ended is not None and request.get(_KEPT_AS)):
            return _led(call, "/sign-in")
    if isinstance(problem, JustificationError) and session is not None and request.method == "GET":
        return _led(call, f"/reason?{urlencode({'back': call.back})}")
    shown = [(field_name(name), value) for name, value in typed if value and was_typed(name)]
    if shown and session is not None and not session.locked and not request.get(_KEPT_AS):
        _keep(replace(call, fields=MultiDictProxy(MultiDict(typed))), session)
    kept = request.get(_KEPT_AS, "")
    # At an address that is none of this desk there is no board to go to.
    mark = {"there": ""} if strange else {}
    return call.page(
        "problem.html",
        status=problem.http_status,
        problem=problem,
        typed=shown,
        kept_as=kept,
        astray=isinstance(problem, PageHostError),
        **mark,
    )


def _unlock_path(call: PageCall, session: WebSession) -> str:
    """The page that unlocks, which leads back afterwards; what would make a long address is kept in the session."""
    at = call.request.get(_KEPT_AS, "")
    if not at and len(call.back) > _LONGEST_BACK:
        at = session.keep(KeptForm("", call.back))
    return f"/unlock?{urlencode({'at': at} if at else {'back': call.back})}"


def _earlier(request: web.Request, problem: PageEarlierError) -> web.Response:
    """Say the way on, and never the name: any program of the machine can ask so.

    The browser lets go of what another program left there under that name, service workers too. Cookies are left out:
    browsers clear them for all names beside it, and the officer's session of this start would go.
    """
    response = PageCall(request, request.app[WEB_DESK], None).page(
        "earlier.html", status=problem.http_status, problem=problem
    )
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def _led(call: PageCall, path: str) -> web.Response:
    """On to a page; a script that asked for a part of one goes there too."""
    headers = call.request.headers
    if "HX-Request" in headers or headers.get("Accept", "") == "text/event-stream":
        return web.Response(status=401, headers={"HX-Redirect": path})
    return call.go(path)
