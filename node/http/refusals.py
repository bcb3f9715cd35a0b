"""What is answered to bytes that are no HTTP: a problem document as for every refusal, and nothing of what came."""

from __future__ import annotations

from aiohttp import web

from protocol.errors import ComityError, MalformedError
from protocol.http.problem import PROBLEM_TYPE, problem_text

SERVER = "comity-node"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": SERVER}


class PlainHandler(web.RequestHandler):
    """The library's handler of one connection. Its own refusals quote the bytes and name the server's versions."""

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
        problem = MalformedError("this is not a request of HTTP") if status < 500 else ComityError("a defect")
        response = web.Response(
            status=status, body=problem_text(problem).encode(), content_type=PROBLEM_TYPE, headers=HEADERS
        )
        response.force_close()
        return response
