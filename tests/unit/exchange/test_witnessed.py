"""What desks and auditors make of cosignatures: receipts that are upgraded, and mirrors that say who vouches."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.audit.mirror import CHECKPOINT, COSIGNED, TileFolderSource, mirror
from exchange.audit.period import Period
from exchange.audit.verify import LogMirror, verify_mirror
from exchange.audit.witnessing import demand_witnessed, witnessed
from exchange.evidence.witness_quorum import WitnessedProofs, check_witnesses
from exchange.views import Check, ReceiptCheck, ReceiptRow, VerificationReport
from keys.directory.view import Directory
from keys.members.federation import node_card
from keys.members.identity import generate_node_keys
from protocol.encoding.ids import new_message_id
from protocol.errors import CheckpointInvalidError, LogForkError, QuorumNotMetError, UnavailableError
from protocol.event import Event, EventName, encode_event
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import NoteSignature
from protocol.log.proof import TlogProof
from protocol.log.tiles import TileTree
from protocol.log.witness import SoftWitnessSigner, cosign, with_lines
from protocol.receipt import Receipt
from tests.interop.go_log import write_log

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
KEYS = {node: generate_node_keys(node, ["127.0.0.1"], NOW) for node in ("jp", "fr", "de", "gr")}
CARDS = {
    node: node_card(node, keys, f"test/{node}", NOW, name=node, urls=["https://x.example"])
    for node, keys in KEYS.items()
}
FOUR = Directory(1, NOW + timedelta(days=1), CARDS.values(), [])  # two of three witness each log
JP = SoftLogSigner("test/jp", KEYS["jp"].log_ed25519_seed, KEYS["jp"].log_mldsa_seed)


class Log:
    """The log of jp in memory."""

    def __init__(self, count: int, first: int = 0) -> None:
        self.entries = [entry(number) for number in range(first, first + count)]
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.tree = TileTree(0, lambda level, index: self.tiles[level, index])
        for leaf in self.entries:
            self.tree.append(leaf_hash(leaf))
        self.tiles.update({(level, index): hashes for level, index, hashes in self.tree.take_changed_tiles()})

    def note(self, size: int, *witnesses: str) -> bytes:
        checkpoint = Checkpoint("test/jp", size, self.tree.root(size))
        lines = [line for node in witnesses for line in cosign(checkpoint, witness(node), NOW)]
        return with_lines(sign_checkpoint(checkpoint, JP, NOW), lines)

    def receipt(self, index: int, size: int, *witnesses: str) -> Receipt:
        path = tuple(self.tree.inclusion_path(index, size))
        return Receipt(self.entries[index], index, path, self.note(size, *witnesses))

    def proof(self, index: int, size: int, *witnesses: str) -> TlogProof:
        return TlogProof(index, tuple(self.tree.inclusion_path(index, size)), self.note(size, *witnesses))

    def write(self, folder: Path, *witnesses: str, cosigned: bytes | None = None) -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        write_log(folder, self.note(len(self.entries), *witnesses), self.tree, self.tiles, self.entries)
        if cosigned is not None:
            (folder / COSIGNED).parent.mkdir()
            (folder / COSIGNED).write_bytes(cosigned)
        return folder


def entry(number: int) -> bytes:
    message_id = new_message_id(NOW, number.to_bytes(10, "big"))
    digest = number.to_bytes(32, "big")
    return encode_event(Event(EventName.SubmissionAcceptance, NOW, message_id, digest, bytes(16)))


def witness(node: str) -> SoftWitnessSigner:
    return SoftWitnessSigner(f"test/witness/{node}", KEYS[node].witness_ed25519_seed, KEYS[node].witness_mldsa_seed)


LOG = Log(300)


# --- Receipts ---


def test_a_receipt_is_witnessed_when_enough_cosigned_its_checkpoint() -> None:
    assert check_witnesses(FOUR, LOG.note(9, "fr", "gr"), NOW) == Check("witnesses", True, None, "2 of 3: fr, gr")
    one = check_witnesses(FOUR, LOG.note(9, "fr"), NOW)
    assert (one.ok, one.error, one.detail) == (None, "quorum-not-met", "cosigned by 1 of 3 witnesses")
    alone = Directory(1, NOW + timedelta(days=1), [CARDS["jp"]], [])
    assert check_witnesses(alone, LOG.note(9), NOW) == Check("witnesses", True, None, "no witness is required")
    forged = with_lines(LOG.note(9), [NoteSignature(*_of_fr(), bytes(72))])
    assert check_witnesses(FOUR, forged, NOW).ok is False


def _of_fr() -> tuple[str, bytes]:
    verifier = witness("fr").verifier
    return verifier.name, verifier.key_ids[0]


class Client:
    """Stands where the node's HTTP client stands: what it answers is the test's to say."""

    def __init__(self, answer: Callable[[int], TlogProof]) -> None:
        self._answer = answer
        self.asked: list[int] = []

    async def cosigned_proof(self, index: int) -> TlogProof:
        self.asked.append(index)
        return self._answer(index)


def _checked(receipt: Receipt) -> ReceiptCheck:
    row = ReceiptRow("x", "jp", "test/jp", receipt.index, 9, NOW, None, None, (), None, True)
    witnesses = check_witnesses(FOUR, receipt.checkpoint, NOW)
    return ReceiptCheck(row, Check("inclusion", True), Check("consistency", True), witnesses)


async def improved(receipt: Receipt, answer: Callable[[int], TlogProof]) -> tuple[Check, Receipt, list[int]]:
    client: Any = Client(answer)
    ((check, after),) = await WitnessedProofs(FOUR, lambda node: client, NOW).improve([_checked(receipt)], [receipt])
    return check.witnesses, after, client.asked


async def test_a_receipt_is_upgraded_to_the_newer_checkpoint_that_witnesses_cosigned() -> None:
    receipt = LOG.receipt(3, 9)
    check, after, asked = await improved(receipt, lambda index: LOG.proof(index, 40, "fr", "de"))
    assert (check.ok, asked) == (True, [3])
    assert (after.leaf, after.index, after.path) == (receipt.leaf, 3, LOG.proof(3, 40).path)
    assert check_witnesses(FOUR, after.checkpoint, NOW).ok
    # It is not asked for again.
    check, again, asked = await improved(after, lambda index: LOG.proof(index, 50, "fr", "de"))
    assert (check.ok, again, asked) == (True, after, [])


async def test_a_log_that_is_not_witnessed_so_far_or_cannot_be_asked_leaves_the_receipt_as_it_is() -> None:
    receipt = LOG.receipt(3, 9)
    for problem in (QuorumNotMetError(), UnavailableError()):

        def refuse(index: int, problem: Exception = problem) -> TlogProof:
            raise problem

        check, after, _ = await improved(receipt, refuse)
        assert (check.ok, check.error, after) == (None, problem.code, receipt)
    # What the node calls witnessed is judged here.
    check, after, _ = await improved(receipt, lambda index: LOG.proof(index, 40, "fr"))
    assert (check.ok, check.error, after) == (None, "quorum-not-met", receipt)


async def test_a_witnessed_log_without_the_entry_is_a_fork() -> None:
    receipt = LOG.receipt(3, 9)
    other = Log(50, first=1_000)
    check, after, _ = await improved(receipt, lambda index: other.proof(index, 40, "fr", "de"))
    assert (check.ok, check.error) == (False, "log-fork")
    assert after is receipt


async def test_the_proof_of_another_entry_or_log_upgrades_nothing() -> None:
    receipt = LOG.receipt(3, 9)
    check, after, _ = await improved(receipt, lambda index: LOG.proof(4, 40, "fr", "de"))
    assert (check.ok, check.error) == (None, "peer-failed")
    unsigned = LOG.proof(3, 40).checkpoint.replace(b"\n40\n", b"\n41\n")
    check, after, _ = await improved(receipt, lambda index: TlogProof(3, (), unsigned))
    assert (check.ok, check.error, after) == (None, CheckpointInvalidError.code, receipt)


def test_a_report_says_whether_all_is_witnessed_and_fails_for_a_wrong_cosignature() -> None:
    good, late = _checked(LOG.receipt(3, 9, "fr", "de")), _checked(LOG.receipt(4, 9))
    forged = with_lines(LOG.note(9), [NoteSignature(*_of_fr(), bytes(72))])
    wrong = ReceiptCheck(good.receipt, good.inclusion, good.consistency, check_witnesses(FOUR, forged, NOW))
    for receipts, flags in (
        ((good,), (True, True, True)),
        ((good, late), (True, True, False)),
        ((good, wrong), (False, True, False)),
    ):
        report = VerificationReport(UUID(int=1), bytes(32), (), receipts)
        assert (report.ok, report.complete, report.witnessed) == flags


# --- Mirrors ---


async def mirrored(served: Path, into: Path) -> Any:
    await mirror(TileFolderSource(served), into, JP.verifier)
    return verify_mirror(LogMirror(into, "jp", JP.verifier), FOUR)


async def test_a_mirror_keeps_the_lines_of_witnesses_and_says_who_vouches_up_to_where(tmp_path: Path) -> None:
    served = LOG.write(tmp_path / "served", "gr", cosigned=LOG.note(257, "fr", "de"))
    log = await mirrored(served, tmp_path / "mirror")
    seen = witnessed(log, FOUR, NOW)
    assert (seen.size, seen.quorum.cosigned, seen.quorum.met) == (257, ("de", "fr"), True)
    assert b"test/witness/gr" in (tmp_path / "mirror" / CHECKPOINT).read_bytes()
    # Later the head itself is cosigned.
    served = LOG.write(tmp_path / "served", "fr", "gr", cosigned=LOG.note(257, "fr", "de"))
    seen = witnessed(await mirrored(served, tmp_path / "mirror"), FOUR, NOW)
    assert (seen.size, seen.quorum.cosigned) == (300, ("fr", "gr"))


async def test_a_mirror_without_cosignatures_is_verified_and_not_witnessed(tmp_path: Path) -> None:
    log = await mirrored(LOG.write(tmp_path / "served"), tmp_path / "mirror")
    seen = witnessed(log, FOUR, NOW)
    assert (log.ok, seen.size, seen.quorum.cosigned, seen.quorum.met) == (True, 300, (), False)


async def test_what_must_be_witnessed_is_so_up_to_the_last_minutes_before_the_head(tmp_path: Path) -> None:
    """Entries of NOW: cosigned up to 257 of 300 is enough while the head is of the same minutes, not an hour later."""
    served = LOG.write(tmp_path / "served", cosigned=LOG.note(257, "fr", "de"))
    log = await mirrored(served, tmp_path / "mirror")
    seen = witnessed(log, FOUR, NOW)
    assert demand_witnessed(log, seen, Period()) == log
    hour = timedelta(hours=1)
    later = replace(log, head=replace(log.head, signed_at=NOW + hour))
    assert [one.code for one in demand_witnessed(later, seen, Period()).findings] == ["not-witnessed"]
    assert demand_witnessed(later, seen, Period(until=NOW)).ok
    whole = replace(seen, size=300)
    assert demand_witnessed(later, whole, Period()).ok


async def test_what_nobody_or_too_few_cosigned_is_a_finding_where_it_must_be_witnessed(tmp_path: Path) -> None:
    for name, witnesses in (("nobody", ()), ("one", ("fr",))):
        log = await mirrored(LOG.write(tmp_path / f"served-{name}", *witnesses), tmp_path / name)
        found = demand_witnessed(log, witnessed(log, FOUR, NOW), Period())
        assert [one.code for one in found.findings] == ["not-witnessed"]
    alone = Directory(1, NOW + timedelta(days=1), [CARDS["jp"]], [])
    assert not demand_witnessed(log, witnessed(log, alone, NOW), Period()).ok


async def test_a_wrong_cosignature_that_a_mirror_keeps_does_not_spoil_the_right_ones_that_come_later(
    tmp_path: Path,
) -> None:
    forged = with_lines(LOG.note(257, "de"), [NoteSignature(*_of_fr(), bytes(72))])
    log = await mirrored(LOG.write(tmp_path / "served", cosigned=forged), tmp_path / "mirror")
    with pytest.raises(CheckpointInvalidError):
        witnessed(log, FOUR, NOW)
    log = await mirrored(LOG.write(tmp_path / "served", "fr", "gr"), tmp_path / "mirror")
    assert witnessed(log, FOUR, NOW).quorum.met


async def test_another_history_that_witnesses_cosigned_is_evidence(tmp_path: Path) -> None:
    other = Log(40, first=1_000).note(40, "fr", "de")
    with pytest.raises(LogForkError):
        await mirror(TileFolderSource(LOG.write(tmp_path / "s", cosigned=other)), tmp_path / "mirror", JP.verifier)
    assert (tmp_path / "mirror" / "checkpoint.conflict").read_bytes() == other


async def test_a_cosigned_checkpoint_that_the_entries_do_not_lead_to_is_a_finding(tmp_path: Path) -> None:
    served = LOG.write(tmp_path / "served", cosigned=LOG.note(257, "fr", "de"))
    await mirrored(served, tmp_path / "mirror")
    path = tmp_path / "mirror" / COSIGNED
    for wrong, code in (
        (Log(300, first=5).note(257, "fr", "de"), "log-fork"),
        (Log(400).note(400, "fr", "de"), "extra-file"),
        (LOG.note(257, "fr", "de").replace(b"\n257\n", b"\n256\n"), "extra-file"),
    ):
        path.write_bytes(wrong)
        log = verify_mirror(LogMirror(tmp_path / "mirror", "jp", JP.verifier), FOUR)
        assert code in {finding.code for finding in log.findings}
        assert wrong not in {seen.note for seen in log.checkpoints}


async def test_a_wrong_cosignature_in_a_mirror_is_refused(tmp_path: Path) -> None:
    forged = with_lines(LOG.note(257, "de"), [NoteSignature(*_of_fr(), bytes(72))])
    log = await mirrored(LOG.write(tmp_path / "served", cosigned=forged), tmp_path / "mirror")
    with pytest.raises(CheckpointInvalidError, match="test/witness/fr"):
        witnessed(log, FOUR, NOW)
