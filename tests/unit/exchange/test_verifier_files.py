"""The stand-alone verifier reads headers, entries and contents with files as the program does, and refuses the same."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from exchange.verifiers import verify_bag as program
from protocol.encoding import cbor
from protocol.errors import ComityError
from protocol.event import decode_event
from protocol.files.file_list import FileList
from tests.unit.protocol.test_resigned_objects import FILES, ROUTING_RULES, rerouted
from tests.vectors import make_file_vectors as maker

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/file.json").read_text("utf-8"))
REFUSED = (program.FailedError, *program.MALFORMED)


def header_of(raw: bytes) -> Any:
    """What the verifier finds in the header about files."""
    bag = program.Bag.__new__(program.Bag)
    bag.files = {"data/envelope.cose": raw}
    bag.read_envelope()
    return bag.file_set


@pytest.mark.parametrize("changes", [{}, {1: 2, 10: FILES}], ids=["without files", "with files"])
def test_the_verifier_reads_a_header_with_and_without_files(changes: dict[Any, Any]) -> None:
    assert header_of(rerouted(changes)) == changes.get(10)


@pytest.mark.parametrize("changes", [one for one, _ in ROUTING_RULES.values()], ids=ROUTING_RULES)
def test_the_verifier_refuses_each_header_that_the_program_refuses(changes: Mapping[Any, Any]) -> None:
    with pytest.raises(REFUSED):
        header_of(rerouted(changes))


@pytest.mark.parametrize("vector", VECTORS["events"], ids=lambda vector: vector["event"])
def test_the_verifier_reads_what_an_entry_says_of_files(vector: dict[str, Any]) -> None:
    raw = bytes.fromhex(vector["entry"])
    said = decode_event(raw).files
    assert said is not None
    assert program.files_of(program.cbor(raw), 12) == (said.file_set, said.name, said.count, said.root)
    assert vector["event"] in program.EVENTS


ENTRY = cbor.decode(bytes.fromhex(VECTORS["events"][0]["entry"]))
DIGEST, _, COUNT, ROOT = ENTRY[12]


@pytest.mark.parametrize(
    "files",
    [
        [DIGEST[1:], None, COUNT, ROOT],
        [DIGEST, ROOT[1:], 1, ROOT],
        [DIGEST, ROOT, 2, ROOT],
        [DIGEST, None, 0, ROOT],
        [DIGEST, None, 1_001, ROOT],
        [DIGEST, None, COUNT, ROOT[1:]],
        [DIGEST, None, COUNT],
        [DIGEST, None, "1", ROOT],
        None,
    ],
)
def test_the_verifier_refuses_an_entry_whose_files_the_program_refuses(files: Any) -> None:
    entry = {key: value for key, value in {**ENTRY, 12: files}.items() if value is not None}
    with pytest.raises(REFUSED):
        program.files_of(entry, 12)
    with pytest.raises(ComityError):
        decode_event(cbor.encode(entry))


def test_the_verifier_refuses_files_in_an_entry_about_none() -> None:
    for name, has in (("SubmissionAcceptance", True), ("FileAcceptance", False)):
        entry = {**ENTRY, 2: name} if has else {key: value for key, value in ENTRY.items() if key != 12}
        with pytest.raises(REFUSED):
            program.files_of(entry, 12)


def test_the_verifier_makes_of_a_content_the_set_that_its_header_must_have() -> None:
    attached = [maker.attachment(name)["sealed"] for name in maker.SIZES]
    own = FileList.of(maker.sealed(name)[0] for name in maker.SIZES).file_set
    assert program.file_set_of(list(reversed(attached))) == [own.digest, own.count, own.total_bytes]
    assert program.file_set_of([]) is None
    for member, wrong in (("name", "0" * 64), ("root", "0" * 64), ("length", True), ("suite", 300), ("root", "00")):
        other = copy.deepcopy(attached)
        other[0][member] = wrong
        with pytest.raises(REFUSED):
            program.file_set_of(other)
