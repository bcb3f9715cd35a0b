"""What a demonstration leaves behind that was kept, and how to go on with it by hand."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from exchange.demo.processes import variables
from exchange.i18n import _
from keys.local.files import write_file


def environment_file(root: Path) -> Path:
    """Write the file that a shell reads to have the demonstration's commands, passphrase and folder; its path."""
    exported = {"COMITY_DEMO": str(root), **variables(root / "passphrase")}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in exported.items()]
    lines.append(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH\n")
    path = root / "environment"
    write_file(path, "".join(lines).encode())
    return path


def ways_on(root: Path, nations: Iterable[str]) -> list[str]:
    """Lines for a person: how the nodes start again, and whose homes are there. ``nations`` took part."""
    read = f". {shlex.quote(str(root / 'environment'))}"
    auditors = {f"audit@{node}": f"auditor-{node}" for node in nations if (root / f"auditor-{node}").is_dir()}
    homes = auditors | {f"24-7@{node}": f"desk-{node}" for node in nations}
    return [
        _("Kept in {folder}").format(folder=root),
        _("Its nodes are stopped. To start them again, each in a terminal of its own (Ctrl-C stops it):"),
        *(f'    {read} && comity-node run "$COMITY_DEMO/node-{node}"' for node in nations),
        _("To go on as one of these, in another terminal, with --home after the command:"),
        f"    {read}",
        *(f'    --home "$COMITY_DEMO/{home}"    {address}' for address, home in homes.items()),
        _("The directory is signed for three days; for that time the nodes and desks work with it."),
    ]
