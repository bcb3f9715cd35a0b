"""A lying node in a federation of four honest ones: every lie is detected, proved to third parties, and has its price.

An *exchange* is what every node does once a minute (``delivery.monitor_s``): it checks its partners' logs, then tells
its partners what it saw and which proofs it holds. Real nodes, real TLS, real databases.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

import exchange.verifiers.verify_misbehaviour as standalone
from keys.directory.cards import Function, card_to_bytes
from node.monitor.monitor import Checked
from node.monitor.proof_files import ProofFiles
from node.monitor.reinstate import reinstate_trust
from node.server import Node
from protocol.crypto.signing import Signer
from protocol.errors import LogForkError, NotFoundError
from protocol.http.add_checkpoint import AddCheckpoint
from protocol.log.checkpoint import SoftLogSigner
from protocol.log.freshness import FRESH_WITHIN
from protocol.misbehaviour.proof import MisbehaviourKind, TwoTrees, decode_proof, encode_proof
from protocol.misbehaviour.verify import verify_proof
from tests.worlds.forged_log import entry, signed
from tests.worlds.lying_nodes import (
    BackDatingNode,
    PostDatingNode,
    RenewingStaleNode,
    StaleNode,
    StaleStore,
    TwoFacedNode,
    UnwitnessedNode,
    rewrite_log,
)
from tests.worlds.nodes import Desk, Nation, Reply, World
from tests.worlds.patience import WITHIN_S

HONEST = ("jp", "us", "br", "gr")
DELIVERY = {"first_backoff_s": 0.02, "max_backoff_s": 0.2, "timeout_s": WITHIN_S, "monitor_s": 3600}


@dataclass
class Federation:
    """Four honest nodes, and fr."""

    world: World

    async def start(self, liar: type[Node] = UnwitnessedNode) -> None:
        """Start all; each honest node has proved the log of each other once."""
        self.world.kinds["fr"] = liar
        for name in ("fr", *HONEST):
            await self.world.start(name, delivery=DELIVERY)
        await self.exchange()

    async def exchange(self) -> None:
        """One exchange of every honest node with every other."""
        nodes = [self.world.nodes[name] for name in HONEST]
        for node in nodes:
            others = [name for name in ("fr", *HONEST) if name != node.context.name]
            await asyncio.gather(*(node.relay.monitor.check(name) for name in others))
        for node in nodes:
            await node.http.gossip.round()

    async def send(self, sender: str, receipts: int = 3) -> None:
        """A message from a desk to Paris; returns when that many receipts of its way are there."""
        desk, paris = self.desk(sender), self.desk("fr")
        envelope = self.world.seal(desk, [paris])
        (answer,) = await self.world.submit(desk, envelope)
        assert answer.code is None
        if receipts:
            await self.world.events(desk, receipts, about=envelope)

    async def lie_while_stopped(self, change: Callable[[list[bytes]], list[bytes]]) -> None:
        """The liar rewrites its log, signs it, and goes on as if nothing had been."""
        await self.world.stop("fr")
        rewrite_log(self.world, "fr", change, self.world.clock() + timedelta(seconds=2))
        await self.world.start("fr", delivery=DELIVERY)

    def desk(self, nation: str) -> Desk:
        return self.world.desks[f"24-7@{nation}"]

    def proofs(self, node: str) -> ProofFiles:
        return self.world.nodes[node].relay.monitor.proofs

    def kinds(self, node: str) -> set[MisbehaviourKind]:
        return {kept.proof.kind for kept in self.proofs(node).open()}

    def verify_alone(self, node: str, folder: Path) -> set[str]:
        """Every proof that the node holds, verified by the program that needs no Comity; what it says is proved."""
        assert self.world.directory is not None
        card = folder / "fr-card.json"
        card.write_bytes(card_to_bytes(self.world.directory.node("fr")))
        told = set()
        for kept in self.proofs(node).open():
            verify_proof(decode_proof(kept.path.read_bytes()), self.world.directory.log_verifier("fr"))
            command = [sys.executable, "-I", standalone.__file__, str(kept.path), "--card", str(card), "--json"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            told.add(json.loads(done.stdout)["kind"])
        return told

    async def require_price(self, *nodes: str) -> None:
        """These nodes take no receipts from the liar, keep messages for it, and tell their operators."""
        for node in nodes:
            monitor = self.world.nodes[node].relay.monitor
            with pytest.raises(LogForkError):
                monitor.require_trusted("fr")
            assert '"partner-log-lied"' in self.world.logs[node].getvalue()
        await self.send("jp", receipts=0)
        kept = await self.world.nodes["jp"].context.store.reads.stats()
        assert kept.outbound["fr"] >= 1


@pytest.fixture
async def federation(tmp_path: Path) -> AsyncIterator[Federation]:
    desks = {"jp", "us", "fr"}
    nations = (Nation(name, desks=("24-7",) if name in desks else ()) for name in (*HONEST, "fr"))
    world = World.of(tmp_path, *nations)
    yield Federation(world)
    await world.close()


async def test_an_honest_federation_accuses_nobody(federation: Federation) -> None:
    await federation.start()
    before = {name: len(federation.world.logs[name].getvalue()) for name in HONEST}
    for sender in ("jp", "us", "jp"):
        await federation.send(sender)
        await federation.exchange()
    for name in HONEST:
        witness = federation.world.nodes[name].relay.monitor
        assert (witness.distrusted, witness.proofs.all()) == ((), [])
        assert "not-completed" not in federation.world.logs[name].getvalue()[before[name] :]


async def test_a_liar_who_asks_for_witnesses_is_proved_by_its_own_request(
    federation: Federation, tmp_path: Path
) -> None:
    await federation.start(Node)
    await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: [leaves[0], entry(99, federation.world.clock()), *leaves[2:]])

    await federation.exchange()

    # What it asked to be cosigned has the size of what was seen, or more.
    assert federation.kinds("jp") & {MisbehaviourKind.FORK, MisbehaviourKind.TWO_TREES}
    assert federation.verify_alone("jp", tmp_path) & {"fork", "two-trees"}


async def test_a_rewritten_entry_is_proved_within_one_exchange(federation: Federation, tmp_path: Path) -> None:
    await federation.start()
    await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: [leaves[0], entry(99, federation.world.clock()), *leaves[2:]])
    await federation.send("us")

    await federation.exchange()

    assert all(federation.kinds(name) for name in HONEST)
    assert federation.verify_alone("jp", tmp_path) >= {"rewritten", "index-twice"}
    await federation.require_price(*HONEST)


async def test_a_dropped_entry_is_proved_within_one_exchange(federation: Federation, tmp_path: Path) -> None:
    await federation.start()
    for _ in range(2):
        await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: leaves[:-1])
    await federation.send("us")

    await federation.exchange()

    assert all(federation.kinds(name) for name in HONEST)
    assert federation.verify_alone("jp", tmp_path) >= {"dropped", "fork"}
    await federation.require_price(*HONEST)


async def test_a_rewritten_entry_is_proved_by_those_who_cosigned_an_older_tree_of_the_log(
    federation: Federation, tmp_path: Path
) -> None:
    world = federation.world
    await federation.start()
    await federation.send("jp")
    older = await world.nodes["fr"].context.store.reads.checkpoint()
    for name in HONEST:
        await world.nodes[name].http.witness.add(AddCheckpoint(0, (), older))
    await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: [leaves[0], entry(99, world.clock()), *leaves[2:]])

    await federation.exchange()

    assert federation.verify_alone("jp", tmp_path) == {"two-trees"}
    await federation.require_price(*HONEST)


async def test_a_log_that_was_cut_and_signed_again_is_proved_within_one_exchange(
    federation: Federation, tmp_path: Path
) -> None:
    await federation.start()
    await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: leaves[:-2])

    await federation.exchange()

    assert federation.kinds("jp") == {MisbehaviourKind.SHRUNK}
    for name in HONEST:
        assert federation.verify_alone(name, tmp_path) == {"shrunk"}
    await federation.require_price(*HONEST)


@pytest.mark.parametrize(("cut", "kind"), [(1, MisbehaviourKind.INDEX_TWICE), (2, MisbehaviourKind.TWO_TREES)])
async def test_a_second_receipt_for_one_index_or_size_is_proved_by_itself(
    federation: Federation, tmp_path: Path, cut: int, kind: MisbehaviourKind
) -> None:
    await federation.start()
    await federation.send("jp")
    await federation.lie_while_stopped(lambda leaves: leaves[:-cut])

    await federation.send("jp", receipts=0)
    jp = federation.world.nodes["jp"].relay
    await federation.world.until(lambda: bool(jp.monitor.distrusted))

    assert federation.kinds("jp") == {kind}
    assert federation.verify_alone("jp", tmp_path) == {kind.value}
    await federation.exchange()
    await federation.require_price(*HONEST)


async def test_receipts_for_one_partner_that_the_others_cannot_see_are_proved_within_two_exchanges(
    federation: Federation, tmp_path: Path
) -> None:
    await federation.start(TwoFacedNode)
    await federation.send("jp")
    await federation.send("us")
    await federation.send("us")

    await federation.exchange()
    await federation.exchange()

    for name in HONEST:
        assert federation.verify_alone(name, tmp_path) <= {"fork", "two-trees", "shrunk"}
        assert federation.kinds(name)
    await federation.require_price(*HONEST)


async def test_an_event_of_an_earlier_time_is_proved_by_its_receipt_alone(
    federation: Federation, tmp_path: Path
) -> None:
    await federation.start(BackDatingNode)
    await federation.send("jp", receipts=0)
    jp = federation.world.nodes["jp"].relay
    await federation.world.until(lambda: bool(jp.monitor.distrusted))

    assert federation.verify_alone("jp", tmp_path) == {"back-dated"}
    await federation.require_price("jp")
    # The proof shows an entry, which is for the parties and for auditors: it is not handed to the others.
    await federation.exchange()
    assert not federation.kinds("us")


async def test_an_event_of_a_later_time_is_proved_by_its_receipt_alone(federation: Federation, tmp_path: Path) -> None:
    await federation.start(PostDatingNode)
    await federation.send("jp", receipts=0)
    jp = federation.world.nodes["jp"].relay
    await federation.world.until(lambda: bool(jp.monitor.distrusted))

    assert federation.verify_alone("jp", tmp_path) == {"post-dated"}
    await federation.require_price("jp")


async def test_a_log_shown_as_it_was_before_its_receipts_raises_the_alarm_without_proof(
    federation: Federation,
) -> None:
    await federation.start(StaleNode)
    store = federation.world.nodes["fr"].context.store
    assert isinstance(store, StaleStore)
    await store.reads.freeze()
    await federation.send("jp")

    await federation.exchange()

    jp = federation.world.nodes["jp"].relay
    assert jp.monitor.distrusted == ("fr",)
    assert federation.kinds("jp") == set()
    with pytest.raises(LogForkError):
        jp.monitor.require_trusted("fr")


async def test_a_log_that_signs_its_tree_of_before_its_receipts_anew_is_proved_within_one_exchange(
    federation: Federation, tmp_path: Path
) -> None:
    await federation.start(RenewingStaleNode)
    store = federation.world.nodes["fr"].context.store
    assert isinstance(store, StaleStore)
    await store.reads.freeze()
    await federation.send("jp")
    federation.world.clock.shift = timedelta(seconds=2)  # a checkpoint says whole seconds

    await federation.exchange()

    for name in HONEST:
        assert federation.verify_alone(name, tmp_path) == {"shrunk"}
    await federation.require_price(*HONEST)


async def test_a_log_that_shows_what_it_signed_long_before_has_not_answered(federation: Federation) -> None:
    world = federation.world
    await federation.start(StaleNode)
    store, us = world.nodes["fr"].context.store, world.nodes["us"].relay
    assert isinstance(store, StaleStore)
    await store.reads.freeze()
    await federation.send("jp")

    world.clock.shift = FRESH_WITHIN + timedelta(minutes=1)
    assert await us.monitor.check("fr") is Checked.STALE
    assert '"code": "checkpoint-stale"' in world.logs["us"].getvalue()
    assert us.monitor.distrusted == ()  # a log that says nothing is not one that lies

    store.reads.frozen = None
    assert await us.monitor.check("fr") is Checked.PROVED
    latest = us.monitor.proved_note("fr")
    # The present tree, with the time at which it was signed first.
    store.reads.frozen = (0, await store.reads.checkpoint())
    world.nodes["fr"].context.sequencer._renewed = None
    world.nodes["fr"].context.sequencer._renew_from = time.monotonic() + 3_600
    assert await us.monitor.check("fr") is Checked.STALE
    assert us.monitor.proved_note("fr") == latest  # what was shown once is not forgotten


async def test_a_log_that_shows_an_old_tree_long_after_is_distrusted_by_all_to_whom_a_partner_tells_of_a_larger_one(
    federation: Federation,
) -> None:
    world = federation.world
    await federation.start(StaleNode)
    store = world.nodes["fr"].context.store
    assert isinstance(store, StaleStore)
    await store.reads.freeze()
    await federation.send("jp")
    world.clock.shift = FRESH_WITHIN + timedelta(minutes=1)

    await federation.exchange()
    await federation.exchange()

    for name in HONEST:
        assert world.nodes[name].relay.monitor.distrusted == ("fr",)


async def test_the_operators_decision_holds_against_what_was_signed_before_and_not_against_a_new_lie(
    federation: Federation,
) -> None:
    world = federation.world
    await federation.start()
    await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: [leaves[0], entry(99, world.clock()), *leaves[2:]])
    await federation.send("us")
    await federation.exchange()
    await federation.require_price(*HONEST)

    await world.stop("jp")
    await world.start("jp", delivery=DELIVERY)
    assert world.nodes["jp"].relay.monitor.distrusted == ("fr",)
    await world.stop("jp")
    reinstate_trust(world.home("jp"), world.home("jp").path / "node.sqlite", "fr", world.clock() + timedelta(seconds=3))
    with pytest.raises(NotFoundError):
        reinstate_trust(world.home("jp"), world.home("jp").path / "node.sqlite", "fr", world.clock())
    world.clock.shift = timedelta(seconds=4)
    await world.start("jp", delivery=DELIVERY)
    jp = world.nodes["jp"].relay

    # The message that was kept arrives, and what the others still hold does not count here any more.
    await world.events(federation.desk("jp"), 6)
    await federation.exchange()
    assert (jp.monitor.distrusted, len(jp.monitor.proofs.all())) == ((), 2)
    assert world.nodes["us"].relay.monitor.distrusted == ("fr",)

    await federation.lie_while_stopped(lambda leaves: [*leaves[:-1], entry(98, world.clock())])
    await federation.exchange()
    assert jp.monitor.distrusted == ("fr",)
    assert federation.kinds("jp")


async def test_partners_and_auditors_read_heads_and_proofs_and_only_auditors_of_a_party_those_with_entries(
    federation: Federation,
) -> None:
    world = federation.world
    for nation in ("us", "jp"):
        world.add_desk(f"audit@{nation}", (Function.AUDIT,))
    await federation.start()
    await federation.send("jp")
    await federation.exchange()
    await federation.lie_while_stopped(lambda leaves: [leaves[0], entry(99, world.clock()), *leaves[2:]])
    await federation.send("us")
    await federation.exchange()
    held = {kept.proof.kind: kept for kept in federation.proofs("jp").open()}
    rewritten, hashes = held[MisbehaviourKind.REWRITTEN].digest.hex(), held[MisbehaviourKind.INDEX_TWICE].digest.hex()

    async def status(holder: str, signer: Signer, target: str) -> int:
        return (await world.call("jp", "GET", target, holder=holder, signer=signer)).status

    tokyo = world.desks["24-7@jp"]
    for holder, signer, entries in (
        ("us", world.node_keys["us"].signer(), 404),
        ("audit@us", world.desks["audit@us"].signer(), 404),
        ("audit@jp", world.desks["audit@jp"].signer(), 200),
    ):
        assert await status(holder, signer, "/v1/heads") == 200
        assert await status(holder, signer, "/v1/head?origin=test-federation/fr") == 200
        assert await status(holder, signer, "/v1/head?origin=test-federation/xx") == 404
        assert await status(holder, signer, "/v1/head") == 400
        assert await status(holder, signer, f"/v1/misbehaviour/{hashes}") == 200
        assert await status(holder, signer, f"/v1/misbehaviour/{rewritten}") == entries
    for target in ("/v1/heads", "/v1/head?origin=test-federation/fr", f"/v1/misbehaviour/{hashes}"):
        assert await status("24-7@jp", tokyo.signer(), target) == 403


async def test_a_proof_from_a_partner_is_verified_before_it_is_believed(federation: Federation) -> None:
    world = federation.world
    await federation.start()
    keys = world.node_keys["gr"]
    gr = SoftLogSigner("test-federation/gr", keys.log_ed25519_seed, keys.log_mldsa_seed)
    stranger = SoftLogSigner("test-federation/gr", bytes(32), bytes(32))
    lie = [entry(1)], [entry(2)]

    async def offer(signer: SoftLogSigner) -> Reply:
        first, second = (signed(leaves, signer=signer) for leaves in lie)
        proof = encode_proof(TwoTrees(signer.origin, first, second))
        us = world.node_keys["us"].signer()
        return await world.call("jp", "POST", "/v1/misbehaviour", proof, holder="us", signer=us)

    witness = world.nodes["jp"].relay.monitor
    assert (await offer(stranger)).code == "checkpoint-invalid"
    assert (witness.distrusted, witness.proofs.all()) == ((), [])
    for _ in range(2):
        assert (await offer(gr)).status == 200
    assert (witness.distrusted, len(witness.proofs.all())) == (("gr",), 1)
    health = await world.session("jp").get(f"{world.nodes['jp'].admin_url}/health")
    assert {"partner-log-distrusted:gr", "proved-to-lie:gr"} <= set((await health.json())["problems"])
