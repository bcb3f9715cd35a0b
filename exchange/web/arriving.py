"""How a browser comes to the pages from a file of the terminal, and how a page knows that its desk is still there."""

from __future__ import annotations

from aiohttp import web

from exchange.web.calls import Page, PageCall

THERE = "/there"


async def begin(call: PageCall) -> web.StreamResponse:
    """The first page for a browser that a file led here: what follows it is asked by a page of ours.

    A browser keeps the session's cookie from a page that a file, or another site, leads to; so an officer who is
    signed in would be asked to sign in again.
    """
    response = call.page("begin.html")
    response.headers["Refresh"] = "0; url=/"
    return response


async def there(call: PageCall) -> web.StreamResponse:
    """What this start of the desk says of itself to its own pages, and nobody else can."""
    return web.Response(text=call.site.there)


PAGES = (Page("GET", "/begin", begin, public=True, quiet=True), Page("GET", THERE, there, public=True, quiet=True))
