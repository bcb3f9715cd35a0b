"""What is answered to bytes that are no HTTP: a problem document as for every refusal, and nothing of what came."""

from __future__ import annotations

from aiohttp import web

from keys.transport.unread_requests import UnreadRequests
from protocol.errors import ComityError, MalformedError
from protocol.http.problem import PROBLEM_TYPE, problem_text

SERVER = "comity-node"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": SERVER}


class PlainHandler(UnreadRequests):
    """The library's handler of one connection. Its own refusals quote the bytes and name the server's versions."""

    __slots__ = ()

    def unread(self, status: int) -> web.Response:
        """See :class:`UnreadRequests`."""
        problem = MalformedError("this is not a request of HTTP") if status < 500 else ComityError("a defect")
        return web.Response(
            status=status, body=problem_text(problem).encode(), content_type=PROBLEM_TYPE, headers=HEADERS
        )
