"""Bundles lost, repeated, altered, misdirected or taken in part: nothing is lost, nothing is handed over twice.

ki has no network. jp trades bundles with it, as its relay.
"""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from node.relay._offline_state import BundleState
from protocol.bundle import Contents, parse_part, write_bundle
from protocol.bundle_sizes import DEFAULT_PART_BYTES, MIN_PART_BYTES
from protocol.encoding.instants import truncate
from protocol.errors import (
    BundleAlteredError,
    BundleElsewhereError,
    BundleTruncatedError,
    ForbiddenError,
    MalformedError,
    NotYetValidError,
    ReplayedError,
    RevokedError,
)
from protocol.event import EventName
from protocol.statement import DeskStatement, sign_statement
from tests.worlds.nodes import Desk, Nation, World

JP, KI = "test-federation/jp", "test-federation/ki"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = World.of(tmp_path, "jp", Nation("de", desks=()), Nation("ki", relay="jp", reachable=False))
    await world.start("jp")
    await world.start("ki", listen="", offline=True)
    yield world
    await world.close()


async def export(world: World, source: str, to: str, size: int = DEFAULT_PART_BYTES) -> list[bytes]:
    return await world.nodes[source].bundles.export(to, size)


async def mailbox(world: World, desk: Desk) -> list[bytes]:
    entries = await world.nodes[desk.address.node].context.store.reads.mailbox(desk.address, 0, 100, 1 << 24)
    return [entry.envelope for entry in entries if entry.envelope is not None]


async def events(world: World, desk: Desk) -> list[tuple[str, str]]:
    """(log, event) of what the desk's mailbox proves to it."""
    entries = await world.nodes[desk.address.node].context.store.reads.mailbox(desk.address, 0, 100, 1 << 24)
    found = [world.verify(receipt) for entry in entries if entry.envelope is None for receipt in entry.receipts]
    return sorted((receipt.origin, receipt.event.name.value) for receipt in found)


async def queued(world: World, node: str, to: str) -> int:
    stats = await world.nodes[node].context.store.reads.stats()
    return stats.outbound.get(to, 0)


async def test_envelopes_and_receipts_travel_both_ways_and_leave_the_queue_only_when_proved(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    envelope = world.seal(tokyo, [tarawa])
    await world.submit(tokyo, envelope)
    (there,) = await export(world, "jp", "ki")
    assert await queued(world, "jp", "ki") == 1
    imported = await world.nodes["ki"].bundles.take(there)
    assert (imported.envelopes, imported.directory, imported.missing, imported.refused) == (1, True, (), ())
    assert await mailbox(world, tarawa) == [envelope.raw]
    said = DeskStatement(EventName.ContentHandover, envelope.routing.id, envelope.digest, tarawa.address, world.clock())
    await world.nodes["ki"].relay.intake.state([sign_statement(said, tarawa.signer())], tarawa.address)
    (back,) = await export(world, "ki", "jp")
    imported = await world.nodes["jp"].bundles.take(back)
    assert (imported.answers, imported.receipts) == (1, 1)
    assert await queued(world, "jp", "ki") == 0
    assert await events(world, tokyo) == sorted(
        [
            (JP, "RelayAcceptance"),
            (KI, "RelayAcceptance"),
            (KI, "ContentConsignment"),
            (KI, "ContentHandover"),
        ]
    )
    # The verdict on the receipt takes it off ki's queue with the next bundle.
    assert await queued(world, "ki", "jp") == 1
    for part in await export(world, "jp", "ki"):
        await world.nodes["ki"].bundles.take(part)
    assert await queued(world, "ki", "jp") == 0


async def test_the_same_bundle_again_is_refused_as_replayed_and_changes_nothing(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    await world.submit(tokyo, world.seal(tokyo, [tarawa]))
    (there,) = await export(world, "jp", "ki")
    await world.nodes["ki"].bundles.take(there)
    size = await world.nodes["ki"].context.store.reads.log_size()
    with pytest.raises(ReplayedError):
        await world.nodes["ki"].bundles.take(there)
    assert await world.nodes["ki"].context.store.reads.log_size() == size
    assert len(await mailbox(world, tarawa)) == 1


async def test_an_import_that_was_cut_short_is_taken_up_and_gives_the_same_answers(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    await world.submit(tokyo, world.seal(tokyo, [tarawa]))
    (there,) = await export(world, "jp", "ki")
    await world.nodes["ki"].bundles.take(there)
    first = BundleState.load(world.home("ki").bundles, "jp").answers
    # As if the process had died before it wrote what it has to answer.
    (world.home("ki").bundles / "jp.cbor").unlink()
    await world.stop("ki")
    await world.start("ki", listen="", offline=True)
    await world.nodes["ki"].bundles.take(there)
    assert BundleState.load(world.home("ki").bundles, "jp").answers == first
    assert len(await mailbox(world, tarawa)) == 1


async def test_a_bundle_that_is_lost_is_made_up_for_by_the_next_one(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    first, second = world.seal(tokyo, [tarawa]), world.seal(tokyo, [tarawa])
    await world.submit(tokyo, first)
    await export(world, "jp", "ki")  # never arrives
    await world.submit(tokyo, second)
    (there,) = await export(world, "jp", "ki")
    await world.nodes["ki"].bundles.take(there)
    assert sorted(await mailbox(world, tarawa)) == sorted([first.raw, second.raw])
    await export(world, "ki", "jp")  # never arrives either
    (back,) = await export(world, "ki", "jp")
    await world.nodes["jp"].bundles.take(back)
    assert await queued(world, "jp", "ki") == 0


async def test_parts_are_taken_in_any_order_and_what_is_missing_is_named(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    envelopes = [world.seal(tokyo, [tarawa], bytes([n]) * 600_000) for n in range(9)]
    for start in range(0, len(envelopes), 3):
        await world.submit(tokyo, *envelopes[start : start + 3])
    parts = await export(world, "jp", "ki", MIN_PART_BYTES)
    assert len(parts) >= 3
    missing = [(await world.nodes["ki"].bundles.take(part)).missing for part in parts[::-1]]
    numbers = range(1, len(parts) + 1)
    assert missing == [tuple(n for n in numbers if n < len(parts) - taken) for taken in range(len(parts))]
    assert sorted(await mailbox(world, tarawa)) == sorted(envelope.raw for envelope in envelopes)
    (back,) = await export(world, "ki", "jp")
    await world.nodes["jp"].bundles.take(back)
    assert await queued(world, "jp", "ki") == 0


async def test_a_bundle_that_is_not_as_it_was_written_is_refused_and_nothing_of_it_is_taken(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    await world.submit(tokyo, world.seal(tokyo, [tarawa]))
    (there,) = await export(world, "jp", "ki")
    ki, size = world.nodes["ki"].bundles, await world.nodes["ki"].context.store.reads.log_size()
    altered = bytearray(there)
    altered[-80] ^= 1
    for data, refusal in (
        (there[:-1], BundleTruncatedError),
        (bytes(altered), BundleAlteredError),
        (there + there, BundleAlteredError),
        (b"something else", MalformedError),
    ):
        with pytest.raises(refusal):
            await ki.take(data)
    with pytest.raises(BundleElsewhereError):
        await world.nodes["jp"].bundles.take(there)
    assert await world.nodes["ki"].context.store.reads.log_size() == size
    assert await mailbox(world, tarawa) == []
    assert (await ki.take(there)).envelopes == 1


async def test_a_bundle_counts_by_the_key_that_its_sender_had_and_still_has(world: World) -> None:
    now, signer = truncate(world.clock()), world.node_keys["jp"].signer()
    ki = world.nodes["ki"].bundles
    stranger = world.node_keys["de"].signer()
    (forged,) = write_bundle("jp", "ki", now, Contents(envelopes=(b"x",)), stranger, DEFAULT_PART_BYTES)
    with pytest.raises(Exception, match="lists no signing key"):
        await ki.take(forged)
    (early,) = write_bundle("jp", "ki", now + timedelta(days=365), Contents(), signer, DEFAULT_PART_BYTES)
    with pytest.raises(NotYetValidError):
        await ki.take(early)
    assert world.directory is not None
    card = world.directory.node("jp")
    (good,) = write_bundle("jp", "ki", now, Contents(envelopes=(b"x",)), signer, DEFAULT_PART_BYTES)
    entry = card.signing_keys[0].model_copy(update={"revoked_at": truncate(world.clock())})
    world.publish("jp", card.model_copy(update={"signing_keys": (entry,), "updated_at": world.clock()}))
    await world.nodes["ki"].context.directory.refresh()
    with pytest.raises(RevokedError):
        await ki.take(good)


async def test_a_relay_bundle_that_names_another_way_than_the_directory_is_refused_per_envelope(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    envelope = world.seal(tokyo, [tarawa])
    what = Contents(envelopes=(envelope.raw,))
    now, signer = truncate(world.clock()), world.node_keys["de"].signer()
    (part,) = write_bundle("de", "ki", now, what, signer, DEFAULT_PART_BYTES)
    imported = await world.nodes["ki"].bundles.take(part)
    assert imported.refused == ("not-on-route",)
    assert await mailbox(world, tarawa) == []


async def test_a_directory_that_does_not_verify_is_left_and_the_rest_of_the_bundle_is_taken(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    envelope = world.seal(tokyo, [tarawa])
    before = world.nodes["ki"].context.directory.current.version
    what = Contents(envelopes=(envelope.raw,), directory={"metadata/timestamp.json": b'{"signed": {}}'})
    now, signer = truncate(world.clock()), world.node_keys["jp"].signer()
    (part,) = write_bundle("jp", "ki", now, what, signer, DEFAULT_PART_BYTES)
    imported = await world.nodes["ki"].bundles.take(part)
    assert (imported.directory, imported.envelopes) == (False, 1)
    assert world.nodes["ki"].context.directory.current.version == before


async def test_a_bundle_is_made_only_for_a_node_or_a_desk_that_is_served_here(world: World) -> None:
    with pytest.raises(ForbiddenError):
        await export(world, "jp", "jp")
    with pytest.raises(ForbiddenError):
        await export(world, "jp", "24-7@ki")
    (part,) = await export(world, "jp", "24-7@jp")
    assert parse_part(part, "24-7@jp").contents.after == 0


async def test_a_message_that_expired_on_the_way_is_refused_and_its_sender_learns_it(world: World) -> None:
    tokyo, tarawa = world.desks["24-7@jp"], world.desks["24-7@ki"]
    envelope = world.seal(tokyo, [tarawa], lifetime=timedelta(minutes=5))
    await world.submit(tokyo, envelope)
    (there,) = await export(world, "jp", "ki")
    world.clock.shift = timedelta(minutes=10)
    assert (await world.nodes["ki"].bundles.take(there)).refused == ("expired",)
    (back,) = await export(world, "ki", "jp")
    await world.nodes["jp"].bundles.take(back)
    assert (JP, "RelayRejection") in await events(world, tokyo) or (JP, "RelayFailure") in await events(world, tokyo)
