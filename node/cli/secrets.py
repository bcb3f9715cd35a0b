"""Where a passphrase comes from: a file named by an option or setting, or a prompt; never an argument or a variable."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from keys.token import Token

MAX_PASSPHRASE_BYTES = 1024
TOKEN_FILE_VARIABLE = "COMITY_NODE_TOKEN_FILE"

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="COMITY_NODE_PASSPHRASE_FILE",
        help=_("File whose first line is the keystore's passphrase. Without it you are asked."),
        show_envvar=True,
    ),
]

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar=TOKEN_FILE_VARIABLE,
        help=_("TOML file that names a hardware token (PKCS#11): module, token, pin_file."),
        show_envvar=True,
    ),
]


def open_token(file: Path | None) -> Token | None:
    """The hardware token that ``file`` names, if any; raises as :meth:`keys.token.Token.open`."""
    if file is None:
        return None
    from keys.token import Token

    return Token.open(file)


def read_passphrase(file: Path | None, *, new: bool = False) -> bytes:
    """The passphrase; for a ``new`` keystore it is asked twice. Raises :class:`UsageError`."""
    if file is not None:
        try:
            line = file.read_bytes()[: MAX_PASSPHRASE_BYTES + 2].split(b"\n", 1)[0].rstrip(b"\r")
        except OSError as problem:
            raise UsageError(f"cannot read the passphrase file {file}: {problem.strerror}") from problem
        if not 0 < len(line) <= MAX_PASSPHRASE_BYTES:
            raise UsageError(f"the passphrase file {file} does not begin with a passphrase")
        return line
    if not sys.stdin.isatty():
        raise UsageError("there is no terminal to ask for the passphrase: name a file with --passphrase-file")
    passphrase = getpass.getpass(_("Passphrase: "))
    if new and passphrase != getpass.getpass(_("Again: ")):
        raise UsageError("the two passphrases differ")
    if not passphrase:
        raise UsageError("the passphrase is empty")
    return passphrase.encode()
