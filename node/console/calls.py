"""A request for a page of the console, as its handler sees it, and how pages are declared.

A GET changes nothing. A POST comes from a form of ours with its token, does one act, and sends the browser on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from keys.local.translation import _
from keys.pages.browser_sessions import BrowserSession
from keys.pages.form_tokens import token_of
from keys.pages.languages import offered
from keys.pages.rendering import own_path, rendered
from node.console.site import Console
from protocol.errors import ComityError, FormError, SignInNeededError

MAX_FIELD_CHARS = 200


@dataclass(slots=True)
class ConsoleCall:
    """One request. ``form`` is what a POST brought; ``session`` is None where nobody is signed in."""

    request: web.Request
    site: Console
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
            "node": self.site.node,
            "back": self.request.path_qs if self.request.method == "GET" else "/",
            "now": self.site.watch.context.node.clock(),
            "asset": self.site.assets.path,
            "token": self.token,
            "languages": offered(),
            "problem": None,
            "form": self.form,
            "done": _done(self.request.query.get("done", "")),
            **values,
        }
        return web.Response(
            status=http_status, text=rendered(self.site.templates, template, given), content_type="text/html"
        )

    def refused(self, template: str, problem: ComityError, **values: Any) -> web.Response:
        """The page again, with why something was refused."""
        return self.page(template, http_status=problem.http_status, problem=problem, **values)

    def go(self, path: str) -> web.Response:
        """On to a page of ours, after something was done (303)."""
        return web.Response(status=303, headers={"Location": own_path(path)})


Handle = Callable[[ConsoleCall], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class ConsolePage:
    """One page or act. ``public``: also for who is not signed in."""

    method: str
    path: str
    handle: Handle
    public: bool = False


def _short(value: str) -> str:
    if len(value) > MAX_FIELD_CHARS:
        raise FormError
    return value.strip()


def _done(code: str) -> str:
    """What was done, of a fixed list: no text of a URL is shown."""
    texts = {
        "retried": _("Tried now: this page shows in a moment how it went."),
        "tested": _("The way was tested."),
        "refreshed": _("The directory was fetched, and verifies."),
        "not-refreshed": _("No source gave a directory that verifies. The one in use stays."),
        "forgotten": _("The files were let go. Their sender gets a receipt of it."),
    }
    return texts.get(code, "")
