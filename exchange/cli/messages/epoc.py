"""``comity epoc``: a European Production Order is prepared here, and goes to the provider by the system for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli._options import DEFAULT_HOME, DraftArgument, HomeOption, JsonOption, run
from exchange.cli.messages.files import read_document
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _
from keys.local.given_files import FileKind, take
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

app = typer.Typer(no_args_is_help=True)

OutOption = Annotated[Path | None, typer.Option("--out", help=_("Write it to this new file."))]


@app.command(
    help=_(
        "Fill in the sections A to M of the form from a draft of a request, and name what is missing.\n\n"
        "Example: comity epoc prepare request.json --out order.json"
    )
)
def prepare(
    file: DraftArgument,
    out: OutOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Prepare an order."""

    async def work() -> None:
        from exchange.cli.setup.settings import own_block
        from exchange.messaging.drafting.epoc_sheet import TITLES, prepared
        from exchange.messaging.drafting.own_block import filled

        sheet = prepared(filled(read_document(file), own_block(home)))
        if out is not None:
            _write(out, sheet)
        if as_json:
            print_json(sheet)
            return
        rows = [
            (letter, _(title), safe(json.dumps(sheet["sections"][letter], ensure_ascii=False)))
            for letter, title in TITLES.items()
        ]
        table(_("European Production Order"), [_("Section"), _("Title"), _("Content")], rows)
        if sheet["missing"]:
            line(_("Missing: {fields}").format(fields=", ".join(sheet["missing"])))
        line(_("The order goes to the provider by the decentralised IT system, not by this one (Art. 19)."))

    run(work, as_json=as_json)


@app.command(
    "import",
    help=_(
        "Make a draft of what a sheet of an order says.\n\nExample: comity epoc import order.json --out request.json"
    ),
)
def import_(
    file: Annotated[Path, typer.Argument(help=_("The sheet, as comity epoc prepare writes it."))],
    out: OutOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import an order."""

    async def work() -> None:
        from exchange.messaging.drafting.epoc_sheet import imported
        from exchange.text.documents import read_object

        draft = imported(take(file, FileKind.FIELDS, lambda content: read_object(content, file.name)))
        if out is not None:
            _write(out, draft)
        if as_json or out is None:
            print_json(draft)
        else:
            line(str(out))

    run(work, as_json=as_json)


def _write(out: Path, value: dict[str, Any]) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    except OSError as problem:
        raise UsageError(phrase("cannot write {path}: {error}", path=out, error=problem.strerror)) from problem
