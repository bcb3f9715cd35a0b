"""How commands answer: text for people, a JSON object a line with ``--json``. Refusals: :mod:`keys.local.terminal`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from keys.local.terminal import refuse, write, write_json
from node.i18n import _
from protocol.errors import ComityError

AsJson = Annotated[bool, typer.Option("--json", help=_("Answer with one JSON object."))]


def show(as_json: bool, values: dict[str, Any], text: Callable[[], str]) -> None:
    """Print ``values`` as JSON, or ``text()`` for a person."""
    if as_json:
        write_json(values)
    else:
        write(text())


@contextmanager
def progress(as_json: bool, text: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error for the length of a block, moved on by (completed, total); none for programs."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=as_json) as shown:
        task = shown.add_task(text, total=None)
        yield lambda completed, total: shown.update(task, completed=completed, total=total)


@contextmanager
def edge(as_json: bool) -> Iterator[None]:
    """Every command's body: a typed error becomes two lines (or one JSON object) and an exit code."""
    try:
        yield
    except ComityError as error:
        raise typer.Exit(refuse(error, as_json=as_json)) from None
