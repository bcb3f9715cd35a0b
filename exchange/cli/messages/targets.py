"""``comity targets``: many targets of a preservation request at once, from tables and exports; and as a table."""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from exchange.cli._options import CleanOption, JsonOption, PreservationDraftArgument, code_in, run
from exchange.cli.messages.files import read_document
from exchange.cli.messages.printing import print_removed
from exchange.cli.output import line, print_json, table
from exchange.i18n import _
from keys.local.given_files import FileKind, read_given
from keys.local.terminal import ask as ask_person
from keys.local.terminal import write
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.messaging.drafting.cleaning import Removed
    from exchange.messaging.drafting.imports import Export

# A provider hands out so much in one file; a draft has less.
MAX_EXPORT_BYTES = 32 * 1024 * 1024

app = typer.Typer(no_args_is_help=True)


@app.command(
    name="import",
    help=_(
        "Add the rows of a table, or what a provider or another system exported, to a draft.\n\n"
        "Example: comity targets import request.json targets.csv"
    ),
)
def import_(
    draft: PreservationDraftArgument,
    file: Annotated[Path, typer.Argument(help=_("The table, log, report or bundle, UTF-8."))],
    form: Annotated[
        str | None,
        typer.Option("--format", help=_("table, log, xarf, misp or stix; else it is found out.")),
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", help=_("The zone of times that say none: Asia/Tokyo, +09:00 or UTC."))
    ] = None,
    dates: Annotated[
        str, typer.Option("--dates", help=_("The order of day and month in 03/04/2026: dmy or mdy."))
    ] = "",
    protocol: Annotated[
        str,
        typer.Option(
            "--protocol",
            callback=code_in("transport_protocol"),
            help=_("The transport protocol that the export does not say, such as tcp."),
        ),
    ] = "",
    around: Annotated[
        int | None,
        typer.Option("--around", min=1, max=527_040, help=_("Minutes requested before and after each date and time.")),
    ] = None,
    split: Annotated[
        bool, typer.Option("--split", help=_("Write DRAFT-1, DRAFT-2 ... when there are too many for one."))
    ] = False,
    clean: CleanOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add targets to a draft; nothing is written when a row is refused."""

    async def work() -> None:
        from exchange.messaging.drafting.imports import FORMATS, detect
        from exchange.messaging.drafting.targets import with_export, with_targets

        if dates not in ("", "dmy", "mdy"):
            raise UsageError(_("--dates is dmy or mdy"))
        if form is not None and form not in FORMATS:
            raise UsageError(_("there is no such format; known: {formats}").format(formats=", ".join(FORMATS)))
        content = read_given(file, FileKind.TARGETS, max_bytes=MAX_EXPORT_BYTES)
        found = form or detect(content, file.name)
        left_out: dict[str, int] = {}
        removed: list[Removed] | None = [] if clean else None
        if found == "table":
            if zone or dates or protocol or around:
                raise UsageError(_("--zone, --dates, --protocol and --around are for exports; a table says it itself"))
            drafts = with_targets(read_document(draft), content, split=split, removed=removed)
        else:
            export = _read(content, file.name, found, zone, dates, ask=not as_json)
            left_out = dict(export.left_out)
            wide = timedelta(minutes=around) if around is not None else None
            drafts = with_export(
                read_document(draft), export, split=split, around=wide, protocol=protocol, removed=removed
            )
        if len(drafts) > 1:  # each part is a draft of its own
            drafts = [{**part, "draft_id": str(uuid4())} if "draft_id" in part else part for part in drafts]
        files = [draft] if len(drafts) == 1 else [_part(draft, at) for at in range(1, len(drafts) + 1)]
        _write(drafts, files, replace=len(drafts) == 1)
        counts = [len(part["targets"]) for part in drafts]
        if as_json:
            written = [{"file": str(f), "targets": n} for f, n in zip(files, counts, strict=True)]
            print_json(
                {"files": written, "format": found, "left_out": left_out, **({"removed": removed} if clean else {})}
            )
            return
        for written_file, count in zip(files, counts, strict=True):
            line(f"{written_file}: {count}")
        print_removed(removed or ())
        if left_out:
            table(
                _("Not imported"),
                [_("What"), _("How many")],
                sorted((_(what), count) for what, count in left_out.items()),
            )

    run(work, as_json=as_json)


@app.command(
    help=_(
        "Write the targets of a draft as a table; no spreadsheet runs what stands in it.\n\n"
        "Example: comity targets export request.json targets.csv"
    )
)
def export(
    draft: PreservationDraftArgument,
    out: Annotated[Path | None, typer.Argument(help=_("The table to write; else standard output."))] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a table of targets."""

    async def work() -> None:
        from exchange.messaging.drafting.targets import to_table

        written = to_table(read_document(draft))
        if out is None:
            write(written.replace("\r\n", "\n").rstrip("\n"))
            return
        try:
            with out.open(
                "x", encoding="utf-8-sig", newline=""
            ) as file:  # the mark tells spreadsheets that it is UTF-8
                file.write(written)
        except OSError as problem:
            raise UsageError(phrase("cannot write {path}: {error}", path=out, error=problem.strerror)) from problem
        if as_json:
            print_json({"file": str(out)})
            return
        line(str(out))

    run(work, as_json=as_json)


@app.command(help=_("Print the columns for an identifier type.\n\nExample: comity targets template ipv4"))
def template(
    kind: Annotated[str, typer.Argument(help=_("Such as ipv4, email or phone."))],
    as_json: JsonOption = False,
) -> None:
    """Print the header of a table."""

    async def work() -> None:
        from exchange.messaging.drafting.targets import columns

        names = columns(kind)
        if as_json:
            print_json({"columns": list(names)})
            return
        print(",".join(names))

    run(work, as_json=as_json)


def _read(content: bytes, name: str, form: str, zone: str | None, dates: str, *, ask: bool) -> Export:
    """What an export holds. A zone that nobody said is asked for at a terminal, and missing elsewhere."""
    from exchange.messaging.drafting.imports import Times, parse_zone, read_export

    read = read_export(content, name, form, Times(parse_zone(zone) if zone else None, dates))
    if read.zone_missing and zone is None and ask and at_a_terminal():
        said = ask_person(_("The file does not say the time zone of its times (such as Asia/Tokyo, +09:00, UTC)"))
        read = read_export(content, name, form, Times(parse_zone(said.strip()), dates))
    return read


def at_a_terminal() -> bool:
    """Whether somebody is there to be asked."""
    return sys.stdin.isatty()


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
        raise UsageError(
            phrase("cannot write {path}: {error}", path=problem.filename2 or problem.filename, error=problem.strerror)
        ) from problem
    finally:
        for temporary in waiting:
            temporary.unlink(missing_ok=True)
