"""What an auditor proves from a mirror, checkpoints and receipts, and how the commands tell it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.audit.misbehaviour import Held, folder_source, misdated_entries, prove
from exchange.cli.main import app
from exchange.evidence.bag_writer import write_bag
from keys.directory.cards import card_to_bytes
from protocol.errors import LogUnavailableError
from protocol.event import decode_event
from protocol.log.checkpoint import LogVerifier
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from protocol.misbehaviour.proof import MisbehaviourKind, encode_proof
from protocol.misbehaviour.verify import verify_proof
from tests.interop.go_log import write_log
from tests.unit.protocol.test_misbehaviour import FORKED, LIES, TRUE
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request
from tests.worlds.forged_log import NOON, VERIFIER, entries, entry, later, receipt, signed


def mirrored(folder: Path, leaves: Sequence[bytes], note: bytes) -> Path:
    """A mirror of a log with these entries."""
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    tiles.update({(level, index): hashes for level, index, hashes in tree.take_changed_tiles()})
    write_log(folder, note, tree, tiles, list(leaves))
    return folder


async def test_a_mirror_alone_proves_that_what_was_signed_before_is_not_in_it(tmp_path: Path) -> None:
    longer, note = [*FORKED, *entries(3)], signed([*FORKED, *entries(3)], later(1))
    source = folder_source(mirrored(tmp_path, longer, note))
    held = Held((note, signed(TRUE[:5])), (receipt(TRUE[:5], 3), receipt(TRUE[:5], 1)))
    steps: list[tuple[int, int]] = []
    proven = await prove(held, VERIFIER, [source], lambda done, total: steps.append((done, total)))
    assert {proof.kind for proof in proven.proofs} == {
        MisbehaviourKind.FORK,
        MisbehaviourKind.REWRITTEN,
        MisbehaviourKind.DROPPED,
    }
    assert steps[-1] == (2, 2)
    for proof in proven.proofs:
        verify_proof(proof, VERIFIER)
    assert proven.undecided == ()


async def test_what_no_source_shows_stays_undecided_and_the_next_source_is_asked(tmp_path: Path) -> None:
    note = signed(TRUE, later(1))
    right, wrong = mirrored(tmp_path / "right", TRUE, note), mirrored(tmp_path / "wrong", FORKED, note)
    held = Held((note, signed(TRUE[:5])))
    silent = folder_source(tmp_path / "nowhere")
    proven = await prove(held, VERIFIER, [silent, folder_source(wrong)])
    assert (proven.proofs, [problem.code for problem in proven.undecided]) == ((), ["proof-invalid"])
    proven = await prove(held, VERIFIER, [silent, folder_source(wrong), folder_source(right)])
    assert (proven.proofs, proven.undecided) == ((), ())


def test_entries_of_a_false_time_are_found_in_a_mirror(tmp_path: Path) -> None:
    leaves = [*entries(300), entry(1, later(-3600)), entry(2, later(9000))]
    note = signed(leaves, later(60))
    folder = mirrored(tmp_path, leaves, note)
    found = list(misdated_entries(folder, note, [signed(leaves[:300], NOON)], VERIFIER))
    assert [(kind, one.index) for kind, one in found] == [
        (MisbehaviourKind.BACK_DATED, 300),
        (MisbehaviourKind.POST_DATED, 301),
    ]
    assert [one.index for _, one in misdated_entries(folder, note, [], VERIFIER)] == [301]
    with pytest.raises(LogUnavailableError):
        list(misdated_entries(tmp_path / "nowhere", note, [], VERIFIER))


class CountingVerifier(LogVerifier):
    """Counts the signatures that are verified."""

    count = 0

    def verify_mldsa(self, message: bytes, signature: bytes) -> None:
        type(self).count += 1
        super().verify_mldsa(message, signature)


@pytest.mark.parametrize("one_checkpoint", [True, False])
async def test_the_search_grows_with_the_statements_and_not_with_their_pairs(
    tmp_path: Path, one_checkpoint: bool
) -> None:
    leaves = entries(64)
    source = folder_source(mirrored(tmp_path, leaves, signed(leaves, later(1))))
    made = [
        receipt(leaves if one_checkpoint else leaves[: index + 1], index, later(index / 100)) for index in range(64)
    ]
    spent = []
    for count in (16, 32, 64):
        CountingVerifier.count = 0
        verifier = CountingVerifier(VERIFIER.origin, VERIFIER.ed25519_public, VERIFIER.mldsa_public)
        proven = await prove(Held((signed(leaves, later(1)),), tuple(made[:count])), verifier, [source])
        assert (proven.proofs, proven.undecided) == ((), ())
        spent.append(CountingVerifier.count)
    assert spent[2] - spent[1] <= 2 * (spent[1] - spent[0])
    assert spent[2] <= 4 * 64


async def test_every_statement_is_held_against_a_tree_that_can_be_had_when_the_largest_cannot(tmp_path: Path) -> None:
    """A log that shows a larger head and not its tiles does not keep the smaller ones from being compared."""
    source = folder_source(mirrored(tmp_path, TRUE, signed(TRUE, later(1))))
    forked = [*FORKED, *entries(3)]
    held = Held((signed(TRUE, later(1)), signed(FORKED[:6]), signed(forked, later(2))))
    proven = await prove(held, VERIFIER, [source])
    assert {proof.kind for proof in proven.proofs} == {MisbehaviourKind.FORK}
    assert proven.undecided


# --- The commands ----------------------------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def comity(world: World, *arguments: str) -> tuple[int, str]:
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    given = {"COMITY_PASSPHRASE_FILE": str(secret), "COMITY_HOME": str(world.home(JP))}
    ran = CliRunner().invoke(app, ["audit", *arguments], env=given)
    return ran.exit_code, ran.stdout


async def _exchanged(world: World) -> bytes:
    """A request from Tokyo to Paris; the evidence of it."""
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        await jp.messages.sync()
        return write_bag(await jp.evidence.gather(sent.id, disclose=True))


@pytest.mark.long
def test_an_auditor_proves_with_an_office_s_receipts_that_a_node_rewrote_its_log(world: World) -> None:
    evidence = world.path / "evidence.zip"
    evidence.write_bytes(asyncio.run(_exchanged(world)))
    honest = world.nodes["fr"].log
    mirror = mirrored(world.path / "mirrors" / "fr", honest.leaves, honest.checkpoint())
    assert comity(world, "prove", "fr", "--mirror", str(mirror), "--evidence", str(evidence))[0] == 5
    code, text = comity(world, "prove", "fr", "--mirror", str(mirror), "--json")
    nothing = {"node": "fr", "proofs": [], "undecided": [], "partial": False, "unseen": 0}
    assert (code, json.loads(text)) == (5, nothing)

    lying = world.nodes["fr"].log = type(honest)(honest.signer, world.clock)
    world.clock.advance(seconds=2)
    lying.add(*(decode_event(leaf) for leaf in [*reversed(honest.leaves), *honest.leaves]))
    code, text = comity(world, "prove", "fr", "--mirror", str(mirror), "--evidence", str(evidence), "--json")
    assert code == 0
    proofs = {row["kind"]: Path(row["file"]) for row in json.loads(text)["proofs"]}
    assert {"fork", "rewritten"} <= set(proofs)
    assert {path.parent for path in proofs.values()} == {world.path / "mirrors" / "misbehaviour"}

    offline = comity(world, "prove", "fr", "--mirror", str(mirror), "--evidence", str(evidence), "--offline")
    assert offline[0] == 5
    card = world.path / "fr.json"
    card.write_bytes(card_to_bytes(world.directory.node("fr")))
    for options in ((), ("--card", str(card))):
        code, text = comity(world, "proof", str(proofs["rewritten"]), *options)
        assert code == 0
        assert text.startswith("PROVED (rewritten)")
        code, text = comity(world, "proof", str(proofs["fork"]), "--json", *options)
        told = json.loads(text)
        assert (code, told["proved"], told["node"], told["kind"]) == (0, True, "fr", "fork")


def test_a_file_that_proves_nothing_is_refused_in_one_line(world: World) -> None:
    file = world.path / "some.proof"
    for content, exit_code, problem in (
        (encode_proof(LIES[MisbehaviourKind.FORK]), 1, "unknown-node"),
        (b"nothing", 1, "wrong-file"),
    ):
        file.write_bytes(content)
        code, text = comity(world, "proof", str(file), "--json")
        assert (code, json.loads(text)["error"]["type"]) == (exit_code, f"urn:comity:error:{problem}")
    card = world.path / "fr.json"
    card.write_bytes(card_to_bytes(world.directory.node("fr")))
    file.write_bytes(encode_proof(LIES[MisbehaviourKind.FORK]))
    assert comity(world, "proof", str(file), "--card", str(card))[0] == 1
    assert comity(world, "proof", str(world.path / "missing"), "--card", str(card))[0] == 2
