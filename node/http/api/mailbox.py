"""``GET /v1/mailbox`` and ``/v1/mailbox/events``: what waits for the desk whose signature the request has."""

from __future__ import annotations

import time

from aiohttp import web

from node.http.api._waiting import MAX_WAIT_S, waiting
from node.http.api.endpoint import Endpoint, cbor_response, number
from node.http.authentication import Caller, require_desk
from node.http.context import HttpContext
from node.log.wakeups import Look
from node.store.reads import StoredMailboxEntry
from protocol.address import Address
from protocol.http import wire

MAX_ENTRIES = 128
DEFAULT_ENTRIES = 64
MAX_PAGE_BYTES = 2 * 1024 * 1024
MAX_PAGE_RECEIPTS = 1_000
HEARTBEAT_S = 15.0
# A stream ends after this: the desk asks again, and its card is judged anew.
MAX_STREAM_S = 600.0


async def page(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The entries after ``after``, oldest first; waits up to ``wait`` seconds for one to come."""
    desk = require_desk(context.node.name, caller)
    after = number(request, "after", 0)
    limit = max(1, number(request, "limit", DEFAULT_ENTRIES, MAX_ENTRIES))
    deadline = time.monotonic() + number(request, "wait", 0, MAX_WAIT_S)
    entries, head = await _page(context, desk, after, limit)
    if not entries and time.monotonic() < deadline:
        with waiting(context, str(desk)), context.node.sequencer.wakeups.watch(str(desk)) as watch:
            entries, head = await _page(context, desk, after, limit)
            while not entries and not context.polls.stopping:
                left_s = deadline - time.monotonic()
                look = Look(lambda: context.node.store.reads.mailbox_page_here(desk, after, limit, MAX_PAGE_BYTES))
                if left_s <= 0 or not await watch.wait(left_s, look):
                    break
                found = look.found
                entries, head = await _page(context, desk, after, limit) if found is None else _fitting(*found)
    rows = [(entry.seq, entry.envelope, entry.receipts) for entry in entries]
    return cbor_response(wire.encode_mailbox(rows, head))


async def events(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.StreamResponse:
    """An event stream that says only that there is something new: ``event: mailbox``, ``data: <highest seq>``."""
    desk = require_desk(context.node.name, caller)
    told = number(request, "after", 0)
    until = time.monotonic() + MAX_STREAM_S
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    with waiting(context, str(desk)), context.node.sequencer.wakeups.watch(str(desk)) as watch:
        await response.prepare(request)
        await response.write(b": comity\n\n")
        while not context.polls.stopping and time.monotonic() < until:
            head = await context.node.store.reads.mailbox_head(desk)
            if head > told:
                told = head
                await response.write(f"event: mailbox\ndata: {head}\n\n".encode())
            if not await watch.wait(HEARTBEAT_S):
                await response.write(b": still here\n\n")
    await response.write_eof()
    return response


async def _page(context: HttpContext, desk: Address, after: int, limit: int) -> tuple[list[StoredMailboxEntry], int]:
    """The entries, and the highest seq there is."""
    return _fitting(*await context.node.store.reads.mailbox_page(desk, after, limit, MAX_PAGE_BYTES))


def _fitting(entries: list[StoredMailboxEntry], head: int) -> tuple[list[StoredMailboxEntry], int]:
    """As many of the entries as one page may have."""
    head = max(head, entries[-1].seq if entries else 0)
    receipts = 0
    for count, entry in enumerate(entries):
        receipts += len(entry.receipts)
        if count and receipts > MAX_PAGE_RECEIPTS:
            return entries[:count], head
    return entries, head


ENDPOINTS = (
    Endpoint("GET", "/v1/mailbox", "mailbox", page, waits=True),
    Endpoint("GET", "/v1/mailbox/events", "mailbox-events", events, waits=True),
)
