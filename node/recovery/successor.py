"""Putting a lost log's database aside and beginning an empty one for the log that follows it.

Each step may be repeated after a process was killed in it: what was put aside is found again by its name.
"""

from __future__ import annotations

from contextlib import closing
from datetime import datetime
from pathlib import Path

from keys.local.files import locked, sync_folder
from node.log.checkpoint_file import CheckpointFile
from node.store.operations import SkipNumbers
from node.store.sqlite.connection import database_errors, open_reader, open_writer
from node.store.sqlite.log import open_tree
from node.store.sqlite.store import SqliteStore
from protocol.errors import NewLogError, StoreInUseError
from protocol.log.checkpoint import Checkpoint, LogVerifier, claimed_time, open_checkpoint
from protocol.misbehaviour.verify import ALLOWED_SKEW


def _aside(path: Path, origin: str) -> Path:
    return path.with_name(f"{path.name}.{origin.replace('/', '-')}.closed")


def last_checkpoint(file: CheckpointFile, verifier: LogVerifier) -> Checkpoint:
    """The last checkpoint known of the log, in its place or put aside. Raises :class:`NewLogError`."""
    note = file.read() or CheckpointFile(_aside(file.path, verifier.origin)).read()
    if note is None:
        raise NewLogError("there is no checkpoint file: how far the log went is not known")
    return open_checkpoint(note, verifier)


def is_ahead(file: CheckpointFile, now: datetime) -> bool:
    """Whether the log signed a time that is yet to come: until then it can sign nothing more."""
    note = file.read()
    signed_at = claimed_time(note) if note is not None else None
    return signed_at is not None and signed_at > now + ALLOWED_SKEW


def require_lost(database: Path, final: Checkpoint) -> None:
    """Return if the database does not lead to ``final``; raises :class:`NewLogError` when nothing is lost."""
    if not database.exists():
        return
    with database_errors("the database cannot be opened"), closing(open_reader(database)) as connection:
        row = connection.execute("SELECT max(size) FROM checkpoint").fetchone()
        size = row[0] or 0
        leads = size >= final.size and open_tree(connection, size).root(final.size) == final.root
    if leads:
        raise NewLogError("the database leads to the last checkpoint that is known: nothing is lost")


def put_aside(database: Path, file: CheckpointFile, origin: str) -> Path:
    """Give the database and the checkpoint file of the log ``origin`` other names; the database's new one.

    Raises :class:`StoreInUseError` while the node runs, and the storage errors.
    """
    kept = _aside(database, origin)
    with locked(
        database.with_name(database.name + ".lock"), lambda: StoreInUseError("the node is running; stop it first")
    ):
        if database.exists() and not kept.exists():
            _fold(database)
            database.rename(kept)
            sync_folder(database.parent)
        if file.path.exists() and not _aside(file.path, origin).exists():
            file.path.rename(_aside(file.path, origin))
            sync_folder(file.path.parent)
    return kept


async def begin_database(database: Path, origin: str, before: Path) -> None:
    """Make the empty database of ``origin``, whose numbers go on from those of the database ``before``."""
    beyond = _last_number(before)
    store = SqliteStore(database, origin)
    await store.open()
    try:
        store.apply((SkipNumbers(beyond),), _never)
    finally:
        await store.close()


def _never(checkpoint: Checkpoint, at: object) -> bytes:
    raise NewLogError("nothing is signed before the node starts")


def _fold(database: Path) -> None:
    """Bring the write-ahead log back into the database file, so that it is whole by itself."""
    with database_errors("the database cannot be opened"), closing(open_writer(database)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()


def _last_number(database: Path) -> int:
    if not database.exists():
        return 0
    with database_errors("the database cannot be opened"), closing(open_reader(database)) as connection:
        return int(connection.execute("SELECT last FROM sequence").fetchone()[0])
