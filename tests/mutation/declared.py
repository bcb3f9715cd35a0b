"""Guards that raise nothing themselves: what is answered with None or False, yielded, or declared beside a field.

1. ``if T: return None`` (or False) never returns there, unless T only asks whether something is absent; ``return text
   if T else None`` never refuses.
2. ``if T: yield Objection(…)``, or what else judges, never objects.
3. A limit beside a field moves by one; a form, a default that is checked, or a rule beside a field goes.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

# Beside a field, each by itself is a rule for it.
_RULES = frozenset({"distinct", "needed_if", "absent_if", "after", "Read", "CodeOf", "AfterValidator"})
_LIMITS = {"min_length": "({}) - 1", "ge": "({}) - 1", "max_length": "({}) + 1", "le": "({}) + 1"}
_DECLARES = frozenset({"Field", "StringConstraints"})
# What makes a judgement that is yielded.
_JUDGES = frozenset({"Barrier", "Objection", "_of"})

Change = tuple[ast.AST, str, str]


def declared_changes(node: ast.AST) -> Iterator[Change]:
    """What changes in a node: which part of it, by which rule, and what it becomes."""
    if isinstance(node, ast.If):
        refuses = _refuses(node.body[0]) and not _asks_for_absence(node.test)
        if refuses or _objects(node.body[0]):
            yield node.test, "guard", "False"
    if isinstance(node, ast.Return) and isinstance(node.value, ast.IfExp):
        yield from _chosen(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _DECLARES:
        for keyword in node.keywords:
            yield from _moved_limit(keyword)
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple) and _is_name(node.value, {"Annotated"}):
        for beside in node.slice.elts[1:]:
            if isinstance(beside, ast.Call) and _is_name(beside.func, _RULES):
                yield beside, "declared", "None"


def _refuses(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Return) and _is_nothing(statement.value)


def _asks_for_absence(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Is) and _is_constant(test.comparators[0], None)


def _objects(statement: ast.stmt) -> bool:
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Yield):
        return False
    told = statement.value.value
    return isinstance(told, ast.Call) and _is_name(told.func, _JUDGES)


def _chosen(choice: ast.IfExp) -> Iterator[Change]:
    if isinstance(choice.body, ast.Name) and _is_nothing(choice.orelse):
        yield choice.test, "guard", "True"
    if isinstance(choice.orelse, ast.Name) and _is_nothing(choice.body):
        yield choice.test, "guard", "False"


def _moved_limit(keyword: ast.keyword) -> Iterator[Change]:
    if keyword.arg in _LIMITS and not (keyword.arg == "min_length" and _is_constant(keyword.value, 0)):
        yield keyword.value, "limit", _LIMITS[keyword.arg].format(ast.unparse(keyword.value))
    elif keyword.arg == "pattern":
        yield keyword.value, "limit", '""'
    elif keyword.arg == "validate_default":
        yield keyword.value, "limit", "False"


def _is_name(node: ast.expr, names: frozenset[str] | set[str]) -> bool:
    return isinstance(node, ast.Name) and node.id in names


def _is_nothing(node: ast.expr | None) -> bool:
    return _is_constant(node, None) or _is_constant(node, False)


def _is_constant(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
