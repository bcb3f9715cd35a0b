"""A log as static files: C2SP tlog-tiles in a folder, exported from the database, verified without it.

A folder holds all that its checkpoint speaks of: tiles and entries are on disk before the checkpoint is replaced, and
parts of tiles that became wider go after it. So a web server may serve the folder while it grows, and an export that
was broken off is gone on with.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from keys.directory.audit_rights import AuditRight
from keys.local.files import PRIVATE_MODE, PUBLIC_MODE, sync_folder, write_file
from keys.local.tile_folder import CHECKPOINT, PLAIN, SCOPED, drop_outgrown_parts, read_items, read_resource, widths
from node.log.entry_access import seen_by
from node.store.disk_errors import storage_errors
from node.store.sqlite.connection import open_reader
from node.store.sqlite.log import read_tile, stored_item
from protocol.errors import (
    LogForkError,
    LogUnavailableError,
    NotFoundError,
    ProofInvalidError,
    UsageError,
)
from protocol.log.checkpoint import Checkpoint, LogVerifier, open_checkpoint
from protocol.log.layout import (
    TILE_HEIGHT,
    TILE_WIDTH,
    encode_bundle,
    entries_path,
    tile_path,
    tile_width,
)
from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import (
    BundleItem,
    Withheld,
    encode_scoped_bundle,
    item_hash,
    scoped_path,
)
from protocol.log.tiles import TileTree

_ENTRIES = "SELECT leaf, nations FROM event WHERE idx >= ? AND idx < ? ORDER BY idx"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Tiles:
    """What a folder of tiles holds: the log's head, how many bundles of entries there are, how many entries by hash."""

    checkpoint: Checkpoint
    bundles: int
    withheld: int


def export_tiles(
    database: Path,
    folder: Path,
    verifier: LogVerifier,
    progress: Progress,
    *,
    entries: bool,
    right: AuditRight | None = None,
) -> Tiles:
    """Bring ``folder`` up to the database's newest checkpoint; durable on return. The node may be running.

    With ``entries`` also the entries, readable by the owner only; a bundle with erased ones is a scoped bundle. So is
    every bundle for an auditor who may not see all entries (``right``; None: for this node itself). Raises
    :class:`LogForkError` when the folder is of another history, :class:`NotFoundError`, the storage errors, and
    :class:`UsageError` for a folder that is not empty, when entries are withheld: what lies there may say more.
    """
    if right is not None and not right.everything and folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty: what one auditor may see goes into a folder of its own")
    with storage_errors(lambda _: "the tiles cannot be written"), closing(open_reader(database)) as connection:
        connection.execute("BEGIN")  # tiles, entries and checkpoint of one moment
        row = connection.execute("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        if row is None:
            raise NotFoundError("this node has not signed a checkpoint yet")
        note: bytes = row[0]
        head = open_checkpoint(note, verifier)
        tree = TileTree(head.size, lambda level, index: read_tile(connection, level, index))
        old_size = _require_same(folder, tree, verifier)
        folder.mkdir(parents=True, exist_ok=True)
        writing = _Writing(folder)
        first, last = old_size // TILE_WIDTH, -(-head.size // TILE_WIDTH)
        withheld = 0
        for index in range(first if _is_whole(folder, old_size, entries=entries) else 0, last):
            if entries:
                withheld += _export_bundle(connection, writing, index, head.size, right)
            progress(min((index + 1) * TILE_WIDTH, head.size), head.size)
        for level, index, width in _tiles(head.size):
            writing.write(tile_path(level, index, width), read_tile(connection, level, index)[: width * HASH_BYTES])
        writing.sync()
        write_file(folder / CHECKPOINT, note)
        drop_outgrown_parts(folder, head.size)
    return Tiles(head, last if entries else 0, withheld)


def verify_tiles(folder: Path, verifier: LogVerifier, progress: Progress) -> Tiles:
    """Compute the whole tree from the entries (or from the hashes where those stand alone) and compare every tile.

    Raises :class:`CheckpointInvalidError`, :class:`ProofInvalidError`, :class:`MalformedError`,
    :class:`LogUnavailableError`.
    """
    head = open_checkpoint(read_resource(folder, CHECKPOINT), verifier)
    tree = TileTree(0, lambda level, index: read_resource(folder, tile_path(level, index)))
    bundles = withheld = 0
    for index, width in widths(head.size):
        items = read_bundle(folder, index, width)
        hashes = read_resource(folder, tile_path(0, index, width))
        if items is None:
            leaves = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
        else:
            bundles += 1
            withheld += sum(isinstance(item, Withheld) for item in items)
            leaves = [item_hash(item) for item in items]
        if len(leaves) != width or b"".join(leaves) != hashes:
            raise ProofInvalidError(f"the tile {tile_path(0, index, width)} does not hold the hashes of its entries")
        for leaf in leaves:
            tree.append(leaf)
        _compare(folder, tree, head.size)
        progress(tree.size, head.size)
    if tree.root() != head.root:
        raise ProofInvalidError("the entries do not lead to the root that the log signed")
    return Tiles(head, bundles, withheld)


def read_bundle(folder: Path, index: int, width: int) -> list[BundleItem] | None:
    """The items of a bundle in a folder of tiles, plain or scoped; None when it has neither.

    Raises :class:`ProofInvalidError` when it does not hold ``width`` items, and as :func:`read_items` does.
    """
    if not any((folder / form.path(index, width)).exists() for form in (PLAIN, SCOPED)):
        return None
    items = read_items(folder, index, width)
    if len(items) != width:
        raise ProofInvalidError(f"bundle {index} does not hold {width} entries")
    return items


# --- Inside ---


def _tiles(size: int) -> Iterator[tuple[int, int, int]]:
    level = 0
    while size >> TILE_HEIGHT * level:
        for index in range(-(-(size >> TILE_HEIGHT * level) // TILE_WIDTH)):
            yield level, index, tile_width(level, index, size)
        level += 1


def _require_same(folder: Path, tree: TileTree, verifier: LogVerifier) -> int:
    """The size that the folder has; raises when its checkpoint is not one of this tree's."""
    try:
        note = (folder / CHECKPOINT).read_bytes()
    except FileNotFoundError:
        return 0
    before = open_checkpoint(note, verifier)
    if before.size > tree.size:
        raise LogForkError(f"the folder has {before.size} entries, but the database only {tree.size}")
    if tree.root(before.size) != before.root:
        raise LogForkError("the folder holds another history than the database")
    return before.size


def _is_whole(folder: Path, size: int, *, entries: bool) -> bool:
    """Whether the folder's full bundles need not be looked at again: it was exported with entries before."""
    if not entries or size < TILE_WIDTH:
        return True
    last = size // TILE_WIDTH - 1
    return (folder / entries_path(last)).exists() or (folder / scoped_path(last)).exists()


def _export_bundle(
    connection: sqlite3.Connection, writing: _Writing, index: int, size: int, right: AuditRight | None
) -> int:
    width = tile_width(0, index, size)
    start = index * TILE_WIDTH
    rows = connection.execute(_ENTRIES, (start, start + width)).fetchall()
    items = [stored_item(row[0]) for row in rows]
    if len(items) != width:
        raise LogUnavailableError(f"the database lacks entries of bundle {index}")
    if right is not None and not right.everything:
        items = seen_by(right, items, [frozenset((row[1] or "").split()) for row in rows])
        writing.write(scoped_path(index, width), encode_scoped_bundle(items), PRIVATE_MODE)
        return sum(isinstance(item, Withheld) for item in items)
    shown = [item for item in items if not isinstance(item, Withheld)]
    if len(shown) == width:
        writing.write(entries_path(index, width), encode_bundle(shown), PRIVATE_MODE)
    elif not (writing.folder / entries_path(index, width)).exists():  # what was exported before stays
        writing.write(scoped_path(index, width), encode_scoped_bundle(items), PRIVATE_MODE)
    return width - len(shown)


class _Writing:
    """Writes files first and makes them durable together: one fsync each, when the disk has most of them already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: list[Path] = []

    def write(self, name: str, content: bytes, mode: int = PUBLIC_MODE) -> None:
        path = self.folder / name
        if path.exists() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, content, mode=mode, durable=False)
        self._written.append(path)

    def sync(self) -> None:
        folders = {self.folder}
        for path in self._written:
            with path.open("rb") as file:
                os.fsync(file.fileno())
            folders |= {parent for parent in path.parents if parent.is_relative_to(self.folder)}
        for folder in folders:
            sync_folder(folder)


def _compare(folder: Path, tree: TileTree, size: int) -> None:
    for level, index, hashes in tree.take_changed_tiles():
        width = len(hashes) // HASH_BYTES
        if width == tile_width(level, index, size) and read_resource(folder, tile_path(level, index, width)) != hashes:
            raise ProofInvalidError(f"the tile {tile_path(level, index, width)} does not hold the hashes below it")
