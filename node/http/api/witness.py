"""``POST /witness/add-checkpoint`` and ``GET /witness/<origin hash>/checkpoint``: this node as a witness.

C2SP tlog-witness with the submission and monitoring prefix ``/witness``. Beyond that specification, a request is signed
as every other one, and only partner nodes may ask.
"""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from protocol.errors import OldSizeError
from protocol.http.add_checkpoint import (
    MAX_REQUEST_BYTES,
    SIZE_TYPE,
    decode_add_checkpoint,
    encode_cosignatures,
    encode_old_size,
)

NOTE_TYPE = "text/plain"


async def add_checkpoint(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The witness's signature lines; 409 with the size that it cosigned last, when the old size is another."""
    require_partner(context.node.name, caller)
    try:
        lines = await context.witness.add(decode_add_checkpoint(body))
    except OldSizeError as problem:
        # The specification gives this answer a form of its own.
        context.node.metrics.refusals.labels("witness-add", problem.code).inc()
        context.node.history.refused(caller.holder, "witness-add", problem.code)
        return web.Response(status=problem.http_status, body=encode_old_size(problem.size), content_type=SIZE_TYPE)
    return web.Response(body=encode_cosignatures(lines), content_type=NOTE_TYPE, charset="utf-8")


async def checkpoint(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The checkpoint of a log that was cosigned here last."""
    note = await context.witness.newest(request.match_info["origin"])
    return web.Response(body=note, content_type=NOTE_TYPE, charset="utf-8")


ENDPOINTS = (
    Endpoint("POST", "/witness/add-checkpoint", "witness-add", add_checkpoint, MAX_REQUEST_BYTES, body_type=NOTE_TYPE),
    Endpoint("GET", "/witness/{origin:[0-9a-f]{64}}/checkpoint", "witness-checkpoint", checkpoint),
)
