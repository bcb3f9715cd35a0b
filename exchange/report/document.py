"""A report as a document: what both formats show, with every text already in the reader's language.

Everything is text, never markup: each format escapes it in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class TextKind(StrEnum):
    """What a text is, which decides how it stands in a line."""

    TEXT = "text"
    NUMBER = "number"  # numbers, times and spans: at the end of the column
    CODE = "code"  # node names, codes, ids: always from left to right


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    heading: str
    kind: TextKind = TextKind.TEXT


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row has a cell for every column. ``empty`` is said instead when there are no rows."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: ``shown`` is its value as a text, ``share`` its length, 0 to 1 (0 for what was left out).

    ``outlined`` bars are of another kind than the others of the chart, which their labels say. ``mark``, 0 to 1, is
    where a line stands that the value is compared with.
    """

    label: str
    shown: str
    share: float
    outlined: bool = False
    mark: float | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars, and the table that says the same stands beside them."""

    caption: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a grid, as a text and as a share of the largest, 0 to 1."""

    shown: str
    share: float


@dataclass(frozen=True, slots=True)
class Grid:
    """Values by two names; each row, by its name, has a cell for every column. The table that says the same stands
    beside it.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading with what belongs to it."""

    heading: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    grids: tuple[Grid, ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of the head of the report."""

    name: str
    value: str
    kind: TextKind = TextKind.TEXT


@dataclass(frozen=True, slots=True)
class Document:
    """A whole report. ``as_of`` is its date; ``page`` has the places ``{page}`` and ``{pages}``."""

    language: str
    direction: str
    title: str
    as_of: datetime
    facts: tuple[Fact, ...]
    sections: tuple[Section, ...]
    page: str
