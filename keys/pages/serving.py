"""What a listener of pages does with bytes that are no request, and keeps out of every log.

The library's own refusals quote the bytes that came, to whoever sent them and into its log, with a traceback and the
versions of the server. Among the bytes are cookies, and the secret addresses of calendars.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from keys.pages.forms import UNREADABLE
from keys.pages.headers import protect
from keys.transport.unread_requests import UnreadRequests
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, FormError, MethodError, NotFoundError

# Our own refusals, and those of the library: a page that raises one of them has no defect.
REFUSALS = (ComityError, web.HTTPException, *UNREADABLE)
# Of one header: another number than that of a request's first line, so that it is known which of them was too long.
MAX_FIELD_BYTES = 16_384
_LIBRARIES = ("aiohttp", "asyncio", "tuf", "securesystemslib", "urllib3")


def quiet_libraries() -> None:
    """Libraries log what they like, and some of it quotes requests: nothing of theirs is written."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False


def refusal_of(problem: Exception) -> ComityError:
    """One of :data:`REFUSALS`, as the person who asked for a page is told it."""
    match problem:
        case ComityError():
            return problem
        case web.HTTPNotFound():
            return NotFoundError(phrase("there is no such page"))
        case web.HTTPMethodNotAllowed():
            return MethodError()
        case web.HTTPException():
            return FormError(phrase("the request cannot be read ({status})", status=problem.status))
        case _:
            return FormError()


class PageHandler(UnreadRequests):
    """The library's handler of one connection of a browser; it tells nothing of what it could not read."""

    __slots__ = ("busy", "used")

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        # How many requests are answered on it now, and when something came last (monotonic).
        self.busy = 0
        self.used = time.monotonic()

    def data_received(self, data: bytes) -> None:
        """See :class:`asyncio.Protocol`."""
        self.used = time.monotonic()
        super().data_received(data)

    def unread(self, status: int) -> web.Response:
        """See :class:`UnreadRequests`."""
        response = web.Response(status=status, text=f"{FormError().code}\n")
        protect(response)
        return response

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """See :class:`UnreadRequests`.

        A page under a name above ours can fill a browser with so many cookies that no request is read any more: the
        browser is told to let them go, and whoever signs in again is let in.
        """
        response = super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong) and exc.args[1:2] == (MAX_FIELD_BYTES,):
            response.headers["Clear-Site-Data"] = '"cookies"'
        return response


def page_handlers(server: web.Server | None, most: int | None = None, **handler: Any) -> Callable[[], PageHandler]:
    """Makes the handler of each connection that the event loop takes for ``server``, which was set up.

    One of ``most`` connections ends for a new one: that on which nothing came for the longest time and nothing is
    answered. So nobody is kept out by many that are open.
    """
    assert server is not None  # noqa: S101 - its runner was set up
    loop = asyncio.get_running_loop()

    def made() -> PageHandler:
        there = [one for one in server.connections if isinstance(one, PageHandler)]
        idle = [one for one in there if not one.busy]
        if most is not None and len(there) >= most and idle:
            longest = min(idle, key=lambda one: one.used)
            if longest.transport is not None:
                longest.transport.abort()
        return PageHandler(server, loop=loop, max_field_size=MAX_FIELD_BYTES, **handler)

    return made
