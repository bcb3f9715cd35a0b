"""A node that nobody can reach exchanges everything through its relay, by requests of its own.

la listens nowhere and pulls from de; jp reaches it through de.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from node.peers.client import PartnerClient
from protocol.errors import UnavailableError
from protocol.event import EventName
from protocol.http import wire
from protocol.http.wire import Taken, Waiting
from protocol.receipt import VerifiedReceipt
from protocol.statement import DeskStatement, sign_statement
from tests.worlds.nodes import Desk, Nation, World

JP, DE, LA = (f"test-federation/{node}" for node in ("jp", "de", "la"))
TO_LA = {
    (JP, EventName.RelayAcceptance, "de"),
    (DE, EventName.RelayAcceptance, "jp"),
    (DE, EventName.RelayAcceptance, "la"),
    (LA, EventName.RelayAcceptance, "de"),
    (LA, EventName.ContentConsignment, None),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "de", Nation("la", relay="de", reachable=False))
    await world.start("jp")
    await world.start("de")
    await world.start("la", listen="")
    yield world
    await world.close()


async def in_mailbox(world: World, desk: Desk, count: int) -> list[bytes]:
    """The envelopes in the mailbox at a node that no request reaches, once there are ``count``."""
    context = world.nodes["la"].context
    with context.sequencer.wakeups.watch(str(desk.address)) as watch:
        while True:
            entries = await context.store.reads.mailbox(desk.address, 0, 100, 1 << 24)
            found = [entry.envelope for entry in entries if entry.envelope is not None]
            if len(found) >= count:
                return found
            assert await watch.wait(20)


async def proved(world: World, desk: Desk, expected: set[Any]) -> list[VerifiedReceipt]:
    count = len(expected)
    while True:
        receipts = await world.events(desk, count)
        if expected <= {(r.origin, r.event.name, r.event.peer) for r in receipts}:
            return receipts
        count = len(receipts) + 1


async def test_a_message_reaches_a_node_that_listens_nowhere_and_every_hop_is_proved(world: World) -> None:
    tokyo, vientiane = world.desks["24-7@jp"], world.desks["24-7@la"]
    assert world.nodes["la"].url == ""
    envelope = world.seal(tokyo, [vientiane])
    await world.submit(tokyo, envelope)
    assert await in_mailbox(world, vientiane, 1) == [envelope.raw]
    await proved(world, tokyo, TO_LA)
    said = DeskStatement(
        EventName.ContentHandover, envelope.routing.id, envelope.digest, vientiane.address, world.clock()
    )
    relay = world.nodes["la"].relay
    (answer,) = await relay.intake.state([sign_statement(said, vientiane.signer())], vientiane.address)
    assert answer.refusal is None
    await proved(world, tokyo, TO_LA | {(LA, EventName.ContentHandover, None)})


async def test_what_such_a_node_sends_leaves_through_its_relay_and_its_receipts_come_back(world: World) -> None:
    tokyo, vientiane = world.desks["24-7@jp"], world.desks["24-7@la"]
    envelope = world.seal(vientiane, [tokyo])
    context, relay = world.nodes["la"].context, world.nodes["la"].relay
    (answer,) = await relay.intake.submit([envelope.raw], vientiane.address)
    assert answer.refusal is None
    entries, _ = await world.arrived(tokyo, envelope)
    assert [entry.envelope for entry in entries] == [envelope.raw]
    await world.state(tokyo, EventName.ContentHandover, envelope)
    wanted = {
        (LA, EventName.RelayAcceptance, "de"),
        (DE, EventName.RelayAcceptance, "la"),
        (DE, EventName.RelayAcceptance, "jp"),
        (JP, EventName.RelayAcceptance, "de"),
        (JP, EventName.ContentConsignment, None),
        (JP, EventName.ContentHandover, None),
    }
    seen: set[Any] = set()
    with context.sequencer.wakeups.watch(str(vientiane.address)) as watch:
        while not wanted <= seen:
            entries_ = await context.store.reads.mailbox(vientiane.address, 0, 100, 1 << 24)
            verified = [world.verify(receipt) for entry in entries_ for receipt in entry.receipts]
            seen = {(r.origin, r.event.name, r.event.peer) for r in verified}
            assert wanted <= seen or await watch.wait(20)


@pytest.mark.parametrize("lost", ["request", "answer"])
async def test_a_pull_that_is_lost_on_the_way_loses_and_repeats_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    tokyo, vientiane = world.desks["24-7@jp"], world.desks["24-7@la"]
    await world.stop("la")
    pull = PartnerClient.pull
    failures = 3

    async def failing(client: PartnerClient, taken: Taken, wait_s: int) -> Waiting:
        nonlocal failures
        if failures and lost == "request":
            failures -= 1
            raise UnavailableError("the request was lost")
        waiting = await pull(client, taken, wait_s)
        if failures and waiting:
            failures -= 1
            raise UnavailableError("the answer was lost")
        return waiting

    monkeypatch.setattr(PartnerClient, "pull", failing)
    await world.start("la", listen="")
    envelopes = [world.seal(tokyo, [vientiane]) for _ in range(3)]
    await world.submit(tokyo, *envelopes)
    found = await in_mailbox(world, vientiane, 3)
    assert sorted(found) == sorted(envelope.raw for envelope in envelopes)
    receipts = await proved(world, tokyo, TO_LA)
    assert failures == 0
    assert len({(r.origin, r.index) for r in receipts}) == len(receipts)


async def test_what_is_said_without_proof_takes_nothing_off_the_queue(world: World) -> None:
    tokyo, vientiane = world.desks["24-7@jp"], world.desks["24-7@la"]
    await world.stop("la")
    envelope = world.seal(tokyo, [vientiane])
    (submitted,) = await world.submit(tokyo, envelope)
    store = world.nodes["de"].context.store
    waiting = Waiting()
    while not waiting:
        reply = await world.node_call("la", "de", "POST", "/v1/pull?wait=10", {1: [], 2: [], 3: [[], []]})
        waiting = wire.decode_waiting(reply.body, "de")
    ((number, raw),) = waiting.envelopes
    assert raw == envelope.raw
    # The sender's node's receipt is true, but it is no proof that la has the message.
    taken = wire.encode_taken(Taken(((number, wire.EnvelopeAnswer(tuple(submitted.receipts))),)))
    body = await world.call("de", "POST", "/v1/pull", taken, holder="la", signer=world.node_keys["la"].signer())
    assert body.status == 200
    assert list(await store.reads.outbound_items("la", [number])) == [number]


async def test_a_node_gets_only_what_is_queued_for_itself_and_a_desk_gets_nothing(world: World) -> None:
    tokyo, vientiane = world.desks["24-7@jp"], world.desks["24-7@la"]
    await world.stop("la")
    await world.submit(tokyo, world.seal(tokyo, [vientiane]))
    await proved(world, tokyo, {(DE, EventName.RelayAcceptance, "jp")})
    nothing = {1: [], 2: [], 3: [[], []]}
    reply = await world.node_call("jp", "de", "POST", "/v1/pull", nothing)
    assert not wire.decode_waiting(reply.body, "de").envelopes
    refused = await world.desk_call(world.desks["24-7@de"], "POST", "/v1/pull", nothing)
    assert (refused.status, refused.code) == (403, "forbidden")


async def test_a_body_that_is_no_pull_is_refused_and_costs_nothing(world: World) -> None:
    for value in ([], {1: []}, {1: [[1]], 2: [], 3: [[], []]}, {1: [], 2: [[1, [7]]], 3: [[], []]}):
        reply = await world.node_call("la", "de", "POST", "/v1/pull", value)
        assert (reply.status, reply.code) == (400, "malformed")


async def test_what_waited_while_the_relay_was_down_arrives_when_it_is_back(world: World) -> None:
    tokyo, vientiane = world.desks["24-7@jp"], world.desks["24-7@la"]
    await world.stop("la")
    envelope = world.seal(tokyo, [vientiane])
    await world.submit(tokyo, envelope)
    await proved(world, tokyo, {(DE, EventName.RelayAcceptance, "jp")})
    await world.stop("de")
    await world.start("la", listen="")
    await world.start("de")
    assert await in_mailbox(world, vientiane, 1) == [envelope.raw]
    await proved(world, tokyo, TO_LA)
