"""``comity-node``: set a node up, run it, and hold the ceremonies of the federation's directory."""

from __future__ import annotations

from keys.commands import program
from keys.local.terminal import run_program
from node.cli._commands import ROWS
from node.i18n import _

app = program(
    "comity-node",
    ROWS,
    _(
        "A national node of the Comity network: set up, run, and the federation's directory.\n\n"
        "Exit codes: 0 done, 1 refused (the code says why), 2 wrong command line, 3 something did not verify, "
        "4 something cannot be reached or is busy."
    ),
)


@app.callback()
def operating() -> None:
    """An operator's commands; nothing stands before them."""


def main() -> None:
    """The console script."""
    run_program("comity-node", app)


if __name__ == "__main__":
    main()
