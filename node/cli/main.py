"""``comity-node``: set a node up, run it, and hold the ceremonies of the federation's directory."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import getdoc

import typer
from typer.models import CommandInfo

from keys.local.terminal import run_program
from node.cli import _auditors as auditors
from node.cli import _backup as backup
from node.cli import _bundle as bundle
from node.cli import _federation as federation
from node.cli import _inspection as inspection
from node.cli import _keys as keys
from node.cli import _loglife as loglife
from node.cli import _membership as membership
from node.cli import _operation as operation
from node.cli import _rotation as rotation
from node.cli import _setup as setup
from node.i18n import _

app = typer.Typer(
    name="comity-node",
    help=_(
        "A national node of the Comity network: set up, run, and the federation's directory.\n\n"
        "Exit codes: 0 done, 1 refused (the code says why), 2 wrong command line, 3 something did not verify, "
        "4 something cannot be reached or is busy."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
setup.register(app)
operation.register(app)
inspection.register(app)
backup.register(app)
loglife.register(operation.log)
auditors.register(federation.card)
app.add_typer(keys.app, name="keys")
app.add_typer(federation.federation, name="federation")
app.add_typer(federation.nation, name="nation")
app.add_typer(federation.card, name="cards")
app.add_typer(membership.ceremony, name="ceremony")
app.add_typer(rotation.app, name="rotate")
app.add_typer(bundle.bundle, name="bundle")
app.add_typer(operation.log, name="log")
app.add_typer(operation.monitor, name="monitor")


def helps(of: typer.Typer) -> Iterator[str]:
    """The help of every command, as it stands in the source."""
    return (getdoc(command.callback) or "" for command in _commands(of) if not command.help)


def _commands(of: typer.Typer) -> Iterator[CommandInfo]:
    yield from of.registered_commands
    for group in of.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance)


def main() -> None:
    """The console script."""
    for command in _commands(app):
        command.help = command.help or _(getdoc(command.callback) or "")
    run_program("comity-node", app)


if __name__ == "__main__":
    main()
