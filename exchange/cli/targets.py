"""``comity targets``: many targets of a preservation request at once, from a CSV table."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.files import read_document, read_file
from exchange.cli.options import JsonOption, run
from exchange.cli.output import line, print_json
from exchange.i18n import _
from protocol.errors import UsageError

app = typer.Typer(no_args_is_help=True, help=_("Targets of a request from a table."))


@app.command(
    name="import",
    help=_("Add the rows of a CSV table to a draft.\n\nExample: comity targets import request.json targets.csv"),
)
def import_(
    draft: Annotated[Path, typer.Argument(help=_("The draft of a preservation.request."))],
    csv: Annotated[Path, typer.Argument(help=_("The table, UTF-8."))],
    split: Annotated[
        bool, typer.Option("--split", help=_("Write DRAFT-1, DRAFT-2 ... when there are too many for one."))
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add targets to a draft; nothing is written when a row is refused."""

    async def work() -> None:
        from exchange.target_table import with_targets

        drafts = with_targets(read_document(draft), read_file(csv), split=split)
        files = [draft] if len(drafts) == 1 else [_part(draft, at) for at in range(1, len(drafts) + 1)]
        _write(drafts, files, replace=len(drafts) == 1)
        counts = [len(part["targets"]) for part in drafts]
        if as_json:
            print_json({"files": [{"file": str(f), "targets": n} for f, n in zip(files, counts, strict=True)]})
            return
        for file, count in zip(files, counts, strict=True):
            line(f"{file}: {count}")

    run(work, as_json=as_json)


@app.command(help=_("Print the columns for an identifier type.\n\nExample: comity targets template ipv4"))
def template(
    kind: Annotated[str, typer.Argument(help=_("Such as ipv4, email or phone."))],
    as_json: JsonOption = False,
) -> None:
    """Print the header of a table."""

    async def work() -> None:
        from exchange.target_table import columns

        names = columns(kind)
        if as_json:
            print_json({"columns": list(names)})
            return
        print(",".join(names))

    run(work, as_json=as_json)


def _part(draft: Path, number: int) -> Path:
    return draft.with_name(f"{draft.stem}-{number}{draft.suffix}")


def _write(drafts: list[dict[str, Any]], files: list[Path], *, replace: bool) -> None:
    """All files or none; a file that exists is replaced only if ``replace`` is set. Raises :class:`UsageError`."""
    waiting = [file.with_name(f".{file.name}.new") for file in files]
    done: list[Path] = []
    try:
        for draft, temporary in zip(drafts, waiting, strict=True):
            with temporary.open("w", encoding="utf-8") as out:
                out.write(json.dumps(draft, ensure_ascii=False, indent=2) + "\n")
                out.flush()
                os.fsync(out.fileno())
        for temporary, file in zip(waiting, files, strict=True):
            if replace:
                temporary.replace(file)
                continue
            file.hardlink_to(temporary)
            done.append(file)
    except OSError as problem:
        for file in done:
            file.unlink(missing_ok=True)
        raise UsageError(f"cannot write {problem.filename2 or problem.filename}: {problem.strerror}") from problem
    finally:
        for temporary in waiting:
            temporary.unlink(missing_ok=True)
