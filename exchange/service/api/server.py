"""The listener of the local API: its limits, who called, and every refusal as a problem document.

::

    async with local_api(service, note.api_socket):
        ...

The socket belongs to the desk's system user alone (mode 0600, in a folder of mode 0700). A request that is too large,
too slow or one too many is refused; nothing of a request is written to a log.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from aiohttp import web
from pydantic import ValidationError

from exchange.acts.evidence import absolute
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.messaging.once import under_key
from exchange.office.officers import check_line, check_officer_id, check_purpose
from exchange.service.api.callers import ApiCallers
from exchange.service.api.connections import ApiConnections
from exchange.service.api.declared import RUNNING, Body, Call, Declared, Running
from exchange.service.api.openapi import ENDPOINTS, document
from exchange.service.recording import SessionRecording
from exchange.service.service import DeskService
from exchange.text.objects import plain
from keys.transport.unread_requests import UnreadRequests
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import each_name_once
from protocol.errors import (
    ComityError,
    MalformedError,
    MethodError,
    NotFoundError,
    ServiceBusyError,
    TooLargeError,
    UnavailableError,
    UsageError,
)

MAX_BODY_BYTES = 8 * 1024 * 1024
# A body from this length on is read in a thread: lists of hundreds of targets.
LONG_BODY_BYTES = 64 * 1024
MAX_ITEMS = 200_000
MAX_CONNECTIONS = 256
MAX_AT_ONCE = 32
MAX_ATTACHED = 256
# So long a request waits for others to be answered before it is refused.
PLACE_WITHIN_S = 10.0
BODY_WITHIN_S = 20.0
ANSWER_WITHIN_S = 120.0
KEEP_ALIVE_S = 75.0
TIDY_EVERY_S = 5.0
_BACKLOG = 128
_PROBLEM = "application/problem+json"
_SAID: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("Comity-Officer", check_officer_id),
    ("Comity-Purpose", check_purpose),
    ("Comity-Reason", partial(check_line, what="a reason")),
)


@asynccontextmanager
async def local_api(service: DeskService, path: str) -> AsyncIterator[web.Application]:
    """Serve the API of a desk at the socket ``path`` for the length of the block."""
    running = Running(service, ApiCallers(service), asyncio.Semaphore(MAX_AT_ONCE))
    app = _application(running)
    handler: dict[str, Any] = {"access_log": None, "keepalive_timeout": KEEP_ALIVE_S}
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=2.0, **handler)
    await runner.setup()
    loop = asyncio.get_running_loop()
    connections = running.connections = ApiConnections(
        lambda: list(runner.server.connections) if runner.server is not None else [],
        running.callers.is_signed_in,
        lambda: MAX_CONNECTIONS,
    )
    tidying = asyncio.create_task(_tidy(running.callers, connections))
    recording = SessionRecording(service)
    service.sessions.on_change.append(recording.note)
    listening = _listening(path)
    server = await loop.create_unix_server(
        lambda: _PlainHandler(runner.server, loop=loop, **handler),  # type: ignore[arg-type]
        sock=listening,
        backlog=_BACKLOG,
    )
    try:
        yield app
    finally:
        running.ending.set()
        tidying.cancel()
        server.close()
        await runner.cleanup()
        running.callers.end_all()
        service.sessions.on_change.remove(recording.note)
        await recording.end()
        listening.close()
        with suppress(FileNotFoundError):
            os.unlink(path)


class _PlainHandler(UnreadRequests):
    """The library's handler of one connection. Its own refusals quote the bytes that came, and are no problems."""

    __slots__ = ()

    def unread(self, status: int) -> web.Response:
        """See :class:`UnreadRequests`."""
        return _refused(MalformedError("the request cannot be read: its line or a header is too long, or no HTTP"))


def _application(running: Running) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[_refusals])
    app[RUNNING] = running
    written = json.dumps(document(), ensure_ascii=True).encode()

    async def openapi(_request: web.Request) -> web.Response:
        return web.Response(body=written, content_type="application/json")

    app.router.add_get("/v1/openapi.json", openapi, allow_head=False)
    for endpoint in ENDPOINTS:
        app.router.add_route(endpoint.method, endpoint.path, _handler(endpoint))
    return app


def _listening(path: str) -> socket.socket:
    """The socket, with its mode before anybody can connect."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    before = os.umask(0o177)
    try:
        made.bind(path)
    finally:
        os.umask(before)
    return made


def _handler(endpoint: Declared) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        running = request.app[RUNNING]
        caller = running.callers.of(request)
        _require_readable_headers(request)
        body = await _body(request, endpoint.body)
        if endpoint.read_query is not None:
            body = _read_query(request, endpoint)
        else:
            _require_known_query(request, endpoint)
        call = Call(request, running, caller, body)
        key = request.headers.get("Idempotency-Key")
        if key is not None and not endpoint.keyed:
            raise MalformedError("this resource sends nothing, and takes no Idempotency-Key")
        files = _attached(request)
        if files and not endpoint.keyed:
            raise MalformedError("this resource sends nothing that files could go with")
        if endpoint.media_type == "text/event-stream":
            return await _as_response(await endpoint.handle(call))
        with under_key(key), attaching(files):
            return await _within(running.places, lambda: endpoint.handle(call), is_long=_is_long(request))

    return handle


async def _within(
    places: asyncio.Semaphore, work: Callable[[], Awaitable[Any]], *, is_long: bool
) -> web.StreamResponse:
    try:
        async with asyncio.timeout(PLACE_WITHIN_S):
            await places.acquire()
    except TimeoutError:
        raise ServiceBusyError(f"{MAX_AT_ONCE} requests are being answered") from None
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            return await _as_response(await work(), is_long=is_long)
    except TimeoutError:
        raise UnavailableError("the answer took too long; ask again, with the same Idempotency-Key") from None
    finally:
        places.release()


async def _as_response(given: Any, *, is_long: bool = False) -> web.StreamResponse:
    """What an act gave; what answers a long request is long too, and is written in a thread."""
    if isinstance(given, web.StreamResponse):
        return given
    body = await asyncio.to_thread(_written, given) if is_long else _written(given)
    return web.Response(body=body, content_type="application/json")


def _written(given: Any) -> bytes:
    text = json.dumps(plain(given), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def _is_long(request: web.Request) -> bool:
    """Whether to read its body would keep all others at the desk waiting."""
    return "Transfer-Encoding" in request.headers or (request.content_length or 0) >= LONG_BODY_BYTES


async def _body(request: web.Request, model: type[Body] | None) -> Body | None:
    """The body of a request; raises :class:`MalformedError`, :class:`TooLargeError`."""
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            content = await request.read()
    except TimeoutError:
        raise UnavailableError("the body did not come in time") from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLargeError(f"a body has at most {MAX_BODY_BYTES} bytes") from None
    if model is None:
        if content:
            raise MalformedError("this resource takes no body")
        return None
    if request.content_type != "application/json" and content:
        raise MalformedError("the body is application/json")
    return await asyncio.to_thread(_read, content, model) if _is_long(request) else _read(content, model)


def _read(content: bytes, model: type[Body]) -> Body:
    require_few_items(content, MAX_ITEMS)
    try:
        value = json.loads(content or b"{}", object_pairs_hook=each_name_once, parse_constant=_no_constant)
        _require_unicode(content, value)
    except (ValueError, RecursionError):
        raise MalformedError("the body is not JSON with each name once") from None
    return _validated(model, value)


def _attached(request: web.Request) -> list[WantedFile]:
    """The files of this machine that a request sends besides; raises :class:`MalformedError`, :class:`UsageError`."""
    given = request.headers.get("Comity-Attach")
    if given is None:
        return []
    require_few_items(given.encode("utf-8", "surrogateescape"), MAX_ATTACHED)
    try:
        paths = json.loads(given)
    except ValueError:
        paths = None
    if not isinstance(paths, list) or not all(isinstance(one, str) for one in paths):
        raise MalformedError("Comity-Attach is a JSON list of absolute paths")
    return [WantedFile(absolute(one)) for one in paths]


def _require_unicode(content: bytes, value: Any) -> None:
    """Return where every text can be written: an escape can make half of a character. Raises :class:`ValueError`."""
    if b"\\u" in content:
        json.dumps(value, ensure_ascii=False).encode()


def _validated(model: type[Body], value: Any, refused: type[ComityError] = MalformedError) -> Body:
    try:
        return model.model_validate(value)
    except ValidationError as problem:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors(include_input=False))
        raise refused(wrong[:1_000]) from None


def _require_readable_headers(request: web.Request) -> None:
    """Return where the headers say who acts and why, also of a resource for which that is of no matter.

    Raises :class:`UsageError`.
    """
    for name, check in _SAID:
        given = request.headers.getall(name, [])
        if len(given) > 1:
            raise UsageError(f"{name} stands there once")
        if given:
            check(given[0])


def _require_known_query(request: web.Request, endpoint: Declared) -> None:
    """Return where every parameter is one of the resource's: a misspelt filter would show everything."""
    unknown = sorted({*request.query} - {one.name for one in endpoint.query})
    if unknown:
        raise UsageError(f"this resource has no parameter {unknown[0][:64]!r}")


def _read_query(request: web.Request, endpoint: Declared) -> Body:
    """The parameters as the model of the resource reads them; raises :class:`UsageError`."""
    _require_known_query(request, endpoint)
    values: dict[str, Any] = {}
    for one in endpoint.query:
        given = request.query.getall(one.name, [])
        if not given:
            continue
        if one.kind == "array":
            values[one.name] = given
        elif len(given) > 1:
            raise UsageError(f"{one.name} stands there once")
        elif one.kind == "boolean" and given[0] not in {"true", "false"}:
            raise UsageError(f"{one.name} is true or false")
        else:
            values[one.name] = given[0]
    return _validated(endpoint.read_query or Body, values, UsageError)


def _no_constant(_name: str) -> None:
    raise ValueError("not a JSON number")


@web.middleware
async def _refusals(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    connections, connection = request.app[RUNNING].connections, request.protocol
    if connections is not None:
        connections.begin(connection)
    try:
        _require_room(connections, connection)
        return await handler(request)
    except ComityError as problem:
        return _refused(problem)
    except web.HTTPMethodNotAllowed as problem:
        refused = _refused(MethodError())
        refused.headers["Allow"] = ", ".join(sorted(problem.allowed_methods))
        return refused
    except web.HTTPNotFound:
        return _refused(NotFoundError("there is no such resource"))
    except web.HTTPException as problem:
        return _refused(MalformedError(f"the request cannot be read ({problem.status})"))
    except (ConnectionError, asyncio.CancelledError):
        raise
    except Exception as defect:  # noqa: BLE001 - the last resort: a defect is named by type, never by its values
        return _refused(ComityError(f"a defect of the program ({type(defect).__name__})"))
    finally:
        if connections is not None:
            connections.end(connection)


def _require_room(connections: ApiConnections | None, newest: Any) -> None:
    if connections is not None and not connections.make_room(newest):
        raise ServiceBusyError(f"{MAX_CONNECTIONS} programs are connected")


def _refused(problem: ComityError) -> web.Response:
    said = {**problem.to_problem(), "code": problem.code}
    headers = {"Retry-After": "1"} if problem.http_status == 503 else {}
    body = json.dumps(said, ensure_ascii=False).encode("utf-8", "backslashreplace")
    response = web.Response(status=problem.http_status, body=body, content_type=_PROBLEM, headers=headers)
    if isinstance(problem, TooLargeError):
        response.force_close()
    return response


async def _tidy(callers: ApiCallers, connections: ApiConnections) -> None:
    while True:
        await asyncio.sleep(TIDY_EVERY_S)
        connections.look()
        callers.tidy()
