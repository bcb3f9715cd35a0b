"""The largest messages go through nodes as small ones do: submitted, handed on, kept, fetched page by page."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.bundle import parse_part
from protocol.bundle_sizes import MIN_PART_BYTES
from protocol.encoding import cbor
from protocol.envelope import MAX_CONTENT_BYTES, MAX_ENVELOPE_BYTES
from protocol.http.wire import MAX_ANSWER_BYTES
from tests.worlds.nodes import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    yield world
    await world.close()


async def test_the_largest_messages_are_submitted_relayed_and_fetched_in_pages_that_a_desk_takes(world: World) -> None:
    await world.start("jp")
    await world.start("fr")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    sent = [world.seal(tokyo, [paris], os.urandom(MAX_CONTENT_BYTES)) for _ in range(4)]
    assert all(MAX_CONTENT_BYTES < len(envelope.raw) <= MAX_ENVELOPE_BYTES for envelope in sent)
    for pair in (sent[:2], sent[2:]):
        assert [answer.code for answer in await world.submit(tokyo, *pair)] == [None, None]
    await world.events(tokyo, 4)
    after, pages = 0, []
    while (found := await world.mailbox(paris, after))[0]:
        entries, _ = found
        assert len(cbor.encode([entry.envelope for entry in entries])) < MAX_ANSWER_BYTES
        after = entries[-1].seq
        pages.append([entry.envelope for entry in entries])
    assert sorted(raw for page in pages for raw in page if raw) == sorted(envelope.raw for envelope in sent)
    assert len(pages) > 1


async def test_more_than_a_body_holds_is_refused_and_the_messages_one_by_one_are_not(world: World) -> None:
    await world.start("jp")
    tokyo = world.desks["24-7@jp"]
    sent = [world.seal(tokyo, [tokyo], os.urandom(MAX_CONTENT_BYTES)) for _ in range(4)]
    reply = await world.desk_call(tokyo, "POST", "/v1/submit", [envelope.raw for envelope in sent])
    assert (reply.status, reply.code) == (413, "too-large")
    for envelope in sent:
        assert [answer.code for answer in await world.submit(tokyo, envelope)] == [None]


async def test_the_smallest_parts_of_a_bundle_hold_the_largest_message(world: World) -> None:
    node = await world.start("jp")
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    sent = [world.seal(tokyo, [paris], os.urandom(MAX_CONTENT_BYTES)) for _ in range(3)]
    for envelope in sent:
        await world.submit(tokyo, envelope)
    parts = await node.bundles.export("fr", MIN_PART_BYTES)
    assert all(len(part) <= MIN_PART_BYTES for part in parts)
    carried = [raw for part in parts for raw in parse_part(part, "fr").contents.envelopes]
    assert sorted(carried) == sorted(envelope.raw for envelope in sent)
