"""The application of the auditor's view: its routes, and what every request must be before a page sees it."""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Middleware

from exchange.audit_pages.pages import PAGES
from exchange.audit_pages.site import AuditSite
from exchange.text.zones import show_times_of
from keys.pages.code_pages import MAX_FORM_BYTES, Handler, answered, route_pages
from keys.pages.serving import PageHandler


def build(site: AuditSite) -> web.Application:
    """The application of an auditor's view."""
    app = web.Application(client_max_size=MAX_FORM_BYTES, middlewares=[_guard(site)])
    route_pages(app, site, PAGES)
    return app


def _guard(site: AuditSite) -> Middleware:
    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        """Show the auditor's own times; count the connection as busy, so that none ends while it is answered."""
        show_times_of(site.zone)
        connection = request.protocol
        if not isinstance(connection, PageHandler):
            return await answered(site, request, handler)
        connection.busy += 1
        try:
            return await answered(site, request, handler)
        finally:
            connection.busy -= 1

    return guard
