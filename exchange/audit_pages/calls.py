"""A request for a page of the auditor's view, as its handler sees it, and how pages are declared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from exchange.audit_pages.site import AuditSite
from keys.local.translation import _
from keys.pages.browser_sessions import BrowserSession
from keys.pages.form_tokens import token_of
from keys.pages.languages import offered
from keys.pages.rendering import own_path, rendered
from protocol.errors import ComityError, FormError, SignInNeededError, UsageError

MAX_FIELD_CHARS = 200
_MAX_DIGITS = 15


@dataclass(slots=True)
class AuditCall:
    """One request. ``form`` is what a POST brought; ``session`` is None where nobody is signed in."""

    request: web.Request
    site: AuditSite
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

    def number(self, text: str) -> int:
        """A number of an entry; raises :class:`UsageError`."""
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise UsageError(_("the number of an entry has only digits"))
        return int(text)

    def token(self, path: str) -> str:
        """The token of a form that is sent to ``path``."""
        return token_of(self.session.form_key, path) if self.session is not None else ""

    def page(self, template: str, *, http_status: int = 200, **values: Any) -> web.Response:
        """A page."""
        given = {
            "session": self.session,
            "path": self.request.path,
            "auditor": str(self.site.auditor),
            "logs": self.site.logs.seen,
            "back": self.request.path_qs if self.request.method == "GET" else "/",
            "now": self.site.clock(),
            "asset": self.site.assets.path,
            "token": self.token,
            "languages": offered(),
            "problem": None,
            "form": self.form,
            "done": _("Verified again, from what the mirrors hold now.") if self.query("done") == "verified" else "",
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


Handle = Callable[[AuditCall], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page or act. ``public``: also for who is not signed in."""

    method: str
    path: str
    handle: Handle
    public: bool = False


def _short(value: str) -> str:
    if len(value) > MAX_FIELD_CHARS:
        raise FormError
    return value.strip()
