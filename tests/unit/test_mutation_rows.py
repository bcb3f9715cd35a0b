"""The list of mutants that change nothing: each row names exactly one place of the code as it is now."""

from __future__ import annotations

import pytest

from tests.mutation.equivalents import UnmatchedRowError, equivalents
from tests.mutation.mutants import mutants_of

ROW = """
[[mutant]]
file = "protocol/lifecycle/ordering.py"
function = "_cut_rings"
rule = "operand"
text = "current is not None"
instead = "True"
reason = "any"
"""


def test_each_row_names_one_mutant_of_the_code_as_it_is():
    assert equivalents()


@pytest.mark.parametrize(
    "text",
    [
        ROW,  # two of the same in one function
        ROW + "occurrence = 0",
        ROW + "occurrence = 3",
        ROW.replace("_cut_rings", "_places_of"),
        ROW.replace("operand", "guard"),
        ROW.replace('rule = "operand"\n', "") + "occurrence = 2",
        ROW.replace("ordering.py", "moved_away.py"),
        2 * (ROW + "occurrence = 2\n"),
    ],
)
def test_a_row_that_names_no_mutant_or_several_or_one_that_is_named_already_is_refused(text: str):
    with pytest.raises(UnmatchedRowError, match=r"current is not None"):
        equivalents(text)


def test_guards_of_the_same_text_in_one_function_are_told_apart():
    (first,) = equivalents(ROW + "occurrence = 1")
    (second,) = equivalents(ROW + "occurrence = 2")
    assert first.line < second.line
    assert first.function == second.function == "_cut_rings"


def test_a_mutant_names_the_function_that_it_lies_in():
    source = "A = 1 < 2\nclass B:\n    def c(self):\n        def d():\n            return 1 < 2\n        return 1 > 2\n"
    assert [made.function for made in mutants_of("any.py", source)] == ["", "B.c.d", "B.c"]
