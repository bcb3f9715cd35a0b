"""``POST /v1/submit``: a desk hands its envelopes over to its own node."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, answers_response, take_items
from node.http.authentication import Caller, require_desk
from node.http.context import HttpContext
from protocol.http import wire


async def serve(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 64 envelopes; for each its receipts (SubmissionAcceptance first) or its refusal."""
    desk = require_desk(context.node.name, caller)
    envelopes = wire.decode_items(body, wire.MAX_ENVELOPES, wire.MAX_BATCH_BYTES)
    take_items(context.allowances.desk, caller, len(envelopes))
    return answers_response(context, "submit", await context.relay.intake.submit(envelopes, desk))


ENDPOINTS = (Endpoint("POST", "/v1/submit", "submit", serve, wire.MAX_BATCH_BYTES),)
