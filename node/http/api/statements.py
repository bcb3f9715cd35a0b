"""``POST /v1/statements``: a desk states what happened to messages in its hands."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, answers_response, take_items
from node.http.authentication import Caller, require_desk
from node.http.context import HttpContext
from protocol.http import wire


async def serve(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 256 signed statements; for each the receipt of its event, or its refusal."""
    desk = require_desk(context.node.name, caller)
    statements = wire.decode_items(body, wire.MAX_STATEMENTS, wire.MAX_STATEMENTS_BYTES)
    take_items(context.allowances.desk, caller, len(statements))
    return answers_response(context, "statements", await context.relay.intake.state(statements, desk))


ENDPOINTS = (Endpoint("POST", "/v1/statements", "statements", serve, wire.MAX_STATEMENTS_BYTES),)
