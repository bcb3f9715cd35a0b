"""The node's public HTTP application: every request passes the same gate before any handler sees it.

Gate, in this order: form of the request (no Upgrade, no Content-Encoding, body only where one belongs), how often this
address failed before, size and time of the body, signature and replay, rate of this caller. What goes wrong anywhere
becomes a problem document; what nobody foresaw becomes code ``internal`` and a log line with its place, no values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from node import wire
from node.api import (
    directory,
    log,
    mailbox,
    misbehaviour,
    pull,
    receipts,
    seen,
    statements,
    submit,
    transfer,
    witness,
)
from node.api.endpoint import Endpoint
from node.authentication import Caller, SignedCall
from node.context import CONTEXT, Context
from node.logging import log_defect
from protocol.errors import (
    ComityError,
    MalformedError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from protocol.problem import PROBLEM_TYPE, problem_text

ENDPOINTS: tuple[Endpoint, ...] = (
    *submit.ENDPOINTS,
    *transfer.ENDPOINTS,
    *statements.ENDPOINTS,
    *receipts.ENDPOINTS,
    *pull.ENDPOINTS,
    *mailbox.ENDPOINTS,
    *directory.ENDPOINTS,
    *log.ENDPOINTS,
    *witness.ENDPOINTS,
    *misbehaviour.ENDPOINTS,
    *seen.ENDPOINTS,
)
_ROUTE = web.RequestKey("route", str)
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "comity-node"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class BodyTimeoutError(UnavailableError):
    """The request's body did not arrive in time."""

    code = "body-timeout"
    http_status = 408
    advice = "Send the whole body at once; nothing was accepted."


class MethodError(ComityError):
    """This resource does not take this method."""

    code = "method-not-allowed"
    http_status = 405
    advice = "Use the method that the protocol specification names."


def build_app(context: Context) -> web.Application:
    """The application with all endpoints of docs/http-api.md."""
    # Bodies are read and limited by our own gate; aiohttp's own limit stays as a second fence.
    app = web.Application(middlewares=[_problems], client_max_size=wire.MAX_BATCH_BYTES + 1)
    app[CONTEXT] = context
    for endpoint in ENDPOINTS:
        # No HEAD beside GET: its signature would be another one.
        app.router.add_route(endpoint.method, endpoint.path, _gate(context, endpoint))
    return app


def _gate(context: Context, endpoint: Endpoint) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        request[_ROUTE] = endpoint.name
        if context.requests >= context.limits.requests_at_once and not endpoint.waits:
            raise UnavailableError("this node is busy")
        context.requests += not endpoint.waits
        began = time.perf_counter()
        try:
            caller, body = await _admit(context, endpoint, request)
            context.heard_from(caller.peer)
            if context.sequencer.held is not None and not endpoint.early:
                raise context.sequencer.held
            return await endpoint.handler(context, caller, request, body)
        finally:
            context.requests -= not endpoint.waits
            if not endpoint.waits:
                context.metrics.request_seconds.labels(endpoint.name).observe(time.perf_counter() - began)

    return serve


async def _admit(context: Context, endpoint: Endpoint, request: web.Request) -> tuple[Caller, bytes]:
    _check_form(request, endpoint)
    address = request.remote or ""
    context.failure_buckets.require(address)
    try:
        body = await _read_body(request, endpoint.max_bytes, context.limits.body_timeout_s)
        caller = await context.authenticator.authenticate(
            SignedCall(request.method, request.host, request.raw_path, request.headers.items(), body)
        )
    except ComityError:
        context.failure_buckets.drain(address)
        raise
    buckets = context.desk_buckets if caller.desk is not None else context.partner_buckets
    buckets.take(caller.holder)
    return caller, body


def _check_form(request: web.Request, endpoint: Endpoint) -> None:
    headers = request.headers
    if "Upgrade" in headers:
        raise MalformedError("this server does not change protocols")
    if "Content-Encoding" in headers:
        raise MalformedError("bodies are not compressed here")
    if not request.raw_path.startswith("/"):
        raise MalformedError("the request's target is a path")
    if endpoint.max_bytes == 0:
        if request.body_exists:
            raise MalformedError("this request has no body")
        return
    if headers.get("Content-Type") != endpoint.body_type:
        raise MalformedError(f"the body is {endpoint.body_type}")
    if (request.content_length or 0) > endpoint.max_bytes:
        raise TooLargeError(f"a body here has at most {endpoint.max_bytes} bytes")


async def _read_body(request: web.Request, max_bytes: int, timeout_s: float) -> bytes:
    if max_bytes == 0:
        return b""
    parts = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.content.iter_any():
                parts += part
                if len(parts) > max_bytes:
                    raise TooLargeError(f"a body here has at most {max_bytes} bytes")
    except TimeoutError as problem:
        raise BodyTimeoutError from problem
    except (ConnectionError, web.RequestPayloadError) as problem:
        raise MalformedError("the body broke off") from problem
    return bytes(parts)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    context = request.app[CONTEXT]
    status = 500
    try:
        response = await handler(request)
    except ComityError as problem:
        status = problem.http_status
        return _problem(context, request, problem)
    except web.HTTPException as refusal:
        status = refusal.status
        return _problem(context, request, _typed(refusal))
    except asyncio.CancelledError:
        status = 499
        raise
    except ConnectionError:
        status = 499  # the caller went away while it was answered
        raise
    except Exception as problem:  # noqa: BLE001 - the last edge: a defect becomes "internal", without values
        context.metrics.internal_errors.inc()
        log_defect(context.log, problem, route=_route(request))
        return _problem(context, request, ComityError("the node met a defect; nothing more is known to the caller"))
    else:
        status = response.status
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response
    finally:
        context.metrics.requests.labels(_route(request), str(status)).inc()


def _problem(context: Context, request: web.Request, problem: ComityError) -> web.Response:
    context.metrics.refusals.labels(_route(request), problem.code).inc()
    context.log.debug("refused", route=_route(request), code=problem.code, status=problem.http_status)
    response = web.Response(
        status=problem.http_status,
        body=problem_text(problem).encode(),
        content_type=PROBLEM_TYPE,
        headers=_HEADERS,
    )
    # What is left of a body that was refused is not read.
    if not request.content.is_eof() or request.can_read_body or isinstance(problem, BodyTimeoutError):
        response.force_close()
    return response


def _typed(refusal: web.HTTPException) -> ComityError:
    if refusal.status == 405:
        return MethodError()
    if refusal.status == 413:
        return TooLargeError()
    if refusal.status == 404:
        return NotFoundError()
    return MalformedError("the request is not one of this protocol")


def _route(request: web.Request) -> str:
    route: str = request.get(_ROUTE, "other")
    return route
