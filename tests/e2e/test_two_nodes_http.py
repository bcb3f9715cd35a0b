"""Two nations, real TLS on loopback: a message goes all the way, and every step is proved to its sender."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.event import EventName
from tests.worlds.nodes import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "fr")
    yield world
    await world.close()


async def test_sender_gets_proof_of_every_step_from_submission_to_handover(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.start("jp")
    await world.start("fr")
    envelope = world.seal(tokyo, [paris])

    (submitted,) = await world.submit(tokyo, envelope)
    entries, head = await world.arrived(paris, envelope)
    (stated,) = await world.state(paris, EventName.ContentHandover, envelope)
    proved = await world.events(tokyo, 4)

    assert [world.verify(receipt).event.name for receipt in submitted.receipts] == [EventName.SubmissionAcceptance]
    assert [entry.envelope for entry in entries] == [envelope.raw]
    assert head == entries[-1].seq
    assert [world.verify(receipt).event.name for receipt in stated.receipts] == [EventName.ContentHandover]
    names = [(receipt.origin, receipt.event.name) for receipt in proved]
    jp, fr = "test-federation/jp", "test-federation/fr"
    assert sorted(names) == sorted(
        [
            (jp, EventName.RelayAcceptance),
            (fr, EventName.RelayAcceptance),
            (fr, EventName.ContentConsignment),
            (fr, EventName.ContentHandover),
        ]
    )
    assert all(receipt.event.digest == envelope.digest for receipt in proved)
