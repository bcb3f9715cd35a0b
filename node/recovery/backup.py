"""Backups of a node: a consistent copy of the database while the node runs, what belongs to it, and a list of hashes.

The copy is made inside one read transaction, so it is the database of one moment, and the checkpoint beside it is the
one that the copy itself ends with. The folder gets its name when everything in it is on disk: a backup is whole or not
there. A restored node says so in its home, and signs nothing until the partners were asked
(:mod:`node.recovery.reconcile`).
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from keys.local.files import PRIVATE_MODE, locked, sync_folder, write_file
from node.log.checkpoint_file import CheckpointFile
from node.log.marks import LogMarks
from node.settings import NodeHome, NodeSettings
from node.store.disk_errors import storage_errors
from node.store.sqlite.connection import open_reader
from protocol.encoding.instants import to_text
from protocol.errors import BackupDamagedError, ComityError, NotFoundError, StoreInUseError, UsageError
from protocol.log.checkpoint import parse_checkpoint

FORMAT = "comity/node-backup/1"
MANIFEST, DATABASE, CHECKPOINT = "manifest.json", "database.sqlite", "log-checkpoint"
_HOME = "home"
_KEYSTORE = "keystore.cbor"
_FILES = ("node.toml", "card.json", "bootstrap.json", "monitor.cbor", "cosigned-checkpoint")
_FOLDERS = ("directory", "served", "bundles", "misbehaviour", "distrusted")
_STEP_PAGES = 256
_CHUNK_BYTES = 1 << 20
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup is of. ``files`` gives the SHA-256 (hexadecimal) of every file by its path below the folder.

    ``final``: the log goes on from this backup and nowhere else.
    """

    node: str
    origin: str
    made_at: str
    size: int
    root: str
    final: bool
    files: dict[str, str]

    def to_bytes(self) -> bytes:
        """The manifest as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_bytes(cls, content: bytes) -> Manifest:
        """Parse; raises :class:`BackupDamagedError`."""
        try:
            values: dict[str, Any] = json.loads(content)
            if values.pop("format") != FORMAT:
                raise BackupDamagedError(f"the manifest is not of the format {FORMAT}")
            made = cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            raise BackupDamagedError("the manifest cannot be read") from problem
        kinds = (made.node, made.origin, made.made_at, made.root)
        if any(type(text) is not str for text in kinds) or type(made.size) is not int or type(made.final) is not bool:
            raise BackupDamagedError("the manifest cannot be read")
        if type(made.files) is not dict or not {DATABASE, CHECKPOINT, f"{_HOME}/node.toml"} <= made.files.keys():
            raise BackupDamagedError("the manifest does not list a database, a checkpoint and settings")
        for name in made.files:
            _require_safe(name)
        return made


def make_backup(
    home: NodeHome, settings: NodeSettings, folder: Path, now: datetime, progress: Progress, *, keystore: bool
) -> Manifest:
    """Write a backup of the node, which may be running, into the new ``folder``; durable on return.

    Without ``keystore`` no private key is in it. Raises :class:`UsageError` when the folder exists,
    :class:`NotFoundError` before the log was founded, ``LogMovedError``, and the storage errors.
    """
    LogMarks(home.path).require_here()
    return _make(home, settings, folder, now, progress, keystore=keystore, final=False)


def make_final_backup(
    home: NodeHome, settings: NodeSettings, folder: Path, now: datetime, progress: Progress, *, keystore: bool
) -> Manifest:
    """As :func:`make_backup`, of a node that is stopped and will never run in this home again.

    The home says so before the copy begins: if that is broken off, the node does not start, and this can be repeated.
    Raises :class:`StoreInUseError` while the node runs.
    """
    database = home.path / settings.database
    with locked(
        database.with_name(database.name + ".lock"), lambda: StoreInUseError("the node is running; stop it first")
    ):
        if not database.is_file():
            raise NotFoundError("there is no database: this node never ran")
        LogMarks(home.path).moved.set({"at": to_text(now), "backup": str(folder)})
        return _make(home, settings, folder, now, progress, keystore=keystore, final=True)


def read_backup(folder: Path, progress: Progress) -> Manifest:
    """The manifest of a whole backup, each file of it verified; raises :class:`BackupDamagedError`."""
    try:
        with (folder / MANIFEST).open("rb") as file:
            manifest = Manifest.from_bytes(file.read(_MAX_MANIFEST_BYTES))
    except OSError as problem:
        raise BackupDamagedError(f"{folder} has no manifest: it is no backup, or one that was broken off") from problem
    total = sum((folder / name).stat().st_size for name in manifest.files if (folder / name).is_file())
    done = 0
    for name, digest in manifest.files.items():
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise BackupDamagedError(f"the backup lacks {name}")
        found = sha256()
        for chunk in _chunks(path):
            found.update(chunk)
            done += len(chunk)
            progress(done, total)
        if found.hexdigest() != digest:
            raise BackupDamagedError(f"{name} in the backup was altered")
    return manifest


def restore_backup(folder: Path, home: Path, checkpoint: Path | None, progress: Progress) -> Manifest:
    """Make ``home``, which must be new or empty, from a whole backup; durable on return, and it signs nothing yet.

    ``checkpoint`` is a newer checkpoint file that outlived the database. One that lies where the settings want it
    outside the home stays. Raises :class:`UsageError`, :class:`BackupDamagedError`, and the storage errors.
    """
    if home.exists() and any(home.iterdir()):
        raise UsageError(f"{home} is not empty: restore into a new folder, and keep the old one until all is well")
    manifest = read_backup(folder, progress)
    with storage_errors(_not_copied), _new_folder(home) as made:
        for name in manifest.files:
            if name.startswith(f"{_HOME}/"):
                _copy(folder / name, made / name.removeprefix(f"{_HOME}/"))
        settings = NodeSettings.load(made / "node.toml")
        database = made / settings.database
        if database.exists():
            raise UsageError(f"{database} exists: move it away first, and keep it until all is well")
        _copy(folder / DATABASE, database)
        kept = made / settings.checkpoint_file
        if checkpoint is not None or not kept.exists():
            _copy(checkpoint or folder / CHECKPOINT, kept)
        LogMarks(made).restored.set({"made_at": manifest.made_at, "size": manifest.size})
    return manifest


def drill_backup(folder: Path, progress: Progress) -> Manifest:
    """Restore a whole backup for a trial beside itself, look into it, and remove it again.

    The database must be sound by SQLite's own check, and the log in it the one that the manifest names. Raises
    :class:`BackupDamagedError`, and the storage errors.
    """
    with (
        storage_errors(_not_copied),
        tempfile.TemporaryDirectory(prefix=f".{folder.name}.", suffix=".drill", dir=folder.parent) as trial,
    ):
        manifest = read_backup(folder, progress)
        _copy(folder / DATABASE, Path(trial) / DATABASE)
        with closing(open_reader(Path(trial) / DATABASE)) as reader:
            sound = reader.execute("PRAGMA integrity_check(1)").fetchone()[0]
            row = reader.execute("SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
    if sound != "ok":
        raise BackupDamagedError("the database of the backup is not sound")
    if row is None or (row[0], row[1].hex()) != (manifest.size, manifest.root):
        raise BackupDamagedError("the database of the backup holds another log than the manifest names")
    return manifest


# --- Inside ---


def _make(
    home: NodeHome,
    settings: NodeSettings,
    folder: Path,
    now: datetime,
    progress: Progress,
    *,
    keystore: bool,
    final: bool,
) -> Manifest:
    if folder.exists():
        raise UsageError(f"{folder} exists; name a new folder")
    with (
        storage_errors(_not_copied),
        _new_folder(folder) as made,
    ):
        note = _copy_database(home.path / settings.database, made / DATABASE, progress)
        note = _signed_last(home.path / settings.checkpoint_file, note)
        write_file(made / CHECKPOINT, note, mode=PRIVATE_MODE)
        names = [name for name in (*_FILES, *((_KEYSTORE,) if keystore else ())) if (home.path / name).is_file()]
        for part in _FOLDERS:
            names += [
                str(path.relative_to(home.path))
                for path in sorted((home.path / part).rglob("*"))
                if path.is_file() and not path.is_symlink() and not path.name.endswith((".tmp", ".lock"))
            ]
        for name in names:
            _copy(home.path / name, made / _HOME / name)
        files = {name: _digest(made / name) for name in (DATABASE, CHECKPOINT, *(f"{_HOME}/{name}" for name in names))}
        head = parse_checkpoint(note)
        manifest = Manifest(settings.node, head.origin, to_text(now), head.size, head.root.hex(), final, files)
        write_file(made / MANIFEST, manifest.to_bytes(), mode=PRIVATE_MODE)
    return manifest


def _copy_database(source: Path, target: Path, progress: Progress) -> bytes:
    """Copy the database of one moment; the newest checkpoint in the copy."""
    if not source.is_file():
        raise NotFoundError("there is no database: this node never ran")
    target.touch(mode=PRIVATE_MODE)
    with closing(open_reader(source)) as reader, closing(sqlite3.connect(target, isolation_level=None)) as copy:
        # As long as this transaction lasts the reader sees one state, and the copy need not begin again.
        reader.execute("BEGIN")
        row = reader.execute("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        if row is None:
            raise NotFoundError("this node has not signed a checkpoint yet")
        reader.backup(copy, pages=_STEP_PAGES, progress=lambda _, left, total: progress(total - left, total))
        # One file, without a write-ahead log beside it.
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
    _sync(target)
    note: bytes = row[0]
    return note


def _signed_last(checkpoint_file: Path, head: bytes) -> bytes:
    """The note in the checkpoint file, which may say a later time, if it is of the head's tree; else the head."""
    try:
        kept = CheckpointFile(checkpoint_file).read()
        return kept if kept is not None and parse_checkpoint(kept) == parse_checkpoint(head) else head
    except ComityError:  # a file that cannot be read keeps nobody from a backup
        return head


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder`` that takes its name when the block ends well, and is gone otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".{folder.name}.*.partial"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        yield made
        for path in [made, *(path for path in made.rglob("*") if path.is_dir())]:
            sync_folder(path)
        made.rename(folder)
        sync_folder(folder.parent)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _not_copied(problem: OSError) -> str:
    return f"{problem.filename or 'a file'} cannot be copied"


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as read, open(target, "xb", opener=_private) as written:
        shutil.copyfileobj(read, written, _CHUNK_BYTES)
        written.flush()
        os.fsync(written.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_MODE)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    found = sha256()
    for chunk in _chunks(path):
        found.update(chunk)
    return found.hexdigest()


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _require_safe(name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or str(path) != name or "\x00" in name:
        raise BackupDamagedError("the manifest names a file outside the backup")
