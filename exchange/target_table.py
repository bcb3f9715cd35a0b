"""Targets of a preservation request out of a CSV table: every row is good, or none is taken.

The first row names the columns, each row below is one target. A table comes out of somebody else's spreadsheet and
goes back into one: a cell that a spreadsheet would run as a formula is refused, as are characters that hide text.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from exchange.drafts import empty_draft
from exchange.messaging.splitting import REQUEST, split_request
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import InvalidMessageError, MalformedError, TooLargeError, UsageError
from protocol.messages import Target
from protocol.messages.identifiers import Identifier
from protocol.messages.parts import MAX_TARGETS
from protocol.messages.problems import MAX_PROBLEMS, Problem, problems_of

_PLAIN = ("target", "description", "relation", "location")
_CUSTODIAN = {"custodian_name": "name", "custodian_country": "country", "custodian_service": "service"}
_WINDOW = ("begins_at", "ends_at")
_COMMON = ("target", "kind", "data_categories", *_WINDOW, "relation", "description", *_CUSTODIAN, "location")
_PHONE_COLUMN = "number"
_FORMULA = ("=", "+", "-", "@")
# Line breaks too: a row of the table is a line of the file, so that its number leads to it.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TABLE_RULE = "table format"
_NOTHING = "nothing was imported: the table has problems"


def _kinds() -> dict[str, type[BaseModel]]:
    models = get_args(get_args(Identifier)[0])
    return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models}


KINDS = _kinds()


def columns(kind: str) -> tuple[str, ...]:
    """The columns for identifiers of ``kind``; raises :class:`UsageError` for another kind."""
    if kind not in KINDS:
        raise UsageError(f"there is no identifier type {kind}; known: {', '.join(sorted(KINDS))}")
    own = tuple(name for name in KINDS[kind].model_fields if name not in ("kind", "as_typed"))
    return (*_COMMON[:2], *own, *_COMMON[2:])


def read_targets(table: bytes, taken: Sequence[str] = ()) -> list[dict[str, Any]]:
    """The targets in a CSV ``table`` (UTF-8, with or without BOM; ``,`` or ``;``), named apart from ``taken``.

    Raises :class:`MalformedError` for what is not such a table, and :class:`InvalidMessageError` with the problems of
    all rows, each as (``row 7, column port``, rule, text). Rows count as a spreadsheet does: the header is row 1.
    """
    rows = _rows(table)
    header = _header(next(rows, (0, []))[1])
    names = set(taken)
    found: list[dict[str, Any]] = []
    problems: list[Problem] = []
    for number, cells in rows:
        if not any(cells):
            continue
        target, wrong = _target(header, cells)
        if not wrong:
            target.setdefault("target", _free_name(names, len(found) + 1))
            wrong = _broken(target, names)
        names.add(str(target.get("target")))
        problems += [(f"row {number}, column {column}", rule, text) for column, rule, text in wrong]
        found.append(target)
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise InvalidMessageError(_NOTHING, tuple(problems))
    if not found:
        raise MalformedError("the table has no row below its header")
    return found


def with_targets(draft: dict[str, Any], table: bytes, *, split: bool = False) -> list[dict[str, Any]]:
    """``draft`` with the table's targets behind its own; several drafts when there are too many and ``split`` is set.

    An untouched empty target of a new draft is left out. Raises as :func:`read_targets`, :class:`UsageError` for a
    draft of another type, and :class:`TooLargeError` for more targets than one request may hold, by number or bytes.
    """
    targets = draft.get("targets", [])
    if draft.get("type") != REQUEST or not isinstance(targets, list):
        raise UsageError(f"targets are imported into a draft of type {REQUEST}")
    own = [target for target in targets if target not in empty_draft(REQUEST)["targets"]]
    names = [str(target.get("target")) for target in own if isinstance(target, dict)]
    every = own + read_targets(table, names)
    drafts = split_request({**draft, "targets": every})
    if len(drafts) > 1 and not split:
        raise TooLargeError(
            f"{len(every)} targets: one request holds {MAX_TARGETS}, and {MAX_CONTENT_BYTES} bytes in all; --split"
            f" writes {len(drafts)} drafts"
        )
    return drafts


def _rows(table: bytes) -> Iterator[tuple[int, list[str]]]:
    try:
        text = table.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise MalformedError("the table is not UTF-8: save it as CSV UTF-8") from None
    first = text.split("\n", 1)[0]
    if "," in first and ";" in first:
        raise MalformedError("the header mixes , and ;: separate the columns by one of them")
    number = 0
    try:
        for number, cells in enumerate(csv.reader(io.StringIO(text, newline=""), _dialect(first), strict=True), 1):
            yield number, [cell.strip(" ") for cell in cells]
    except csv.Error:
        raise MalformedError(f"row {number + 1} is not CSV: check its quotation marks") from None


def _dialect(header: str) -> type[csv.Dialect]:
    class Table(csv.excel):
        delimiter = ";" if ";" in header else ","

    return Table


def _header(cells: list[str]) -> list[str]:
    known = {*_COMMON, *(name for model in KINDS.values() for name in model.model_fields)}
    if not cells:
        raise MalformedError("the table has no header")
    # By place, never by its text: that may be anything.
    strange = [f"row 1, column {at}" for at, cell in enumerate(cells, 1) if cell not in known]
    if strange:
        text = "this column is not known: comity targets template prints those that are"
        raise InvalidMessageError(_NOTHING, tuple((place, _TABLE_RULE, text) for place in strange[:MAX_PROBLEMS]))
    if len(set(cells)) != len(cells) or "kind" not in cells:
        text = "the header names each column once, and has the column kind"
        raise InvalidMessageError(_NOTHING, (("row 1", _TABLE_RULE, text),))
    return cells


def _target(header: list[str], cells: list[str]) -> tuple[dict[str, Any], list[Problem]]:
    if len(cells) != len(header):
        return {}, [("-", _TABLE_RULE, f"the row has {len(cells)} cells, the header {len(header)}: check separators")]
    given = {column: cell for column, cell in zip(header, cells, strict=True) if cell}
    wrong = [(column, _TABLE_RULE, text) for column, cell in given.items() if (text := _unsafe(column, cell))]
    return ({}, wrong) if wrong else (_assembled(given), [])


def _unsafe(column: str, cell: str) -> str:
    if _REFUSED.search(cell):
        return "control characters, line breaks and characters that change the direction of text: remove them"
    if cell.startswith(_FORMULA) and not (column == _PHONE_COLUMN and re.fullmatch(r"\+[0-9]+", cell)):
        return "a cell beginning with = + - or @ can run as a formula: write it without that character"
    return ""


def _assembled(given: dict[str, str]) -> dict[str, Any]:
    target: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
    target["identifier"] = {name: _value(name, cell) for name, cell in given.items() if name not in _COMMON}
    if "kind" in given:
        target["identifier"]["kind"] = given["kind"]
    if "data_categories" in given:
        target["data_categories"] = given["data_categories"].split()
    if window := {name: given[name] for name in _WINDOW if name in given}:
        target["time_window"] = window
    if custodian := {part: given[name] for name, part in _CUSTODIAN.items() if name in given}:
        target["custodian"] = custodian
    return target


def _value(name: str, cell: str) -> str | int:
    return int(cell) if name.endswith("port") and re.fullmatch(r"[0-9]{1,5}", cell) else cell


def _broken(target: dict[str, Any], names: set[str]) -> list[Problem]:
    if target["target"] in names:
        return [("target", _TABLE_RULE, "this short name is taken: give each target its own, or leave it empty")]
    try:
        Target.model_validate_json(json.dumps(target, ensure_ascii=False))
    except ValidationError as error:
        return [(_column(field), rule, text) for field, rule, text in problems_of(error, Target)]
    return []


def _column(field: str) -> str:
    parts = field.split(".")
    if parts[0] == "custodian":
        return "_".join(parts)
    if parts[0] in ("identifier", "time_window"):
        return parts[1] if len(parts) > 1 else {"identifier": "kind", "time_window": "begins_at"}[parts[0]]
    return parts[0]


def _free_name(names: set[str], number: int) -> str:
    while f"t{number}" in names:
        number += 1
    return f"t{number}"
