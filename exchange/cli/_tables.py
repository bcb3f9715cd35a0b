"""Tables for a person, no wider than their terminal: beside each other where that can be read, else one row a block.

A date, an id and a number stay in one piece; no text is cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.cli._wrapping import UNLIMITED, unbroken, width, wrapped
from keys.local.translation import isolated_value, labelled

_BETWEEN, _ACROSS, _CROSSING = " │ ", "─", "─┼─"
# A narrower column of words is read more slowly than a block, and a higher row too.
_NARROWEST = 12
_HIGHEST = 4


def lines_of_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> list[str]:
    """The lines of a table of at most ``most`` columns of the terminal; its cells are safe to print."""
    widths = _widths(columns, rows, most)
    lines = wrapped(title, most) if title else []
    if widths is not None and (most >= UNLIMITED or _is_low(rows, widths)):
        return [*lines, *_beside(columns, rows, widths)]
    return [*lines, *_blocks(columns, rows, most)]


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> list[int] | None:
    """How wide each column is; None where they do not fit beside each other."""
    cells = [[columns[place], *(row[place] for row in rows)] for place in range(len(columns))]
    natural = [max(map(width, column)) for column in cells]
    room = most - len(_BETWEEN) * (len(columns) - 1)
    if sum(natural) <= room:
        return natural
    least = [min(whole, max(_NARROWEST, *map(unbroken, column))) for whole, column in zip(natural, cells, strict=True)]
    if sum(least) > room:
        return None
    # The rest goes where the most is wanting, a column of the terminal at a time.
    widths = list(least)
    for _ in range(room - sum(least)):
        wanting = [whole - given for whole, given in zip(natural, widths, strict=True)]
        widths[wanting.index(max(wanting))] += 1
    return widths


def _is_low(rows: Sequence[Sequence[str]], widths: Sequence[int]) -> bool:
    return all(len(wrapped(cell, wide)) <= _HIGHEST for row in rows for cell, wide in zip(row, widths, strict=True))


def _beside(columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> Iterator[str]:
    yield from _row(columns, widths)
    yield _CROSSING.join(_ACROSS * wide for wide in widths)
    for row in rows:
        yield from _row(row, widths)


def _row(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    columns = [wrapped(cell, wide) for cell, wide in zip(cells, widths, strict=True)]
    for place in range(max(map(len, columns), default=0)):
        # Each part between marks of its own, so that none turns its neighbours around.
        parts = [isolated_value(column[place]) if place < len(column) else "" for column in columns]
        yield _BETWEEN.join(part + " " * (wide - width(part)) for part, wide in zip(parts, widths, strict=True))


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> Iterator[str]:
    """Each row as a block: the first cell, and below it each other with its name; what is empty is left out."""
    for row in rows:
        first, *others = zip(columns, row, strict=True)
        yield from wrapped(_named(*first), most, 4)
        for name, cell in others:
            if cell and cell != "-":
                yield from wrapped(f"  {_named(name, cell)}", most, 6)


def _named(name: str, cell: str) -> str:
    shown = isolated_value(cell)
    return labelled(name, shown) if name else shown
