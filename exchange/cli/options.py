"""Options that commands share, and how a command runs."""

from __future__ import annotations

import asyncio
import getpass
import os
import stat
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from exchange.cli.output import refuse
from exchange.i18n import _
from protocol.errors import ComityError, KeystoreError, UsageError

if TYPE_CHECKING:
    from exchange.desk import Desk

T = TypeVar("T")
MAX_PASSPHRASE_BYTES = 1024

JsonOption = Annotated[bool, typer.Option("--json", help=_("Print one JSON object."))]
HomeOption = Annotated[
    Path, typer.Option("--home", envvar="COMITY_HOME", help=_("The desk's home folder."), show_default=True)
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="COMITY_PASSPHRASE_FILE",
        help=_("A file (mode 0600) whose first line is the keystore's passphrase; else it is asked for."),
    ),
]
DEFAULT_HOME = Path("~/.comity")


def read_passphrase(path: Path | None, *, new: bool = False) -> bytes:
    """The passphrase, from the file or the terminal; raises :class:`KeystoreError` or :class:`UsageError`."""
    if path is None:
        if not sys.stdin.isatty():
            raise UsageError(_("there is no terminal to ask for the passphrase: give --passphrase-file"))
        first = getpass.getpass(_("Passphrase: "))
        if new and getpass.getpass(_("Again: ")) != first:
            raise UsageError(_("the two passphrases differ"))
        return _checked(first.encode())
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise KeystoreError(_("others can read the passphrase file: set its mode to 0600"))
            return _checked(file.readline(MAX_PASSPHRASE_BYTES + 1).rstrip(b"\r\n"))
    except OSError as problem:
        raise KeystoreError(f"cannot read the passphrase file: {problem.strerror}") from problem


def run(work: Callable[[], Coroutine[Any, Any, int | None]], *, as_json: bool) -> None:
    """Run a command to its exit code; a typed error is shown, whatever else is a defect and shown without values."""
    try:
        code = asyncio.run(work())
    except ComityError as error:
        code = refuse(error, as_json=as_json)
    except KeyboardInterrupt:
        code = 130
    raise typer.Exit(code or 0)


def with_desk(
    home: Path, passphrase_file: Path | None, work: Callable[[Desk], Coroutine[Any, Any, int | None]]
) -> Callable[[], Coroutine[Any, Any, int | None]]:
    """``work`` on the opened desk."""

    async def opened() -> int | None:
        from exchange.desk import Desk

        async with Desk.open(home.expanduser(), read_passphrase(passphrase_file)) as desk:
            return await work(desk)

    return opened


def _checked(passphrase: bytes) -> bytes:
    if not 0 < len(passphrase) <= MAX_PASSPHRASE_BYTES:
        raise UsageError(f"a passphrase has 1 to {MAX_PASSPHRASE_BYTES} bytes")
    return passphrase
