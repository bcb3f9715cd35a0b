"""Lists of targets in few words: nothing is lost, added or out of order, and a long one is cut with its count."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from exchange.text.labels import target_ranges, targets_text
from keys.local.isolates import CLOSE, OPEN, bare

_NAME = st.one_of(st.integers(0, 60).map(lambda n: f"t{n}"), st.sampled_from(["a", "t09", "t0x", "b7"]))
_NAMES = st.lists(_NAME, max_size=80)


def test_what_counts_on_is_a_range_and_two_are_said_as_they_are() -> None:
    assert target_ranges([f"t{n}" for n in range(1, 47)]) == "t1–t46"
    assert target_ranges(["t1", "t2", "t4", "t5", "t6", "mail"]) == "t1, t2, t4–t6, mail"
    assert target_ranges(["t9", "t10", "t11"]) == "t9–t11"
    assert target_ranges(["t08", "t09", "t10"]) == "t08, t09, t10"  # another name than t8


@given(_NAMES)
def test_a_range_stands_for_exactly_the_targets_that_it_was_made_of(names: list[str]) -> None:
    said: list[str] = []
    for part in filter(None, target_ranges(names).split(", ")):
        first, _, last = part.partition("–")
        if last:
            stem = first.rstrip("0123456789")
            said += [f"{stem}{n}" for n in range(int(first[len(stem) :]), int(last[len(stem) :]) + 1)]
        else:
            said.append(first)
    assert said == names


@given(_NAMES)
def test_each_name_is_isolated_and_what_is_cut_is_counted(names: list[str]) -> None:
    text = targets_text(names, most=4)
    assert text.count(OPEN) == text.count(CLOSE)
    cut = re.search(r" and ([0-9]+) more$", bare(text))
    if cut is None:
        assert bare(text) == target_ranges(names)
    else:
        shown = bare(text)[: cut.start()].split(", ")
        whole = target_ranges(names).split(", ")
        assert shown == whole[:3]
        assert int(cut[1]) == len(names) - sum(_count(part) for part in shown)


def _count(part: str) -> int:
    first, _, last = part.partition("–")
    return int(last.lstrip("tb")) - int(first.lstrip("tb")) + 1 if last else 1
