"""Another implementation reads our log: golang.org/x/mod/sumdb verifies checkpoints, tiles, entries and proofs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.layout import entries_path, tile_path
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from protocol.log.witness import SoftWitnessSigner, cosign, with_lines
from tests.interop.go_log import GoRefusedError, verify_log_with_go, write_log

SIGNER = SoftLogSigner("node.example/log/jp", b"\x11" * 32, b"\x22" * 32)
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def make_log(directory: Path, size: int) -> TileTree:
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    entries = [sha256(str(number).encode()).digest() * (number % 4) for number in range(size)]
    for entry in entries:
        tree.append(leaf_hash(entry))
    tiles |= {(level, index): hashes for level, index, hashes in tree.take_changed_tiles()}
    note = sign_checkpoint(Checkpoint(SIGNER.origin, size, tree.root()), SIGNER, AT)
    write_log(directory, note, tree, tiles, entries)
    return tree


@pytest.mark.parametrize("size", [1, 5, 255, 256, 257, 1000, 66_000])
def test_go_verifies_our_log_and_builds_the_same_proofs(tmp_path: Path, size: int) -> None:
    tree = make_log(tmp_path, size)

    report = verify_log_with_go(tmp_path, SIGNER.verifier.vkeys[0])

    assert (report.origin, report.size, report.root) == (SIGNER.origin, size, tree.root())
    assert report.ignored_signatures == 1  # the ML-DSA-44 line, which this Go package does not know
    assert report.inclusion == {index: tree.inclusion_path(index) for index in report.inclusion}
    assert report.consistency == {old: tree.consistency_path(old) for old in report.consistency}
    assert size - 1 in report.inclusion


def test_go_verifies_a_checkpoint_that_witnesses_cosigned(tmp_path: Path) -> None:
    tree = make_log(tmp_path, 300)
    checkpoint = Checkpoint(SIGNER.origin, 300, tree.root())
    names = ("node.example/witness/fr", "node.example/witness/de")
    witnesses = [SoftWitnessSigner(name, bytes([n]) * 32, bytes([n]) * 32) for n, name in enumerate(names, 1)]
    lines = [line for witness in witnesses for line in cosign(checkpoint, witness, AT)]
    (tmp_path / "checkpoint").write_bytes(with_lines((tmp_path / "checkpoint").read_bytes(), lines))

    report = verify_log_with_go(
        tmp_path, SIGNER.verifier.vkeys[0], [witness.verifier.vkeys[0] for witness in witnesses]
    )

    assert (report.size, report.root) == (300, tree.root())
    assert report.cosigned == dict.fromkeys(names, AT)
    # The ML-DSA-44 lines of the log and of both witnesses: see test_log_noble.
    assert report.ignored_signatures == 3


def test_go_refuses_a_cosignature_whose_time_was_altered(tmp_path: Path) -> None:
    tree = make_log(tmp_path, 3)
    witness = SoftWitnessSigner("node.example/witness/fr", b"\x01" * 32, b"\x01" * 32)
    line, _ = cosign(Checkpoint(SIGNER.origin, 3, tree.root()), witness, AT)
    later = replace(line, signature=(int(AT.timestamp()) + 1).to_bytes(8, "big") + line.signature[8:])
    (tmp_path / "checkpoint").write_bytes(with_lines((tmp_path / "checkpoint").read_bytes(), [later]))

    with pytest.raises(GoRefusedError):
        verify_log_with_go(tmp_path, SIGNER.verifier.vkeys[0], [witness.verifier.vkeys[0]])


@pytest.mark.parametrize("name", ["checkpoint", tile_path(0, 0), tile_path(1, 0, 1), entries_path(1, 44)])
def test_go_refuses_our_log_with_one_byte_altered(tmp_path: Path, name: str) -> None:
    make_log(tmp_path, 300)
    altered = bytearray((tmp_path / name).read_bytes())
    altered[10] ^= 1
    (tmp_path / name).write_bytes(altered)

    with pytest.raises(GoRefusedError):
        verify_log_with_go(tmp_path, SIGNER.verifier.vkeys[0])


def test_go_refuses_our_log_under_another_key(tmp_path: Path) -> None:
    make_log(tmp_path, 3)
    other = SoftLogSigner(SIGNER.origin, b"\x33" * 32, b"\x22" * 32)

    with pytest.raises(GoRefusedError):
        verify_log_with_go(tmp_path, other.verifier.vkeys[0])
