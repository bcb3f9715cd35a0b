"""The published vectors of evidence bags: both verifiers judge each as the file says."""

from __future__ import annotations

import json
from argparse import Namespace
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from exchange.evidence.bag_reader import bag_in, read_bag, verify_bag
from exchange.evidence.disclosure import Disclosure
from exchange.verifiers import verify_bag as program
from keys.directory.metadata.extract import trusted_root_in
from protocol.encoding.instants import parse_instant
from protocol.envelope import parse_envelope
from protocol.errors import ComityError, CommitmentMismatchError, EvidenceUnusableError, MalformedError
from tests.vectors.make_evidence_vectors import DIRECTORY, PROGRAM, containers, files_in, rules
from tests.worlds.forged_bags import of_report

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/evidence.json").read_text(encoding="utf-8"))


class Found(NamedTuple):
    """What a verifier says: which checks fail, which could not be made, what dates the message."""

    failed: list[str]
    unchecked: list[str]
    grade: str


Judge = Callable[[dict[str, Any]], Found]


def _by_comity(case: dict[str, Any]) -> Found:
    read = bag_in(case["folder"], files_in(VECTORS, case))
    try:
        root = trusted_root_in(read.directory, VECTORS["root_sha256"])
        verdict = of_report(verify_bag(read, root, parse_instant(case["now"])))
    except ComityError as problem:
        return Found([problem.code], [], "none")
    return Found(verdict.failed or [], sorted(verdict.unchecked), verdict.grade)


def _without_comity(case: dict[str, Any]) -> Found:
    lines: list[program.Line] = []
    args = Namespace(root_sha256=VECTORS["root_sha256"], now=parse_instant(case["now"]))
    bag = program.Bag(case["folder"], files_in(VECTORS, case), args)
    bag.verify(lines)
    failed = [name for name, holds, _ in lines if holds is False]
    unchecked = sorted(name for name, holds, _ in lines if holds is None)
    return Found(failed, unchecked, bag.dating.get("grade", "none"))


# Bags that were made before must go on holding. Where this fails after README's text was changed, the text of before
# is to stay among those that a verifier knows.
@pytest.mark.parametrize("case", VECTORS["holds"], ids=[case["rule"] for case in VECTORS["holds"]])
@pytest.mark.parametrize("judge", [_by_comity, _without_comity])
def test_a_bag_that_holds_is_dated_and_checked_as_its_vector_says(judge: Judge, case: dict[str, Any]) -> None:
    assert judge(case) == ([], case["unchecked"], case["grade"])


@pytest.mark.parametrize("case", VECTORS["fails"], ids=[case["rule"] for case in VECTORS["fails"]])
def test_a_bag_that_breaks_one_rule_fails_by_the_checks_that_its_vector_names(case: dict[str, Any]) -> None:
    ours, other = _by_comity(case), _without_comity(case)

    if case["rule"].startswith(DIRECTORY):  # what else fails then is not said
        assert ours.failed
        assert "directory" in other.failed
    else:
        assert (sorted(set(ours.failed)), sorted(set(other.failed))) == (case["comity"], case["program"])


@pytest.mark.parametrize("case", VECTORS["containers"], ids=[case["rule"] for case in VECTORS["containers"]])
def test_a_container_is_read_or_refused_as_its_vector_says(case: dict[str, Any]) -> None:
    archive = bytes.fromhex(case["zip"])

    if case["read"]:
        assert program.read_zip(archive) == ("bag", {"a.txt": b"a", "data/b.bin": b"b"})
    else:
        with pytest.raises(program.FailedError):
            program.read_zip(archive)
        with pytest.raises(EvidenceUnusableError):
            read_bag(archive)


@pytest.mark.parametrize(
    "case", VECTORS["disclosures"]["cases"], ids=[case["rule"] for case in VECTORS["disclosures"]["cases"]]
)
def test_a_disclosure_opens_the_envelope_or_is_refused_as_its_vector_says(case: dict[str, Any]) -> None:
    envelope = parse_envelope(b64decode(VECTORS["disclosures"]["envelope"]))

    if case["opens"]:
        Disclosure.from_bytes(case["file"].encode()).check(envelope)
    else:
        with pytest.raises((MalformedError, CommitmentMismatchError)):
            Disclosure.from_bytes(case["file"].encode()).check(envelope)


def test_there_is_a_vector_for_each_rule_and_each_grade_and_none_depends_on_the_program() -> None:
    assert [case["rule"] for case in VECTORS["fails"]] == rules()
    assert {case["grade"] for case in VECTORS["holds"]} == {"witnessed", "log", "none"}
    assert [(case["rule"], case["read"]) for case in VECTORS["containers"]] == [row[:2] for row in containers()]
    assert PROGRAM.decode() in VECTORS["texts"].values()
    bags = [json.dumps(case["files"]) for case in VECTORS["holds"] + VECTORS["fails"]]
    assert len(set(bags)) >= len(bags) - 1  # one breach is of the folder's name alone
