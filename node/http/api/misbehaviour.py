"""``/v1/heads`` and ``/v1/misbehaviour``: what partners tell each other of logs, theirs and others'."""

from __future__ import annotations

from aiohttp import web

from keys.directory.cards import Function
from node.http.api.endpoint import Endpoint, cbor_response, origin
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from node.log.entry_access import shows_proof
from protocol.encoding import cbor
from protocol.errors import NotFoundError
from protocol.http import wire
from protocol.misbehaviour.proof import MAX_PROOF_BYTES


async def heads(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The newest size and root that this node saw of each other log, and which proofs it holds."""
    _require_reader(context, caller)
    return cbor_response(wire.encode_heads(await context.gossip.heads()))


async def note(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The newest checkpoint that this node saw of the log ``origin``, a signed note."""
    _require_reader(context, caller)
    seen = await context.node.store.reads.foreign_checkpoint(origin(request))
    if seen is None:
        raise NotFoundError("this node has seen nothing of that log")
    return web.Response(body=seen.note, content_type="text/plain", charset="utf-8")


async def proof(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """A proof of misbehaviour by its digest. One that shows an entry is for auditors who may see that entry."""
    _require_reader(context, caller)
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


def _require_reader(context: HttpContext, caller: Caller) -> None:
    if Function.AUDIT not in caller.functions:
        require_partner(context.node.name, caller)


ENDPOINTS = (
    Endpoint("GET", "/v1/heads", "heads", heads),
    Endpoint("GET", "/v1/heads/note", "heads-note", note),
    Endpoint("GET", "/v1/misbehaviour/{digest:[0-9a-f]{64}}", "misbehaviour-proof", proof),
    Endpoint("POST", "/v1/misbehaviour", "misbehaviour", take, MAX_PROOF_BYTES),
)
