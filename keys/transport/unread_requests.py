"""What is answered to bytes that are no request of HTTP: never the library's own refusal, which quotes them."""

from __future__ import annotations

from aiohttp import web


class UnreadRequests(web.RequestHandler):
    """The library's handler of one connection; a program says in :meth:`unread` what it answers."""

    __slots__ = ()

    def unread(self, status: int) -> web.Response:
        """The answer to what could not be read as a request; ``status`` is the library's."""
        raise NotImplementedError

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer with :meth:`unread`; the connection is closed after it."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was under way already")
        response = self.unread(status)
        response.force_close()
        return response
