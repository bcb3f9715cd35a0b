"""The node's public HTTP application: every request passes the same gate before any handler sees it.

Gate, in this order: form of the request (no Upgrade, no Content-Encoding, body only where one belongs), signature over
its head, replay; then, by the caller's key alone, connections, requests under way, rate and size; only then is the body
read, within its time, and held against the digest that was signed. So a stranger's body is never waited for, and what
strangers do never refuses a request that authenticates. Every failure becomes a problem document; one that nobody
foresaw becomes code ``internal`` and a log line with its place, no values.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

from aiohttp import web

from node.http.api import (
    directory,
    files,
    heads,
    log,
    mailbox,
    misbehaviour,
    pull,
    receipts,
    submit,
    transfer,
    witness,
)
from node.http.api.endpoint import Endpoint
from node.http.authentication import Caller, SignedCall
from node.http.connections import Connection
from node.http.context import CONTEXT, HttpContext
from node.http.listener import TrackedHandler
from node.http.refusals import HEADERS
from node.operations.history import NOBODY
from node.operations.limits import network_of
from node.operations.logging import log_defect
from protocol.errors import (
    BodyTimeoutError,
    ComityError,
    MalformedError,
    MethodError,
    NotFoundError,
    TooLargeError,
)
from protocol.http.problem import PROBLEM_TYPE, problem_text
from protocol.http.signature import AuthenticatedRequest

ENDPOINTS: tuple[Endpoint, ...] = (
    *submit.ENDPOINTS,
    *transfer.ENDPOINTS,
    *receipts.ENDPOINTS,
    *pull.ENDPOINTS,
    *files.ENDPOINTS,
    *mailbox.ENDPOINTS,
    *directory.ENDPOINTS,
    *log.ENDPOINTS,
    *witness.ENDPOINTS,
    *misbehaviour.ENDPOINTS,
    *heads.ENDPOINTS,
)
_ROUTE = web.RequestKey("route", str)
_STRANGER = web.RequestKey("stranger", bool)
_HOLDER = web.RequestKey("holder", str)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(context: HttpContext) -> web.Application:
    """The application with all endpoints of docs/http-api.md."""
    # Bodies are read and limited by our own gate; aiohttp's own limit stays as a second fence.
    app = web.Application(
        middlewares=[_problems], client_max_size=max(endpoint.max_bytes for endpoint in ENDPOINTS) + 1
    )
    app[CONTEXT] = context
    for endpoint in ENDPOINTS:
        # No HEAD beside GET: its signature would be another one.
        app.router.add_route(endpoint.method, endpoint.path, _gate(context, endpoint))
    return app


def _gate(context: HttpContext, endpoint: Endpoint) -> Handler:
    async def serve(request: web.Request) -> web.StreamResponse:
        request[_ROUTE] = endpoint.name
        began = time.perf_counter()
        connection = _connection(request)
        try:
            with context.connections.serving(connection), ExitStack() as under_way:
                caller, signed = await _authenticate(context, endpoint, request)
                request[_HOLDER] = caller.holder
                context.connections.authenticated(connection, caller.holder)
                context.heard_from(caller.peer)
                under_way.enter_context(context.allowances.requests.take(caller.holder))
                if context.node.sequencer.held is not None and not endpoint.early:
                    raise context.node.sequencer.held
                body = await _body(context, endpoint, caller, request)
                if endpoint.of_files:
                    await asyncio.to_thread(signed.require_body, body)
                else:
                    signed.require_body(body)
                if endpoint.waits:
                    under_way.close()
                return await endpoint.handler(context, caller, request, body)
        finally:
            if not endpoint.waits:
                context.node.metrics.request_seconds.labels(endpoint.name).observe(time.perf_counter() - began)

    return serve


async def _authenticate(
    context: HttpContext, endpoint: Endpoint, request: web.Request
) -> tuple[Caller, AuthenticatedRequest]:
    """Who asks, by the request's head. Only what fails counts against the network that it came from."""
    network = network_of(request.remote or "")
    try:
        _check_form(request, endpoint)
        return await context.authenticator.authenticate(
            SignedCall(
                request.method, request.host, request.raw_path, request.headers.items(), _has_body(request), network
            )
        )
    except ComityError:
        request[_STRANGER] = True
        context.allowances.failures.take(network)
        raise


def _connection(request: web.Request) -> Connection:
    handler = request.protocol
    if not isinstance(handler, TrackedHandler):
        raise TypeError("a request outside the node's own listener")
    return handler.connection


async def _body(context: HttpContext, endpoint: Endpoint, caller: Caller, request: web.Request) -> bytes:
    """The body, charged to the caller before it is read."""
    desk = caller.desk is not None
    (context.allowances.desk if desk else context.allowances.partner).take(caller.holder)
    if not _has_body(request):
        return b""
    size = request.content_length
    if size is None:
        size = endpoint.max_bytes  # a chunked one may become as long
    timeout_s = context.node.settings.limits.body_timeout_s
    allowances = context.allowances
    if endpoint.of_files:  # they never take what messages need, and have the time that a slow line takes
        allowances.file_bytes.take(caller.holder, size)
        timeout_s += size / context.node.settings.files.slowest_bytes_per_s
        with allowances.file_bodies.take(caller.holder, size):
            return await _read_body(request, endpoint.max_bytes, timeout_s)
    (allowances.desk_bytes if desk else allowances.partner_bytes).take(caller.holder, size)
    with allowances.bodies.take(caller.holder, size):
        return await _read_body(request, endpoint.max_bytes, timeout_s)


def _has_body(request: web.Request) -> bool:
    return request.body_exists and request.content_length != 0


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
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.content.iter_any():
                parts.append(part)
                size += len(part)
                if size > max_bytes:
                    raise TooLargeError(f"a body here has at most {max_bytes} bytes")
    except TimeoutError as problem:
        raise BodyTimeoutError from problem
    except (ConnectionError, web.RequestPayloadError) as problem:
        raise MalformedError("the body broke off") from problem
    return b"".join(parts)


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
        context.node.metrics.internal_errors.inc()
        log_defect(context.node.log, problem, route=_route(request))
        return _problem(context, request, ComityError("the node met a defect; nothing more is known to the caller"))
    else:
        status = response.status
        if not response.prepared:
            response.headers.update(HEADERS)
        return response
    finally:
        context.node.metrics.requests.labels(_route(request), str(status)).inc()


def _problem(context: HttpContext, request: web.Request, problem: ComityError) -> web.Response:
    context.node.metrics.refusals.labels(_route(request), problem.code).inc()
    context.node.history.refused(request.get(_HOLDER, NOBODY), _route(request), problem.code)
    context.node.log.debug("refused", route=_route(request), code=problem.code, status=problem.http_status)
    response = web.Response(
        status=problem.http_status,
        body=problem_text(problem).encode(),
        content_type=PROBLEM_TYPE,
        headers=HEADERS,
    )
    # The rest of a body that was refused is not read.
    if not request.content.is_eof() or request.can_read_body or isinstance(problem, BodyTimeoutError):
        response.force_close()
    # A caller that did not say who it is begins again with a handshake.
    if _STRANGER in request:
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
