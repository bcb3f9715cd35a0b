"""Targets of a preservation request out of a CSV table: every row is good, or none is taken.

The first row names the columns, each row below is one target. A table comes out of somebody else's spreadsheet and
goes back into one: what a spreadsheet would run as a formula is written with an apostrophe before it, and read without.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from exchange.messaging.drafting.cleaning import Removed, cleaned
from exchange.messaging.drafting.drafts import empty_draft
from exchange.messaging.drafting.imports import Export, Found
from exchange.messaging.drafting.splitting import REQUEST, split_request
from exchange.text.text_files import decoded
from protocol.encoding.instants import parse_instant
from protocol.encoding.phrase import phrase
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import InvalidMessageError, MalformedError, TooLargeError, UsageError
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.parts import MAX_TARGETS
from protocol.messages.schema.problems import MAX_PROBLEMS, Problem, problems_of
from protocol.messages.types.preservation import Target

_PLAIN = ("target", "description", "relation", "location")
_CUSTODIAN = {"custodian_name": "name", "custodian_country": "country", "custodian_service": "service"}
_WINDOW = ("begins_at", "ends_at")
_LISTS = ("data_categories", "data_details")
_COMMON = (
    "target",
    "kind",
    "data_categories",
    "data_details",
    *_WINDOW,
    "relation",
    "description",
    *_CUSTODIAN,
    "location",
)
# Spreadsheets take these for the beginning of a formula (OWASP, CSV injection), or they were made harmless before.
_RUNS = re.compile("'*[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_KEPT_AS_TEXT = re.compile('="([^"]*)"')
# The sessions of an export share these, and it seldom says them.
_SHARED = ("protocol", "precision", "clock_note", "destination_address", "destination_port")
_PROSE = frozenset({"description", "relation", "clock_note"})
# Line breaks and tabs too, but in prose.
_REFUSED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PROSE_REFUSED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_TABLE_RULE = phrase("table format")
_NO_WINDOW = phrase(
    "the time window is missing: fill it in in the first target of the draft, or give --around with minutes"
)
_NOTHING = phrase("nothing was imported: the table has problems")


# The names of rows in an export: one, and several.
_UNITS = {
    "row": (phrase("row"), phrase("rows")),
    "line": (phrase("line"), phrase("lines")),
    "item": (phrase("item"), phrase("items")),
    "object": (phrase("object"), phrase("objects")),
    "attribute": (phrase("attribute"), phrase("attributes")),
    "report": (phrase("report"), phrase("reports")),
}


def _kinds() -> dict[str, type[BaseModel]]:
    models = get_args(get_args(Identifier)[0])
    return {get_args(model.model_fields["kind"].annotation)[0]: model for model in models}


KINDS = _kinds()


def columns(kind: str) -> tuple[str, ...]:
    """The columns for identifiers of ``kind``; raises :class:`UsageError` for another kind."""
    if kind not in KINDS:
        raise UsageError(
            phrase("there is no identifier type {kind}; known: {names}", kind=kind, names=", ".join(sorted(KINDS)))
        )
    return (*_COMMON[:2], *_own_columns(kind), *_COMMON[2:])


def _own_columns(kind: str) -> tuple[str, ...]:
    return tuple(name for name in KINDS[kind].model_fields if name not in ("kind", "as_typed"))


def read_targets(table: bytes, taken: Sequence[str] = (), removed: list[Removed] | None = None) -> list[dict[str, Any]]:
    """The targets in a CSV ``table`` (UTF-8, with or without BOM; ``,``, ``;`` or tabs), named apart from ``taken``.

    Raises :class:`MalformedError` for what is not such a table, and :class:`InvalidMessageError` with the problems of
    all rows, each once as (``rows 7-9, 12, column port``, rule, text). Rows count as a spreadsheet does: the header is
    row 1. With a list ``removed`` identifiers are cleaned, and what was removed is added to it.
    """
    rows = _rows(table)
    header = _header(next(rows, (0, []))[1])
    gathered = _Gathered(set(taken), "row", removed)
    for number, cells in rows:
        if any(cells):
            target, wrong = _target(header, cells)
            gathered.add(number, target, wrong)
    if not gathered.targets and not gathered.problems:
        raise MalformedError(phrase("the table has no row below its header"))
    return gathered.checked()


def with_targets(
    draft: dict[str, Any], table: bytes, *, split: bool = False, removed: list[Removed] | None = None
) -> list[dict[str, Any]]:
    """``draft`` with the table's targets behind its own; several drafts when there are too many and ``split`` is set.

    An untouched empty target of a new draft is left out. Raises as :func:`read_targets`, :class:`UsageError` for a
    draft of another type, and :class:`TooLargeError` for more targets than one request may hold, by number or bytes.
    """
    own = [target for target in _targets_of(draft) if target not in empty_draft(REQUEST)["targets"]]
    return _parts(draft, own + read_targets(table, _names(own), removed), split=split)


def with_export(
    draft: dict[str, Any],
    export: Export,
    *,
    split: bool = False,
    around: timedelta | None = None,
    protocol: str = "",
    removed: list[Removed] | None = None,
) -> list[dict[str, Any]]:
    """``draft`` with what an export holds behind its own targets; raises as :func:`with_targets`.

    The draft's first target says what no export says: categories, window, relation, custodian or location. As
    long as that names nothing yet it is the form of the others, and is left out. Where it has no window, the window is
    ``around`` the instant. From such a form the transport protocol, the destination and a note on the clock are taken
    too; ``protocol`` says the first for all.
    """
    targets = _targets_of(draft)
    form = targets[0] if targets and isinstance(targets[0], dict) else {}
    own = targets[1:] if targets and _names_nothing(form) else targets
    gathered = _Gathered(set(_names(own)), export.unit, removed)
    for row, (field, rule, text) in export.problems:
        gathered.refuse(row, field, rule, text)
    for found in export.found:
        gathered.add(found.row, *_of_form(form, found, around, protocol))
    if not gathered.targets and not gathered.problems:
        raise MalformedError(phrase("the export holds nothing that is an identifier here"))
    return _parts(draft, own + gathered.checked(), split=split)


def to_table(draft: dict[str, Any]) -> str:
    """The targets of a request as a table that :func:`read_targets` reads back, and no spreadsheet runs.

    Raises :class:`UsageError` for a target that says more than a table can.
    """
    targets = [target for target in _targets_of(draft) if isinstance(target, dict)]
    lost = {name for target in targets for name in _without_column(target)}
    if lost:
        raise UsageError(
            phrase("a table has no column for {names}: keep these targets in the draft", names=", ".join(sorted(lost)))
        )
    rows = [_cells_of(target) for target in targets]
    used = {name for row in rows for name in row}
    order = dict.fromkeys(
        (*_COMMON[:2], *(name for kind in KINDS for name in _own_columns(kind)), "as_typed", *_COMMON[2:])
    )
    header = [name for name in order if name in used or name in _COMMON[:2]]
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([harmless(row.get(name, "")) for name in header] for row in rows)
    return written.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet runs: what is a formula gets an apostrophe before it, which the import takes off."""
    return f"'{cell}" if _RUNS.match(cell) else cell


def _targets_of(draft: dict[str, Any]) -> list[Any]:
    targets = draft.get("targets", [])
    if draft.get("type") != REQUEST or not isinstance(targets, list):
        raise UsageError(phrase("targets are imported into a draft of type {type}", type=REQUEST))
    return targets


def _names(targets: Sequence[Any]) -> list[str]:
    return [str(target.get("target")) for target in targets if isinstance(target, dict)]


def _parts(draft: dict[str, Any], every: list[Any], *, split: bool) -> list[dict[str, Any]]:
    drafts = split_request({**draft, "targets": every})
    if len(drafts) > 1 and not split:
        raise TooLargeError(
            phrase(
                "one request holds no more targets than {most}, and no more bytes than {size}; these are "
                "{count}, and from the first on there is room for {fit}: --split writes several drafts ({number})",
                count=len(every),
                fit=len(drafts[0]["targets"]),
                most=MAX_TARGETS,
                size=MAX_CONTENT_BYTES,
                number=len(drafts),
            )
        )
    return drafts


class _Gathered:
    """Targets of rows, and what is wrong with them: each pattern once, with all rows that it is in."""

    def __init__(self, names: set[str], unit: str, removed: list[Removed] | None) -> None:
        self._names = names
        self._unit = unit
        self._removed = removed
        self.targets: list[dict[str, Any]] = []
        self.problems: dict[Problem, list[int]] = {}

    def add(self, row: int, target: dict[str, Any], wrong: Sequence[Problem]) -> None:
        if not wrong and self._removed is not None:
            target, removed = cleaned(target)
            self._removed += [
                Removed(f"{self._unit} {row}, column {_column(one.field)}", one.characters) for one in removed
            ]
        if not wrong:
            target.setdefault("target", _free_name(self._names, len(self.targets) + 1))
            wrong = _broken(target, self._names)
        self._names.add(str(target.get("target")))
        for column, rule, text in wrong:
            self.refuse(row, column, rule, text)
        self.targets.append(target)

    def refuse(self, row: int, column: str, rule: str, text: str) -> None:
        self.problems.setdefault((column, rule, text), []).append(row)

    def checked(self) -> list[dict[str, Any]]:
        """The targets; raises :class:`InvalidMessageError` when there is a problem."""
        if self.problems:
            raise InvalidMessageError(
                _NOTHING,
                tuple(
                    (_place(self._unit, rows, column), rule, text)
                    for (column, rule, text), rows in self.problems.items()
                ),
            )
        return self.targets


def _place(unit: str, numbers: Sequence[int], column: str) -> str:
    """``rows 2-5, 9, column port``: where a problem is, in words that are put into the reader's language."""
    one, several = _UNITS[unit]
    named = several if len(set(numbers)) > 1 else one
    return phrase("{unit} {numbers}, column {column}", unit=named, numbers=_spans(numbers), column=column)


def _spans(numbers: Sequence[int]) -> str:
    """``2-5, 9`` of 2, 3, 4, 5, 9."""
    spans: list[list[int]] = []
    for number in sorted(set(numbers)):
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans)


def _names_nothing(form: dict[str, Any]) -> bool:
    """Whether a target names nobody yet: all of its identifier but what the others share is empty."""
    identifier = form.get("identifier")
    if not isinstance(identifier, dict):
        return True
    return not any(value for name, value in identifier.items() if name not in ("kind", *_SHARED))


def _of_form(
    form: dict[str, Any], found: Found, around: timedelta | None, protocol: str
) -> tuple[dict[str, Any], list[Problem]]:
    identifier = dict(found.identifier)
    named = form.get("identifier")
    # Facts about one session are not those of others: only a form, which names nobody, speaks for all of them.
    shared: dict[str, Any] = named if isinstance(named, dict) and _names_nothing(form) else {}
    if identifier["kind"] in ("ipv4", "ipv6"):
        given = {
            **{name: shared[name] for name in _SHARED if shared.get(name)},
            **({"protocol": protocol} if protocol else {}),
        }
        given.pop("precision", None)
        identifier = {**given, **identifier}
    common = {
        name: value for name, value in form.items() if value and name not in ("target", "identifier", "time_window")
    }
    categories = [one for one in common.pop("data_categories", []) if one]
    window = form.get("time_window")
    if not isinstance(window, dict) or not all(window.get(name) for name in _WINDOW):
        if around is None or found.at is None:
            return {}, [("begins_at", _TABLE_RULE, _NO_WINDOW)]
        at = parse_instant(found.at)
        window = {"begins_at": (at - around).isoformat(), "ends_at": (at + around).isoformat()}
    custodian = common.get("custodian")
    if isinstance(custodian, dict) and not any(custodian.values()):
        del common["custodian"]
    return {**common, "identifier": identifier, "data_categories": categories, "time_window": window}, []


def _without_column(target: dict[str, Any]) -> list[str]:
    """The fields of a target that a table has no column for: a table that left them out would say less."""
    known = {*_PLAIN, "identifier", "time_window", "custodian", "data_categories", "data_details"}
    inside = {f"custodian.{name}": value for name, value in (target.get("custodian") or {}).items()}
    rest = {name: value for name, value in target.items() if name not in known}
    rest |= {name: value for name, value in inside.items() if name.partition(".")[2] not in _CUSTODIAN.values()}
    return sorted(name for name, value in rest.items() if value not in (None, "", [], {}))


def _cells_of(target: dict[str, Any]) -> dict[str, str]:
    cells = {name: target.get(name) for name in _PLAIN}
    cells |= target.get("identifier") or {}
    cells |= {name: (target.get("time_window") or {}).get(name) for name in _WINDOW}
    cells |= {name: (target.get("custodian") or {}).get(part) for name, part in _CUSTODIAN.items()}
    for name in _LISTS:
        cells[name] = " ".join(target.get(name) or ())
    return {name: str(value) for name, value in cells.items() if value not in (None, "")}


def _rows(table: bytes) -> Iterator[tuple[int, list[str]]]:
    text = decoded(table, "the table")
    # A spreadsheet reads this line and does not count it.
    said = re.match(r'"?sep=(.)"?\r?\n', text)
    if said:
        text = text[said.end() :]
    first = text.split("\n", 1)[0]
    if not said and "," in first and ";" in first:
        raise MalformedError(phrase("the header mixes , and ;: separate the columns by one of them"))
    number = 0
    try:
        rows = csv.reader(io.StringIO(text, newline=""), _dialect(first, said[1] if said else ""), strict=True)
        for number, cells in enumerate(rows, 1):
            yield number, [cell.strip(" ") for cell in cells]
    except csv.Error:
        longest = csv.field_size_limit()
        raise MalformedError(
            phrase(
                "not CSV in row {number}: check its quotation marks; and no cell has more characters than {most}",
                number=number + 1,
                most=longest,
            )
        ) from None


def _dialect(header: str, said: str) -> type[csv.Dialect]:
    class Table(csv.excel):
        delimiter = said or max(",;\t", key=header.count)

    return Table


def _header(cells: list[str]) -> list[str]:
    while cells and not cells[-1]:  # spreadsheets write the columns that they once had
        cells = cells[:-1]
    known = {*_COMMON, *(name for model in KINDS.values() for name in model.model_fields)}
    if not cells:
        raise MalformedError(phrase("the table has no header"))
    # By place, never by its text: that may be anything.
    strange = [_place("row", [1], str(at)) for at, cell in enumerate(cells, 1) if cell not in known]
    if strange:
        text = phrase("this column is not known: comity targets template prints those that are")
        raise InvalidMessageError(_NOTHING, tuple((place, _TABLE_RULE, text) for place in strange[:MAX_PROBLEMS]))
    if len(set(cells)) != len(cells) or "kind" not in cells:
        text = phrase("the header names each column once, and has the column kind")
        raise InvalidMessageError(_NOTHING, (("row 1", _TABLE_RULE, text),))
    return cells


def _target(header: list[str], cells: list[str]) -> tuple[dict[str, Any], list[Problem]]:
    while len(cells) > len(header) and not cells[-1]:
        cells = cells[:-1]
    if len(cells) != len(header):
        text = phrase(
            "cells in the row: {cells}; in the header: {columns}; check the separators",
            cells=len(cells),
            columns=len(header),
        )
        return {}, [("-", _TABLE_RULE, text)]
    given = {column: cell for column, cell in zip(header, cells, strict=True) if cell}
    wrong = [(column, _TABLE_RULE, text) for column, cell in given.items() if (text := _unsafe(column, cell))]
    return ({}, wrong) if wrong else (_assembled({column: _unescaped(cell) for column, cell in given.items()}), [])


def _unescaped(cell: str) -> str:
    """The text of a cell: without the apostrophe of :func:`harmless`, and of ="text", as spreadsheets keep zeros."""
    if cell.startswith("'") and _RUNS.match(cell):
        return cell[1:]
    kept = _KEPT_AS_TEXT.fullmatch(cell)
    return kept[1] if kept else cell


def _unsafe(column: str, cell: str) -> str:
    if (_PROSE_REFUSED if column in _PROSE else _REFUSED).search(cell):
        return phrase("control characters, line breaks and characters that change the direction of text: remove them")
    if cell.startswith("=") and not _KEPT_AS_TEXT.fullmatch(cell):
        return phrase(
            "a cell beginning with = is a formula, and its result is wanted: copy the column and paste its values"
        )
    return ""


def _assembled(given: dict[str, str]) -> dict[str, Any]:
    target: dict[str, Any] = {name: given[name] for name in _PLAIN if name in given}
    target["identifier"] = {name: _value(name, cell) for name, cell in given.items() if name not in _COMMON}
    if "kind" in given:
        target["identifier"]["kind"] = given["kind"]
    target |= {name: given[name].split() for name in _LISTS if name in given}
    if window := {name: given[name] for name in _WINDOW if name in given}:
        target["time_window"] = window
    if custodian := {part: given[name] for name, part in _CUSTODIAN.items() if name in given}:
        target["custodian"] = custodian
    return target


def _value(name: str, cell: str) -> str | int:
    return int(cell) if name.endswith("port") and re.fullmatch(r"[0-9]{1,100}", cell) else cell


def _broken(target: dict[str, Any], names: set[str]) -> list[Problem]:
    if target["target"] in names:
        return [
            ("target", _TABLE_RULE, phrase("this short name is taken: give each target its own, or leave it empty"))
        ]
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
