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
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext

from aiohttp import web

from keys.transport.segment_bodies import LentSegments, PartedSegments
from keys.transport.tls_io import SocketBody
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
from node.http.api.endpoint import Endpoint, FilesEndpoint
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

ENDPOINTS: tuple[Endpoint | FilesEndpoint, ...] = (
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
# Of these, files wait until they are answered.
_MESSAGES = frozenset({"submit", "transfer", "statements", "receipts"})
# A client of the directory asks for the next root until there is none (TUF 5.3).
_NO_REFUSALS = frozenset({("directory", NotFoundError.code)})
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


def _gate(context: HttpContext, endpoint: Endpoint | FilesEndpoint) -> Handler:
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
                if isinstance(endpoint, FilesEndpoint):
                    return await _take_in_parts(context, endpoint, caller, request, signed)
                body = await _body(context, endpoint, caller, request)
                signed.require_body(body)
                if endpoint.waits:
                    under_way.close()
                with context.file_serving.first.message() if endpoint.name in _MESSAGES else nullcontext():
                    return await endpoint.handler(context, caller, request, body)
        finally:
            _go_on(request)
            if not endpoint.waits:
                context.node.metrics.request_seconds.labels(endpoint.name).observe(time.perf_counter() - began)

    return serve


async def _authenticate(
    context: HttpContext, endpoint: Endpoint | FilesEndpoint, request: web.Request
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
    desk = _charge_request(context, caller)
    if not _has_body(request):
        return b""
    size = _size_of(request, endpoint)
    timeout_s = context.node.settings.limits.body_timeout_s
    allowances = context.allowances
    (allowances.desk_bytes if desk else allowances.partner_bytes).take(caller.holder, size)
    with allowances.bodies.take(caller.holder, size):
        return b"".join([part async for part in _parts(request, endpoint.max_bytes, timeout_s)])


async def _take_in_parts(
    context: HttpContext, endpoint: FilesEndpoint, caller: Caller, request: web.Request, signed: AuthenticatedRequest
) -> web.StreamResponse:
    """Give a body with segments to its handler as it comes, charged to the caller before.

    Such bodies never take what messages need, and have the time that a slow line takes. A segment that proved itself
    is kept, whatever becomes of the rest: so a digest of the whole, where the caller gives one, is compared at the end.
    """
    _charge_request(context, caller)
    size = _size_of(request, endpoint) if _has_body(request) else 0
    context.allowances.file_bytes.take(caller.holder, size)
    timeout_s = context.node.settings.limits.body_timeout_s + size / context.node.settings.files.slowest_bytes_per_s
    first = context.file_serving.first
    with context.allowances.file_bodies.take(caller.holder, size), _lent(request, signed) as lent:
        if lent is None:
            body: LentSegments | PartedSegments = PartedSegments(
                _parts(request, endpoint.max_bytes, timeout_s), signed, first
            )
        else:
            body = LentSegments(lent, first, asyncio.get_running_loop().time() + timeout_s)
        try:
            response = await endpoint.handler(context, caller, request, body)
        except ComityError:
            await body.drain()  # who still sends would not read why it is refused
            raise
        await body.require_signed()
        return response


@contextmanager
def _lent(request: web.Request, signed: AuthenticatedRequest) -> Iterator[SocketBody | None]:
    """The body to be read from the connection, where it can be; a digest of the whole is compared the usual way."""
    handler = request.protocol
    if signed.content_digest is not None or not isinstance(handler, TrackedHandler):
        yield None
        return
    with handler.lend(request) as body:
        yield body


def _charge_request(context: HttpContext, caller: Caller) -> bool:
    """Charge a request to the caller; whether that is a desk."""
    desk = caller.desk is not None
    (context.allowances.desk if desk else context.allowances.partner).take(caller.holder)
    return desk


def _go_on(request: web.Request) -> None:
    """Have the library read what was held back."""
    if isinstance(request.protocol, TrackedHandler):
        request.protocol.go_on()


def _size_of(request: web.Request, endpoint: Endpoint | FilesEndpoint) -> int:
    """How long the body is; a chunked one may become as long as any."""
    return endpoint.max_bytes if request.content_length is None else request.content_length


def _has_body(request: web.Request) -> bool:
    return request.body_exists and request.content_length != 0


def _check_form(request: web.Request, endpoint: Endpoint | FilesEndpoint) -> None:
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


async def _parts(request: web.Request, max_bytes: int, timeout_s: float) -> AsyncIterator[bytes]:
    """The body as it comes, within its time."""
    size, content = 0, request.content
    _go_on(request)
    # One timer for the whole: it ends whoever waits for more of the body then.
    timer = asyncio.get_running_loop().call_later(timeout_s, content.set_exception, BodyTimeoutError())
    try:
        while part := await content.readany():
            size += len(part)
            if size > max_bytes:
                raise TooLargeError(f"a body here has at most {max_bytes} bytes")
            yield part
    except (ConnectionError, web.RequestPayloadError) as problem:
        raise MalformedError("the body broke off") from problem
    finally:
        timer.cancel()


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
    if (_route(request), problem.code) not in _NO_REFUSALS:
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
