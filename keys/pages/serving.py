"""What a listener of pages does with bytes that are no request, and keeps out of every log.

The library's own refusals quote the bytes that came, to whoever sent them and into its log, with a traceback and the
versions of the server. Among the bytes are cookies, and the secret addresses of calendars.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web

from keys.pages.headers import protect
from protocol.errors import FormError

_LIBRARIES = ("aiohttp", "asyncio", "tuf", "securesystemslib", "urllib3")


def quiet_libraries() -> None:
    """Libraries log what they like, and some of it quotes requests: nothing of theirs is written."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False


class PageHandler(web.RequestHandler):
    """The library's handler of one connection of a browser; it tells nothing of what it could not read."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read as a request; the connection is closed after it."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was under way already")
        refused = FormError()
        response = web.Response(status=status, text=f"{refused.code}\n")
        protect(response)
        response.force_close()
        return response


def page_handlers(server: web.Server | None, **handler: Any) -> Callable[[], web.RequestHandler]:
    """Makes the handler of each connection that the event loop takes for ``server``, which was set up."""
    assert server is not None  # noqa: S101 - its runner was set up
    loop = asyncio.get_running_loop()
    return lambda: PageHandler(server, loop=loop, **handler)
