"""Finds the texts that people read in Python source, by its syntax tree: also those inside f-strings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple


class SourceText(NamedTuple):
    """A text, its plural where it has one, and the context that tells it from another with the same English."""

    text: str
    plural: str | None = None
    context: str | None = None


# Which arguments of these calls are texts.
CALLS: Mapping[str, tuple[int, ...]] = {
    "_": (0,),
    "phrase": (0,),
    "Legal": (0, 1),
    "problem": (1,),
    "after": (1,),
    "absent_if": (1,),
    "check_line": (1,),
    "Scenario": (0,),
    "between_two": (0,),
    "turn": (0,),
}
# One thing and several: the first two arguments of these calls are the two forms of one text.
_PLURAL_CALLS = frozenset({"ngettext"})
# Module-level tables whose values are texts.
TABLES = frozenset({"_TEXTS"})


def texts_in(file: Path) -> Iterator[SourceText]:
    """Every text in ``file``, in the order of the source; a name is followed to the constant of the same module."""
    tree = ast.parse(file.read_text("utf-8"), str(file))
    constants = dict(_constants(tree))
    for found in ast.walk(tree):
        if isinstance(found, ast.Call) and isinstance(found.func, ast.Name):
            yield from _of_call(found.func.id, found.args, constants)
        elif isinstance(found, ast.Assign | ast.AnnAssign) and isinstance(found.value, ast.Dict):
            targets = found.targets if isinstance(found, ast.Assign) else [found.target]
            if any(isinstance(target, ast.Name) and target.id in TABLES for target in targets):
                for value in found.value.values:
                    yield from map(SourceText, _literal(value, constants))


def _of_call(name: str, given: list[ast.expr], constants: Mapping[str, str]) -> Iterator[SourceText]:
    if name in _PLURAL_CALLS:
        forms = [text for form in given[:2] for text in _literal(form, constants)]
        if len(forms) == 2:
            yield SourceText(forms[0], plural=forms[1])
    for place in CALLS.get(name, ()):
        if place < len(given):
            yield from map(SourceText, _literal(given[place], constants))


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            value = statement.value.value
            if isinstance(value, str):
                yield from ((target.id, value) for target in statement.targets if isinstance(target, ast.Name))


def _literal(value: ast.expr, constants: Mapping[str, str]) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name) and value.id in constants:
        yield constants[value.id]
    elif isinstance(value, ast.IfExp):
        yield from _literal(value.body, constants)
        yield from _literal(value.orelse, constants)
