"""Nodes cosign each other's checkpoints: what a witness gives, what it refuses, and what a log makes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from keys.directory.cards import CardStatus
from keys.directory.metadata.repository import TARGETS
from keys.directory.witnesses import judge_quorum, policy_file
from keys.members.federation import with_status
from node.monitor.monitor import Checked
from node.server import Node
from node.store.operations import Failed
from protocol.errors import StorageFullError
from protocol.http.add_checkpoint import decode_cosignatures, decode_old_size, encode_add_checkpoint
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, parse_checkpoint, sign_checkpoint, verify_checkpoint
from protocol.log.merkle import leaf_hash, verify_inclusion
from protocol.log.policy import parse_policy
from protocol.log.proof import decode_tlog_proof
from tests.worlds.nodes import DELIVERY, Nation, Reply, World
from tests.worlds.patience import WITHIN_S

COSIGNING = {**DELIVERY, "cosign_s": 0.02}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Three nations; no node runs yet."""
    world = World.of(tmp_path, "jp", Nation("fr", desks=()), Nation("de", desks=()))
    yield world
    await world.close()


def log_of(world: World, nation: str) -> SoftLogSigner:
    """The keys with which a nation could sign anything it likes."""
    keys = world.node_keys[nation]
    return SoftLogSigner(f"test-federation/{nation}", keys.log_ed25519_seed, keys.log_mldsa_seed)


def tree(world: World, nation: str, *leaves: str) -> tuple[bytes, Checkpoint]:
    """A checkpoint, signed by the nation's log keys, of at most two leaves."""
    hashes = [leaf_hash(text.encode()) for text in leaves]
    root = hashes[0] if len(hashes) == 1 else sha256(b"\x01" + hashes[0] + hashes[1]).digest()
    checkpoint = Checkpoint(f"test-federation/{nation}", len(hashes), root)
    return sign_checkpoint(checkpoint, log_of(world, nation), world.clock()), checkpoint


async def add(world: World, caller: str, witness: str, body: bytes) -> Reply:
    """A request to a witness, signed by ``caller``."""
    return await world.call(
        witness,
        "POST",
        "/witness/add-checkpoint",
        body,
        holder=caller,
        signer=world.node_keys[caller].signer(),
        body_type="text/plain",
    )


async def grow(world: World, count: int = 1) -> None:
    """The desk of jp sends messages to itself."""
    tokyo = world.desks["24-7@jp"]
    for _ in range(count):
        await world.submit(tokyo, world.seal(tokyo, [tokyo]))


async def cosigned(world: World, node: Node, size: int = 1) -> bytes:
    """The node's witnessed checkpoint once it has at least ``size`` entries."""

    def there() -> bool:
        kept = node.http.cosignatures.kept
        return kept is not None and parse_checkpoint(kept).size >= size

    await world.until(there)
    return node.http.cosignatures.require_kept()


# --- The whole way ---


async def test_a_log_that_grows_is_cosigned_by_its_partners_and_serves_the_proof(world: World) -> None:
    node = await world.start("jp", delivery=COSIGNING)
    for nation in ("fr", "de"):
        await world.start(nation)
    await grow(world, 5)
    size = await node.context.store.reads.log_size()

    note = await cosigned(world, node, size)

    directory = node.context.directory.current
    verified = verify_checkpoint(note, directory.log_verifier("jp"))
    quorum = judge_quorum(directory, verified, world.clock())
    assert (quorum.witnesses, quorum.cosigned, quorum.met, quorum.required) == (("de", "fr"), ("de", "fr"), True, True)
    desk = world.desks["24-7@jp"]
    assert (await world.desk_call(desk, "GET", "/log/cosigned/checkpoint")).body == note
    assert (await world.desk_call(desk, "GET", "/log/checkpoint")).body == note
    proof = decode_tlog_proof((await world.desk_call(desk, "GET", "/log/cosigned/proof/3")).body)
    leaf = leaf_hash(await node.context.store.reads.leaf(3))
    verify_inclusion(leaf, 3, size, proof.path, verified.checkpoint.root)
    assert proof.checkpoint == note
    beyond = await world.desk_call(desk, "GET", f"/log/cosigned/proof/{size}")
    assert (beyond.status, beyond.code) == (404, "log-not-found")


async def test_the_cosigned_checkpoint_outlives_a_restart_without_its_witnesses(world: World) -> None:
    node = await world.start("jp", delivery=COSIGNING)
    for nation in ("fr", "de"):
        await world.start(nation)
    note = await cosigned(world, node)
    for nation in ("fr", "de", "jp"):
        await world.stop(nation)

    node = await world.start("jp", delivery=COSIGNING)

    assert parse_checkpoint(await cosigned(world, node)).size >= parse_checkpoint(note).size


async def test_a_dead_witness_delays_neither_the_log_nor_the_others(world: World) -> None:
    world.add_nation("gr")  # two of three are a majority; gr never runs
    node = await world.start("jp", delivery=COSIGNING)
    for nation in ("fr", "de"):
        await world.start(nation)
    for _ in range(3):
        await grow(world)
        await cosigned(world, node, await node.context.store.reads.log_size())
    failures = node.metrics.render(None, 0, False).decode()
    assert 'comity_cosignature_failures_total{code="unavailable",partner="gr"}' in failures


async def test_without_enough_witnesses_there_is_no_witnessed_checkpoint(world: World) -> None:
    node = await world.start("jp", delivery=COSIGNING)
    await world.start("fr")
    await grow(world)
    newest = parse_checkpoint(await node.context.store.reads.checkpoint())
    await world.until(lambda: node.http.cosignatures.has(newest, "fr"))

    reply = await world.desk_call(world.desks["24-7@jp"], "GET", "/log/cosigned/checkpoint")

    assert (reply.status, reply.code) == (404, "quorum-not-met")
    # What there is, is served.
    served = await world.desk_call(world.desks["24-7@jp"], "GET", "/log/checkpoint")
    assert served.body.count(b"test-federation/witness/fr") == 2


async def test_the_root_holders_rule_decides_who_is_enough(world: World) -> None:
    ceremony = world.found()
    ceremony.set_witness_rule("# fr alone\ngroup enough any fr de\nquorum enough\n", world.clock())
    ceremony.sign(TARGETS, world.holders[0])
    world.directory = ceremony.release(world.clock(), world.registry)
    node = await world.start("jp", delivery=COSIGNING)
    await world.start("fr")
    await grow(world)

    verified = verify_checkpoint(await cosigned(world, node), world.directory.log_verifier("jp"))

    quorum = judge_quorum(world.directory, verified, world.clock())
    assert (quorum.witnesses, quorum.cosigned, quorum.met) == (("de", "fr"), ("fr",), True)
    policy = parse_policy(policy_file(world.directory, "test-federation/jp", world.clock()))
    assert policy.is_met_by(["fr.ed25519", "fr.ml-dsa-44"])
    assert not policy.is_met_by(["fr.ed25519", "de.ed25519"])


async def test_a_suspended_witness_does_not_count_from_then_on(world: World) -> None:
    node = await world.start("jp", delivery=COSIGNING)
    for nation in ("fr", "de"):
        await world.start(nation)
    note = await cosigned(world, node)
    verified = verify_checkpoint(note, node.context.directory.current.log_verifier("jp"))
    assert world.directory is not None
    card = world.directory.node("fr")

    world.publish("fr", with_status(card, CardStatus.SUSPENDED, card.status_since))

    quorum = judge_quorum(world.directory, verified, world.clock())
    assert (quorum.witnesses, quorum.cosigned, quorum.met) == (("de",), ("de",), True)


# --- What a witness refuses ---


async def test_a_witness_follows_the_specification_step_by_step(world: World) -> None:
    await world.start("fr")
    one, first = tree(world, "jp", "a")
    two, second = tree(world, "jp", "a", "b")
    proof = [leaf_hash(b"b")]

    # It never cosigned this log: the old size is 0.
    wrong = await add(world, "jp", "fr", encode_add_checkpoint(1, [], one))
    assert (wrong.status, decode_old_size(wrong.body)) == (409, 0)
    assert wrong.headers["Content-Type"] == "text/x.tlog.size"
    given = await add(world, "jp", "fr", encode_add_checkpoint(0, [], one))
    assert given.status == 200, given.body
    lines = decode_cosignatures(given.body)
    assert world.directory is not None
    ((_, verifier),) = world.directory.witnesses("fr")
    assert verifier.cosigned_at(first, lines) is not None
    # It may be asked again for the same tree.
    assert (await add(world, "jp", "fr", encode_add_checkpoint(1, [], one))).status == 200
    # A proof that is missing or wrong is refused; the right one is not.
    for path in ([], [bytes(32)], [*proof, bytes(32)]):
        refused = await add(world, "jp", "fr", encode_add_checkpoint(1, path, two))
        assert (refused.status, refused.code) == (422, "proof-invalid")
    grown = await add(world, "jp", "fr", encode_add_checkpoint(1, proof, two))
    assert verifier.cosigned_at(second, decode_cosignatures(grown.body)) is not None
    # A replay of an older size gets the newer size, never a cosignature.
    for old in (0, 1):
        replayed = await add(world, "jp", "fr", encode_add_checkpoint(old, [], one))
        assert (replayed.status, decode_old_size(replayed.body)) == (409, 2)
    smaller = await add(world, "jp", "fr", encode_add_checkpoint(2, [], one))
    assert (smaller.status, smaller.code) == (400, "malformed")
    # An old size of zero takes no proof.
    other, _ = tree(world, "de", "x")
    assert (await add(world, "jp", "fr", encode_add_checkpoint(0, proof, other))).status == 422
    # Monitors read what was cosigned last.
    name = sha256(b"test-federation/jp").hexdigest()
    monitored = await world.node_call("de", "fr", "GET", f"/witness/{name}/checkpoint")
    verified = verify_checkpoint(monitored.body, world.directory.log_verifier("jp"))
    assert verifier.cosigned_at(second, verified.others) is not None
    missing = await world.node_call(
        "de", "fr", "GET", f"/witness/{sha256(b'test-federation/de').hexdigest()}/checkpoint"
    )
    assert (missing.status, missing.code) == (404, "log-not-found")


async def test_a_witness_refuses_logs_keys_callers_and_bodies_that_are_not_right(world: World) -> None:
    await world.start("fr")
    note, checkpoint = tree(world, "jp", "a")
    keys = world.node_keys["de"]
    thief = SoftLogSigner(checkpoint.origin, keys.log_ed25519_seed, keys.log_mldsa_seed)
    unknown = SoftLogSigner("test-federation/xx", b"\x01" * 32, b"\x02" * 32)
    own, _ = tree(world, "fr", "a")
    altered = note.replace(b"\n1\n", b"\n2\n")
    empty = sign_checkpoint(Checkpoint(checkpoint.origin, 0, sha256(b"").digest()), log_of(world, "jp"), world.clock())
    cases = {
        ("signature-invalid", 403): [
            encode_add_checkpoint(0, [], sign_checkpoint(checkpoint, thief, world.clock())),
            encode_add_checkpoint(0, [], altered),
        ],
        ("unknown-node", 404): [
            encode_add_checkpoint(
                0, [], sign_checkpoint(Checkpoint(unknown.origin, 1, checkpoint.root), unknown, world.clock())
            )
        ],
        ("not-found", 404): [encode_add_checkpoint(0, [], own)],
        ("malformed", 400): [b"old", b"old 0\n" + note, b"old x\n\n" + note],
        ("checkpoint-invalid", 422): [
            b"old 0\n\n" + empty.replace(b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", b"A" * 43 + b"=")
        ],
    }
    for (code, status), bodies in cases.items():
        for body in bodies:
            reply = await add(world, "jp", "fr", body)
            assert (reply.code, reply.status) == (code, status)
    desk = world.desks["24-7@jp"]
    body = encode_add_checkpoint(0, [], note)
    by_desk = await world.call(
        "fr", "POST", "/witness/add-checkpoint", body, holder="24-7@jp", signer=desk.signer(), body_type="text/plain"
    )
    assert (by_desk.status, by_desk.code) == (403, "forbidden")
    as_cbor = await world.node_call("jp", "fr", "POST", "/witness/add-checkpoint", [])
    assert (as_cbor.status, as_cbor.code) == (400, "malformed")


async def test_a_suspended_log_is_not_cosigned(world: World) -> None:
    assert world.directory is not None
    card = world.directory.node("jp")
    note, _ = tree(world, "jp", "a")
    world.publish("jp", with_status(card, CardStatus.SUSPENDED, world.clock()))
    await world.start("fr")
    reply = await add(world, "de", "fr", encode_add_checkpoint(0, [], note))
    assert (reply.status, reply.code) == (403, "revoked")


# --- Forks ---


async def test_two_trees_of_one_size_raise_the_alarm_and_are_both_kept(world: World) -> None:
    fr = await world.start("fr")
    one, _ = tree(world, "jp", "a")
    other, _ = tree(world, "jp", "another")
    assert (await add(world, "jp", "fr", encode_add_checkpoint(0, [], one))).status == 200

    refused = await add(world, "de", "fr", encode_add_checkpoint(1, [], other))

    assert (refused.status, refused.code) == (422, "proof-invalid")
    witness = fr.relay.monitor
    assert witness.distrusted == ("jp",)
    kept = [parse_checkpoint(note).root for note in witness._state.evidence["jp"]]
    assert kept == [parse_checkpoint(one).root, parse_checkpoint(other).root]
    again = await add(world, "jp", "fr", encode_add_checkpoint(1, [], one))
    assert (again.status, again.code) == (403, "forbidden")


async def test_a_log_that_cannot_prove_what_it_signed_is_found_out_by_asking_it(world: World) -> None:
    """jp runs, and someone with its keys shows the witness another history than jp's own."""
    await world.start("jp")
    fr = await world.start("fr")
    await grow(world, 2)
    real = await world.nodes["jp"].context.store.reads.checkpoint()
    assert (await add(world, "jp", "fr", encode_add_checkpoint(0, [], real))).status == 200
    size = parse_checkpoint(real).size
    forged = sign_checkpoint(Checkpoint("test-federation/jp", size + 1, bytes(32)), log_of(world, "jp"), world.clock())
    await grow(world, 2)

    refused = await add(world, "jp", "fr", encode_add_checkpoint(size, [bytes(32)], forged))

    assert refused.status == 422
    assert fr.relay.monitor.distrusted == ("jp",)


async def test_a_wrong_proof_alone_accuses_nobody(world: World) -> None:
    """de shows an honest checkpoint of jp with a proof of its own making."""
    await world.start("jp")
    fr = await world.start("fr")
    await grow(world)
    store = world.nodes["jp"].context.store
    first = await store.reads.checkpoint()
    assert (await add(world, "jp", "fr", encode_add_checkpoint(0, [], first))).status == 200
    await grow(world)
    second = await store.reads.checkpoint()

    refused = await add(world, "de", "fr", encode_add_checkpoint(parse_checkpoint(first).size, [bytes(32)], second))

    assert refused.status == 422
    assert fr.relay.monitor.distrusted == ()
    path = await store.reads.consistency_path(parse_checkpoint(first).size, parse_checkpoint(second).size)
    assert (
        await add(world, "jp", "fr", encode_add_checkpoint(parse_checkpoint(first).size, path, second))
    ).status == 200


async def test_what_was_cosigned_is_part_of_what_the_monitor_proves(world: World) -> None:
    fr = await world.start("fr")
    note, _ = tree(world, "jp", "a history of its own")
    assert (await add(world, "jp", "fr", encode_add_checkpoint(0, [], note))).status == 200
    await world.start("jp")
    await grow(world)

    assert await fr.relay.monitor.check("jp") is Checked.CONTRADICTED

    assert fr.relay.monitor.distrusted == ("jp",)


# --- Broken off in the middle ---


async def test_a_witness_that_dies_between_recording_and_answering_gives_the_cosignature_later(world: World) -> None:
    fr = await world.start("fr")
    node = await world.start("jp", delivery=COSIGNING)
    submit, recorded = fr.context.sequencer.submit, asyncio.Event()

    async def dies(operation: object) -> object:
        await submit(operation)
        recorded.set()
        return Failed(StorageFullError("the power went"))

    fr.context.sequencer.submit = dies
    async with asyncio.timeout(WITHIN_S):
        await recorded.wait()
    await world.stop("fr")
    cosigned_before = await _last_cosigned(world, "fr")

    await world.start("fr")
    await world.start("de")
    await grow(world)

    note = await cosigned(world, node, await node.context.store.reads.log_size())
    assert parse_checkpoint(note).size > cosigned_before > 0


async def _last_cosigned(world: World, witness: str) -> int:
    """What the witness's database holds, the node stopped."""
    import sqlite3

    with sqlite3.connect(world.home(witness).path / "node.sqlite") as database:
        (row,) = database.execute("SELECT size FROM cosigned").fetchall()
    return int(row[0])


async def test_nothing_is_cosigned_that_could_not_be_recorded(world: World) -> None:
    fr = await world.start("fr")
    note, _ = tree(world, "jp", "a")

    async def full(operation: object) -> object:
        return Failed(StorageFullError("the disk is full"))

    fr.context.sequencer.submit = full
    reply = await add(world, "jp", "fr", encode_add_checkpoint(0, [], note))
    assert (reply.status, reply.code) == (507, "storage-full")
    assert b"witness/fr" not in reply.body


async def test_of_two_requests_at_once_only_one_moves_the_witness(world: World) -> None:
    fr = await world.start("fr")
    one, _ = tree(world, "jp", "a")
    two, _ = tree(world, "jp", "a", "b")

    replies = await asyncio.gather(
        *(add(world, "jp", "fr", encode_add_checkpoint(0, [], note)) for note in (one, two) * 3)
    )

    statuses = [reply.status for reply in replies]
    kept = await fr.context.store.reads.cosigned("test-federation/jp")
    assert kept is not None
    assert statuses.count(200) == 1
    assert statuses.count(409) == 5
    assert {decode_old_size(reply.body) for reply in replies if reply.status == 409} == {kept.size}


async def test_a_witness_that_knows_more_than_the_log_is_reported(world: World) -> None:
    await world.start("fr")
    ahead, _ = tree(world, "jp", "lost", "with the old database")
    assert (await add(world, "jp", "fr", encode_add_checkpoint(0, [], ahead))).status == 200
    world.add_nation("gr")  # so that the log of jp logs one entry only: the directory it began with

    node = await world.start("jp", delivery=COSIGNING)

    await world.until(lambda: '"witness-ahead-of-own-log"' in world.logs["jp"].getvalue())
    assert node.http.gateway.ahead == {"fr"}
    async with world.sessions[0].get(f"{node.admin_url}/health") as response:
        assert "log-behind-witness:fr" in json.loads(await response.read())["problems"]
