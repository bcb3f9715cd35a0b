"""The vectors of corrections, times and grounds are what this program makes of them, and each rule has a case."""

from __future__ import annotations

import json

from protocol.codes import load_codes
from protocol.messages.corrections import corrected
from protocol.messages.types.correcting import Correction
from tests.vectors import make_message_vectors as vectors

FILE = json.loads(vectors.TARGET.read_text("utf-8"))


def test_the_vectors_are_what_this_program_makes() -> None:
    assert json.loads(json.dumps(vectors.vectors())) == FILE


def test_a_case_stands_for_every_time_that_holds_back() -> None:
    found = {one["code"] for case in FILE["times"] for one in case["found"]}
    warned = {"window_open", "outside_window", "long_ago", "far_ahead"}
    assert found | warned == {entry.code for entry in load_codes("implausibility").entries}


def test_a_correction_in_the_vectors_reads_as_the_message_beside_it() -> None:
    for case in FILE["corrections"]:
        original = FILE["messages"].get(case["original"]) if isinstance(case["original"], str) else case["original"]
        if case["reads"] is not None:
            act = vectors.read(case["correction"])
            assert isinstance(act, Correction)
            assert corrected(vectors.read(original), act) == vectors.read(case["reads"]), case["name"]
