"""The program that checks proofs without Comity: it takes those that auditors write, and none that was altered."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit import write_proofs
from exchange.audit.trace import trace
from exchange.verifiers import verify_proofs
from protocol.encoding.ids import new_message_id
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from tests.unit.exchange.test_audit import LOGS, NOW, story, verified, write

PROGRAM = Path(verify_proofs.__file__)


@pytest.fixture
def proofs(tmp_path: Path) -> Path:
    """The proofs of a message in the logs of jp and fr, and the policies of both beside their folder."""
    told = zip(("jp", "fr"), story(5), strict=True)
    logs = [verified(write(tmp_path / node, node, events), node) for node, events in told]
    rows = trace(new_message_id(NOW, (3).to_bytes(10, "big")), logs)
    assert write_proofs(tmp_path / "proofs", rows, {log.node: log for log in logs}) == 4
    for node in ("jp", "fr"):
        text = "".join(f"log {key}\n" for key in LOGS[node].verifier.vkeys)
        (tmp_path / f"{node}.policy").write_text(text, "ascii")
    return tmp_path / "proofs"


def check(given: Path, *nodes: str) -> int:
    policies = [f"--policy={given.parent / node}.policy" for node in nodes or ("jp", "fr")]
    return subprocess.run(
        [sys.executable, "-I", PROGRAM, given, *policies], capture_output=True, check=False
    ).returncode


@pytest.mark.outside
def test_what_an_auditor_wrote_holds_as_a_folder_and_as_a_zip_in_a_python_of_its_own(proofs: Path) -> None:
    packed = proofs.parent / "proofs.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in proofs.iterdir():
            archive.write(file, file.name)
    assert check(proofs) == check(packed) == 0


def run(
    given: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *nodes: str
) -> tuple[int, str]:
    policies = [f"--policy={given.parent / node}.policy" for node in nodes or ("jp", "fr")]
    monkeypatch.setattr(sys, "argv", ["verify_proofs.py", str(given), *policies])
    return verify_proofs.main(), capsys.readouterr().out


def test_no_altered_byte_of_entry_or_proof_holds(
    proofs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(proofs, capsys, monkeypatch)[0] == 0
    for file in sorted(proofs.iterdir()):
        kept = file.read_bytes()
        signed = kept.index("\n— ".encode()) + 60 if b"\n\n" in kept and file.suffix != ".entry" else len(kept)
        for at in range(0, signed, 1 + signed // 12):
            file.write_bytes(kept[:at] + bytes([kept[at] ^ 1]) + kept[at + 1 :])
            code, text = run(proofs, capsys, monkeypatch)
            assert code == 1, (file.name, at)
            assert "FAILS" in text
        file.write_bytes(kept)


def test_swapped_entries_another_logs_keys_and_lost_files_are_told(
    proofs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(proofs, capsys, monkeypatch, "fr")[0] == 1  # no policy names the log of jp
    first, second = sorted(proofs.glob("jp-*.entry"))
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    assert run(proofs, capsys, monkeypatch)[0] == 1
    first.unlink()
    code, text = run(proofs, capsys, monkeypatch)
    assert (code, "UNCHECKED" in text) == (3, True)
    first.write_bytes(kept)
    first.with_suffix(".tlog-proof").unlink()
    assert run(proofs, capsys, monkeypatch)[0] == 1
    (proofs / "jp-9.tlog-proof\x1b[2J").write_bytes(b"")
    code, text = run(proofs, capsys, monkeypatch)
    assert (code, "\x1b" in text) == (2, False)


@given(st.integers(1, 70), st.data())
def test_a_path_leads_to_the_root_as_rfc_9162_says_and_to_that_alone(size: int, data: st.DataObject) -> None:
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    for leaf in leaves:
        tree.append(leaf)
    index = data.draw(st.integers(0, size - 1))
    path = list(tree.inclusion_path(index))
    assert verify_proofs.root_from(leaves[index], index, size, path) == tree.root()
    for wrong in ([*path, bytes(32)], path[:-1], path[::-1]):
        if wrong == path:
            continue
        with suppress(verify_proofs.FailedError):
            assert verify_proofs.root_from(leaves[index], index, size, wrong) != tree.root()
