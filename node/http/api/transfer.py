"""``POST /v1/transfer``: a partner node hands envelopes over that its desks sent to desks here."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, answers_response, take_items
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from protocol.http import wire


async def serve(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 64 envelopes; for each RelayAcceptance and a ContentConsignment per recipient here, or its refusal."""
    peer = require_partner(context.node.name, caller)
    envelopes = wire.decode_items(body, wire.MAX_ENVELOPES, wire.MAX_BATCH_BYTES)
    take_items(context.allowances.partner, caller, len(envelopes))
    return answers_response(context, caller, "transfer", await context.relay.intake.transfer(envelopes, peer))


ENDPOINTS = (Endpoint("POST", "/v1/transfer", "transfer", serve, wire.MAX_BATCH_BYTES),)
