"""``comity-node backup``, ``restore``: copies of a node that cannot fork its log, and moving it to another machine."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keys.local.given_files import FileKind, require_file, require_folder
from node.cli._options import BackupFolder
from node.cli._output import AsJson, edge, progress, show
from node.cli._setup import Home
from node.i18n import _

if TYPE_CHECKING:
    from node.recovery.backup_record import BackupAct
    from node.settings import NodeHome


def backup(
    home: Home,
    folder: Annotated[Path, typer.Argument(help=_("The new folder to write."))],
    with_keystore: Annotated[
        bool, typer.Option("--with-keystore", help=_("With the encrypted private keys; else without any."))
    ] = False,
    final: Annotated[
        bool, typer.Option("--final", help=_("The last one: this home will not run again, the log goes on elsewhere."))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a consistent copy of the node with a list of hashes. The node may be running, but not for --final."""
    with edge(as_json):
        from node.recovery.backup import make_backup, make_final_backup
        from node.recovery.backup_record import BackupAct
        from node.settings import NodeHome, NodeSettings
        from protocol.encoding.instants import parse_instant

        files = NodeHome(home)
        make = make_final_backup if final else make_backup
        with progress(as_json, _("database")) as shown:
            made = make(
                files, NodeSettings.load(files.settings), folder, datetime.now(UTC), shown, keystore=with_keystore
            )
        _note(files, "made", BackupAct(parse_instant(made.made_at), str(folder.absolute()), made.size))
        values = {
            "folder": str(folder), "node": made.node, "size": made.size, "root": made.root, "final": made.final,
            "made_at": made.made_at, "files": len(made.files), "keystore": with_keystore,
        }  # fmt: skip
        text = _("{folder}; files: {count}; entries of the log: {size}").format(
            folder=folder, count=len(made.files), size=made.size
        )
        kept = _("The private keys are not in it: keep keystore.cbor in another place.")
        moved = _("This home does not start any more. Next, on the other machine: restore, log reconcile, run.")
        lines = [text, *([] if with_keystore else [kept]), *([moved] if final else [])]
        show(as_json, values, lambda: "\n".join(lines))


def backup_check(
    home: Home,
    folder: BackupFolder,
    drill: Annotated[
        bool, typer.Option("--drill", help=_("Restore it into a folder beside it too, which is removed again."))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify every file of a backup, and note in the home that it is whole. With --drill also restore it for a trial.

    Example: comity-node backup-check jp /backup/jp-monday --drill
    """
    with edge(as_json):
        from node.recovery.backup import drill_backup, read_backup
        from node.recovery.backup_record import BackupAct
        from node.settings import NodeHome, NodeSettings
        from protocol.errors import UsageError

        require_folder(folder, FileKind.BACKUP)
        files = NodeHome(home)
        own = NodeSettings.load(files.settings).node
        with progress(as_json, _("verified")) as shown:
            found = read_backup(folder, shown)
        if found.node != own:
            raise UsageError(f"this is a backup of {found.node}, and the home is of {own}")
        act = BackupAct(datetime.now(UTC), str(folder.absolute()), found.size)
        if drill:
            with progress(as_json, _("restored")) as shown:
                drill_backup(folder, shown)
            _note(files, "drilled", act)
        _note(files, "checked", act)
        values = {
            "folder": str(folder),
            "node": found.node,
            "size": found.size,
            "made_at": found.made_at,
            "drill": drill,
        }
        whole = _("{folder} is whole, of {at}; entries of the log: {size}.").format(
            folder=folder, at=found.made_at, size=found.size
        )
        tried = _("It was restored for a trial: its database opens, and its log is the one that it names.")
        show(as_json, values, lambda: "\n".join([whole, *([tried] if drill else [])]))


def _note(home: NodeHome, kind: str, act: BackupAct) -> None:
    """Note what was done, for the console; a home that cannot be written keeps nobody from a backup."""
    from node.recovery.backup_record import BackupRecord

    with suppress(OSError):
        replace(BackupRecord.load(home.backups), **{kind: act}).save(home.backups)


def restore(
    folder: BackupFolder,
    into: Annotated[Path, typer.Option("--into", help=_("The new home folder."))],
    checkpoint: Annotated[
        Path | None,
        typer.Option(help=_("The checkpoint file of the lost home, if it outlived it: it may know more.")),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a home from a backup, every file verified. The node signs nothing before ``log reconcile``."""
    with edge(as_json):
        from node.recovery.backup import restore_backup

        require_folder(folder, FileKind.BACKUP)
        if checkpoint is not None:
            require_file(checkpoint, FileKind.CHECKPOINT)
        with progress(as_json, _("verified")) as shown:
            made = restore_backup(folder, into, checkpoint, shown)
        keystore = "home/keystore.cbor" in made.files
        values = {
            "home": str(into), "node": made.node, "size": made.size, "made_at": made.made_at, "keystore": keystore,
        }  # fmt: skip
        text = _("{home} is the state of {at}; entries of the log: {size}.").format(
            home=into, at=made.made_at, size=made.size
        )
        keys = _("Put keystore.cbor into it: this backup has no private keys.")
        after = _("Next: comity-node log reconcile {home}").format(home=into)
        show(as_json, values, lambda: "\n".join([text, *([] if keystore else [keys]), after]))
