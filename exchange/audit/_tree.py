"""A mirror's tree, proved to lead to the root that the log signed, and what of the mirror's files is not part of it.

The hashes of the leaves stand in a mirror twice: in the tiles of level 0, and in the entries that they are the hashes
of. The log's are those that lead to the signed root; the other is then known to have been altered, and where.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from exchange.audit._finding import Findings
from keys.local.tile_folder import (
    CHECKPOINT,
    CONFLICT,
    COSIGNED,
    HEADS,
    LOCK,
    file_names,
    named_tile,
    read_items,
    tile_or_none,
    widths,
)
from protocol.errors import LogUnavailableError, MalformedError, ProofInvalidError, TooLargeError
from protocol.log.checkpoint import Checkpoint
from protocol.log.layout import TILE_WIDTH, tile_path, tile_width
from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import item_hash
from protocol.log.tiles import TileTree

Hashes = Callable[[Path, int, int], bytes | None]


class AuthenticTree:
    """All hashes of a log's tree, in memory (33 bytes an entry), so that nobody changes them after they were proved."""

    def __init__(self, head: Checkpoint, tiles: dict[tuple[int, int], bytes]) -> None:
        self.size = head.size
        self.tiles = tiles
        self._tree = TileTree(head.size, lambda level, index: tiles[level, index])

    def bundle_hashes(self, index: int) -> bytes:
        """The leaf hashes of a bundle, 32 bytes each."""
        return self.tiles[0, index]

    def leaf_hash(self, index: int) -> bytes:
        """The leaf hash of an entry."""
        at = index % TILE_WIDTH * HASH_BYTES
        return self.tiles[0, index // TILE_WIDTH][at : at + HASH_BYTES]

    def root(self, size: int) -> bytes:
        """The root that the log had at ``size``; raises :class:`LogUnavailableError` for one beyond the head."""
        return self._tree.root(size)

    def inclusion_path(self, index: int) -> list[bytes]:
        """The path from an entry to the root; raises :class:`LogUnavailableError` for one that there is not."""
        return self._tree.inclusion_path(index)


def authentic_tree(folder: Path, head: Checkpoint, findings: Findings) -> AuthenticTree:
    """The mirror's tree; tiles that are missing or wrong are findings, for they can be recomputed.

    Raises :class:`ProofInvalidError` when neither tiles nor entries lead to the signed root, and
    :class:`LogUnavailableError` when both are missing of some stretch.
    """
    for order in ((_from_tile, _from_entries), (_from_entries, _from_tile)):
        tiles, root = _grown(folder, head, order)
        if root == head.root:
            _compare(folder, head, tiles, findings)
            return AuthenticTree(head, tiles)
    raise ProofInvalidError(
        f"neither the entries nor the tiles of {head.origin} in this mirror lead to the root that it signed"
    )


def _grown(folder: Path, head: Checkpoint, order: tuple[Hashes, Hashes]) -> tuple[dict[tuple[int, int], bytes], bytes]:
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    for index, width in widths(head.size):
        hashes = order[0](folder, index, width) or order[1](folder, index, width)
        if hashes is None:
            raise LogUnavailableError(f"the mirror {folder} has neither {tile_path(0, index, width)} nor its entries")
        for at in range(0, len(hashes), HASH_BYTES):
            tree.append(hashes[at : at + HASH_BYTES])
        for level, number, content in tree.take_changed_tiles():
            tiles[level, number] = content
    return tiles, tree.root()


def _from_tile(folder: Path, index: int, width: int) -> bytes | None:
    hashes = tile_or_none(folder, 0, index, width)
    return hashes if hashes is not None and len(hashes) == width * HASH_BYTES else None


def _from_entries(folder: Path, index: int, width: int) -> bytes | None:
    try:
        items = read_items(folder, index, width)
    except (LogUnavailableError, TooLargeError, MalformedError):
        return None
    return b"".join(map(item_hash, items)) if len(items) == width else None


def _compare(folder: Path, head: Checkpoint, tiles: dict[tuple[int, int], bytes], findings: Findings) -> None:
    for (level, index), hashes in sorted(tiles.items()):
        path = tile_path(level, index, tile_width(level, index, head.size))
        stored = tile_or_none(folder, level, index, len(hashes) // HASH_BYTES)
        if stored is None:
            findings.add(None, "missing-tile", f"the mirror has no {path}; its hashes follow from the entries")
        elif stored != hashes:
            findings.add(None, "wrong-tile", f"{path} does not hold the hashes of the tree that the log signed")


def strange_files(folder: Path, tree: AuthenticTree, findings: Findings) -> None:
    """Note what lies in the folder and is not part of the tree: nobody vouches for it, and others could read it."""
    for path in file_names(folder):
        if path in (CHECKPOINT, CONFLICT, COSIGNED) or path.startswith(f"{HEADS}/"):
            continue  # each is judged by what the log signed
        if path == LOCK and not (folder / path).stat().st_size:
            continue
        name = named_tile(path)
        shown = os.fsencode(path).decode("utf-8", "replace")
        if name is None:
            findings.add(None, "extra-file", f"{shown} is no file of a log")
            continue
        width = tile_width(name.level or 0, name.index, tree.size)
        if name.width > width:
            findings.add(None, "extra-tile", f"{shown} is not part of a tree of {tree.size} entries")
        elif name.width < width and not _is_earlier_part(folder, path, name.level, name.index, name.width, tree):
            findings.add(None, "wrong-tile", f"{shown} is not what the log held when it was so long")


def _is_earlier_part(folder: Path, path: str, level: int | None, index: int, width: int, tree: AuthenticTree) -> bool:
    """Whether a part that the log has outgrown is the beginning of what stands there now."""
    hashes = _from_entries(folder, index, width) if level is None else tile_or_none(folder, level, index, width)
    return hashes == tree.tiles[level or 0, index][: width * HASH_BYTES]
