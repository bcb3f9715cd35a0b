"""What a resource of the interface is: method, path, what it takes, who answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from keys.transport.segment_bodies import SegmentBody
from node.http.authentication import Caller
from node.http.context import HttpContext
from node.operations.limits import TokenBuckets
from protocol.errors import ComityError, MalformedError
from protocol.event import MAX_ORIGIN_BYTES
from protocol.http import wire
from protocol.http.wire import EnvelopeAnswer

Serve = Callable[[HttpContext, Caller, web.Request, bytes], Awaitable[web.StreamResponse]]
ServeParts = Callable[[HttpContext, Caller, web.Request, SegmentBody], Awaitable[web.StreamResponse]]
# An envelope or statement costs less than a request: most of a request's cost is the connection and the signature.
_ITEM_COST = 1 / 16
MAX_NUMBER = (1 << 63) - 1
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One resource. ``max_bytes`` of its body, 0 for none; ``waits`` if it may keep the caller waiting on purpose.

    ``body_type`` is the one content type that a body may have; ``early`` if it is served also while the node may not
    sign yet: it shows nothing of the node's own log.
    """

    method: str
    path: str
    name: str
    handler: Serve
    max_bytes: int = 0
    waits: bool = False
    body_type: str = wire.CONTENT_TYPE
    early: bool = False


@dataclass(frozen=True, slots=True)
class FilesEndpoint:
    """A resource whose body brings segments of files: its handler takes the parts as they come."""

    method: str
    path: str
    name: str
    handler: ServeParts
    max_bytes: int
    waits: bool = False
    body_type: str = wire.CONTENT_TYPE
    early: bool = False


def cbor_response(body: bytes) -> web.Response:
    """200 with a CBOR body."""
    return web.Response(body=body, content_type=wire.CONTENT_TYPE)


def answers_response(context: HttpContext, caller: Caller, route: str, answers: list[EnvelopeAnswer]) -> web.Response:
    """200 with an answer per item; counts them."""
    count_verdicts(context, caller, route, [answer.refusal for answer in answers])
    return cbor_response(wire.encode_answers(answers))


def count_verdicts(context: HttpContext, caller: Caller, route: str, refusals: Sequence[ComityError | None]) -> None:
    """Count what was accepted of a batch (None) and what was refused with which code."""
    metrics = context.node.metrics
    for code, count in Counter(None if refusal is None else refusal.code for refusal in refusals).items():
        if code is None:
            metrics.accepted.labels(route).inc(count)
        else:
            metrics.refusals.labels(route, code).inc(count)
            context.node.history.refused(caller.holder, route, code, count)


def take_items(buckets: TokenBuckets, caller: Caller, count: int) -> None:
    """Charge for the items of a batch beyond the first; raises :class:`RateLimitedError`."""
    if count > 1:
        buckets.take(caller.holder, (count - 1) * _ITEM_COST)


def number(request: web.Request, name: str, default: int | None = None, maximum: int = MAX_NUMBER) -> int:
    """A query parameter that is an unsigned integer; raises :class:`MalformedError`."""
    values = request.query.getall(name, [])
    if not values and default is not None:
        return default
    if len(values) != 1 or not values[0].isascii() or not values[0].isdigit() or len(values[0]) > 20:
        raise MalformedError(f"the query parameter {name} is one unsigned integer")
    value = int(values[0])
    if value > maximum:
        raise MalformedError(f"the query parameter {name} is at most {maximum}")
    return value


def digest_of(request: web.Request) -> bytes:
    """The query parameter ``message``: the digest of one message's envelope; raises :class:`MalformedError`."""
    values = request.query.getall("message", [])
    if len(values) != 1 or not _DIGEST.fullmatch(values[0]):
        raise MalformedError("the query parameter message is the digest of one message, in hexadecimal")
    return bytes.fromhex(values[0])


def origin(request: web.Request) -> str:
    """The query parameter ``origin``: that of one log; raises :class:`MalformedError`."""
    values: list[str] = request.query.getall("origin", [])
    if len(values) != 1 or not 1 <= len(values[0].encode()) <= MAX_ORIGIN_BYTES:
        raise MalformedError("the query parameter origin is one origin of a log")
    return values[0]
