"""What this node saw of other nodes' logs: ``/v1/heads``, ``/v1/head`` and ``/witness/receipts``.

Partners compare it with what they saw. The node that a log is of asks for it before it signs again: one whose database
was put back to an earlier state cannot know it, its partners do. The log that an answer is about has signed it. A
partner is answered also while this node itself waits for such answers, but for the listing.
"""

from __future__ import annotations

from aiohttp import web

from keys.directory.cards import Function
from node.http.api.endpoint import Endpoint, cbor_response, number, origin
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from node.monitor.heads import known_head
from protocol.errors import NotFoundError
from protocol.http import wire
from protocol.http.wire import MAX_RECEIPTS
from protocol.receipt import encode_receipts


async def heads(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The newest size and root that this node knows of each other log, and which proofs it holds."""
    require_reader(context, caller)
    return cbor_response(wire.encode_heads(await context.gossip.heads()))


async def head(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The checkpoints behind one of these: of the log ``origin``, that signed first, and the latest if it is another.

    An auditor, who restores no log, waits until this node may sign.
    """
    require_reader(context, caller)
    held = context.node.sequencer.held
    if held is not None and caller.peer is None:
        raise held
    asked = origin(request)
    known = await known_head(context.node.store.reads, context.relay.monitor, asked)
    if known is None:
        raise NotFoundError(f"this node never saw a checkpoint of {asked}")
    return cbor_response(wire.encode_head(known.notes))


async def receipts(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The receipts of the caller's own log that are kept here, of entries from index ``from`` on."""
    peer = require_partner(context.node.name, caller)
    own = context.node.directory.current.origin(peer)
    kept = await context.node.store.reads.foreign_receipts(own, number(request, "from"), MAX_RECEIPTS)
    return cbor_response(encode_receipts(kept))


def require_reader(context: HttpContext, caller: Caller) -> None:
    """Return if the caller is another node, or an auditor; raises ``ForbiddenError``."""
    if Function.AUDIT not in caller.functions:
        require_partner(context.node.name, caller)


ENDPOINTS = (
    Endpoint("GET", "/v1/heads", "heads", heads),
    Endpoint("GET", "/v1/head", "head", head, early=True),
    Endpoint("GET", "/witness/receipts", "seen-receipts", receipts, early=True),
)
