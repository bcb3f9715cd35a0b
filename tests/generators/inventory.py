"""Which tests there are and how much they assert, to hold two states of the tests beside each other.

``python -m tests.generators.inventory`` prints for each test its id and how many assertions stand in it, a tab between;
after the tests, the same for each file of tests/, helpers and fixtures among them. An assertion is an ``assert`` or a
``pytest.raises``, ``pytest.warns`` or ``pytest.fail``. ``--compare BEFORE AFTER`` reads two such lists and prints what
the second lacks: ids, and assertions of a test or a file that has fewer; it ends with 1 if there are any.
``--renamed FILE`` names ids, files or the beginnings of such that changed, a line each: the old, a tab, the new.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAID_BY_PYTEST = {"raises", "warns", "fail"}


def assertions(tree: ast.AST) -> int:
    """How many assertions stand in this piece of code."""
    return sum(
        isinstance(node, ast.Assert)
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_pytest(node.func))
        for node in ast.walk(tree)
    )


def lost(before: Counter[str], after: Counter[str], renamed: dict[str, str]) -> list[str]:
    """What ``after`` lacks, a line each."""
    lines = []
    for name, count in sorted(before.items()):
        now = _renamed(name, renamed)
        if now not in after:
            lines.append(f"gone: {name}")
        elif after[now] < count:
            lines.append(f"{after[now]} of {count} assertions left: {now}")
    return lines


class _Listed:
    """Hears of the tests that were collected."""

    def __init__(self) -> None:
        self.tests: Counter[str] = Counter()
        self._counted: dict[Path, dict[str, int]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            assert isinstance(item, pytest.Function)
            self.tests[item.nodeid] = self._of(Path(item.function.__code__.co_filename), item.originalname)

    def _of(self, path: Path, name: str) -> int:
        if path not in self._counted:
            nodes = ast.walk(ast.parse(path.read_bytes())) if path.is_relative_to(ROOT / "tests") else ()
            self._counted[path] = {
                node.name: assertions(node)
                for node in nodes
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        return self._counted[path].get(name, 0)


def _is_pytest(function: ast.Attribute) -> bool:
    return isinstance(function.value, ast.Name) and function.value.id == "pytest" and function.attr in SAID_BY_PYTEST


def _renamed(name: str, renamed: dict[str, str]) -> str:
    for old in sorted(renamed, key=len, reverse=True):
        if name.startswith(old):
            return renamed[old] + name.removeprefix(old)
    return name


def _inventory() -> None:
    listed = _Listed()
    sys.stdout, said = sys.stderr, sys.stdout
    code = pytest.main(["--collect-only", "-q", "--no-summary", "-qq", str(ROOT / "tests")], plugins=[listed])
    sys.stdout = said
    if code != pytest.ExitCode.OK:
        raise SystemExit("the tests could not be collected")
    for name, count in sorted(listed.tests.items()):
        print(name, count, sep="\t")
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if "node_modules" not in path.parts:
            print(path.relative_to(ROOT), assertions(ast.parse(path.read_bytes())), sep="\t")


def _read(path: Path) -> Counter[str]:
    rows = (line.rpartition("\t") for line in path.read_text("utf-8").splitlines())
    return Counter({name: int(count) for name, _, count in rows})


def main() -> None:
    """See the module."""
    options = argparse.ArgumentParser(prog="python -m tests.generators.inventory")
    options.add_argument("--compare", nargs=2, type=Path, metavar=("BEFORE", "AFTER"))
    options.add_argument("--renamed", type=Path)
    given = options.parse_args()
    if given.compare is None:
        _inventory()
        return
    before, after = map(_read, given.compare)
    pairs = given.renamed.read_text("utf-8").splitlines() if given.renamed else []
    lines = lost(before, after, dict(pair.split("\t") for pair in pairs))
    print(*lines, sep="\n", end="\n" if lines else "")
    for said, listed in (("before", before), ("after", after)):
        tests = [name for name in listed if "::" in name]
        print(f"{said}: {len(tests)} tests, {sum(listed[name] for name in listed if '::' not in name)} assertions")
    raise SystemExit(bool(lines))


if __name__ == "__main__":
    main()
