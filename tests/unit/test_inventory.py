"""The suite may become faster and may not become less: copies are a test's own, and what is lost is told."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from tests.generators.inventory import assertions, lost
from tests.worlds.moulds import copied


def test_what_a_test_does_to_its_copy_no_other_sees(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(path: Path, name: str) -> str:
        made.append(path)
        (path / "file").write_text(name)
        (path / "file").chmod(0o600)
        return name

    for turn in ("first", "second"):
        assert copied(tmp_path / turn, make, "one") == "one"
        file = tmp_path / turn / "file"
        assert (file.read_text(), file.stat().st_mode & 0o777) == ("one", 0o600)
        file.write_text("changed")
    copied(tmp_path / "third", make, "other")
    assert len(made) == 2
    copied(tmp_path / "fourth", make, "one", usable=lambda value: False)
    assert len(made) == 3


def test_an_assertion_is_counted_in_whatever_way_it_is_made() -> None:
    code = "with pytest.raises(ValueError):\n    f()\nassert a, b\nif c:\n    pytest.fail('d')\npytest.skip('e')"
    assert assertions(ast.parse(code)) == 3


def test_a_test_or_an_assertion_that_is_lost_is_told_and_a_renamed_one_is_not() -> None:
    before = Counter({"tests/a.py::test_x[1]": 2, "tests/b.py::test_y": 1, "tests/a.py": 2})
    assert lost(before, before, {}) == []
    moved = Counter({"tests/c.py::test_x[1]": 2, "tests/b.py::test_y": 0, "tests/c.py": 3})
    assert lost(before, moved, {"tests/a.py": "tests/c.py"}) == ["0 of 1 assertions left: tests/b.py::test_y"]
    assert lost(before, moved, {})[0] == "gone: tests/a.py"
