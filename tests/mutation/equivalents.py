"""The mutants that no test can kill, from ``equivalent.toml``: each row names exactly one, and says why."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
LISTED = Path(__file__).with_name("equivalent.toml")

Row = Mapping[str, str | int]


class UnmatchedRowError(Exception):
    """A row names no mutant, or more than one: what it said of the code is no longer said of one place."""


def equivalents(text: str | None = None) -> dict[Mutant, str]:
    """The listed mutants with the reason of each.

    ``text`` is the list as TOML (default: ``equivalent.toml``).

    Raises:
        UnmatchedRowError: with a line for each row that does not name exactly one mutant.
    """
    rows: list[Row] = tomllib.loads(LISTED.read_text("utf-8") if text is None else text).get("mutant", [])
    by_file = {file: _mutants(file) for file in {str(row["file"]) for row in rows}}
    found: dict[Mutant, str] = {}
    wrong = []
    for row in rows:
        named = _named(row, by_file[str(row["file"])])
        if len(named) != 1 or named[0] in found:
            wrong.append(f"{_described(row)}: names {len(named) if len(named) != 1 else 'again a'} mutant(s)")
        else:
            found[named[0]] = str(row["reason"])
    if wrong:
        raise UnmatchedRowError("\n".join(wrong))
    return found


def _mutants(file: str) -> list[Mutant]:
    path = ROOT / file
    return mutants_of(file, path.read_text("utf-8")) if path.is_file() else []


def _named(row: Row, mutants: list[Mutant]) -> list[Mutant]:
    wanted = tuple(row.get(field) for field in ("function", "rule", "text", "instead"))
    named = [
        made for made in mutants if (made.function, made.rule, _folded(made.text), _folded(made.instead)) == wanted
    ]
    if "occurrence" not in row:
        return named
    place = int(row["occurrence"])
    return named[place - 1 : place] if len(named) > 1 else []


def _folded(text: str) -> str:
    return " ".join(text.split())


def _described(row: Row) -> str:
    return f"{row['file']} {row.get('function')} {row.get('rule')}: {row.get('text')} -> {row.get('instead')}"
