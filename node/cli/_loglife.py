"""``comity-node log``: erase, reconcile, import and export entries, and found a log anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keys.local.given_files import FileKind, require_folder
from keys.local.terminal import UNVERIFIED
from node.cli._operation import log
from node.cli._output import AsJson, edge, progress, show
from node.cli._running import ask_running, is_running
from node.cli._secrets import PassphraseFile, open_token, read_passphrase
from node.cli._setup import Home
from node.i18n import _
from protocol.address import Address
from protocol.errors import UsageError

if TYPE_CHECKING:
    from keys.directory.audit_rights import AuditRight
    from keys.secrets.keystore import Keystore
    from node.recovery.reconcile import Reconciled
    from node.server import Node
    from node.settings import NodeHome, NodeSettings
    from protocol.log.checkpoint import LogVerifier

Yes = Annotated[bool, typer.Option("--yes", help=_("Do it; without this it only says what it would do."))]


@log.command()
def erase(
    home: Home,
    older_than: Annotated[int, typer.Option(min=1, max=36_600, help=_("Days since the entries were signed."))],
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Erase the data of old entries; their hashes stay, and with them every proof. The node may be running.

    Entries of messages that are not over stay. Example: comity-node log erase jp --older-than 3650 --yes
    """
    import asyncio

    with edge(as_json):
        if not yes:
            raise UsageError(_("what is erased cannot be had back from this node: add --yes"))
        with progress(as_json, _("entries")) as shown:
            count = asyncio.run(_erase(home, passphrase_file, older_than, shown))
        show(as_json, {"erased": count}, lambda: _("Entries erased: {count}").format(count=count))


async def _erase(home: Path, passphrase_file: Path | None, days: int, shown: Callable[[int, int], None]) -> int:
    from node.http.control import ERASE
    from node.log.retention import ErasedPart, erase_part

    files, settings = _settings(home)
    control = files.path / settings.control
    node: Node | None = None
    if not await is_running(control):
        node = _node(files, settings, _keystore(files, settings, passphrase_file))
        await node.open()
    before = datetime.now(UTC) - timedelta(days=days)
    count, part = 0, ErasedPart(0, 0, 1)
    try:
        while part.next < part.end:
            if node is None:
                query = {"days": str(days), "first": str(part.next)}
                part = ErasedPart(**json.loads(await ask_running(control, ERASE, b"", query)))
            else:
                part = await erase_part(node.context.store, node.context.sequencer, before, part.next)
            count += part.erased
            shown(part.next, part.end)
        return count
    finally:
        if node is not None:
            await node.stop()


@log.command()
def reconcile(
    home: Home,
    without_witnesses: Annotated[
        bool, typer.Option("--without-witnesses", help=_("Go on although no partner can be asked. Think twice."))
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Ask the partners how far this node's log went, and let it go on if the database leads there. Stop the node first.

    Exit code 3: entries are missing; it says how many, who holds receipts, and the ways out.

    Example: comity-node log reconcile jp
    """
    import asyncio

    with edge(as_json):
        report = asyncio.run(_reconcile(home, passphrase_file, alone=without_witnesses))
        show(as_json, {"ok": report.ok, **asdict(report)}, lambda: _told(home, report))
    if not report.ok:
        raise typer.Exit(UNVERIFIED)


async def _reconcile(home: Path, passphrase_file: Path | None, *, alone: bool) -> Reconciled:
    from node.recovery.reconcile import reconcile

    files, settings = _settings(home)
    node = _node(files, settings, _keystore(files, settings, passphrase_file))
    await node.open_unsigned()
    try:
        nodes = [] if settings.offline else node.askable()
        if alone and nodes:
            node.log.warning("reconciled-without-witnesses")
        await node.require_clock([] if alone else nodes)
        return await reconcile(node.context.sequencer, node.files, node.context.partners, nodes, node.log, alone=alone)
    finally:
        await node.stop()


def _told(home: Path, report: Reconciled) -> str:
    lines = [_("Entries of {origin} in the database: {size}.").format(size=report.size, origin=report.origin)]
    lines += [_("{source}; entries: {size}").format(source=name, size=size) for name, size in report.known.items()]
    lines += [_("{node}: no answer").format(node=node) for node in report.silent]
    if report.damaged is not None:
        lines.append(_("The checkpoint file was damaged; it lies in {path} now.").format(path=report.damaged))
    if report.ok:
        return "\n".join([*lines, _("The database leads to all of them: the node may run.")])
    lines += [_("{source} knows another history than the database.").format(source=name) for name in report.contradicts]
    if report.missing:
        last = report.size + report.missing - 1
        text = _("Missing entries: {count}, from {first} to {last}. Nothing is signed until they are back.")
        lines.append(text.format(count=report.missing, first=report.size, last=last))
    for node, held in report.held.items():
        text = ", ".join(f"{first}-{end}" if first != end else str(first) for first, end in held)
        lines.append(_("{node} holds receipts of entries {ranges}").format(node=node, ranges=text))
    return "\n".join([*lines, *_ways_out(home)])


def _ways_out(home: Path) -> list[str]:
    return [
        _("Ways out, the best first:"),
        _("1. Restore a newer backup: comity-node restore FOLDER --into NEW-HOME, then reconcile that home."),
        _(
            "2. Have an auditor's mirror of this log: comity-node log import-entries {home} MIRROR, then reconcile."
        ).format(home=home),
        _("3. If the entries are lost for good: comity-node log found-anew {home} --yes").format(home=home),
    ]


@log.command("import-entries")
def import_entries(
    home: Home,
    mirror: Annotated[Path, typer.Argument(help=_("The mirror's folder: an auditor's, or exported tiles."))],
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Append entries that the database lost, proved by the checkpoint that this log had signed. Stop the node first.

    Example: comity-node log import-entries jp mirrors/jp
    """
    import asyncio

    with edge(as_json):
        from node.log.files import LogFiles
        from node.recovery.import_entries import import_mirror

        require_folder(mirror, FileKind.MIRROR)
        files, settings = _settings(home)
        log = LogFiles.of(files, settings, _keystore(files, settings, passphrase_file))
        with progress(as_json, _("entries")) as shown:
            done = asyncio.run(import_mirror(log, mirror, datetime.now(UTC), shown))
        values = {**asdict(done), "unfinished": [str(message_id) for message_id in done.unfinished]}
        lines = [
            _("Entries appended: {count}. Entries of the log: {size}.").format(count=done.entries, size=done.size),
            *(
                [_("Entries of which only the hash is known: {count}.").format(count=done.withheld)]
                if done.withheld
                else []
            ),
            *(
                _("Lost with the database, to be sent again: {id}").format(id=message_id)
                for message_id in done.unfinished
            ),
            _("Next: comity-node log reconcile {home}").format(home=home),
        ]
        show(as_json, values, lambda: "\n".join(lines))


@log.command("export-tiles")
def export_tiles(
    home: Home,
    folder: Annotated[Path, typer.Argument(help=_("The folder; it is continued if it exists."))],
    hashes_only: Annotated[
        bool, typer.Option("--hashes-only", help=_("Without entries: for a place that anyone may read."))
    ] = False,
    auditor: Annotated[
        str | None,
        typer.Option("--for", help=_("For this auditor: what it may not see is in the files as hashes only.")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the log as static files in the layout of C2SP tlog-tiles. The node may be running.

    Example: comity-node log export-tiles jp tiles
    """
    with edge(as_json):
        from node.log.tile_export import export_tiles

        files, settings = _settings(home)
        right = None if auditor is None else _right_of(files, settings.node, auditor)
        with progress(as_json, _("entries")) as shown:
            done = export_tiles(
                files.path / settings.database, folder, _verifier(files), shown, entries=not hashes_only, right=right
            )
        _show_tiles(as_json, folder, asdict(done), done.checkpoint.size)


@log.command("verify-tiles")
def verify_tiles(
    home: Home,
    folder: Annotated[Path, typer.Argument(help=_("The folder of tiles."))],
    as_json: AsJson = False,
) -> None:
    """Verify a folder of tiles of this node's log from its entries up: hashes, tiles, checkpoint, signatures.

    Example: comity-node log verify-tiles jp tiles
    """
    with edge(as_json):
        from node.log.tile_export import verify_tiles

        require_folder(folder, FileKind.MIRROR)
        with progress(as_json, _("entries")) as shown:
            done = verify_tiles(folder, _verifier(_settings(home)[0]), shown)
        _show_tiles(as_json, folder, asdict(done), done.checkpoint.size)


def _show_tiles(as_json: bool, folder: Path, values: dict[str, Any], size: int) -> None:
    head = values.pop("checkpoint")
    shown = {"folder": str(folder), "origin": head["origin"], "size": size, "root": head["root"].hex(), **values}
    text = _("{folder}; entries: {size}; entry bundles: {bundles}; entries by hash only: {withheld}")
    show(as_json, shown, lambda: text.format(**shown))


@log.command("found-anew")
def found_anew(
    home: Home,
    yes: Yes = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """The last resort: close this node's log and begin another under a new origin. Stop the node first.

    The old keys are destroyed, the old database is put aside, and messages that wait in it are to be sent again.

    Example: comity-node log found-anew jp --yes
    """
    import asyncio

    with edge(as_json):
        if not yes:
            raise UsageError(_("the old log can never be signed again: add --yes"))
        values = asyncio.run(_found_anew(home, passphrase_file))
        text = _(
            "Entries of the old log at its end: {final_size}. Next: the nation publishes {card}, then run the node."
        )
        show(as_json, values, lambda: text.format(**values))


async def _found_anew(home: Path, passphrase_file: Path | None) -> dict[str, Any]:
    from keys.directory.cards import card_to_bytes
    from keys.directory.view import log_verifier_of
    from keys.local.files import write_file
    from keys.members.new_log import closing_card, make_new_log
    from node.cli._rotation import published_card
    from node.log.checkpoint_file import CheckpointFile
    from node.log.marks import LogMarks
    from node.recovery.successor import begin_database, is_ahead, last_checkpoint, put_aside, require_lost

    files, settings = _settings(home)
    marks = LogMarks(files.path)
    marks.require_here()
    keystore = _keystore(files, settings, passphrase_file)
    card = published_card(files, settings.node)
    old = card.log.origin
    verifier = log_verifier_of([log for log in card.logs() if log.origin == old])
    database, file = files.path / settings.database, CheckpointFile(files.path / settings.checkpoint_file)
    final = last_checkpoint(file, verifier)
    now = datetime.now(UTC).replace(microsecond=0)
    if not is_ahead(file, now):
        require_lost(database, final)
    kept = put_aside(database, file, old)
    origin = make_new_log(keystore, card, now, open_token(settings.token_file))
    await begin_database(database, origin, kept)
    fresh = closing_card(keystore, card, final, now)
    write_file(files.card, card_to_bytes(fresh))
    marks.set_not_founded(fresh.log.ed25519)
    marks.restored.clear()
    return {"origin": origin, "closed": old, "final_size": final.size, "card": str(files.card), "kept": str(kept)}


# --- Inside ---


def _settings(home: Path) -> tuple[NodeHome, NodeSettings]:
    from node.settings import NodeHome, NodeSettings

    files = NodeHome(home)
    return files, NodeSettings.load(files.settings)


def _keystore(files: NodeHome, settings: NodeSettings, passphrase_file: Path | None) -> Keystore:
    from keys.secrets.keystore import Keystore

    passphrase = read_passphrase(passphrase_file or settings.passphrase_file)
    return Keystore.open(files.keystore, passphrase, open_token(settings.token_file))


def _node(files: NodeHome, settings: NodeSettings, keystore: Keystore) -> Node:
    from node.server import Node

    return Node(files, settings, keystore)


def _right_of(files: NodeHome, node: str, auditor: str) -> AuditRight:
    """What an auditor may see of this node's log, by the directory that the node serves."""
    from keys.directory.audit_rights import audit_right
    from node.cli._rotation import published_directory

    directory = published_directory(files)
    return audit_right(directory.node(node), directory.contact_point(Address.parse(auditor)))


def _verifier(files: NodeHome) -> LogVerifier:
    """The public keys of the log by the node's own card: no passphrase is needed to look."""
    from keys.directory.cards import parse_node_card
    from keys.directory.view import log_verifier_of

    try:
        card = parse_node_card(files.card.read_bytes())
    except OSError as problem:
        raise UsageError(f"cannot read {files.card}: {problem.strerror}") from problem
    return log_verifier_of([log for log in card.logs() if log.origin == card.log.origin])
