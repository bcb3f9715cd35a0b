"""The vectors of witnesses, misbehaviour and the processing log, and of what every implementation must refuse."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.office.processing_log import open_head
from protocol.address import Address
from protocol.errors import ComityError
from protocol.log.checkpoint import verify_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import parse_vkey
from protocol.log.tiles import TileTree
from protocol.log.witness import WitnessVerifier
from protocol.misbehaviour.proof import MisbehaviourKind, decode_proof, encode_proof
from protocol.processing_log import Operation, ProcessingRecord
from tests.vectors import make_misbehaviour_vectors, make_negative_vectors, make_record_vectors, make_witness_vectors
from tests.vectors.make_negative_vectors import JUDGES, LOG_VERIFIER

VECTORS = Path(__file__).parents[1] / "vectors"


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


NEGATIVE = load("negative")["cases"]


def test_the_witness_cosigned_the_checkpoint_with_both_keys() -> None:
    vectors = load("witness")
    made = make_witness_vectors.vectors()
    for name in make_witness_vectors.RANDOMISED:
        made.pop(name)
    assert made.items() <= vectors.items()
    keys = [parse_vkey(text).public_key for text in vectors["vkeys"]]
    seen = verify_checkpoint(vectors["cosigned"].encode(), LOG_VERIFIER)
    at = datetime.fromtimestamp(vectors["seconds"], UTC)
    assert WitnessVerifier(vectors["name"], *keys).cosigned_at(seen.checkpoint, seen.others) == (at, at)
    assert vectors["cosigned"].endswith(vectors["lines"])
    assert vectors["lines"].startswith(vectors["ed25519_line"])


def test_each_kind_of_lie_is_proved_by_its_vector() -> None:
    vectors = load("misbehaviour")
    assert list(vectors["proofs"]) == [kind.value for kind in MisbehaviourKind]
    for written in vectors["proofs"].values():
        JUDGES["misbehaviour"](bytes.fromhex(written))
        assert encode_proof(decode_proof(bytes.fromhex(written))).hex() == written
    assert make_misbehaviour_vectors.vectors()["says"] == vectors["says"]


def test_a_processing_log_leads_to_its_signed_head() -> None:
    vectors = load("processing-log")
    assert make_record_vectors.vectors() == vectors
    tree = TileTree(0, lambda level, index: b"")
    operations = []
    for entry, hash_ in zip(vectors["entries"], vectors["leaf_hashes"], strict=True):
        record = ProcessingRecord.from_bytes(bytes.fromhex(entry))
        assert record.to_bytes().hex() == entry
        assert leaf_hash(bytes.fromhex(entry)).hex() == hash_
        tree.append(bytes.fromhex(hash_))
        operations.append(record.operation)
    assert set(operations) == set(Operation)
    key = parse_vkey(vectors["vkey"]).public_key
    head = open_head(vectors["head"].encode(), Address.parse(vectors["address"]), [key])
    assert (head.size, head.root.hex(), tree.root().hex()) == (6, vectors["root"], vectors["root"])


@pytest.mark.parametrize("case", NEGATIVE, ids=[f"{case['of']}: {case['rule']}" for case in NEGATIVE])
def test_what_breaks_one_rule_is_refused_with_its_code(case: dict[str, str]) -> None:
    with pytest.raises(ComityError) as refused:
        JUDGES[case["of"]](bytes.fromhex(case["input"]))
    assert refused.value.code == case["error"]


def test_every_kind_of_object_has_negative_vectors_and_the_file_is_what_the_maker_makes() -> None:
    assert make_negative_vectors.named({"cases": NEGATIVE}) == make_negative_vectors.named(
        make_negative_vectors.vectors()
    )
    counted = Counter(case["of"] for case in NEGATIVE)
    assert counted.keys() == JUDGES.keys()
    assert len({(case["of"], case["input"]) for case in NEGATIVE}) == len(NEGATIVE) >= 120
