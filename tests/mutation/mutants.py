"""The mutants of a source file: each takes one guard away, or moves its edge by one.

1. ``if T: raise …`` never raises.
2. One operand of an ``and`` or ``or`` counts for nothing.
3. An edge moves: ``<`` becomes ``<=``, ``>`` becomes ``>=``, and back.
4. A statement that calls something to check, verify or require does not call it.

:mod:`tests.mutation.declared` has those of guards that raise nothing themselves.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.mutation.declared import declared_changes

_EDGES: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
}
_CHECKS = re.compile(r"_?(check|verify|require|refuse|admit|forbid|bytes|text|exactly)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of ``file``: the ``text`` between two offsets of its source (in characters) becomes ``instead``."""

    file: str
    line: int
    rule: str
    start: int
    end: int
    text: str
    instead: str

    def apply(self, source: str) -> str:
        """The source with the change."""
        return source[: self.start] + self.instead + source[self.end :]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.rule}: {' '.join(self.text.split())} -> {self.instead}"


def mutants_of(file: str, source: str) -> list[Mutant]:
    """All mutants of one file, in the order of its lines."""
    starts = _line_starts(source)

    def span(node: ast.AST) -> tuple[int, int]:
        lines = source.splitlines(keepends=True)
        place = [(node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)]  # type: ignore[attr-defined]
        # ast counts bytes within a line; texts here are not all ASCII.
        at, end = (starts[line - 1] + len(lines[line - 1].encode()[:column].decode()) for line, column in place)
        return at, end

    def mutant(node: ast.AST, rule: str, instead: str) -> Mutant:
        start, end = span(node)
        return Mutant(file, node.lineno, rule, start, end, source[start:end], instead)  # type: ignore[attr-defined]

    found: dict[tuple[int, int, str], Mutant] = {}
    for node in ast.walk(ast.parse(source)):
        for target, rule, instead in _changes(node, source, span):
            made = mutant(target, rule, instead)
            found.setdefault((made.start, made.end, made.instead), made)
    return sorted(found.values(), key=lambda made: (made.start, made.end))


def _changes(node: ast.AST, source: str, span: object) -> Iterator[tuple[ast.AST, str, str]]:
    yield from declared_changes(node)
    if isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise):
        yield node.test, "guard", "False"
    if isinstance(node, ast.BoolOp):
        neutral = "True" if isinstance(node.op, ast.And) else "False"
        for operand in node.values:
            yield operand, "operand", neutral
    if isinstance(node, ast.Compare):
        yield from _moved_edges(node, source, span)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _CHECKS.match(_name(node.value.func)):
        yield node, "call", "pass"


def _moved_edges(node: ast.Compare, source: str, span: object) -> Iterator[tuple[ast.AST, str, str]]:
    operands = [node.left, *node.comparators]
    for place, operator in enumerate(node.ops):
        if type(operator) in _EDGES:
            sign, instead = _EDGES[type(operator)]
            _, before = span(operands[place])  # type: ignore[operator]
            after, _ = span(operands[place + 1])  # type: ignore[operator]
            start, end = span(node)  # type: ignore[operator]
            between = source[before:after].replace(sign, instead, 1)
            yield node, "edge", source[start:before] + between + source[after:end]


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _line_starts(source: str) -> list[int]:
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    return starts
