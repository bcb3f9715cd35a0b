"""``comity bundle``: a desk that reaches its node only by files."""

from __future__ import annotations

import sys
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    JsonOption,
    PassphraseOption,
    open_desk_here,
    run,
    with_desk,
)
from exchange.cli.output import line, print_json
from exchange.i18n import _
from keys.local.terminal import write
from protocol.bundle_sizes import DEFAULT_PART_BYTES, MAX_PART_BYTES, MIN_PART_BYTES
from protocol.errors import ReplayedError, UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.files.carried import CarriedFiles
    from exchange.messaging.offline import BundleImport
    from protocol.bundle import BundlePart

FilesFolder = Annotated[
    Path | None, typer.Option("--files", help=_("Folder on the carried disk for evidence files; made if missing."))
]

app = typer.Typer(no_args_is_help=True)


@app.command("export", help=_("Write what waits for the node.\n\nExample: comity bundle export /media/usb/for-node"))
def export(
    file: Annotated[Path, typer.Argument(help=_("The file to write; further parts get .2, .3 and so on."))],
    max_part_bytes: Annotated[
        int, typer.Option("--max-part-bytes", min=MIN_PART_BYTES, max=MAX_PART_BYTES, help=_("Size of a part at most."))
    ] = DEFAULT_PART_BYTES,
    files_folder: FilesFolder = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the outbox, statements and reading position."""

    async def work(desk: Desk) -> None:
        from keys.local.bundle_files import write_parts

        # The files first: an export that was broken off has written no bundle, and is simply begun again.
        carried = None if files_folder is None else await _telling(desk.files.export_carried(files_folder))
        parts = await desk.messages.export_bundle(max_part_bytes)
        files = write_parts(file, parts)
        if as_json:
            print_json(
                {"files": [str(path) for path in files], "size_bytes": sum(map(len, parts)), **_carried(carried)}
            )
        else:
            for path in files:
                line(str(path))
            _tell_carried(carried)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("import", help=_("Import what the node wrote.\n\nExample: comity bundle import /media/usb/for-desk"))
def take(
    file: Annotated[
        list[Path] | None, typer.Argument(help=_("The bundle's file, or files if it has several parts."))
    ] = None,
    files_folder: FilesFolder = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take messages, receipts and the directory, each verified; again is harmless."""

    async def work() -> None:
        from exchange.settings import DeskSettings, Home
        from keys.local.bundle_files import read_parts

        if not file and files_folder is None:
            raise UsageError(_("a bundle's file is needed, or --files"))
        where = home.expanduser()
        address = DeskSettings.load(Home(where).settings).address
        parts = [part for part, _data in read_parts(file or [], address)]
        carried = next((part.contents.directory for part in parts if part.contents.directory), None)
        async with open_desk_here(home, passphrase_file, carried=carried) as desk:
            done = await _import(desk, parts, replayed_too=files_folder is None)
            brought = None if files_folder is None else await _telling(desk.files.import_carried(files_folder))
        if as_json:
            print_json({"parts": [_object(item) for item in done], **_carried(brought)})
            return
        for item in done:
            result = item.result
            text = _("Part {part} of {parts}; messages: {received}; receipts: {receipts}; submitted: {submitted}")
            counts = {"received": len(result.received), "receipts": result.receipts, "submitted": len(result.submitted)}
            line(text.format(part=item.part, parts=item.parts, **counts))
            if item.directory is False:
                line(
                    _("The directory in it was not imported (it is older, or does not verify); the present one stays.")
                )
        _tell_carried(brought)

    run(work, as_json=as_json)


# --- Inside ---


async def _import(desk: Desk, parts: list[BundlePart], *, replayed_too: bool) -> list[BundleImport]:
    done: list[BundleImport] = []
    replayed: ReplayedError | None = None
    for part in parts:
        try:
            done.append(await desk.messages.import_bundle(part))
        except ReplayedError as problem:  # an earlier import got this far: go on with the next part
            replayed = problem
    if not done and replayed is not None and replayed_too:
        raise replayed
    return done


async def _telling(carrying: Awaitable[CarriedFiles]) -> CarriedFiles:
    """What it moved; where it is broken off, that is said before the command ends."""
    import asyncio

    try:
        return await carrying
    except asyncio.CancelledError:
        write(_("What was moved stays. The same command goes on where this one ended."), to=sys.stderr)
        raise


def _carried(carried: CarriedFiles | None) -> dict[str, Any]:
    if carried is None:
        return {}
    waiting = [{"id": one.message, "state": one.state.value, "code": one.error} for one in carried.transfers]
    counts = {"messages": carried.messages, "segments": carried.segments, "size_bytes": carried.size_bytes}
    counts["already"] = carried.already
    return {"carried": {**counts, "transfers": waiting}}


def _tell_carried(carried: CarriedFiles | None) -> None:
    if carried is not None:
        text = _("Evidence files of messages: {messages}; segments: {segments}; bytes: {size_bytes}")
        line(text.format(messages=carried.messages, segments=carried.segments, size_bytes=carried.size_bytes))
        if carried.already:
            line(_("Segments that an earlier export left on the disk: {already}").format(already=carried.already))


def _object(item: BundleImport) -> dict[str, Any]:
    return {
        "part": item.part,
        "parts": item.parts,
        "received": [row.id for row in item.result.received],
        "quarantined": len(item.result.quarantined),
        "submitted": item.result.submitted,
        "refused": item.result.refused,
        "statements": item.result.statements,
        "receipts": item.result.receipts,
        "unverified_receipts": item.result.unverified_receipts,
        "directory": item.directory,
    }
