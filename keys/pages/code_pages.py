"""Pages that a person opens with a code typed once: what the operator's console and the auditor's view have in common.

A program has a site (a :class:`CodeSite`: plain data, and few functions that say how it differs) and pages::

    async def show(call: CodeCall[Console]) -> web.StreamResponse:
        return call.page("log.html", status=await call.site.watch.status())

    route_pages(app, site, (CodePage("GET", "/log", show),))

A GET changes nothing. A POST comes from a form of ours with its token, does one act, and sends the browser on. Nobody
who asks for another host is given a page, and without a session nobody is given another one than the sign-in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from aiohttp import web
from jinja2 import Environment

from keys.local.translation import shown_instead, speaking
from keys.pages.assets import Assets
from keys.pages.browser_sessions import BrowserSession, BrowserSessions
from keys.pages.form_tokens import NAME as TOKEN
from keys.pages.form_tokens import check_token, token_of
from keys.pages.forms import read_form
from keys.pages.headers import protect
from keys.pages.languages import FIELD, keep_choice, language_of, offered
from keys.pages.origins import Origins
from keys.pages.rendering import own_path, rendered
from keys.pages.serving import REFUSALS, refusal_of
from keys.pages.typed_codes import TypedCodes
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, FormError, SignInNeededError

MAX_FORM_BYTES = 16 * 1024
MAX_FIELDS = 16
MAX_FIELD_CHARS = 200
FORM_WITHIN_S = 10.0
# A wrong guess is answered late; whoever is right never waits.
WRONG_S = 1.0
_SIGN_IN, _SIGN_OUT = "/sign-in", "/sign-out"
_SIGN_IN_PAGE, _PROBLEM_PAGE = "sign-in.html", "problem.html"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(slots=True, kw_only=True)
class CodeSite:
    """What all pages of one program share. ``origins`` and ``cookie`` are empty until the listener is bound.

    Its functions are those of a program that says nothing of itself; each is replaced where there is something to say.
    """

    templates: Environment
    clock: Callable[[], datetime]
    sessions: BrowserSessions
    codes: TypedCodes = field(default_factory=TypedCodes)
    assets: Assets = field(default_factory=Assets)
    origins: Origins = field(default_factory=Origins.of)
    cookie: str = ""

    def frame(self) -> Mapping[str, Any]:
        """The values that each page has."""
        return {}

    def done_texts(self) -> Mapping[str, str]:
        """By its code in the address, what was done: no text of an address is shown."""
        return {}

    def told_here(self) -> Mapping[str, str]:
        """By the text that a terminal shows, what it says on these pages."""
        return {}

    def refused_code(self) -> ComityError:
        """Why a code does not open the pages; somebody typed a wrong one just now."""
        raise NotImplementedError

    def began(self) -> None:
        """Somebody signed in."""

    def in_use(self, request: web.Request) -> None:
        """Somebody who is signed in asks for a page."""

    def defect(self, problem: Exception) -> ComityError:
        """As a defect is told: by its type, never by its values."""
        return ComityError(f"a defect of the program ({type(problem).__name__})")

    def session_of(self, request: web.Request, *, used: bool) -> BrowserSession | None:
        """The session of the browser that asks; ``used``: a person does something."""
        return self.sessions.find(request.cookies.get(self.cookie), used=used)


Site = TypeVar("Site", bound=CodeSite)


@dataclass(slots=True)
class CodeCall(Generic[Site]):
    """One request. ``form`` is what a POST brought; ``session`` is None where nobody is signed in."""

    request: web.Request
    site: Site
    session: BrowserSession | None
    form: Mapping[str, str] = field(default_factory=dict)

    def signed_in(self) -> BrowserSession:
        """The session; raises :class:`SignInNeededError`."""
        if self.session is None:
            raise SignInNeededError
        return self.session

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def query(self, name: str) -> str:
        """A parameter behind the ``?``, empty without one; raises :class:`FormError` for one that is too long."""
        return _short(self.request.query.get(name, ""))

    def text(self, name: str) -> str:
        """A field of the form, empty without one; raises :class:`FormError` for one that is too long."""
        return _short(self.form.get(name, ""))

    def token(self, path: str) -> str:
        """The token of a form that is sent to ``path``."""
        return token_of(self.session.form_key, path) if self.session is not None else ""

    def page(self, template: str, *, http_status: int = 200, **values: Any) -> web.Response:
        """A page."""
        given = {
            "session": self.session,
            "path": self.request.path,
            "back": self.request.path_qs if self.request.method == "GET" else "/",
            "now": self.site.clock(),
            "asset": self.site.assets.path,
            "token": self.token,
            "languages": offered(),
            "problem": None,
            "form": self.form,
            "done": self.site.done_texts().get(self.request.query.get("done", ""), ""),
            **self.site.frame(),
            **values,
        }
        text = rendered(self.site.templates, template, given)
        return web.Response(status=http_status, text=text, content_type="text/html")

    def refused(self, template: str, problem: ComityError, **values: Any) -> web.Response:
        """The page again, with why something was refused."""
        return self.page(template, http_status=problem.http_status, problem=problem, **values)

    def file(self, name: str, content: bytes, media_type: str) -> web.Response:
        """A file to keep."""
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return web.Response(body=content, content_type=media_type, headers=headers)

    def go(self, path: str) -> web.Response:
        """On to a page of ours, after something was done (303)."""
        return web.Response(status=303, headers={"Location": own_path(path)})


@dataclass(frozen=True)  # without slots: Python 3.11 notes on the instance for which site it was made
class CodePage(Generic[Site]):
    """One page or act. ``public``: also for who is not signed in."""

    method: str
    path: str
    handle: Callable[[CodeCall[Site]], Awaitable[web.StreamResponse]]
    public: bool = False


def route_pages(app: web.Application, site: Site, pages: Sequence[CodePage[Site]]) -> None:
    """Serve ``pages`` in ``app``, with those that sign in and out, and what they look like."""
    site.assets.route(app)
    for page in (*_COMMON, *pages):
        app.router.add_route(page.method, page.path, _handler(site, page))


async def answered(site: CodeSite, request: web.Request, handler: Handler) -> web.StreamResponse:
    """What ``handler`` answers, in the reader's language; a refusal is a page; the headers are on it."""
    with speaking(language_of(request)), shown_instead(site.told_here()):
        try:
            site.origins.require_host(request)
            response = await handler(request)
        except REFUSALS as problem:
            response = _refused(site, request, refusal_of(problem))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as defect:  # noqa: BLE001 - the last edge: a defect is named by type and place, never by values
            response = _refused(site, request, site.defect(defect))
    if not response.prepared:
        protect(response)
    return response


# --- Inside -----------------------------------------------------------------------------------------------------------


def _handler(site: Site, page: CodePage[Site]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        site.origins.check(request)
        # A page that renews itself keeps nobody signed in.
        session = site.session_of(request, used="HX-Request" not in request.headers)
        if session is not None:
            site.in_use(request)
        call = CodeCall(request, site, session)
        if not page.public:
            call.signed_in()
        if page.method == "POST":
            fields = await read_form(request, max_bytes=MAX_FORM_BYTES, max_fields=MAX_FIELDS, within_s=FORM_WITHIN_S)
            call.form = {name: value for name, value in fields.items() if isinstance(value, str)}
            if session is not None:
                check_token(session.form_key, request.path, call.form.get(TOKEN, ""))
        return await page.handle(call)

    return handle


def _refused(site: CodeSite, request: web.Request, problem: ComityError) -> web.StreamResponse:
    """The refusal as a page; who is not signed in is led to the form. Other pages are told nothing but the refusal."""
    try:
        site.origins.check(request)
    except ComityError as forged:
        plain = web.Response(status=forged.http_status, text=f"{forged.detail}\n{forged.advice}\n")
        return _closing(request, plain)
    call = CodeCall(request, site, site.session_of(request, used=False))
    if isinstance(problem, SignInNeededError):
        if "HX-Request" in request.headers:
            return web.Response(status=problem.http_status, headers={"HX-Redirect": _SIGN_IN})
        if request.method == "GET":
            return call.go(_SIGN_IN)
    return _closing(request, call.refused(_PROBLEM_PAGE, problem))


def _closing(request: web.Request, response: web.Response) -> web.Response:
    """The rest of a body that was refused is not read."""
    if request.can_read_body and not request.content.is_eof():
        response.force_close()
    return response


async def _sign_in_form(call: CodeCall[CodeSite]) -> web.StreamResponse:
    return call.go("/") if call.session is not None else call.page(_SIGN_IN_PAGE)


async def _sign_in(call: CodeCall[CodeSite]) -> web.StreamResponse:
    """Begin a session with a code."""
    site = call.site
    if site.codes.take(call.text("code")) is None:
        problem = site.refused_code()
        await asyncio.sleep(WRONG_S)
        return call.refused(_SIGN_IN_PAGE, problem)
    if call.session is not None:  # the earlier one of this browser
        site.sessions.end(call.session)
    secret = site.sessions.begin(call.request.headers.get("User-Agent", ""))
    site.began()
    response = call.go("/")
    longest_s = int(site.sessions.longest_s)
    response.set_cookie(site.cookie, secret, max_age=longest_s, path="/", httponly=True, samesite="Strict")
    return response


async def _sign_out(call: CodeCall[CodeSite]) -> web.StreamResponse:
    call.site.sessions.end(call.signed_in())
    response = call.go(_SIGN_IN)
    response.del_cookie(call.site.cookie, path="/", httponly=True, samesite="Strict")
    return response


async def _choose_language(call: CodeCall[CodeSite]) -> web.StreamResponse:
    """Show pages in another language from now on, in this browser."""
    response = call.go(call.text("back") or "/")
    keep_choice(response, call.text(FIELD), secure=False)
    return response


def _short(value: str) -> str:
    if len(value) > MAX_FIELD_CHARS:
        raise FormError(phrase("the text is too long"))
    return value.strip()


_COMMON: tuple[CodePage[Any], ...] = (
    CodePage("POST", "/language", _choose_language, public=True),
    CodePage("GET", _SIGN_IN, _sign_in_form, public=True),
    CodePage("POST", _SIGN_IN, _sign_in, public=True),
    CodePage("POST", _SIGN_OUT, _sign_out),
)
