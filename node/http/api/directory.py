"""``GET /directory/…``: the directory's files, exactly as this node verified them."""

from __future__ import annotations

import asyncio

from aiohttp import web

from keys.directory.metadata.repository import archive_node
from node.http.api.endpoint import Endpoint
from node.http.authentication import Caller
from node.http.context import HttpContext


async def serve(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """A file such as ``metadata/timestamp.json``, or a nation's archive."""
    name = request.match_info["name"]
    content = await asyncio.to_thread(context.node.directory.served.read, name)
    is_archive = archive_node(name) is not None
    return web.Response(body=content, content_type="application/octet-stream" if is_archive else "application/json")


ENDPOINTS = (Endpoint("GET", "/directory/{name:.{1,200}}", "directory", serve, early=True),)
