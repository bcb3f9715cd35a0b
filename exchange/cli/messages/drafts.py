"""``comity draft``: drafts that are being written, and those that wait for another officer."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from exchange.cli._attaching import AttachOption, HashOption, file_progress, forget_files, say_renamed, wanted_files
from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    HomeOption,
    JsonOption,
    PassphraseOption,
    run,
    with_desk,
)
from exchange.cli.messages.files import read_document
from exchange.cli.messages.printing import report_sent
from exchange.cli.output import line, listed, print_json, safe
from exchange.i18n import _
from exchange.office.draft_ids import DRAFT_ID
from exchange.text.labels import code_label, decision_label
from exchange.text.objects import draft_object
from keys.local.files import PRIVATE_MODE
from keys.local.given_files import FileKind
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.office.release import KeptDraft

app = typer.Typer(no_args_is_help=True)
DraftArgument = Annotated[str, typer.Argument(help=_("The draft's id, or its first or last characters."))]


@app.command("list", help=_("List the drafts that are being written, wait or came back.\n\nExample: comity draft list"))
def list_(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """List drafts."""

    async def work(desk: Desk) -> None:
        kept = await desk.messages.saved_drafts()
        heads = [_("Id"), _("Type"), _("Decides"), _("Written by"), _("At"), _("State"), _("Remark")]
        shown = (_("Drafts"), heads, lambda: map(_cells, kept))
        listed({"drafts": [*map(draft_object, kept)]}, shown, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _cells(one: KeptDraft) -> tuple[object, ...]:
    kind = code_label("message_type", one.type) if one.type else None
    decides = decision_label(one.type, one.draft) or None
    return str(one.id)[-SHORT_ID:], kind, decides, one.drafted_by, one.drafted_at, one.state, one.remark


@app.command(
    "save",
    help=_(
        "Keep a draft at the desk, encrypted, complete or not; comity send --draft sends it.\n\n"
        "Example: comity draft save request.json"
    ),
)
def save(
    file: Annotated[Path, typer.Argument(help=_("The draft, JSON or YAML."))],
    draft: Annotated[
        str | None, typer.Option("--draft", help=_("The saved draft that it replaces, by its id or part of it."))
    ] = None,
    revision: Annotated[
        int | None, typer.Option("--revision", min=1, help=_("Save only over this revision: the one that you read."))
    ] = None,
    attach: AttachOption = None,
    hashes: HashOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save a draft."""

    async def work(desk: Desk) -> None:
        content = read_document(file, FileKind.FIELDS)
        replaced = (await desk.messages.saved_draft(draft)).id if draft is not None else None
        files = wanted_files()
        forget_files()
        if files:
            content = {**content, DRAFT_ID: str(replaced or content.get(DRAFT_ID) or uuid4())}
            say_renamed(files)
            with file_progress(as_json=as_json) as told:
                content = dict(await desk.files.attach(content, files, told))
        _print(await desk.messages.save_draft(content, draft_id=replaced, revision=revision), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("show", help=_("Show a draft.\n\nExample: comity draft show 7f3a"))
def show(
    draft: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a draft."""

    async def work(desk: Desk) -> None:
        kept = await desk.messages.saved_draft(draft)
        if as_json:
            print_json({**draft_object(kept), "draft": kept.draft})
            return
        line(f"{kept.id}: {kept.state}, {safe(kept.drafted_by)}, {safe(kept.drafted_at)}")
        if kept.offered:
            line(_("When it is released, this is offered; it is sent when its conditions are accepted."))
        _print_fields("", dict(kept.draft))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "export",
    help=_("Write a draft into a file that only you can read.\n\nExample: comity draft export 7f3a --out request.json"),
)
def export(
    draft: DraftArgument,
    out: Annotated[Path, typer.Option("--out", help=_("The file to write; one that is there stays as it is."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a draft."""

    async def work(desk: Desk) -> None:
        content = await desk.messages.export_draft(draft)
        _write_new(out, json.dumps(content, ensure_ascii=False, indent=2) + "\n")
        if as_json:
            print_json({"file": str(out), DRAFT_ID: content[DRAFT_ID]})
        else:
            line(str(out))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("release", help=_("Send a draft, under your name.\n\nExample: comity draft release 7f3a"))
def release(
    draft: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a draft."""

    async def work(desk: Desk) -> int | None:
        return report_sent(await desk.office.release(draft), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("return", help=_("Give a draft back.\n\nExample: comity draft return 7f3a 'Name the second account too.'"))
def return_(
    draft: DraftArgument,
    remark: Annotated[str, typer.Argument(help=_("What must be corrected."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Return a draft."""

    async def work(desk: Desk) -> None:
        _print(await desk.office.return_draft(draft, remark), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("drop", help=_("Delete a draft; its content is erased.\n\nExample: comity draft drop 7f3a"))
def drop(
    draft: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop a draft."""

    async def work(desk: Desk) -> None:
        _print(await desk.office.drop_draft(draft), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _write_new(path: Path, text: str) -> None:
    """A file for its owner alone; raises :class:`UsageError`, also where there is one."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as problem:
        raise UsageError(phrase("cannot write {path}: {error}", path=path, error=problem.strerror)) from problem


def _print(proposal: KeptDraft, *, as_json: bool) -> None:
    if as_json:
        print_json(draft_object(proposal))
    else:
        line(f"{proposal.id}: {proposal.state}")


def _print_fields(path: str, value: Any) -> None:
    """What a draft says, by the names of its fields."""
    if isinstance(value, dict):
        for name, item in value.items():
            _print_fields(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _print_fields(f"{path}.{number}", item)
    else:
        line(f"{path}: {safe(value)}")
