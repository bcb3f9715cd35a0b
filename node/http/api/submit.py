"""``POST /v1/submit`` and ``POST /v1/statements``: a desk hands over to its own node what it signed."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, answers_response, take_items
from node.http.authentication import Caller, require_desk
from node.http.context import HttpContext
from protocol.http import wire


async def submit(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 64 envelopes; for each its receipts (SubmissionAcceptance first) or its refusal."""
    desk = require_desk(context.node.name, caller)
    envelopes = wire.decode_items(body, wire.MAX_ENVELOPES, wire.MAX_BATCH_BYTES)
    take_items(context.allowances.desk, caller, len(envelopes))
    return answers_response(context, caller, "submit", await context.relay.intake.submit(envelopes, desk))


async def state(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 256 signed statements of what happened at the desk; for each its event's receipt, or its refusal."""
    desk = require_desk(context.node.name, caller)
    statements = wire.decode_items(body, wire.MAX_STATEMENTS, wire.MAX_STATEMENTS_BYTES)
    take_items(context.allowances.desk, caller, len(statements))
    return answers_response(context, caller, "statements", await context.relay.intake.state(statements, desk))


ENDPOINTS = (
    Endpoint("POST", "/v1/submit", "submit", submit, wire.MAX_BATCH_BYTES),
    Endpoint("POST", "/v1/statements", "statements", state, wire.MAX_STATEMENTS_BYTES),
)
