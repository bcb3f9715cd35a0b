"""What the programs print that run without Comity: nothing of others is obeyed, and no terminal stops them."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from exchange.evidence.bag_writer import zipped
from exchange.verifiers import verify_bag, verify_misbehaviour
from protocol.encoding import cbor
from tests.unit.exchange.test_evidence_vectors import VECTORS
from tests.vectors.make_evidence_vectors import files_in

EVIL = "\x1b]0;owned\x07\x1b[2A\x9b2J\u202e"


def test_a_proof_whose_origin_is_a_terminals_command_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lies = json.loads((Path(__file__).parents[1] / "vectors/misbehaviour.json").read_text("utf-8"))
    proof = cbor.decode(bytes.fromhex(lies["proofs"]["two-trees"]))
    file = tmp_path / "evil.proof"
    file.write_bytes(cbor.encode({**proof, 3: f"test/{EVIL}"}))
    keys = [word for vkey in lies["vkeys"] for word in ("--vkey", vkey)]
    monkeypatch.setattr(sys, "argv", ["verify_misbehaviour.py", str(file), *keys])

    assert verify_misbehaviour.main() == 2
    said = capsys.readouterr().out
    assert said.startswith("UNUSABLE: the keys given are not those of the log test/?]0;owned")
    assert all(letter.isprintable() for letter in said.rstrip("\n"))


def test_an_output_that_lacks_a_letter_shows_all_the_same_what_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (case,) = (case for case in VECTORS["holds"] if case["rule"] == "the maker names its officer")
    file, output = tmp_path / "evidence.zip", io.BytesIO()
    file.write_bytes(zipped(case["folder"], files_in(VECTORS, case)))
    monkeypatch.setattr(verify_bag, "SKEW", verify_bag.timedelta(days=9_000))  # this world lies in the future
    monkeypatch.setattr(sys, "argv", ["verify_bag.py", str(file), "--root-sha256", VECTORS["root_sha256"]])
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii", write_through=True))

    assert verify_bag.main() == 3  # the program in the vector is another one
    assert b"(Am\\xe9lie) signed, at " in output.getvalue()
