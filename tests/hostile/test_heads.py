"""What a node tells of other logs' heads: one answer, the same as in its list, and nobody reads it who should not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from keys.directory.cards import Function
from node.store.operations import RecordCosigned, RecordPeerCheckpoint
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.errors import LogUnconfirmedError
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, parse_checkpoint, sign_checkpoint
from tests.worlds.nodes import Reply, World

ORIGIN = "test-federation/fr"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World.of(tmp_path, "jp", "fr")
    made.add_desk("audit@fr", (Function.AUDIT,))
    await made.start("jp", offline=True)
    yield made
    await made.close()


def note(world: World, size: int, minutes: int = 0) -> bytes:
    """A checkpoint that fr signed, ``minutes`` ago."""
    keys = world.node_keys["fr"]
    signer = SoftLogSigner(ORIGIN, keys.log_ed25519_seed, keys.log_mldsa_seed)
    return sign_checkpoint(Checkpoint(ORIGIN, size, root(size)), signer, world.clock() - timedelta(minutes=minutes))


def root(size: int) -> bytes:
    return bytes([size]) * 32


async def know(world: World, place: str, note: bytes) -> None:
    """Let jp know this checkpoint of fr's log."""
    node, size = world.nodes["jp"], parse_checkpoint(note).size
    if place == "seen":
        await node.context.sequencer.perform(RecordPeerCheckpoint(ORIGIN, size, root(size), note, world.clock()))
    elif place == "cosigned":
        await node.context.sequencer.perform(RecordCosigned(ORIGIN, 0, size, root(size), note))
    else:
        node.relay.monitor._state.proved["fr"] = note


async def head(world: World) -> list[bytes]:
    reply = await world.node_call("fr", "jp", "GET", f"/v1/head?origin={ORIGIN}")
    assert reply.status == 200
    return list(cbor.decode(reply.body))


async def listed(world: World) -> list[list[object]]:
    reply = await world.node_call("fr", "jp", "GET", "/v1/heads")
    return list(cbor.decode(reply.body)[1])


@pytest.mark.parametrize("largest", ["seen", "cosigned", "proved"])
async def test_list_and_head_name_the_largest_tree_wherever_it_is_known_from(world: World, largest: str) -> None:
    for place in ("seen", "cosigned", "proved"):
        await know(world, place, note(world, 9 if place == largest else 5))
    assert [parse_checkpoint(one).size for one in await head(world)] == [9]
    assert await listed(world) == [[ORIGIN, 9, root(9)]]


async def test_of_the_largest_tree_the_checkpoint_signed_first_and_the_latest_are_told(world: World) -> None:
    first, between, last = (note(world, 9, minutes) for minutes in (30, 20, 10))
    for place, one in (("seen", between), ("cosigned", last), ("proved", first)):
        await know(world, place, one)
    assert await head(world) == [first, last]


async def asked(world: World, holder: str, target: str) -> Reply:
    signer = world.desks[holder].signer() if holder in world.desks else world.node_keys[holder].signer()
    return await world.call("jp", "GET", target, holder=holder, signer=signer)


async def test_nobody_but_partners_and_auditors_is_told_of_a_head(world: World) -> None:
    await know(world, "seen", note(world, 3))
    for target in ("/v1/heads", f"/v1/head?origin={ORIGIN}"):
        for reader in ("fr", "audit@fr"):
            assert (await asked(world, reader, target)).status == 200
        for other in ("jp", "24-7@jp", "24-7@fr"):
            assert (await asked(world, other, target)).code == "forbidden"
        stranger = Ed25519Signer(bytes([7]) * 32)
        assert (await world.call("jp", "GET", target, holder="fr", signer=stranger)).code == "unknown-key"
        unsigned = await world.call("jp", "GET", target, holder="fr", signer=stranger, headers={})
        assert unsigned.code == "unauthenticated"


async def test_while_a_node_may_not_sign_it_tells_partners_alone_what_it_saw(world: World) -> None:
    await know(world, "seen", note(world, 3))
    target = f"/v1/head?origin={ORIGIN}"
    world.nodes["jp"].context.sequencer._held = LogUnconfirmedError()
    assert (await asked(world, "fr", target)).status == 200
    assert (await asked(world, "audit@fr", target)).code == "log-unconfirmed"
    assert (await asked(world, "24-7@jp", target)).code == "forbidden"
    assert (await asked(world, "fr", "/v1/heads")).code == "log-unconfirmed"


@pytest.mark.parametrize("target", ["/v1/heads/note", "/witness/checkpoint"])
async def test_the_head_of_a_log_is_asked_for_in_one_place(world: World, target: str) -> None:
    assert (await asked(world, "fr", f"{target}?origin={ORIGIN}")).status == 404
