"""What commands print: tables for a person, one JSON object for a program. Refusals: :mod:`keys.local.terminal`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from exchange.text.objects import plain
from keys.local.printing import printable_line
from keys.local.terminal import write, write_json
from keys.local.translation import _


def print_json(value: Any) -> None:
    """One JSON object on standard output; raises :class:`OutputError`."""
    write_json(plain(value), indent=2)


def print_json_line(value: Any) -> None:
    """One JSON object in one line, at once: for commands that go on printing."""
    write_json(plain(value))


def line(text: str) -> None:
    """A line for a person, in several where their terminal is narrower; a path or command that is longer stays whole.

    Text that came from outside goes through :func:`safe`, so that it stays one line.
    """
    if sys.stdout.isatty():
        from exchange.cli._wrapping import columns, unbroken, wrapped

        most = columns()
        text = "\n".join(one if unbroken(one) > most else "\n".join(wrapped(one, most, 2)) for one in text.split("\n"))
    write(text)


def safe(value: object) -> str:
    """``value`` as one printable line: no control characters, no direction tricks, however it came.

    An instant is shown in the officer's zone, to the second: its parts are in ``--json``.
    """
    if isinstance(value, datetime):
        from exchange.text.zones import in_zone, shown_zone

        return in_zone(value, shown_zone(), seconds=True)
    return "-" if value is None else printable_line(str(plain(value)))


def told(text: str) -> str:
    """A text of ours that was made elsewhere, in the reader's language as one printable line; nothing for none."""
    return safe(_(text)) if text else ""


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for a person: no wider than the terminal, and nothing of it cut."""
    # Only here: a program that reads JSON does not wait for what draws.
    from exchange.cli._tables import lines_of_table
    from exchange.cli._wrapping import columns as width_of_output

    cells = [[safe(cell) for cell in row] for row in rows]
    write("\n".join(lines_of_table(title, columns, cells, width_of_output())))


def listed(
    found: object, shown: tuple[str, Sequence[str], Callable[[], Iterable[Sequence[object]]]], *, as_json: bool
) -> None:
    """A list: for a program what was ``found``, for a person a table: a title, columns, and what makes its rows."""
    if as_json:
        print_json(found)
        return
    title, columns, rows = shown
    table(title, columns, rows())


@contextmanager
def progress(text: str, *, as_json: bool, counted: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error for the length of a block, moved on by (completed, total); none for programs.

    ``counted``: it counts what is done of how much, instead of showing a share.
    """
    if as_json:
        yield lambda _completed, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with Progress(*(columns if counted else ()), console=console, transient=True) as shown:
        task = shown.add_task(text, total=None)
        yield lambda completed, total: shown.update(task, completed=completed, total=total)
