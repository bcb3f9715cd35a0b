"""Options and arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from node.i18n import _

OutFile = Annotated[Path, typer.Option(help=_("File to write."))]
NationArgument = Annotated[str, typer.Argument(help=_("The nation's node, such as jp."))]
NationKeys = Annotated[list[str], typer.Option(help=_("Key of the nation in the keystore."))]
RoleArgument = Annotated[str, typer.Argument(help=_("root, targets, nation-<nn>, snapshot or timestamp."))]
QuickKeystore = Annotated[
    bool,
    typer.Option("--demonstration", help=_("A keystore that opens fast: for tests and demonstrations only.")),
]
BackupFolder = Annotated[Path, typer.Argument(help=_("The backup."))]
