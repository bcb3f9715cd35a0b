"""``GET /witness/…``: what this node saw of another node's log, for that node to ask before it signs again.

A node whose database was put back to an earlier state cannot know it; its partners do. The log that an answer is about
has signed it. Both resources are served also while this node itself waits for such answers.
"""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from node.http.api.endpoint import Endpoint, cbor_response, number, origin
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from protocol.errors import NotFoundError
from protocol.http.wire import MAX_RECEIPTS
from protocol.log.checkpoint import claimed_time, parse_checkpoint
from protocol.receipt import encode_receipts

_NEVER = datetime.min.replace(tzinfo=UTC)


async def checkpoint(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The newest checkpoint of the log ``origin`` that this node saw: under a receipt, cosigned here, or proved.

    Of one tree, the one that says the latest time: the log must never date another before that.
    """
    require_partner(context.node.name, caller)
    asked = origin(request)
    kept = (await context.node.store.reads.foreign_checkpoint(asked), await context.node.store.reads.cosigned(asked))
    notes = [seen.note for seen in kept if seen is not None]
    proved = context.relay.monitor.proved(asked)
    if proved is not None:
        notes.append(proved)
    if not notes:
        raise NotFoundError(f"this node never saw a checkpoint of {asked}")
    newest = max(notes, key=lambda note: (parse_checkpoint(note).size, claimed_time(note) or _NEVER))
    return web.Response(body=newest, content_type="text/plain", charset="utf-8")


async def receipts(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The receipts of the caller's own log that are kept here, of entries from index ``from`` on."""
    peer = require_partner(context.node.name, caller)
    own = context.node.directory.current.origin(peer)
    kept = await context.node.store.reads.foreign_receipts(own, number(request, "from"), MAX_RECEIPTS)
    return cbor_response(encode_receipts(kept))


ENDPOINTS = (
    Endpoint("GET", "/witness/checkpoint", "seen-checkpoint", checkpoint, early=True),
    Endpoint("GET", "/witness/receipts", "seen-receipts", receipts, early=True),
)
