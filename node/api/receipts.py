"""``POST /v1/receipts``: a partner's log proves what became of messages that were submitted here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

from aiohttp import web

from node import wire
from node.api.endpoint import Endpoint, cbor_response, take_items
from node.authentication import Caller, require_partner
from node.context import Context
from node.store.base import Failed, StoreForeignReceipts
from protocol.errors import ComityError, LogForkError, TooLargeError
from protocol.receipt import Receipt, VerifiedReceipt, decode_receipts

# Verifying a receipt takes some 0.1 ms: after so many others get their turn.
_TURN = 32


async def serve(context: Context, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """1 to 256 receipts; null for each that stands (also if it did before), else its refusal."""
    peer = require_partner(context.node, caller)
    receipts = decode_receipts(body)
    if not 1 <= len(receipts) <= wire.MAX_RECEIPTS:
        raise TooLargeError(f"a request carries 1 to {wire.MAX_RECEIPTS} receipts")
    take_items(context.partner_buckets, caller, len(receipts))
    verdicts = await _take(context, peer, receipts)
    for verdict in verdicts:
        if verdict is None:
            context.metrics.accepted.labels("receipts").inc()
        else:
            context.metrics.refusals.labels("receipts", verdict.code).inc()
    return cbor_response(wire.encode_verdicts(verdicts))


async def _take(context: Context, peer: str, receipts: Sequence[Receipt]) -> list[ComityError | None]:
    since = time.monotonic()
    verdicts: list[ComityError | None] = [None] * len(receipts)
    verified: list[VerifiedReceipt] = []
    positions: list[int] = []
    for position, receipt in enumerate(receipts):
        if position % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            verified.append(await context.directory.with_fresh(partial(context.judge.judge, receipt, peer), since))
            positions.append(position)
        except ComityError as problem:
            verdicts[position] = problem
    if not verified:
        return verdicts
    outcome = await context.sequencer.submit(StoreForeignReceipts(peer, tuple(verified), context.clock()))
    if isinstance(outcome, Failed):
        if isinstance(outcome.error, LogForkError):
            context.witness.alarm(peer, *{receipt.receipt.checkpoint for receipt in verified})
        for position in positions:
            verdicts[position] = outcome.error
        return verdicts
    for at, refusal in outcome.refused:
        verdicts[positions[at]] = refusal
    return verdicts


ENDPOINTS = (Endpoint("POST", "/v1/receipts", "receipts", serve, wire.MAX_BATCH_BYTES),)
