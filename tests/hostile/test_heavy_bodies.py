"""Bodies that are cheap to send and dear to read: refused before the decoder makes anything of them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import cbor2
import pytest

from node.http.app import ENDPOINTS
from protocol.encoding import cbor, exact
from protocol.errors import PeerFailedError, TooLargeError
from protocol.http import wire
from protocol.http.problem import problem_of
from protocol.http.signature import NONCE_BYTES, SignedBody, sign_request
from protocol.receipt import receipts_from_value
from tests.worlds.nodes import Nation, World, answers

TAKING = [endpoint for endpoint in ENDPOINTS if endpoint.max_bytes]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", Nation("fr", desks=()))
    await world.start("jp")
    yield world
    await world.close()


def bomb(size: int) -> bytes:
    """As many tiny items as go into so many bytes."""
    count = size - 5
    return exact.head(0x80, count) + b"\x80" * count


async def test_no_call_decodes_a_body_of_more_items_than_any_honest_one_has(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    loads = cbor2.loads
    monkeypatch.setattr("cbor2.loads", lambda data, **more: decoded.append(len(data)) or loads(data, **more))
    for endpoint in TAKING:
        body = bomb(min(endpoint.max_bytes, 1024 * 1024))
        codes = set()
        for holder, keys in (("24-7@jp", world.desks["24-7@jp"].signer()), ("fr", world.node_keys["fr"].signer())):
            url = world.url("jp") + endpoint.path
            headers = sign_request(
                "POST", url, SignedBody(body, endpoint.body_type), holder, keys, world.clock(), os.urandom(NONCE_BYTES)
            )
            reply = await world.call("jp", "POST", endpoint.path, body, holder=holder, signer=keys, headers=headers)
            codes.add(reply.code)
        # Who may not call it at all is told that; who may, that the body is too much.
        assert codes <= {"forbidden", "too-large", "malformed"}
    assert all(size <= cbor.MAX_ITEMS for size in decoded)
    tokyo = world.desks["24-7@jp"]
    assert answers(await world.desk_call(tokyo, "POST", "/v1/submit", [world.seal(tokyo, [tokyo]).raw]))[0].code is None


def test_an_answer_cannot_have_one_receipt_verified_again_and_again() -> None:
    numbers = [0] * (wire.MAX_ANSWER_RECEIPTS + 1)
    receipts = [[b"note"], [[b"leaf", 0, b"", 0]]]
    with pytest.raises(TooLargeError):
        wire.decode_taken(cbor.encode({1: [[1, {1: numbers}]], 2: [], 3: receipts}), "fr")
    with pytest.raises(PeerFailedError):
        wire.decode_answers(cbor.encode({1: [{1: numbers}], 2: receipts}), 1, "fr")
    fits = wire.decode_taken(cbor.encode({1: [[1, {1: numbers[1:]}]], 2: [], 3: receipts}), "fr")
    assert len(fits.answers[0][1].receipts) == wire.MAX_ANSWER_RECEIPTS


def test_a_body_cannot_judge_more_receipts_than_were_ever_sent_together() -> None:
    verdicts = [[number, [None] * 1_024] for number in range(5)]
    with pytest.raises(TooLargeError):
        wire.decode_taken(cbor.encode({1: [], 2: verdicts, 3: [[], []]}), "fr")


def test_the_fullest_honest_bodies_are_within_the_limits() -> None:
    # 64 envelopes of 32 recipients each, every receipt a repeat under a checkpoint of its own as far as there may be.
    notes = [number.to_bytes(4, "big") * 900 for number in range(1024)]
    rows = [[bytes(300), number, bytes(32 * 24), number % 1024] for number in range(64 * 33)]
    results = [{1: list(range(33 * n, 33 * n + 33))} for n in range(64)]
    body = cbor.encode({1: [[n, result] for n, result in enumerate(results)], 2: [], 3: [notes, rows]})
    assert len(wire.decode_taken(body, "fr").answers) == 64
    assert len(wire.decode_answers(cbor.encode({1: results, 2: [notes, rows]}), 64, "fr")) == 64
    assert len(receipts_from_value([notes, rows])) == 64 * 33


def test_a_problem_document_of_a_thousand_values_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("json.loads", lambda _: pytest.fail("it was parsed"))
    problem_of('{"type":"urn:comity:error:not-found","x":[' + "[]," * 1_000 + "[]]}", "fr")
