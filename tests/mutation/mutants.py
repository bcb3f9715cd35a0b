"""The mutants of a source file: each takes one guard away, or moves its edge by one.

1. ``if T: raise …`` never raises; ``if T:`` never tells a fault where a judge yields it, appends it to what it found,
   or returns it as a text.
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
# What the lists are called in which judges gather faults.
_GATHERED = re.compile(r"found|faults|problems|reasons|objections|findings")
_CHECKS = re.compile(r"_?(check|verify|require|refuse|admit|forbid|bytes|text|exactly)")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of ``file``: the ``text`` between two offsets of its source (in characters) becomes ``instead``.

    ``function`` is the qualified name of what it lies in: ``Class.method``, empty at the level of the module.
    """

    file: str
    function: str
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
        return f"{self.file}:{self.line} {self.function} {self.rule}: {' '.join(self.text.split())} -> {self.instead}"


def mutants_of(file: str, source: str) -> list[Mutant]:
    """All mutants of one file, in the order of its lines."""
    starts = _line_starts(source)
    lines = source.splitlines(keepends=True)

    def span(node: ast.AST) -> tuple[int, int]:
        place = [(node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)]  # type: ignore[attr-defined]
        # ast counts bytes within a line; texts here are not all ASCII.
        at, end = (starts[line - 1] + len(lines[line - 1].encode()[:column].decode()) for line, column in place)
        return at, end

    def mutant(node: ast.AST, function: str, rule: str, instead: str) -> Mutant:
        start, end = span(node)
        return Mutant(file, function, node.lineno, rule, start, end, source[start:end], instead)  # type: ignore[attr-defined]

    found: dict[tuple[int, int, str], Mutant] = {}
    for node, function in _with_function(ast.parse(source)):
        for target, rule, instead in _changes(node, source, span):
            made = mutant(target, function, rule, instead)
            found.setdefault((made.start, made.end, made.instead), made)
    return sorted(found.values(), key=lambda made: (made.start, made.end))


def _with_function(node: ast.AST, function: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Every node of a tree, a parent before its children, with the qualified name of what it lies in."""
    yield node, function
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        function = f"{function}.{node.name}".lstrip(".")
    for child in ast.iter_child_nodes(node):
        yield from _with_function(child, function)


def _changes(node: ast.AST, source: str, span: object) -> Iterator[tuple[ast.AST, str, str]]:
    yield from declared_changes(node)
    if isinstance(node, ast.If) and (isinstance(node.body[0], ast.Raise) or _tells_fault(node.body[0])):
        yield node.test, "guard", "False"
    if isinstance(node, ast.BoolOp):
        neutral = "True" if isinstance(node.op, ast.And) else "False"
        for operand in node.values:
            yield operand, "operand", neutral
    if isinstance(node, ast.Compare):
        yield from _moved_edges(node, source, span)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and _CHECKS.match(_name(node.value.func)):
        yield node, "call", "pass"


def _tells_fault(statement: ast.stmt) -> bool:
    """Whether a statement tells a fault: a text that is yielded or returned, a judge's faults, an entry of a list."""
    match statement:
        case ast.Return(value=told) | ast.Expr(value=ast.Yield(value=told)):
            return isinstance(told, ast.JoinedStr) or (isinstance(told, ast.Constant) and isinstance(told.value, str))
        case ast.Expr(value=ast.YieldFrom()):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="append"))):
            return _GATHERED.fullmatch(name) is not None
    return False


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
