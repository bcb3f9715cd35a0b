"""Where a passphrase comes from: a file named by an option or setting, or a prompt; never an argument or a variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keys.passphrase import ask_passphrase, read_passphrase_file
from node.i18n import _

PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="COMITY_NODE_PASSPHRASE_FILE",
        help=_("A file (mode 0600) whose first line is the keystore's passphrase; else it is asked for."),
        show_envvar=True,
    ),
]


def read_passphrase(file: Path | None, *, new: bool = False) -> bytes:
    """The passphrase; for a ``new`` keystore it is asked twice. :class:`UsageError`, :class:`KeystoreError`."""
    if file is not None:
        return read_passphrase_file(file)
    return ask_passphrase(_("Passphrase: "), _("Again: ") if new else None)
