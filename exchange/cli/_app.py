"""The ``comity`` command as a whole. Every command takes ``--json``; exit codes stand in ``comity --help``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli._acting import SHARED, GivenLogin, give_key, give_login, give_options
from exchange.cli._commands import ROWS
from exchange.cli._options import DEFAULT_HOME, HomeOption
from exchange.i18n import _
from keys.commands import SharedOptions, program
from keys.local.terminal import defect, refuse, run_program
from protocol.errors import ComityError

app = program(
    "comity",
    ROWS,
    _(
        "Secure exchange between the national contact points of a 24/7 network: a desk and an auditor.\n\n"
        "Exit codes: 0 done, 1 refused (the code says why), 2 wrong command line, 3 something did not verify, "
        "4 something cannot be reached or is busy, 5 nothing was found, 6 not everything could be checked, "
        "7 a message was kept and is not sent yet."
    ),
    SharedOptions(
        SHARED,
        give_options,
        # How the person is called whom messages name, and what a consent is asked for, in words.
        frozenset([("init", "--officer"), ("consent ask", "--purpose")]),
    ),
)


@app.callback()
def acting(
    officer: Annotated[
        str | None, typer.Option("--officer", envvar="COMITY_OFFICER", help=_("The officer who acts, by id."))
    ] = None,
    officer_passphrase_file: Annotated[
        Path | None,
        typer.Option(
            "--officer-passphrase-file",
            envvar="COMITY_OFFICER_PASSPHRASE_FILE",
            help=_("A file (mode 0600) whose first line is the officer's passphrase; else it is asked for."),
        ),
    ] = None,
    purpose: Annotated[
        str | None,
        typer.Option(
            "--purpose",
            help=_("Reason: a code of the list record_purpose; else case_work."),
        ),
    ] = None,
    because: Annotated[
        str | None, typer.Option("--because", help=_("Reason in words; it stands in the processing log."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            help=_("Your own name for this act. Given again, nothing is sent twice; you get the first result."),
        ),
    ] = None,
) -> None:
    """Who acts, and why; these options stand before the command or behind it."""
    give_login(GivenLogin(officer, officer_passphrase_file, purpose, because))
    give_key(idempotency_key)


def run_here() -> None:
    """Run the command that was typed in this process, to its exit code: no traceback reaches a user."""
    run_program("comity", app)


def refuse_to_forward(problem: Exception) -> int:
    """Say why a running desk did not run the command; the exit code."""
    as_json = "--json" in sys.argv
    return refuse(problem, as_json=as_json) if isinstance(problem, ComityError) else defect("comity", problem)
