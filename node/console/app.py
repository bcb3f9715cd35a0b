"""The application on the admin address: health and metrics for programs, and the console, behind its gate.

Health and metrics pass no gate: they are as they were before there was a console.
"""

from __future__ import annotations

from contextlib import ExitStack

from aiohttp import web
from aiohttp.typedefs import Middleware

from keys.pages.code_pages import MAX_FORM_BYTES, Handler, answered, route_pages
from node.console.admin import HEALTH, METRICS, route_figures
from node.console.pages import PAGES
from node.console.site import Console
from node.http.listener import TrackedHandler

_FIGURES = frozenset({HEALTH, METRICS})


def build_admin(console: Console) -> web.Application:
    """The application of the admin listener."""
    app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[_guard(console)])
    route_figures(app, console.watch)
    route_pages(app, console, PAGES)
    return app


def _guard(console: Console) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the connection as busy; what is no figure is a page of the console."""
        with ExitStack() as under_way:
            protocol = request.protocol
            if isinstance(protocol, TrackedHandler):
                under_way.enter_context(protocol.connections.serving(protocol.connection))
            if request.path in _FIGURES:
                return await handler(request)
            return await answered(console, request, handler)

    return guard
