"""The proofs that a node keeps: durable, bounded, and settled only by the operator."""

from pathlib import Path

import pytest

from node.monitor.monitor import Monitor
from node.monitor.proof_files import ProofFiles
from protocol.errors import ProofNotKeptError, SettingsError
from protocol.log.checkpoint import LogVerifier, VerifiedCheckpoint, verify_checkpoint
from protocol.misbehaviour.proof import MisbehaviourKind, encode_proof, proof_digest
from protocol.misbehaviour.prove import prove_two_trees
from protocol.misbehaviour.verify import verify_proof
from tests.unit.protocol.test_misbehaviour import FORKED, LIES, TRUE
from tests.worlds.forged_log import ORIGIN, VERIFIER, later, signed


def add(files: ProofFiles, kind: MisbehaviourKind) -> None:
    assert files.add(LIES[kind], encode_proof(LIES[kind])) is not None


def test_what_is_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    files = ProofFiles(tmp_path / "misbehaviour")
    add(files, MisbehaviourKind.FORK)
    add(files, MisbehaviourKind.SHRUNK)
    again = ProofFiles(tmp_path / "misbehaviour")
    assert [kept.proof for kept in again.open_of(ORIGIN)] == [
        LIES[MisbehaviourKind.FORK],
        LIES[MisbehaviourKind.SHRUNK],
    ]
    assert again.all() == again.open() == files.all()
    assert {kept.path.stat().st_mode & 0o777 for kept in again.all()} == {0o600}
    found = again.get(proof_digest(encode_proof(LIES[MisbehaviourKind.FORK])))
    assert found is not None
    assert found.written == encode_proof(LIES[MisbehaviourKind.FORK])


def test_of_each_log_one_proof_of_a_kind_is_kept(tmp_path: Path) -> None:
    files = ProofFiles(tmp_path)
    add(files, MisbehaviourKind.TWO_TREES)
    another = prove_two_trees(signed(TRUE), signed(FORKED), VERIFIER)
    assert files.add(another, encode_proof(another)) is None
    assert len(files.all()) == 1


def test_what_was_signed_before_the_operator_settled_it_does_not_count_and_what_was_signed_after_does(
    tmp_path: Path,
) -> None:
    files = ProofFiles(tmp_path)
    add(files, MisbehaviourKind.TWO_TREES)
    files.settle(ORIGIN, later(10))
    for again in (files, ProofFiles(tmp_path)):
        assert (again.open(), len(again.all())) == ([], 1)
        before = prove_two_trees(signed(TRUE, later(10)), signed(FORKED, later(99)), VERIFIER)
        after = prove_two_trees(signed(TRUE, later(11)), signed(FORKED, later(11)), VERIFIER)
        assert [again.counts(verify_proof(proof, VERIFIER), b"") for proof in (before, after)] == [False, True]
    assert files.add(after, encode_proof(after)) is not None


def test_a_damaged_file_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "x.proof").write_bytes(b"\xa0")
    with pytest.raises(SettingsError):
        ProofFiles(tmp_path)
    (tmp_path / "x.proof").unlink()
    (tmp_path / "settled.cbor").write_bytes(b"\xa0")
    with pytest.raises(SettingsError):
        ProofFiles(tmp_path)


def test_a_disk_that_takes_nothing_is_a_typed_refusal(tmp_path: Path) -> None:
    files = ProofFiles(tmp_path / "missing" / "below")
    with pytest.raises(ProofNotKeptError):
        add(files, MisbehaviourKind.FORK)
    assert files.all() == []


def test_a_kept_checkpoint_is_verified_again_only_where_something_of_its_log_was_settled_and_then_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[bytes] = []

    def noted(note: bytes, verifier: LogVerifier) -> VerifiedCheckpoint:
        verified.append(note)
        return verify_checkpoint(note, verifier)

    monkeypatch.setattr("node.monitor.monitor.verify_checkpoint", noted)
    monitor = Monitor.__new__(Monitor)
    monitor.proofs, monitor._signed_at = ProofFiles(tmp_path), {}
    before, after = signed(TRUE, later(10)), signed(TRUE, later(11))
    assert not any(monitor._is_settled(note, VERIFIER) for note in (before, after))
    assert verified == []
    monitor.proofs.settle(ORIGIN, later(10))
    for _ in range(3):
        assert [monitor._is_settled(note, VERIFIER) for note in (before, after)] == [True, False]
    assert verified == [before, after]
