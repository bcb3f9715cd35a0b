"""A nation without a node: its desk is served by the node that its own nation's card names, and by no other."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from keys.directory.cards import Hosting
from keys.directory.view import Directory
from protocol.errors import CeremonyError, ForbiddenError
from protocol.event import EventName
from tests.worlds.nodes import World, answers

JP, DE = "test-federation/jp", "test-federation/de"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "de")
    world.add_hosted("24-7@va", "de")
    await world.start("jp")
    await world.start("de")
    yield world
    await world.close()


def current(world: World) -> Directory:
    assert world.directory is not None
    return world.directory


async def test_a_hosted_desk_sends_and_receives_at_its_host_under_its_own_nations_name(world: World) -> None:
    tokyo, vatican = world.desks["24-7@jp"], world.desks["24-7@va"]
    assert current(world).nodes() == ["de", "jp"]
    there, back = world.seal(tokyo, [vatican]), world.seal(vatican, [tokyo])
    await world.submit(tokyo, there)
    (submitted,) = await world.submit(vatican, back)
    assert [world.verify(receipt).origin for receipt in submitted.receipts] == [DE]
    entries, _ = await world.arrived(vatican, there)
    assert [entry.envelope for entry in entries if entry.envelope is not None] == [there.raw]
    await world.state(vatican, EventName.ContentHandover, there)
    proved = await world.events(tokyo, 4)
    consigned = [r for r in proved if r.event.name in {EventName.ContentConsignment, EventName.ContentHandover}]
    assert {(r.origin, r.event.recipient) for r in consigned} == {(DE, vatican.address)}


async def test_host_and_neighbour_write_to_a_hosted_desk_without_leaving_the_node(world: World) -> None:
    berlin, vatican = world.desks["24-7@de"], world.desks["24-7@va"]
    envelope = world.seal(berlin, [vatican])
    (answer,) = await world.submit(berlin, envelope)
    names = [world.verify(receipt).event.name for receipt in answer.receipts]
    assert names == [EventName.SubmissionAcceptance, EventName.ContentConsignment]


async def test_only_the_host_serves_a_hosted_desk(world: World) -> None:
    vatican = world.desks["24-7@va"]
    for target in ("/v1/mailbox", "/log/checkpoint"):
        reply = await world.call("jp", "GET", target, holder="24-7@va", signer=vatican.signer())
        expected = 403 if target == "/v1/mailbox" else 200
        assert reply.status == expected


async def test_a_node_that_is_not_the_host_cannot_say_what_happened_to_a_message(world: World) -> None:
    tokyo, vatican = world.desks["24-7@jp"], world.desks["24-7@va"]
    envelope = world.seal(tokyo, [vatican])
    now = world.clock()
    with pytest.raises(ForbiddenError):
        current(world).require_served(vatican.address, "jp", envelope.routing.created, now)
    current(world).require_served(vatican.address, "de", envelope.routing.created, now)


async def test_a_desk_that_moves_is_served_by_the_new_host_from_that_time_on(world: World) -> None:
    tokyo, vatican = world.desks["24-7@jp"], world.desks["24-7@va"]
    moved_at = world.clock() + timedelta(minutes=5)
    moved = vatican.card.model_copy(
        update={
            "hosting": (*vatican.card.hosting, Hosting(node="jp", since=moved_at)),
            "updated_at": world.clock(),
        }
    )
    world.publish("va", moved)
    for node in ("jp", "de"):
        await world.nodes[node].context.directory.refresh()
    before, _ = await world.mailbox(vatican)
    assert before == []
    world.clock.shift = timedelta(minutes=6)
    envelope = world.seal(tokyo, [vatican])
    await world.submit(tokyo, envelope)
    vatican.host = "jp"
    entries, _ = await world.arrived(vatican, envelope)
    assert [entry.envelope for entry in entries] == [envelope.raw]
    vatican.host = "de"
    reply = await world.desk_call(vatican, "GET", "/v1/mailbox")
    assert reply.status == 403


async def test_a_nations_first_card_without_node_and_host_is_refused(world: World) -> None:
    vatican = world.desks["24-7@va"]
    with pytest.raises(CeremonyError):
        world.publish("va", vatican.card.model_copy(update={"hosting": ()}))


async def test_a_transfer_for_a_hosted_desk_to_the_wrong_node_is_refused(world: World) -> None:
    berlin, vatican = world.desks["24-7@de"], world.desks["24-7@va"]
    reply = await world.node_call("de", "jp", "POST", "/v1/transfer", [world.seal(berlin, [vatican]).raw])
    assert [answer.code for answer in answers(reply)] == ["not-on-route"]
