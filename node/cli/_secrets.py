"""Where a passphrase comes from: a file named by an option or setting, or a prompt; never an argument or a variable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.i18n import _

if TYPE_CHECKING:
    from keys.secrets.token import Token

HARDWARE_FILE_VARIABLE = "COMITY_NODE_TOKEN_FILE"

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="COMITY_NODE_PASSPHRASE_FILE",
        help=_("A file (mode 0600) whose first line is the keystore's passphrase; else it is asked for."),
        show_envvar=True,
    ),
]

TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        envvar=HARDWARE_FILE_VARIABLE,
        help=_("TOML file that names a hardware token (PKCS#11): module, token, pin_file."),
        show_envvar=True,
    ),
]


def open_token(file: Path | None) -> Token | None:
    """The hardware token that ``file`` names, if any; raises as :meth:`keys.secrets.token.Token.open`."""
    if file is None:
        return None
    from keys.secrets.token import Token

    return Token.open(file)


def read_passphrase(file: Path | None, *, new: bool = False) -> bytes:
    """The passphrase; for a ``new`` keystore it is asked twice. :class:`UsageError`, :class:`KeystoreError`."""
    from keys.local.passphrase import ask_passphrase, read_passphrase_file

    if file is not None:
        return read_passphrase_file(file)
    return ask_passphrase(_("Passphrase: "), _("Again: ") if new else None)
