"""``comity-node bundle``: exchange with a node or a desk that has no network, by files."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keys.local.terminal import write
from node.cli._output import AsJson, edge, show
from node.cli._running import ask_running, is_running
from node.cli._secrets import PassphraseFile, open_token, read_passphrase
from node.cli._setup import Home
from node.i18n import _
from protocol.bundle_sizes import DEFAULT_PART_BYTES, MAX_PART_BYTES, MIN_PART_BYTES
from protocol.errors import UsageError

if TYPE_CHECKING:
    from node.files.carried.carrier import FileCarrier
    from node.server import Node
    from protocol.bundle import BundlePart

FilesFolder = Annotated[
    Path | None, typer.Option("--files", help=_("Folder on the carried disk for evidence files; made if missing."))
]

bundle = typer.Typer(no_args_is_help=True)


@bundle.command("export")
def export(
    home: Home,
    file: Annotated[Path, typer.Argument(help=_("File to write; further parts get .2, .3 and so on."))],
    to: Annotated[str, typer.Option("--to", help=_("The node, or the contact point served here."))],
    max_part_bytes: Annotated[
        int, typer.Option(min=MIN_PART_BYTES, max=MAX_PART_BYTES, help=_("Size of a part at most, in bytes."))
    ] = DEFAULT_PART_BYTES,
    files_folder: FilesFolder = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Write what waits for a node or a desk, with the directory, into a file for it. Nothing leaves the queue.

    The node may be running. With --files evidence files go into a folder beside it: those that are missing there. If it
    is broken off, the same command goes on. Example:
    comity-node bundle export /var/lib/comity --to ki /media/usb/for-ki --files /media/usb/files
    """
    import asyncio

    with edge(as_json):
        from keys.local.bundle_files import write_parts

        if file.exists():
            raise UsageError(f"{file} exists; choose another name")

        place = None if files_folder is None else files_folder.absolute()

        async def work(way: _Way) -> tuple[list[bytes], dict[str, Any] | None]:
            # The files first: an export that was broken off has written no bundle, and is simply begun again.
            carried = None if place is None else await _carry(way.export_files, {"to": to}, place)
            return await way.export(to, max_part_bytes), carried

        parts, carried = asyncio.run(_run(home, passphrase_file, work))
        files = write_parts(file, parts)
        values = {"to": to, "files": [str(path) for path in files], "size_bytes": sum(map(len, parts))}
        values |= {} if carried is None else {"carried": carried}
        show(as_json, values, lambda: "\n".join([*map(str, files), *_told_files(carried)]))


@bundle.command("import")
def take(
    home: Home,
    file: Annotated[
        list[Path] | None, typer.Argument(help=_("The bundle's file, or files if it has several parts."))
    ] = None,
    files_folder: FilesFolder = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Import a bundle: envelopes, receipts and the directory, each verified. Importing again is harmless.

    The node may be running. With --files it takes evidence files too, after their messages; a broken import goes on.
    Example: comity-node bundle import /var/lib/comity /media/usb/from-fr --files /media/usb/files
    """
    import asyncio

    with edge(as_json):
        from keys.local.bundle_files import read_parts
        from node.settings import NodeHome, NodeSettings

        if not file and files_folder is None:
            raise UsageError("a bundle's file is needed, or --files")
        parts = read_parts(file or [], NodeSettings.load(NodeHome(home).settings).node)
        done, carried = asyncio.run(_import(home, passphrase_file, parts, files_folder and files_folder.absolute()))
        values = {"parts": done, "ok": not done or not done[-1]["missing"]}
        values |= {} if carried is None else {"carried": carried}
        show(as_json, values, lambda: "\n".join([*map(_told, done), *_told_files(carried)]))


# --- Inside ----------------------------------------------------------------------------------------------------


class _Running:
    """The node that runs, asked through its control socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def export(self, to: str, max_part_bytes: int) -> list[bytes]:
        from node.http.control import EXPORT
        from protocol.bundle_sizes import MAX_PART_BYTES as LARGEST
        from protocol.encoding import cbor

        body = await ask_running(self._path, EXPORT, b"", {"to": to, "max_part_bytes": str(max_part_bytes)})
        parts: list[bytes] = cbor.decode(body, max_bytes=8 * LARGEST)
        return parts

    async def take(self, data: bytes) -> dict[str, Any]:
        from node.http.control import IMPORT

        values: dict[str, Any] = json.loads(await ask_running(self._path, IMPORT, data, {}))
        return values

    async def export_files(self, query: dict[str, str]) -> dict[str, Any]:
        from node.http.control import EXPORT_FILES

        values: dict[str, Any] = json.loads(await ask_running(self._path, EXPORT_FILES, b"", query))
        return values

    async def import_files(self, query: dict[str, str]) -> dict[str, Any]:
        from node.http.control import IMPORT_FILES

        values: dict[str, Any] = json.loads(await ask_running(self._path, IMPORT_FILES, b"", query))
        return values


class _Stopped:
    """The node's own parts in this process, while it does not run."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._bundles = node.bundles
        self._looked = False

    async def _carrier(self) -> FileCarrier:
        if not self._looked:
            await self._node.look_at_files()
            self._looked = True
        return self._node.carrier

    async def export(self, to: str, max_part_bytes: int) -> list[bytes]:
        return await self._bundles.export(to, max_part_bytes)

    async def take(self, data: bytes) -> dict[str, Any]:
        return (await self._bundles.take(data)).values()

    async def export_files(self, query: dict[str, str]) -> dict[str, Any]:
        return (await (await self._carrier()).write(query["to"], query["folder"], query["begin"])).values()

    async def import_files(self, query: dict[str, str]) -> dict[str, Any]:
        return (await (await self._carrier()).take(query["folder"], query["begin"])).values()


_Way = _Running | _Stopped


async def _run(
    home: Path,
    passphrase_file: Path | None,
    work: Callable[[_Way], Awaitable[Any]],
    parts: list[BundlePart] | None = None,
) -> Any:
    """Do ``work`` through the running node, or in its place."""
    from keys.secrets.keystore import Keystore
    from node.server import Node
    from node.settings import NodeHome, NodeSettings

    files = NodeHome(home)
    settings = NodeSettings.load(files.settings)
    path = home / settings.control
    if await is_running(path):
        return await work(_Running(path))
    keystore = Keystore.open(
        files.keystore,
        read_passphrase(passphrase_file or settings.passphrase_file),
        open_token(settings.token_file),
    )
    if parts:
        _begin_directory(files, parts)
    node = Node(files, settings, keystore)
    await node.open()
    try:
        return await work(_Stopped(node))
    finally:
        await node.stop()


async def _carry(
    step: Callable[[dict[str, str]], Awaitable[dict[str, Any]]], query: dict[str, str], folder: Path
) -> dict[str, Any]:
    """All steps of an export or import of files; each is durable before the next one is asked for."""
    import asyncio

    counts = ("messages", "segments", "size_bytes", "already")
    total: dict[str, Any] = {"folder": str(folder), **dict.fromkeys(counts, 0), "refused": []}
    begin: str | None = ""
    while begin is not None:
        try:
            done = await step({**query, "folder": str(folder), "begin": begin})
        except asyncio.CancelledError:
            write(_("What was moved stays. The same command goes on where this one ended."), to=sys.stderr)
            raise
        for name in counts:
            total[name] += done[name]
        total["refused"] += [list(row) for row in done["refused"] if list(row) not in total["refused"]]
        begin = done["next"]
    return total


async def _import(
    home: Path, passphrase_file: Path | None, parts: list[tuple[BundlePart, bytes]], folder: Path | None
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    from protocol.errors import ReplayedError

    async def work(way: _Way) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        done: list[dict[str, Any]] = []
        replayed: ReplayedError | None = None
        for _part, data in parts:
            try:
                done.append(await way.take(data))
            except ReplayedError as problem:  # an earlier import got this far: go on with the next part
                replayed = problem
        carried = None if folder is None else await _carry(way.import_files, {}, folder)
        if not done and replayed is not None and carried is None:
            raise replayed
        return done, carried

    result: tuple[list[dict[str, Any]], dict[str, Any] | None]
    result = await _run(home, passphrase_file, work, [part for part, _ in parts])
    return result


def _begin_directory(files: Any, parts: list[BundlePart]) -> None:
    """A node that never had a directory takes the bundle's, verified from its own root of trust."""
    from datetime import UTC, datetime

    from keys.directory.metadata.client import STATE_NAME
    from keys.directory.metadata.mirror import install_files
    from keys.members.bootstrap import BootstrapFile

    carried = next((part.contents.directory for part in parts if part.contents.directory), None)
    if carried is None or (files.directory / STATE_NAME).exists():
        return
    try:
        root = BootstrapFile.from_bytes(files.bootstrap.read_bytes()).root
    except OSError as problem:
        raise UsageError(f"cannot read {files.bootstrap}: {problem.strerror}; run comity-node join first") from problem
    install_files(carried, files.directory, root, datetime.now(UTC))


def _told_files(carried: dict[str, Any] | None) -> list[str]:
    if carried is None:
        return []
    text = _("Evidence files of messages: {messages}; segments: {segments}; bytes: {size_bytes}")
    lines = [text.format(**carried)]
    if carried["already"]:
        lines.append(_("Segments that an earlier export left on the disk: {already}").format(**carried))
    return lines + [_("refused: {code}").format(code=f"{code} ({digest})") for digest, code in carried["refused"]]


def _told(row: dict[str, Any]) -> str:
    text = _(
        "Part {part} of {parts} from {sender}; envelopes: {envelopes}; statements: {statements}; receipts: {receipts}"
    )
    lines = [text.format(**row)]
    if row["directory"] is False:
        lines.append(
            _("The directory in it was not imported (it is older, or does not verify); the present one stays.")
        )
    lines += [_("refused: {code}").format(code=code) for code in row["refused"]]
    if row["missing"]:
        lines.append(_("Still to import: parts {numbers}").format(numbers=", ".join(map(str, row["missing"]))))
    return "\n".join(lines)
