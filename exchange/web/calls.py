"""A request for a page, as its handler sees it, and how pages are declared.

::

    async def show(call: PageCall) -> web.Response:
        desk = await call.desk()
        return call.page("lists/cases.html", cases=await desk.cases.list())

    PAGES = (Page("GET", "/cases", show), Page("POST", "/cases/{message}/notes", note))

A GET changes nothing. A POST comes from a form of ours with its token, does one act, and sends the browser on
(:meth:`PageCall.go`); a refusal shows the same form again with what was typed (:meth:`PageCall.refused`).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from aiohttp import web
from jinja2 import Environment
from multidict import MultiDictProxy

from exchange.desk.desk import Desk, utc_now
from exchange.office.officers import Login
from exchange.service.service import DeskService
from exchange.web._marking import marked
from exchange.web.advice import ways_of
from exchange.web.done import done_text
from exchange.web.field_names import field_name
from exchange.web.following import Following
from exchange.web.frame import Facts, FactsKept, frame_of
from exchange.web.refill import refilled
from exchange.web.signin.door import Door
from exchange.web.signin.factors import OwnAccess
from exchange.web.signin.kept import KeptForm
from exchange.web.signin.sessions import WebSession, WebSessions
from keys.local.isolates import shown
from keys.local.printing import printable_line
from keys.local.translation import _
from keys.pages.assets import Assets
from keys.pages.form_tokens import token_of
from keys.pages.languages import offered
from keys.pages.origins import Origins
from keys.pages.rendering import own_path, rendered
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, IdempotencyKeyUsedError, SignInNeededError, UnavailableError, UsageError

MAX_FIELD_CHARS = 200_000
# Which emergencies there were before a page was made, by the ends of their ids; None where that is not known.
EMERGENCIES: web.RequestKey[tuple[str, ...] | None] = web.RequestKey("emergencies", tuple)
# Where a page says what is given back on it.
KEPT_MARK = "<!--kept-->"


@dataclass(slots=True)
class LargeForm:
    """Whether there is one now."""

    is_read: bool = False


@dataclass(frozen=True, slots=True)
class WebDesk:
    """What all pages share."""

    service: DeskService
    sessions: WebSessions
    origins: Origins
    assets: Assets
    templates: Environment
    door: Door
    cookie: str
    secure: bool
    # The origin by which programs ask that have no session, over all starts of the desk.
    steady_origin: str
    # This start says it of itself to its pages: they ask on only where it is said.
    there: str = field(default_factory=secrets.token_urlsafe)
    facts: FactsKept = field(default_factory=FactsKept)
    following: Following = field(default_factory=Following)
    # Whether a large form of somebody is being read whose session nobody knows: one at a time.
    large: LargeForm = field(default_factory=LargeForm)
    # The connections on which an officer is signed in: others end before them where there are too many.
    signed_in: set[object] = field(default_factory=set)

    @property
    def language_cookie(self) -> str:
        """The name of the cookie with the reader's language: of these pages, as that of the session is."""
        return f"{self.cookie}-language"

    @property
    def is_new_each_start(self) -> bool:
        """Whether the pages have another name at each start, so that what answers at this one later is not the desk."""
        return bool(self.origins.steady)


WEB_DESK: web.AppKey[WebDesk] = web.AppKey("web_desk")


@dataclass(slots=True)
class PageCall:
    """One request. ``form`` is what a POST brought; ``session`` is None where nobody is signed in."""

    request: web.Request
    site: WebDesk
    session: WebSession | None
    form: Mapping[str, str] = field(default_factory=dict)
    fields: MultiDictProxy[Any] | None = None
    facts: Facts | None = None
    _desk: Desk | None = None

    @property
    def now(self) -> datetime:
        """The present instant, UTC, by the desk's clock."""
        opened = self.site.service.opened
        return utc_now() if opened is None else opened.context.clock()

    async def desk(self) -> Desk:
        """The desk as the signed-in officer acts on it; raises :class:`SignInNeededError`."""
        if self._desk is None:
            self._desk = await self.site.service.desk(self._login(), waits=False)
        return self._desk

    async def own_access(self) -> OwnAccess:
        """The officer's own settings and ways to sign in; raises as :meth:`desk`."""
        opened = self.site.service.opened
        if opened is None:
            raise UnavailableError(phrase("the desk is not open"))
        return OwnAccess(opened.context, await opened.acting(self._login()))

    def _login(self) -> Login:
        session = self.signed_in()
        why = Login(session.officer, purpose=session.purpose, reason=session.reason)
        return replace(why, signer=session.signer) if session.officer is not None else why

    def signed_in(self) -> WebSession:
        """The session, open; raises :class:`SignInNeededError`."""
        if self.session is None or self.session.locked:
            raise SignInNeededError
        return self.session

    def part(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]

    def query(self, name: str, default: str = "") -> str:
        """A parameter behind the ``?``."""
        return self.request.query.get(name, default)

    def text(self, name: str, default: str = "") -> str:
        """A field of the form, without blanks around it; raises :class:`UsageError` for one that is too long."""
        found = self.form.get(name, default)
        if len(found) > MAX_FIELD_CHARS:
            raise UsageError(_("The field {name} is too long.").format(name=name))
        return found.strip()

    def texts(self, name: str) -> list[str]:
        """All fields of that name."""
        return [] if self.fields is None else [one for one in self.fields.getall(name, []) if isinstance(one, str)]

    def token(self, path: str) -> str:
        """The token of a form that is sent to ``path``."""
        return token_of(self.session.form_key, path) if self.session is not None else ""

    @property
    def back(self) -> str:
        """The page that the reader sees: this one; after a form, the one that it stands on."""
        if self.request.method == "GET":
            return self.request.path_qs
        host = self.request.headers.get("Host", "")
        # HTTP/1.0 knows requests without one.
        origin, _host, path = self.request.headers.get("Referer", "").partition(host) if host else ("", "", "")
        return path if path.startswith("/") and f"{origin}{host}" in self.site.origins.origins else "/"

    def page(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """A page."""
        given = {
            "call": self,
            "session": self.session,
            "path": self.request.path,
            "now": self.now,
            "asset": self.site.assets.path,
            "token": self.token,
            "languages": offered(),
            "problem": None,
            "typed": (),
            "there": self.site.there if self.site.is_new_each_start else "",
            "frame": frame_of(self.site.door.party.desk, self.now, self.site.sessions.idle_s, self.facts),
            "back": self.back,
            "done": done_text(self.query("done")),
            "gives_back": self._gives_back(),
            "emergencies": self.request.get(EMERGENCIES),
            "form": self.form,
            **values,
        }
        text = rendered(self.site.templates, template, given)
        if given["gives_back"]:
            text = self._given_back(text, given)
        return web.Response(status=status, text=text, content_type="text/html")

    def _gives_back(self) -> bool:
        """Whether something waits that the officer typed and that was not sent."""
        return self.session is not None and not self.session.locked and len(self.session.kept) > 0

    def _given_back(self, text: str, values: dict[str, Any]) -> str:
        """The page with what its officer had typed on it, in its forms, and with word of what else waits."""
        session, chosen = self.signed_in(), self.query("kept")
        here = session.typed_at(self.request.path) if self.request.method == "GET" else []
        here.sort(key=lambda one: one[0] != chosen)
        text, left = refilled(text, here)
        others = [(kept, form) for kept, form in here if kept not in left]
        filled = {form.action for kept, form in here if kept in left}
        notice = {
            **values,
            "given_back": [(kept, [(field_name(name), value) for name, value in left[kept]]) for kept in left],
            "others": [kept for kept, form in others if form.action in filled],
            "waiting": session.kept.unsent - sum(1 for kept in left if session.kept.was_sent(kept)),
        }
        return text.replace(KEPT_MARK, rendered(self.site.templates, "signin/kept-notice.html", notice), 1)

    def refused(
        self, template: str, problem: ComityError, *, beside: Mapping[str, str] | None = None, **values: Any
    ) -> web.Response:
        """The form again, with what was typed and why it was refused.

        A refusal that is about one field stands at it, as do the texts ``beside``, by the names of their fields. Where
        the page has no such form any more, or not all fields of it, what was typed is kept, and the page says so. A
        form that was sent before, and says something else now, is another one from here on.
        """
        if isinstance(problem, IdempotencyKeyUsedError):
            values["once"] = secrets.token_hex(16)
        at_fields = {**({problem.field: _(problem.detail)} if problem.field else {}), **(beside or {})}
        page = self._marked(template, problem, at_fields, values)
        session, path = self.session, self.request.path
        if self.request.method != "POST" or session is None or session.locked or self.fields is None:
            return page
        form = KeptForm.of(path, self.back, self.fields.items())
        _text, left = refilled(page.text or "", [("", form)])
        if not form.typed or left == {"": []}:
            return page
        session.keep(form)
        return self._marked(template, problem, at_fields, values)

    def _marked(
        self, template: str, problem: ComityError, at_fields: Mapping[str, str], values: Mapping[str, Any]
    ) -> web.Response:
        """The form again: with the refusal at the fields that it is about, and else above the form."""
        texts = {name: shown(printable_line(text)) for name, text in at_fields.items()}
        # Links that lead on stand above the form: there is no room for them at a field.
        above = (
            problem if not texts or ways_of(problem) else UsageError(_("Look at what is marked, and send it again."))
        )
        page = self.page(template, status=problem.http_status, problem=above, **values)
        text = marked(page.text or "", self.request.path, texts, self.form)
        if text is None:
            return self.page(template, status=problem.http_status, problem=problem, **values)
        page.text = text
        return page

    def go(self, path: str) -> web.Response:
        """On to a page of ours, after something was done (303)."""
        return web.Response(status=303, headers={"Location": own_path(path)})


@contextmanager
def read_from(field: str) -> Iterator[None]:
    """Inside, what is refused is about the ``field`` of the form, unless it says about which it is."""
    try:
        yield
    except ComityError as problem:
        if problem.http_status < 500:  # else the fault is this machine's
            problem.field = problem.field or field
        raise


Handle = Callable[[PageCall], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Page:
    """One page or act. ``public``: also for who is not signed in; ``listens``: it goes on for long.

    ``quiet``: it is asked for by a page itself, so that it keeps nobody signed in. ``streams``: its form has files of
    any length, which its handler reads as they come, after the token that is the form's first field. ``steady``: it is
    for programs without a session, and answers by the name too that stays over all starts.
    """

    method: str
    path: str
    handle: Handle
    public: bool = False
    listens: bool = False
    quiet: bool = False
    streams: bool = False
    steady: bool = False
