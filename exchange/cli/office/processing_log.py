"""``comity records``: the processing log of the office (Directive (EU) 2016/680 Art. 25), for its supervisor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    FromOption,
    HomeOption,
    JsonOption,
    PassphraseOption,
    ToOption,
    code_in,
    instant,
    run,
    with_desk,
)
from exchange.cli.output import line, print_json, progress, safe, table
from exchange.i18n import _, ngettext
from keys.local.given_files import MAX_FILE_BYTES, FileKind, read_given, require_folder
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.acts.office import RecordsShown
    from exchange.desk.desk import Desk
    from protocol.processing_log import RecordedOfficer

app = typer.Typer(no_args_is_help=True)
OperationOption = Annotated[
    str | None,
    typer.Option(
        "--operation",
        callback=code_in("record_operation"),
        help=_("Only this operation, a code of the list record_operation."),
    ),
]


@app.command("list", help=_("List records.\n\nExample: comity records list --operation disclosure"))
def list_(
    since: FromOption = None,
    until: ToOption = None,
    operation: OperationOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List records."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import list_records

        _print(
            await list_records(desk, since=instant(since), until=instant(until), operation=operation), as_json=as_json
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("check", help=_("Verify this desk's own records.\n\nExample: comity records check"))
def check(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Verify the own records."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import check_records

        found = await check_records(desk)
        if as_json:
            print_json(found)
        else:
            line(
                _("Records that hold: {count}; of these the last signed head covers: {signed}.").format(
                    count=found["records"], signed=found["signed"] or 0
                )
            )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("head", help=_("Print the signed head, to be kept elsewhere.\n\nExample: comity records head"))
def head(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """Print the signed head."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import sign_records_head

        head = await sign_records_head(desk)
        if as_json:
            print_json(head)
        else:
            print(head["checkpoint"], end="")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("export", help=_("Write all records for the supervisor.\n\nExample: comity records export ./records"))
def export(
    folder: Annotated[Path, typer.Argument(help=_("The folder to write; new, or one of an earlier export."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Export records."""

    async def work(desk: Desk) -> None:
        try:
            with progress(_("written"), as_json=as_json) as moved:
                count = await desk.office.export_records(folder, moved)
        except OSError as problem:
            raise UsageError(
                phrase("cannot write {folder}: {error}", folder=folder, error=problem.strerror)
            ) from problem
        if as_json:
            print_json({"folder": str(folder), "records": count})
        else:
            line(_("Records written to {folder}: {count}.").format(count=count, folder=folder))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "verify",
    help=_("Verify exported records, as a supervisor does.\n\nExample: comity records verify ./records 24-7@jp --list"),
)
def verify(
    folder: Annotated[Path, typer.Argument(help=_("The folder of the export."))],
    address: Annotated[str, typer.Argument(help=_("The contact point whose records these are."))],
    seen: Annotated[
        Path | None, typer.Option("--seen", help=_("A head that was shown before: the records must extend it."))
    ] = None,
    show: Annotated[bool, typer.Option("--list", help=_("List the records too."))] = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify exported records."""

    async def work(desk: Desk) -> None:
        from exchange.acts.office import records_object
        from exchange.office.processing_log import verify_export

        require_folder(folder, FileKind.RECORDS)
        whose = Address.parse(address)
        card = await desk.judged(lambda directory: directory.contact_point(whose))
        keys = [key.public for key in card.signing_keys]
        before = read_given(seen, FileKind.CHECKPOINT, max_bytes=MAX_FILE_BYTES) if seen is not None else None
        with progress(_("verified"), as_json=as_json) as moved:
            verified = verify_export(folder, whose, keys, before, moved)
        rows = records_object(enumerate(verified.records)) if show else []
        if as_json:
            print_json({"records": verified.checkpoint.size, "root": verified.checkpoint.root, "list": rows})
            return
        count = verified.checkpoint.size
        line(ngettext("{count} record holds.", "{count} records hold.", count).format(count=count))
        if show:
            _print({"records": rows}, as_json=False)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print(shown: RecordsShown, *, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    table(
        _("Records"),
        [
            _("Entry"),
            _("At"),
            _("Operation"),
            _("Act"),
            _("Officer"),
            _("Why"),
            _("Message"),
            _("Recipients"),
            _("Officers"),
        ],
        [
            (
                row["index"],
                row["at"],
                row["operation"],
                row["act"],
                safe(row["officer"]),
                safe(row["reason"] or row["ground"] or row["purpose"]),
                str(row["message"])[-SHORT_ID:] if row["message"] else None,
                safe(", ".join(row["recipients"])) or None,
                _registered(row["subject"]),
            )
            for row in shown["records"]
        ],
    )


def _registered(subject: RecordedOfficer | None) -> str | None:
    """The officer whom the act was about, as registered after it."""
    return None if subject is None else safe(f"{subject.id}: {', '.join(subject.roles)}; {subject.key.hex()}")
