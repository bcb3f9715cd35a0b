"""What commands print: tables for a person, one JSON object for a program, and errors in the same two ways.

Exit codes: 0 done; 1 refused, with a code; 2 the command line is wrong; 3 something did not verify; 4 a node cannot be
reached, try again; 5 nothing failed, and something could not be checked: no success.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from uuid import UUID

from rich.console import Console
from rich.table import Table
from rich.text import Text

from exchange.i18n import _
from protocol.address import Address
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    InvalidMessageError,
    LogForkError,
    ProofInvalidError,
    UnavailableError,
    UsageError,
)
from protocol.instant import to_text

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNVERIFIED = 3
EXIT_UNAVAILABLE = 4
EXIT_INCOMPLETE = 5

_UNVERIFIED = (CheckpointInvalidError, ProofInvalidError, LogForkError)

out = Console(soft_wrap=True, highlight=False)
_piped = Console(soft_wrap=True, highlight=False, width=10_000)
err = Console(stderr=True, soft_wrap=True, highlight=False)


def plain(value: Any) -> Any:
    """``value`` in terms of JSON: instants as RFC 3339 with zone, bytes as hexadecimal, dataclasses as objects."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return value.value
        case str():
            return value
        case datetime():
            return to_text(value)
        case UUID() | Address():
            return str(value)
        case bytes():
            return value.hex() if len(value) <= 64 else b64encode(value).decode("ascii")
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
        case Iterable():
            return [plain(item) for item in value]
        case _:
            return str(value)


def print_json(value: Any) -> None:
    """One JSON object on standard output."""
    print(_harmless(json.dumps(plain(value), ensure_ascii=False, indent=2)))


def print_json_line(value: Any) -> None:
    """One JSON object in one line, at once: for commands that go on printing."""
    print(_harmless(json.dumps(plain(value), ensure_ascii=False)), flush=True)


def _harmless(encoded: str) -> str:
    """The same JSON with what a terminal would act on (controls, direction marks, lone surrogates) as escapes."""
    if encoded.isprintable():
        return encoded
    return "".join(
        character if character.isprintable() or character == "\n" else json.dumps(character)[1:-1]
        for character in encoded
    )


def line(text: str) -> None:
    """A line for a person. Text that came from outside must go through :func:`safe`."""
    out.print(Text(text))


def safe(value: object) -> str:
    """``value`` as one printable line: no control characters, no direction tricks, however it came."""
    text = "-" if value is None else str(plain(value))
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table for a person."""
    shown = Table(title=title, title_justify="left", show_edge=False)
    for number, column in enumerate(columns):
        # Folded, never cut: a name or an instant is of use only as a whole.
        shown.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        shown.add_row(*(Text(_cell(cell)) for cell in row))
    # Only a terminal has a width; what reads a pipe wants a row in a line.
    (out if out.is_terminal else _piped).print(shown)


def _cell(value: object) -> str:
    """As :func:`safe`, but instants without the parts of a second: those are in ``--json``."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return safe(value)


def refuse(error: ComityError, *, as_json: bool) -> int:
    """Show the error; the exit code that belongs to it."""
    if as_json:
        print_json({"error": error.to_problem()})
    else:
        err.print(Text(f"{_('refused')} ({error.code}): {safe(_(error.detail))}"))
        if isinstance(error, InvalidMessageError):
            for field, rule, text in error.problems:
                err.print(Text(f"  {safe(_(rule))}: {safe(_(text))} [{safe(field)}]"))
        err.print(Text(_(error.advice)))
    if isinstance(error, UsageError):
        return EXIT_USAGE
    if isinstance(error, UnavailableError) or error.retryable:
        return EXIT_UNAVAILABLE
    return EXIT_UNVERIFIED if isinstance(error, _UNVERIFIED) else EXIT_REFUSED
