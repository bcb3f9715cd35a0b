"""``/v1/files/…``: evidence files announced, brought, fetched and taken back, segment by segment.

The files of a message come from the party that brought the message, and go to those who are to get it from here. To
anyone else a message is as unknown as one that never was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web

from keys.transport.segment_bodies import SegmentBody
from node.http.api.endpoint import Endpoint, FilesEndpoint, cbor_response, count_verdicts, digest_of
from node.http.authentication import Caller, require_desk, require_partner
from node.http.context import HttpContext
from node.http.listener import TrackedHandler
from node.http.refusals import HEADERS
from protocol.errors import ComityError, MalformedError
from protocol.http import file_progress, wire
from protocol.http import files as bodies
from protocol.http.segment_streams import Buffer


def _party(context: HttpContext, caller: Caller) -> str:
    """A desk that is served here, or a partner; raises ``ForbiddenError``."""
    if caller.desk is not None:
        return str(require_desk(context.node.name, caller))
    return require_partner(context.node.name, caller)


async def announce(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """The list of a message's files; the answer says which segments are missing here, also after a break."""
    party = _party(context, caller)
    missing = await context.files.announce(bodies.decode_open(body), party)
    return cbor_response(bodies.encode_missing(missing))


async def take(context: HttpContext, caller: Caller, request: web.Request, body: SegmentBody) -> web.StreamResponse:
    """Segments of announced files, each kept as soon as all of it is here.

    The answer says null for each that is durable here now, else what is wrong with it.
    """
    party, digest = _party(context, caller), digest_of(request)
    count = 0
    async with context.files.taking(digest, party) as taking, aclosing(body.segments()) as coming:
        async for segments in coming:
            count += len(segments)
            await taking.add(segments)
        if not count:
            raise MalformedError("a request carries at least one segment")
        verdicts = await taking.answers()
    count_verdicts(context, caller, "files-segments", verdicts)
    return cbor_response(wire.encode_verdicts(verdicts))


async def fetch(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.StreamResponse:
    """The list, what is here of each file, and as many of the wanted segments as fit."""
    party = _party(context, caller)
    found = await context.file_serving.look(bodies.decode_fetch(body), party)
    if not found.places:
        return cbor_response(bodies.encode_held(await context.file_serving.answer(found, party)))
    settings = context.node.settings
    # The answer takes its room until the caller has it, or was too slow.
    with context.allowances.file_bodies.take(caller.holder, found.size_bytes):
        length, parts = await context.file_serving.parts(found, party)
        response = web.StreamResponse(headers=HEADERS)
        response.content_type, response.content_length = wire.CONTENT_TYPE, length
        timeout_s = settings.limits.body_timeout_s + length / settings.files.slowest_bytes_per_s
        try:
            async with asyncio.timeout(timeout_s):
                await response.prepare(request)
                async with aclosing(parts):
                    await _send(request, response, parts)
                await response.write_eof()
        except TimeoutError as problem:
            raise ConnectionError("the caller was too slow") from problem
        except ComityError as problem:  # the answer began: that it breaks off says that it is none
            raise ConnectionResetError("a segment was lost while it was handed out") from problem
    return response


async def _send(request: web.Request, response: web.StreamResponse, parts: AsyncGenerator[Buffer]) -> None:
    """Send the parts straight to the connection, where that can be lent."""
    handler = request.protocol
    if not isinstance(handler, TrackedHandler) or not await handler.is_free():
        async for part in parts:
            await response.write(part)
        return
    with handler.lend_to_send() as connection:
        async for part in parts:
            await connection.send(part)


async def cancel(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """Take back what nobody got yet of a message's files; how many files were let go."""
    party = _party(context, caller)
    taken_back = bodies.decode_cancel(body)
    let_go = await context.files.cancel(taken_back.digest, party, taken_back.reason)
    return cbor_response(bodies.encode_cancelled(let_go))


async def progress(context: HttpContext, caller: Caller, request: web.Request, body: bytes) -> web.Response:
    """How far the files are here and beyond; the next nodes are asked for as long as the caller says."""
    party = _party(context, caller)
    rows = await context.file_serving.progress(file_progress.decode_asked(body), party)
    return cbor_response(file_progress.encode_progress(rows))


ENDPOINTS = (
    Endpoint("POST", "/v1/files/open", "files-open", announce, bodies.MAX_OPEN_BYTES),
    FilesEndpoint("POST", "/v1/files/segments", "files-segments", take, bodies.MAX_SEGMENTS_BYTES),
    Endpoint("POST", "/v1/files/fetch", "files-fetch", fetch, bodies.MAX_FETCH_BYTES),
    Endpoint("POST", "/v1/files/cancel", "files-cancel", cancel, bodies.MAX_CANCEL_BYTES),
    Endpoint("POST", "/v1/files/progress", "files-progress", progress, file_progress.MAX_ASKED_BYTES),
)
