"""``POST /v1/receipts``: a partner brings proof of what became of messages that passed here."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, cbor_response, count_verdicts, take_items
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from node.relay.receipt_intake import take_receipts
from protocol.errors import TooLargeError
from protocol.http import wire
from protocol.receipt import decode_receipts


async def serve(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 256 receipts; null for each that stands (also if it did before), else its refusal."""
    peer = require_partner(context.node.name, caller)
    receipts = decode_receipts(body)
    if not 1 <= len(receipts) <= wire.MAX_RECEIPTS:
        raise TooLargeError(f"a request carries 1 to {wire.MAX_RECEIPTS} receipts")
    take_items(context.allowances.partner, caller, len(receipts))
    verdicts = await take_receipts(context.relay, peer, receipts)
    count_verdicts(context, caller, "receipts", verdicts)
    return cbor_response(wire.encode_verdicts(verdicts))


ENDPOINTS = (Endpoint("POST", "/v1/receipts", "receipts", serve, wire.MAX_BATCH_BYTES),)
