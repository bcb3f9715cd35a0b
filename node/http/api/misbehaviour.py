"""``/v1/misbehaviour``: proofs that partners offer and ask each other for."""

from __future__ import annotations

from aiohttp import web

from node.http.api.endpoint import Endpoint, cbor_response
from node.http.api.heads import require_reader
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from node.log.entry_access import shows_proof
from protocol.encoding import cbor
from protocol.errors import NotFoundError
from protocol.misbehaviour.proof import MAX_PROOF_BYTES


async def proof(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """A proof of misbehaviour by its digest. One that shows an entry is for auditors who may see that entry."""
    require_reader(context, caller)
    kept = context.relay.monitor.proofs.get(bytes.fromhex(request.match_info["digest"]))
    if kept is None or not await shows_proof(
        caller.desk, context.node.directory.current, context.node.store.reads, kept.proof
    ):
        raise NotFoundError("this node holds no such proof for this reader")
    return cbor_response(kept.written)


async def take(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """A partner offers a proof: null when it holds, whether or not it is new. Repeating it changes nothing."""
    require_partner(context.node.name, caller)
    context.relay.monitor.misbehaviour.take(body)
    return cbor_response(cbor.encode(None))


ENDPOINTS = (
    Endpoint("GET", "/v1/misbehaviour/{digest:[0-9a-f]{64}}", "misbehaviour-proof", proof),
    Endpoint("POST", "/v1/misbehaviour", "misbehaviour", take, MAX_PROOF_BYTES),
)
