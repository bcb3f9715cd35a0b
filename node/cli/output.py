"""How commands answer: text for people, one JSON object per line with ``--json``; and what their exit codes mean.

0 done, 1 refused (a typed error), 2 wrong usage, 3 verification failed, 4 unavailable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from keys.printing import printable_json
from node.i18n import _
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    DirectoryUntrustedError,
    LogForkError,
    ProofInvalidError,
    SignatureInvalidError,
    UsageError,
)

OK, REFUSED, USAGE, UNVERIFIED, UNAVAILABLE = 0, 1, 2, 3, 4

AsJson = Annotated[bool, typer.Option("--json", help=_("Answer with one JSON object."))]

_VERIFICATION = (
    SignatureInvalidError,
    DirectoryUntrustedError,
    CheckpointInvalidError,
    ProofInvalidError,
    LogForkError,
)


def exit_code(error: ComityError) -> int:
    """The exit code of a typed error."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, _VERIFICATION):
        return UNVERIFIED
    return UNAVAILABLE if error.http_status in {502, 503, 507} else REFUSED


def show(as_json: bool, values: dict[str, Any], text: Callable[[], str]) -> None:
    """Print ``values`` as JSON, or ``text()`` for a person."""
    print(printable_json(values) if as_json else text(), flush=True)


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
        if as_json:
            values = {"error": {"code": error.code, "detail": _(error.detail), "advice": _(error.advice)}}
            print(printable_json(values))
        else:
            sys.stderr.write(f"{_('Error')} ({error.code}): {_(error.detail)}\n{_(error.advice)}\n")
        raise typer.Exit(exit_code(error)) from None
