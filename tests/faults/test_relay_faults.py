"""A relay on the way: it hands on, proves custody, and can neither lose, repeat nor change a message unseen.

jp reaches fr through the relay de. What the relay does wrong is done to its requests and answers, with its own keys.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from node.peers.client import PartnerClient
from protocol.envelope import Envelope
from protocol.errors import UnavailableError
from protocol.event import EventName
from protocol.http.wire import EnvelopeAnswer as WireAnswer
from protocol.receipt import Receipt, VerifiedReceipt
from tests.worlds.altered import one_bit_off
from tests.worlds.nodes import Desk, Nation, World, answers

JP, DE, FR = (f"test-federation/{node}" for node in ("jp", "de", "fr"))
Step = tuple[str, str, str | None]
WHOLE_WAY: set[Step] = {
    (JP, "RelayAcceptance", "de"),
    (DE, "RelayAcceptance", "jp"),
    (DE, "RelayAcceptance", "fr"),
    (FR, "RelayAcceptance", "de"),
    (FR, "ContentConsignment", None),
    (FR, "ContentHandover", None),
}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", "de", Nation("fr", relay="de"))
    for nation in ("jp", "de", "fr"):
        await world.start(nation)
    yield world
    await world.close()


def steps(receipts: list[VerifiedReceipt]) -> set[Step]:
    return {(receipt.origin, receipt.event.name.value, receipt.event.peer) for receipt in receipts}


async def proved(world: World, desk: Desk, expected: set[Step]) -> list[VerifiedReceipt]:
    """The desk's receipts, each verified, once all of ``expected`` are there."""
    count = len(expected)
    while True:
        receipts = await world.events(desk, count)
        if expected <= steps(receipts):
            return receipts
        count = len(receipts) + 1


async def arrives_once(world: World, desk: Desk, *envelopes: Envelope) -> None:
    """Exactly these are in the mailbox, each once; then their handover is stated."""
    entries, _ = await world.arrived(desk, *envelopes)
    assert sorted(entry.envelope or b"" for entry in entries) == sorted(envelope.raw for envelope in envelopes)
    for envelope in envelopes:
        await world.state(desk, EventName.ContentHandover, envelope)


def relay_client(world: World, to: str) -> PartnerClient:
    """The relay's own client to another node."""
    return world.nodes["de"].context.partners.get(to)


async def test_a_relay_hands_on_and_every_hop_is_proved_to_the_senders_desk(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    envelope = world.seal(tokyo, [paris])
    await world.submit(tokyo, envelope)
    await arrives_once(world, paris, envelope)
    receipts = await proved(world, tokyo, WHOLE_WAY)
    assert steps(receipts) == WHOLE_WAY
    custody = [r.event.recipient for r in receipts if r.origin == DE and r.event.recipient is not None]
    assert custody == [paris.address]
    references = {r.event.peer: r.event.reference for r in receipts if r.event.reference is not None}
    accepted = {
        r.origin: r for r in receipts if r.event.name is EventName.RelayAcceptance and r.event.recipient is None
    }
    assert references["fr"] is not None
    assert references["fr"].leaf_hash == next(
        r.leaf_hash for r in receipts if r.origin == FR and r.event.name is EventName.RelayAcceptance
    )
    assert set(accepted) == {JP, DE, FR}


async def test_a_message_does_not_wait_for_an_earlier_request_that_the_partner_answers_late(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokyo, berlin = world.desks["24-7@jp"], world.desks["24-7@de"]
    client = world.nodes["jp"].context.partners.get("de")
    transfer, asked, late, carried = client.transfer, asyncio.Event(), asyncio.Event(), list[bytes]()

    async def answer_late(envelopes: Sequence[bytes]) -> list[WireAnswer]:
        carried.extend(envelopes)
        first = not asked.is_set()
        asked.set()
        if first:
            await late.wait()
        return await transfer(envelopes)

    monkeypatch.setattr(client, "transfer", answer_late)
    first, second = world.seal(tokyo, [berlin]), world.seal(tokyo, [berlin])
    await world.submit(tokyo, first)
    await asked.wait()
    await world.submit(tokyo, second)
    await arrives_once(world, berlin, second)
    late.set()
    await arrives_once(world, berlin, first)
    assert sorted(carried) == sorted((first.raw, second.raw))  # what is under way is not sent beside itself


async def test_a_message_to_the_relay_and_behind_it_is_handed_over_once(world: World) -> None:
    tokyo, berlin, paris = (world.desks[f"24-7@{node}"] for node in ("jp", "de", "fr"))
    envelope = world.seal(tokyo, [berlin, paris])
    await world.submit(tokyo, envelope)
    await arrives_once(world, berlin, envelope)
    await arrives_once(world, paris, envelope)
    await proved(world, tokyo, WHOLE_WAY | {(DE, "ContentConsignment", None)})


async def test_a_node_refuses_what_the_directory_does_not_send_its_way(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    envelope = world.seal(tokyo, [paris])
    around = await world.node_call("jp", "fr", "POST", "/v1/transfer", [envelope.raw])
    back = await world.node_call("fr", "de", "POST", "/v1/transfer", [envelope.raw])
    assert [answer.code for reply in (around, back) for answer in answers(reply)] == ["not-on-route"] * 2


async def test_relays_that_name_each_other_are_refused_with_the_reason_and_a_receipt(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    envelope = world.seal(tokyo, [paris])
    assert world.directory is not None
    card = world.directory.node("de")
    # jp has not heard of it yet and hands over; de knows and refuses.
    world.publish("de", card.model_copy(update={"relay": "fr", "updated_at": world.clock()}))
    assert await world.nodes["de"].context.directory.refresh()
    await world.submit(tokyo, envelope)
    (receipt,) = await world.events(tokyo, 1)
    assert (receipt.origin, receipt.event.name, receipt.event.reasons) == (
        JP,
        EventName.RelayRejection,
        ("relay-loop",),
    )


@pytest.mark.parametrize("kind", ["drop", "delay", "duplicate", "reorder"])
async def test_a_relay_that_drops_delays_duplicates_or_reorders_loses_and_repeats_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    onward, back = relay_client(world, "fr"), relay_client(world, "jp")
    transfer, receipts = onward.transfer, back.receipts
    failures = {"transfer": 2, "receipts": 2}

    async def lost(call: str) -> None:
        if failures[call]:
            failures[call] -= 1
            raise UnavailableError("lost on the way")

    async def bad_transfer(envelopes: list[bytes]) -> list[WireAnswer]:
        if kind == "drop":
            await lost("transfer")
        answered = await transfer(envelopes)
        if kind == "delay":
            await lost("transfer")  # it arrived, but the answer comes too late to count
        if kind == "duplicate":
            answered = await transfer(envelopes)
        if kind == "reorder":
            answered = (await transfer(envelopes[::-1]))[::-1]
        return answered

    async def bad_receipts(items: list[Receipt]) -> list[Any]:
        if kind == "drop":
            await lost("receipts")
        verdicts = await receipts(items)
        if kind == "delay":
            await lost("receipts")
        if kind == "duplicate":
            verdicts = await receipts(items)
        if kind == "reorder":
            verdicts = (await receipts(items[::-1]))[::-1]
        return verdicts

    monkeypatch.setattr(onward, "transfer", bad_transfer)
    monkeypatch.setattr(back, "receipts", bad_receipts)
    envelopes = [world.seal(tokyo, [paris]) for _ in range(3)]
    await world.submit(tokyo, *envelopes)
    await arrives_once(world, paris, *envelopes)
    wanted = {(*step, envelope.digest) for step in WHOLE_WAY for envelope in envelopes}
    count, seen = len(wanted), set[tuple[str, str, str | None, bytes]]()
    while not wanted <= seen:
        found = await world.events(tokyo, count)
        keys = [(r.origin, r.index) for r in found]
        assert len(keys) == len(set(keys)), "a receipt came twice"
        seen = {(r.origin, r.event.name.value, r.event.peer, r.event.digest) for r in found}
        count = len(found) + 1


async def test_an_envelope_that_the_relay_altered_is_refused_and_the_sender_learns_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    client = relay_client(world, "fr")
    transfer = client.transfer

    async def tampering(envelopes: list[bytes]) -> list[WireAnswer]:
        return await transfer([one_bit_off(raw) for raw in envelopes])

    monkeypatch.setattr(client, "transfer", tampering)
    envelope = world.seal(tokyo, [paris])
    await world.submit(tokyo, envelope)
    receipts = await proved(world, tokyo, {(DE, "RelayRejection", "fr")})
    assert [r.event.reasons for r in receipts if r.event.name is EventName.RelayRejection] == [("signature-invalid",)]
    entries, _ = await world.mailbox(paris)
    assert entries == []


@pytest.mark.parametrize("forgery", ["no custody", "altered", "of another message"])
async def test_a_relay_without_proof_of_custody_is_not_believed_and_the_message_stays_queued(
    world: World, monkeypatch: pytest.MonkeyPatch, forgery: str
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    client = world.nodes["jp"].context.partners.get("de")
    transfer = client.transfer
    other = world.seal(tokyo, [paris])
    asked = 0

    async def forging(envelopes: list[bytes]) -> list[WireAnswer]:
        nonlocal asked
        asked += 1
        answered = await transfer(envelopes if forgery != "of another message" else [other.raw] * len(envelopes))
        if asked > 3:
            return await transfer(envelopes)
        if forgery == "no custody":
            return [WireAnswer(answer.receipts[:1]) for answer in answered]
        if forgery == "altered":
            return [WireAnswer(tuple(_altered(receipt) for receipt in answer.receipts)) for answer in answered]
        return answered

    monkeypatch.setattr(client, "transfer", forging)
    envelope = world.seal(tokyo, [paris])
    await world.submit(tokyo, envelope)
    await world.until(lambda: asked > 3)
    receipts = await proved(world, tokyo, {(JP, "RelayAcceptance", "de"), (FR, "ContentConsignment", None)})
    assert all(receipt.event.digest in {envelope.digest, other.digest} for receipt in receipts)
    assert sum((r.origin, r.event.peer, r.event.digest) == (JP, "de", envelope.digest) for r in receipts) == 1


async def test_receipts_that_the_relay_altered_are_refused_and_those_it_withholds_are_missed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    client = relay_client(world, "jp")
    receipts = client.receipts

    async def tampering(items: list[Receipt]) -> list[Any]:
        return await receipts([_altered(item) for item in items])

    monkeypatch.setattr(client, "receipts", tampering)
    envelope = world.seal(tokyo, [paris])
    await world.submit(tokyo, envelope)
    await arrives_once(world, paris, envelope)
    counted = world.nodes["jp"].metrics
    await world.until(
        lambda: b'comity_refusals_total{code="proof-invalid",route="receipts"}' in counted.render(None, 0, False)
    )
    found = await world.events(tokyo, 3)
    # What de proved itself in its answer stands; that it arrived is not proved, and the sender sees that it is not.
    assert steps(found) == {(JP, "RelayAcceptance", "de"), (DE, "RelayAcceptance", "jp")}


async def test_a_relay_killed_mid_way_and_started_again_hands_on_what_it_had(world: World) -> None:
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.stop("fr")
    envelope = world.seal(tokyo, [paris])
    await world.submit(tokyo, envelope)
    await proved(world, tokyo, {(DE, "RelayAcceptance", "jp")})
    await world.stop("de")
    await world.stop("jp")
    for node in ("fr", "de", "jp"):
        await world.start(node)
    await arrives_once(world, paris, envelope)
    await proved(world, tokyo, WHOLE_WAY)


def _altered(receipt: Receipt) -> Receipt:
    return Receipt(one_bit_off(receipt.leaf), receipt.index, receipt.path, receipt.checkpoint)
