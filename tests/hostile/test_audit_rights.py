"""A member that makes itself an auditor: what it can read of other nations' logs, over every way that entries leave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from keys.directory.audit_rights import audit_right
from keys.directory.cards import AuditScope, ForeignAuditor, Function
from keys.members.federation import with_foreign_auditors
from node.log.tile_export import export_tiles
from node.store.operations import PurgeDelivered
from protocol.directory_seen import decode_entry
from protocol.envelope import Envelope
from protocol.errors import UsageError
from protocol.event import Event, EventName
from protocol.log.layout import decode_bundle
from protocol.log.scoped import Withheld, decode_scoped_bundle
from protocol.misbehaviour.proof import PostDated, encode_proof, proof_digest
from tests.worlds.altered import one_bit_off
from tests.worlds.nodes import Desk, Nation, Reply, World

AUDIT = (Function.AUDIT,)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """jp and fr have exchanged a message, and so have fr and us; each nation has an auditor by its own word."""
    world = World.of(tmp_path, *(Nation(nation, auditors=("audit",)) for nation in ("jp", "fr", "us")))
    for nation in ("jp", "fr", "us"):
        await world.start(nation)
    yield world
    await world.close()


async def exchanged(world: World, sender: str, recipient: str) -> Envelope:
    """A message that its recipient has."""
    wrote, reads = world.desks[f"24-7@{sender}"], world.desks[f"24-7@{recipient}"]
    envelope = world.seal(wrote, [reads])
    await world.submit(wrote, envelope)
    await world.arrived(reads, envelope)
    await world.state(reads, EventName.ContentHandover, envelope)
    await world.events(wrote, 4, envelope)
    return envelope


async def ask(world: World, auditor: Desk, node: str, target: str) -> Reply:
    return await world.call(node, "GET", target, holder=str(auditor.address), signer=auditor.signer())


async def read(world: World, auditor: str, node: str) -> tuple[set[UUID], int]:
    """The messages of which an auditor is shown entries in the log of a node, and how many entries are withheld."""
    width = await world.nodes[node].context.store.reads.log_size()
    reply = await ask(world, world.desks[auditor], node, f"/log/scoped/000.p/{width}")
    assert reply.status == 200, reply.code
    items = decode_scoped_bundle(reply.body)
    shown = [decode_entry(item) for item in items if not isinstance(item, Withheld)]
    return {entry.message_id for entry in shown if isinstance(entry, Event)}, len(items) - len(shown)


async def allow(world: World, node: str, entries: dict[str, dict[str, object] | None]) -> None:
    assert world.directory is not None
    card = with_foreign_auditors(world.directory.node(node), entries, world.clock())
    world.publish(node, card)
    await world.nodes[node].context.directory.refresh()


async def test_an_auditor_by_its_own_word_sees_only_messages_of_its_nation_in_anothers_log(world: World) -> None:
    ours, theirs = await exchanged(world, "jp", "fr"), await exchanged(world, "fr", "us")
    assert (await read(world, "audit@jp", "fr"))[0] == {ours.routing.id}
    assert (await read(world, "audit@us", "fr"))[0] == {theirs.routing.id}
    assert await read(world, "audit@fr", "fr") == ({ours.routing.id, theirs.routing.id}, 0)
    width = await world.nodes["fr"].context.store.reads.log_size()
    plain = f"/log/tile/entries/000.p/{width}"
    assert (await ask(world, world.desks["audit@jp"], "fr", plain)).code == "forbidden"
    assert len(decode_bundle((await ask(world, world.desks["audit@fr"], "fr", plain)).body)) == width


async def test_only_the_nation_of_a_log_opens_it_further_or_closes_it(world: World) -> None:
    ours, theirs = await exchanged(world, "jp", "fr"), await exchanged(world, "fr", "us")
    await allow(world, "fr", {"audit@jp": {"auditor": "audit@jp", "reads": "all"}})
    assert await read(world, "audit@jp", "fr") == ({ours.routing.id, theirs.routing.id}, 0)
    scope = {"messages": [str(theirs.routing.id)]}
    await allow(world, "fr", {"audit@jp": {"auditor": "audit@jp", "reads": "scoped", "scope": scope}})
    assert (await read(world, "audit@jp", "fr"))[0] == {ours.routing.id, theirs.routing.id}
    await allow(world, "fr", {"audit@jp": {"auditor": "audit@jp", "reads": "nothing"}})
    assert (await ask(world, world.desks["audit@jp"], "fr", "/log/scoped/000.p/1")).code == "forbidden"
    await allow(world, "fr", {"audit@jp": None})
    assert (await read(world, "audit@jp", "fr"))[0] == {ours.routing.id}
    # What fr says of its log opens no other.
    assert (await read(world, "audit@jp", "us"))[0] == set()


async def test_what_is_forgotten_of_a_message_is_shown_to_its_nations_and_to_no_other(world: World) -> None:
    ours = await exchanged(world, "jp", "fr")
    await exchanged(world, "fr", "us")
    world.clock.shift = timedelta(days=400)
    await world.nodes["fr"].context.sequencer.submit(_purge(world))
    world.clock.shift = timedelta(0)
    assert (await read(world, "audit@jp", "fr"))[0] == {ours.routing.id}


async def test_a_refused_message_is_shown_to_the_nation_that_handed_it_over(world: World) -> None:
    paris, tokyo = world.desks["24-7@fr"], world.desks["24-7@jp"]
    forged = world.seal(tokyo, [paris])
    await world.node_call("jp", "fr", "POST", "/v1/transfer", [one_bit_off(forged.raw)])
    assert (await read(world, "audit@jp", "fr"))[0] == {forged.routing.id}
    assert (await read(world, "audit@us", "fr"))[0] == set()


async def test_a_proof_with_an_entry_is_shown_to_auditors_who_may_see_the_entry(world: World) -> None:
    """As in bundles: a proof of misbehaviour is kept at any node, whichever log it is about."""
    ours = await exchanged(world, "jp", "fr")
    store = world.nodes["fr"].context.store
    receipts = [await store.reads.receipt(index) for index in range(await store.reads.log_size())]
    held = next(one for one in receipts if _consigns(one.leaf, ours))
    origin = world.nodes["fr"].context.directory.current.origin("fr")
    proof = PostDated(origin, held.checkpoint, held.index, held.leaf, held.path)
    written = encode_proof(proof)
    for node in ("jp", "us"):
        world.nodes[node].relay.monitor.proofs.add(proof, written)

    async def status(auditor: str, node: str) -> int:
        target = f"/v1/misbehaviour/{proof_digest(written).hex()}"
        return (await ask(world, world.desks[auditor], node, target)).status

    assert (await status("audit@jp", "jp"), await status("audit@fr", "us")) == (200, 200)
    assert (await status("audit@us", "us"), await status("audit@us", "jp")) == (404, 404)
    await allow(world, "fr", {"audit@us": {"auditor": "audit@us", "reads": "all"}})
    await world.nodes["us"].context.directory.refresh()
    assert await status("audit@us", "us") == 200


async def test_exported_tiles_for_an_auditor_hold_what_it_may_see_and_no_more(world: World, tmp_path: Path) -> None:
    await exchanged(world, "jp", "fr")
    await exchanged(world, "fr", "us")
    assert world.directory is not None
    directory, home = world.directory, world.home("fr")
    right = audit_right(directory.node("fr"), directory.contact_point(world.desks["audit@jp"].address))
    database, verifier = home.path / "node.sqlite", directory.log_verifier("fr")
    done = export_tiles(database, tmp_path / "for-jp", verifier, _still, entries=True, right=right)
    assert done.withheld == (await read(world, "audit@jp", "fr"))[1] > 0
    export_tiles(database, tmp_path / "for-all", verifier, _still, entries=True)
    with pytest.raises(UsageError):
        export_tiles(database, tmp_path / "for-all", verifier, _still, entries=True, right=right)


def test_an_auditors_own_card_narrows_what_it_is_given_and_widens_nothing(tmp_path: Path) -> None:
    world = World.of(tmp_path, Nation("jp", desks=()), Nation("fr", desks=()))
    auditor = world.add_desk("audit@jp", AUDIT, audit_scope=AuditScope(since=world.clock())).card
    assert world.directory is not None
    before, at = world.clock() - timedelta(days=1), world.clock() + timedelta(days=1)
    message = UUID("01a20b16-cef1-7175-a0cc-88f5831eaab2")
    for reads, fr_only in (("all", True), (None, False)):
        entries = () if reads is None else (ForeignAuditor(auditor=auditor.address, reads=reads),)
        card = world.directory.node("fr").model_copy(update={"foreign_auditors": entries})
        right = audit_right(card, auditor)
        assert not right.everything
        assert not right.covers(before, message, {"jp"})
        assert right.covers(at, message, {"jp", "fr"})
        assert right.covers(at, message, {"fr"}) is fr_only


def _consigns(leaf: bytes, envelope: Envelope) -> bool:
    event = decode_entry(leaf)
    return isinstance(event, Event) and event.name is EventName.ContentConsignment and event.digest == envelope.digest


def _purge(world: World) -> PurgeDelivered:
    return PurgeDelivered(world.clock())


def _still(done: int, total: int) -> None:
    """Show nothing."""
