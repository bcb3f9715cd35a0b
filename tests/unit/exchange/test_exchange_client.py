"""What a desk makes of a node's answers: typed values, or the node's failure."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from exchange.link.client import MAX_LOG_BYTES, NodeClient
from keys.transport.client import HttpRequest, Server, StreamedBody
from keys.transport.signing import Requester
from keys.transport.tls import make_certificate, server_context
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding import cbor
from protocol.errors import ComityError, ExpiredError, PeerFailedError, UnavailableError
from protocol.http.files import FilesAnnounced, FilesWanted, SegmentsWanted
from protocol.http.signature import verify_request
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside
SIGNER = Ed25519Signer(b"\x31" * 32)
TLS = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
OTHER_TLS = make_certificate("jp", ["127.0.0.1"], datetime.now(UTC))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def now() -> datetime:
    return datetime.now(UTC)


REQUESTER = Requester("24-7@jp", SIGNER, now)


@asynccontextmanager
async def node(handler: Handler, certificates: list[bytes] | None = None) -> AsyncIterator[NodeClient]:
    """A client of a server that answers everything with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(TLS.certificate, TLS.key_pem))
    await site.start()
    port = runner.addresses[0][1]
    pinned = certificates if certificates is not None else [TLS.certificate]
    client = NodeClient(Server("jp", f"https://127.0.0.1:{port}", tuple(pinned)), REQUESTER, timeout_s=WITHIN_S)
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


def answering(value: Any) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        body = value if isinstance(value, bytes) else cbor.encode(value)
        return web.Response(body=body, content_type="application/cbor")

    return handler


async def test_every_request_is_signed_over_its_method_url_and_body() -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        body = await request.read()
        authenticated = verify_request(
            request.method,
            f"https://{request.host}{request.raw_path}",
            dict(request.headers),
            body,
            now(),
            lambda ref: Ed25519Verifier(SIGNER.public_key),
        )
        seen.append(f"{request.method} {authenticated.key_ref.holder}")
        answer = {1: [], 2: [[], []], 3: 0} if request.method == "GET" else {1: [{1: []}], 2: [[], []]}
        return web.Response(body=cbor.encode(answer))

    async with node(handler) as client:
        await client.mailbox(0)
        await client.submit([b"envelope"])

    assert seen == ["GET 24-7@jp", "POST 24-7@jp"]


@pytest.mark.parametrize(
    "value",
    [
        b"not cbor",
        {},
        {1: [], 2: [[], []]},
        {1: [[1, b"x", [0]]], 2: [[], []], 3: 1},
        {1: [[1, "x", []]], 2: [[], []], 3: 1},
        {1: [[2, None, []], [1, None, []]], 2: [[], []], 3: 2},
        {1: [[0, None, []]], 2: [[], []], 3: 1},
        {1: [], 2: [[b"note"], []], 3: 0},
        {1: [], 2: [[], []], 3: "0"},
    ],
)
async def test_a_page_of_another_shape_is_the_nodes_failure(value: Any) -> None:
    async with node(answering(value)) as client:
        with pytest.raises(PeerFailedError):
            await client.mailbox(0)


@pytest.mark.parametrize(
    "value",
    [{1: [], 2: [[], []]}, {1: [{1: [0]}], 2: [[], []]}, {1: [{3: 1}], 2: [[], []]}, {1: [{2: 5}], 2: [[], []]}],
)
async def test_an_answer_of_another_shape_is_the_nodes_failure(value: Any) -> None:
    async with node(answering(value)) as client:
        with pytest.raises(PeerFailedError):
            await client.submit([b"envelope"])


async def test_a_refusal_of_one_envelope_is_its_typed_error() -> None:
    value = {1: [{2: json.dumps(ExpiredError("too late").to_problem())}], 2: [[], []]}
    async with node(answering(value)) as client:
        (answer,) = await client.submit([b"envelope"])

    assert isinstance(answer.refusal, ExpiredError)
    assert answer.receipts == ()


async def test_a_refused_request_is_its_typed_error() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(ExpiredError("too late").to_problem(), status=410)

    async with node(handler) as client:
        with pytest.raises(ExpiredError, match="too late"):
            await client.checkpoint()


async def test_a_server_with_another_certificate_is_not_spoken_to() -> None:
    async with node(answering({}), [OTHER_TLS.certificate]) as client:
        with pytest.raises(UnavailableError):
            await client.checkpoint()


async def test_an_answer_longer_than_asked_for_is_cut_off() -> None:
    async with node(answering(b"x" * (MAX_LOG_BYTES + 1))) as client:
        with pytest.raises(PeerFailedError):
            await client.checkpoint()


async def test_segments_have_the_time_that_a_slow_line_takes_and_all_else_has_not() -> None:
    asked: dict[str, float] = {}
    client = NodeClient(Server("jp", "https://127.0.0.1:1", (TLS.certificate,)), REQUESTER)

    async def call(request: HttpRequest, *_: object) -> bytes:
        asked[request.target.partition("?")[0]] = request.extra_s
        raise UnavailableError

    client._client.call = client._client.call_into = call  # type: ignore[assignment, method-assign]

    async def parts() -> AsyncIterator[bytes]:
        yield bytes(1 << 20)

    body = StreamedBody(1 << 20, "application/cbor", parts)
    state, some = FilesWanted(bytes(32)), FilesWanted(bytes(32), (SegmentsWanted(0, 0, 1),))
    for ask in (
        lambda: client.put_segments(bytes(32), body, 1),
        lambda: client.fetch_files(some),
        lambda: client.open_files(FilesAnnounced(bytes(32), b""), 1),
        lambda: client.cancel_files(bytes(32)),
    ):
        with pytest.raises(UnavailableError):
            await ask()
    assert asked.pop("/v1/files/segments") >= 64
    assert asked.pop("/v1/files/fetch") >= 64
    with pytest.raises(UnavailableError):
        await client.fetch_files(state)
    assert set(asked.values()) == {0}
    await client.close()


async def test_a_redirect_is_not_followed() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://127.0.0.1:1/"})

    async with node(handler) as client:
        with pytest.raises(ComityError):
            await client.checkpoint()


async def test_a_node_that_is_not_there_is_unavailable() -> None:
    client = NodeClient(Server("jp", "https://127.0.0.1:1", (TLS.certificate,)), REQUESTER)
    with pytest.raises(UnavailableError):
        await client.checkpoint()
    await client.close()
