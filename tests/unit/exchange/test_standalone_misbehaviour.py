"""The verifier that needs no Comity: a program of its own, which must come to the same verdict as Comity does."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

import exchange.verifiers.verify_misbehaviour as standalone
from protocol.encoding import cbor
from protocol.errors import ComityError
from protocol.log.checkpoint import LogVerifier, SoftLogSigner, parse_checkpoint
from protocol.log.note import parse_note, serialize_note
from protocol.misbehaviour.proof import MisbehaviourKind, decode_proof, encode_proof
from protocol.misbehaviour.prove import prove_fork
from protocol.misbehaviour.verify import verify_proof
from tests.unit.protocol.test_misbehaviour import LIES
from tests.worlds.forged_log import ORIGIN, VERIFIER, entries, entry, later, signed, tree_of

pytestmark = pytest.mark.outside
PROGRAM = Path(standalone.__file__)


def test_the_program_reads_entries_about_files_as_this_one_does() -> None:
    for vector in json.loads((Path(__file__).parents[2] / "vectors/file.json").read_text("utf-8"))["events"]:
        raw = bytes.fromhex(vector["entry"])
        assert standalone.decode(raw) == cbor.decode(raw)


def run(proof: Path, *options: str) -> tuple[int, str]:
    """What the program says, run without anything of ours on its path."""
    done = subprocess.run(
        [sys.executable, "-I", str(PROGRAM), str(proof), *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=proof.parent,
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def log_object(verifier: LogVerifier, **final: object) -> dict[str, object]:
    """A log as a card lists it."""
    keys = {"ed25519": verifier.ed25519_public, "ml_dsa_44": verifier.mldsa_public}
    return {"origin": verifier.origin, **{name: b64encode(key).decode() for name, key in keys.items()}, **final}


@pytest.fixture
def card(tmp_path: Path) -> Path:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({"log": log_object(VERIFIER)}))
    return path


def in_process(module: ModuleType, written: bytes, folder: Path, card: Path, capsys: pytest.CaptureFixture[str]) -> int:
    """The program's exit code, without a process."""
    path = folder / "some.proof"
    path.write_bytes(written)
    argv, sys.argv = sys.argv, ["verify", str(path), "--card", str(card)]
    try:
        code: int = module.main()
    finally:
        sys.argv = argv
    assert "Traceback" not in capsys.readouterr().out
    return code


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_a_proof_of_each_kind_is_verified_by_a_program_of_its_own(
    kind: MisbehaviourKind, tmp_path: Path, card: Path
) -> None:
    proof = tmp_path / "lie.proof"
    proof.write_bytes(encode_proof(LIES[kind]))
    code, text = run(proof, "--card", str(card))
    assert (code, text.splitlines()[-1]) == (0, "PROVED")
    assert text.splitlines()[-2].startswith(f"{kind.value}: ")
    ed25519, mldsa = VERIFIER.vkeys
    code, text = run(proof, "--vkey", ed25519, "--vkey", mldsa, "--json")
    assert code == 0
    told = json.loads(text)
    assert (told["kind"], told["origin"], told["proved"]) == (kind.value, ORIGIN, True)


def test_keys_of_another_log_and_files_that_are_no_proofs_cannot_be_used(tmp_path: Path, card: Path) -> None:
    proof = tmp_path / "lie.proof"
    proof.write_bytes(encode_proof(LIES[MisbehaviourKind.FORK]))
    other = SoftLogSigner("test-federation/jp", bytes(32), bytes(32)).verifier
    assert run(proof, "--vkey", other.vkeys[0], "--vkey", other.vkeys[1])[0] == 2
    assert run(tmp_path / "missing", "--card", str(card))[0] == 2
    proof.write_bytes(b"\xa1\x01\x02")
    assert run(proof, "--card", str(card)) == (
        2,
        "UNUSABLE: the file is not a proof of a version and kind known here\n",
    )


@pytest.mark.parametrize("kind", list(MisbehaviourKind))
def test_it_refuses_what_comity_refuses(
    kind: MisbehaviourKind, tmp_path: Path, card: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = encode_proof(LIES[kind])
    value = cbor.decode(written)
    variants = [written, written + b"\0", cbor.encode({**value, 2: "fork"}), cbor.encode({**value, 3: "x/fr"})]
    variants += [written[:at] + bytes([written[at] ^ 4]) + written[at + 1 :] for at in range(0, len(written), 211)]
    parts = value[4]
    for number, part in parts.items():
        changed = part + 1 if type(part) is int else part[:-32]
        variants.append(cbor.encode({**value, 4: {**parts, number: changed}}))
    variants += [cbor.encode({**value, 4: {**parts, 1: other}}) for other in _other_forms(parts[1])]
    if 2 in parts:
        variants.append(cbor.encode({**value, 4: {**parts, 1: parts[2], 2: parts[1]}}))
        variants.append(cbor.encode({**value, 4: {**parts, 2: parts[1]}}))
    verdicts = set()
    for variant in variants:
        verdict = in_process(standalone, variant, tmp_path, card, capsys) == 0
        verdicts.add(verdict)
        assert verdict == _comity_says(variant)
    assert verdicts == {True, False}


def _other_forms(note: bytes) -> list[bytes]:
    """The same checkpoint, as well signed, with other lines or other base64."""
    parsed = parse_note(note)
    ed25519, mldsa = parsed.signatures
    stranger = replace(ed25519, name="someone.example")
    forms = [(mldsa, ed25519), (ed25519, mldsa, stranger), (stranger, ed25519, mldsa)]
    loose = note[:-3] + b" " + note[-3:]  # base64 that a lenient decoder reads all the same
    return [*(serialize_note(parsed.text, lines) for lines in forms), loose, note + b"\n"]


def _comity_says(written: bytes) -> bool:
    try:
        verify_proof(decode_proof(written), VERIFIER)
    except ComityError:
        return False
    return True


def test_keys_that_were_replaced_count_up_to_the_final_head_and_are_named(tmp_path: Path) -> None:
    new = SoftLogSigner(ORIGIN, b"\2" * 32, b"\2" * 32)
    leaves = entries(7)
    head = parse_checkpoint(signed(leaves))
    final = {"final_size": head.size, "final_root": b64encode(head.root).decode()}
    card = tmp_path / "card.json"
    card.write_text(json.dumps({"log": log_object(new.verifier), "previous_logs": [log_object(VERIFIER, **final)]}))
    proof = tmp_path / "stolen.proof"
    both = _with_former(new.verifier, leaves)
    stolen = prove_fork(signed([entry(99)]), signed(leaves, later(2), new), tree_of(leaves).prefix_nodes(1), both)
    proof.write_bytes(encode_proof(stolen))
    code, text = run(proof, "--card", str(card))
    assert code == 0
    assert "keys that were replaced since" in text
    proof.write_bytes(encode_proof(LIES[MisbehaviourKind.TWO_TREES]))
    assert run(proof, "--card", str(card))[0] == 1


def _with_former(present: LogVerifier, leaves: Sequence[bytes]) -> LogVerifier:
    from protocol.log.checkpoint import FormerLogKeys

    former = (FormerLogKeys(VERIFIER, parse_checkpoint(signed(leaves))),)
    return LogVerifier(ORIGIN, present.ed25519_public, present.mldsa_public, former)


def test_it_finds_the_root_of_every_prefix() -> None:
    leaves = entries(20)
    for size in range(2, 21):
        tree = tree_of(leaves[:size])
        large = standalone.Checkpoint(size, tree.root(), 0, former=False)
        for old in range(1, size):
            small = standalone.Checkpoint(old, b"", 0, former=False)
            assert standalone.prefix_root(small, large, tree.prefix_nodes(old)) == tree_of(leaves[:old]).root()
