"""The ``comity`` command. Every command takes ``--json``; exit codes stand in ``comity --help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from exchange.cli._options import GivenLogin, give_login
from exchange.cli.audit import audit
from exchange.cli.cases import agenda, case_notes, contact_tests, laws
from exchange.cli.evidence import evidence, proofs
from exchange.cli.messages import drafts, handling, reading, targets, templates, writing
from exchange.cli.office import erasure, officers, processing_log, report, rota
from exchange.cli.setup import keys, offline, setup
from exchange.i18n import _
from keys.local.terminal import run_program

app = typer.Typer(
    name="comity",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    help=_(
        "Secure exchange between the national contact points of a 24/7 network: a desk and an auditor.\n\n"
        "Exit codes: 0 done, 1 refused (the code says why), 2 wrong command line, 3 something did not verify, "
        "4 something cannot be reached or is busy, 5 nothing was found, 6 not everything could be checked."
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
        str | None, typer.Option("--purpose", help=_("Reason: a code of the list record_purpose; else case_work."))
    ] = None,
    because: Annotated[
        str | None, typer.Option("--because", help=_("Reason in words; it stands in the processing log."))
    ] = None,
) -> None:
    """Who acts, and why; before the command."""
    give_login(GivenLogin(officer, officer_passphrase_file, purpose, because))


setup.register(app)
writing.register(app)
reading.register(app)
laws.register(app)
agenda.register(app)
report.register(app)
app.add_typer(case_notes.app, name="case")
app.add_typer(officers.app, name="officer")
app.add_typer(drafts.app, name="draft")
app.add_typer(rota.app, name="duty")
handling.register(app)
app.add_typer(handling.app, name="consent")
app.add_typer(processing_log.app, name="records")
app.add_typer(erasure.app, name="erase")
app.add_typer(keys.app, name="keys")
app.add_typer(contact_tests.app, name="contact-test")
app.add_typer(targets.app, name="targets")
app.add_typer(templates.app, name="template")
app.add_typer(offline.app, name="bundle")
app.add_typer(evidence.app, name="evidence")
proofs.register(audit.app)
app.add_typer(audit.app, name="audit")


def main() -> None:
    """The entry point: no traceback reaches a user."""
    run_program("comity", app)


if __name__ == "__main__":
    main()
