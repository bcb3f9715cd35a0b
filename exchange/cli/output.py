"""What commands print: tables for a person, one JSON object for a program. Refusals: :mod:`keys.local.terminal`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from exchange.text.objects import plain
from keys.local.isolates import shown as as_shown
from keys.local.printing import printable_line
from keys.local.terminal import emit, write, write_json
from keys.local.translation import isolated_value


def print_json(value: Any) -> None:
    """One JSON object on standard output; raises :class:`OutputError`."""
    write_json(plain(value), indent=2)


def print_json_line(value: Any) -> None:
    """One JSON object in one line, at once: for commands that go on printing."""
    write_json(plain(value))


def line(text: str) -> None:
    """A line for a person. Text that came from outside goes through :func:`safe`, so that it stays one line."""
    write(text)


def safe(value: object) -> str:
    """``value`` as one printable line: no control characters, no direction tricks, however it came."""
    return "-" if value is None else printable_line(str(plain(value)))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for a person."""
    # Only here: a program that reads JSON does not wait for what draws.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=as_shown(title), title_justify="left", show_edge=False)
    for number, column in enumerate(columns):
        # Folded, never cut: a name or an instant is of use only as a whole.
        shown.add_column(as_shown(column), overflow="fold", no_wrap=number == 0)
    for row in rows:
        shown.add_row(*(Text(as_shown(isolated_value(_cell(cell)))) for cell in row))
    # Only a terminal has a width; what reads a pipe wants a row in a line.
    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console = Console(soft_wrap=True, highlight=False, width=10_000)
    with console.capture() as drawn:
        console.print(shown)
    # Drawn by us out of cells that are safe: the frame's own control sequences are meant.
    emit(drawn.get())


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


def _cell(value: object) -> str:
    """As :func:`safe`, but instants without the parts of a second: those are in ``--json``."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return safe(value)
