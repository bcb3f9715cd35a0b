"""``POST /v1/pull``: a partner that cannot be reached fetches what waits for it here, and says what it took before.

The node judges its word as if it had answered a push: an envelope leaves the queue only for receipts that are proved.
"""

from __future__ import annotations

import time

from aiohttp import web

from node.http.api._waiting import MAX_WAIT_S, waiting
from node.http.api.endpoint import Endpoint, cbor_response, number
from node.http.authentication import Caller, require_partner
from node.http.context import HttpContext
from node.relay.delivery import BATCH_BYTES, receipt_batches
from node.store.reads import OutboundItem, OutboundKind, Portion
from protocol.http import wire
from protocol.http.wire import Taken, Waiting

# Rows that were put off come due without a word; they are looked for this often.
_LOOK_AGAIN_S = 5.0


async def serve(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """Records what was taken, then answers what waits, at most ``wait`` seconds later."""
    peer = require_partner(context.node.name, caller)
    deadline = time.monotonic() + number(request, "wait", 0, MAX_WAIT_S)
    await record(context, peer, wire.decode_taken(body, peer))
    page = await _page(context, peer)
    if not page and time.monotonic() < deadline:
        with waiting(context, peer), context.node.sequencer.wakeups.watch(peer) as watch:
            page = await _page(context, peer)
            while not page and not context.polls.stopping:
                left_s = deadline - time.monotonic()
                if left_s <= 0:
                    break
                await watch.wait(min(left_s, _LOOK_AGAIN_S))
                page = await _page(context, peer)
    return cbor_response(wire.encode_waiting(page))


async def record(context: HttpContext, peer: str, taken: Taken) -> None:
    """Judge and record what ``peer`` says that it took; what does not hold stays queued."""
    numbers = [row for row, _ in taken.answers] + [row for row, _ in taken.verdicts]
    if not numbers:
        return
    queued = await context.node.store.reads.outbound_items(peer, numbers)
    answers = [
        (queued[row], answer)
        for row, answer in taken.answers
        if row in queued and queued[row].kind is OutboundKind.ENVELOPE
    ]
    await context.relay.outcomes.answered(peer, [item for item, _ in answers], [answer for _, answer in answers])
    verdicts = [
        (queued[row], own)
        for row, own in taken.verdicts
        if row in queued and len(own) == len(queued[row].receipts) and queued[row].kind is OutboundKind.RECEIPTS
    ]
    await context.relay.outcomes.judged(peer, [item for item, _ in verdicts], [own for _, own in verdicts])


async def _page(context: HttpContext, peer: str) -> Waiting:
    most = Portion(wire.MAX_ENVELOPES, BATCH_BYTES), Portion(wire.MAX_RECEIPTS, BATCH_BYTES)
    envelopes, receipts = await context.node.store.reads.due(peer, context.node.clock(), *most)
    groups = receipt_batches(receipts)
    return Waiting(
        tuple((item.outbound_id, item.raw) for item in envelopes if item.raw is not None and _alive(item, context)),
        tuple((item.outbound_id, item.receipts) for item in (groups[0] if groups else ())),
    )


def _alive(item: OutboundItem, context: HttpContext) -> bool:
    """Whether it may still arrive; what expired becomes a RelayFailure by the clock."""
    return item.expires is None or item.expires > context.node.clock()


ENDPOINTS = (Endpoint("POST", "/v1/pull", "pull", serve, wire.MAX_ANSWER_BYTES, waits=True),)
