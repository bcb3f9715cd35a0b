"""A mirror's tree, proved to lead to the root that the log signed, and what of the mirror's files is not part of it.

The hashes of the leaves stand in a mirror twice: in the tiles of level 0, and in the entries that they are the hashes
of. The log's are those that lead to the signed root; the other is then known to have been altered, and where.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path

from exchange.audit._finding import Findings
from keys.local.tile_folder import (
    CHECKPOINT,
    CONFLICT,
    COSIGNED,
    HEADS,
    LOCK,
    named_tile,
    read_items,
    tile_or_none,
    widths,
)
from protocol.errors import LogUnavailableError, MalformedError, ProofInvalidError, TooLargeError
from protocol.log.checkpoint import Checkpoint
from protocol.log.layout import TILE_BYTES, TILE_WIDTH, tile_path, tile_width
from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import item_hash
from protocol.log.tiles import TileTree

Hashes = Callable[[Path, int, int], bytes | None]

_CACHED_TILES = 64


class AuthenticTree:
    """A log's tree. Nobody changes it after it was proved: in memory stand the roots of all full tiles of level 0.

    That is 32 bytes for 256 entries. The hashes of entries are read from the mirror, and taken only if they lead to
    the root of their tile, which was proved; the last tile, if it is not full, stands in memory too.
    """

    def __init__(self, folder: Path, head: Checkpoint, tile_roots: bytes, edge: bytes) -> None:
        self.size = head.size
        self._folder = folder
        self._full = head.size // TILE_WIDTH
        self._edge = edge
        self._levels = [b"", tile_roots]
        while len(self._levels[-1]) >= TILE_BYTES:
            below = self._levels[-1]
            ends = range(TILE_BYTES, len(below) + 1, TILE_BYTES)
            self._levels.append(b"".join(tile_root(below[end - TILE_BYTES : end]) for end in ends))
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._tree = TileTree(head.size, self.tile, cached_tiles=_CACHED_TILES)

    def tile_root(self, index: int) -> bytes:
        """The root of the full tile ``index`` of level 0."""
        return self._levels[1][index * HASH_BYTES : (index + 1) * HASH_BYTES]

    def tile(self, level: int, index: int) -> bytes:
        """The hashes of a tile as far as this tree has them; raises :class:`LogUnavailableError` as the others do."""
        if level:
            return self._levels[level][index * TILE_BYTES : (index + 1) * TILE_BYTES]
        return self.bundle_hashes(index)

    def tiles_above(self) -> Iterable[tuple[int, int, bytes]]:
        """Every tile above level 0: level, index and hashes."""
        for level in range(1, len(self._levels)):
            for index in range(-(-len(self._levels[level]) // TILE_BYTES)):
                yield level, index, self.tile(level, index)

    def bundle_hashes(self, index: int) -> bytes:
        """The leaf hashes of a bundle, 32 bytes each; :class:`LogUnavailableError` if the mirror lost or altered both.

        Both are the tile, and the entries whose hashes it holds.
        """
        if index == self._full:
            return self._edge
        known = self._cache.get(index)
        if known is not None:
            self._cache.move_to_end(index)
            return known
        for read in (_from_tile, _from_entries):
            hashes = read(self._folder, index, TILE_WIDTH)
            if hashes is not None and tile_root(hashes) == self.tile_root(index):
                self._remember(index, hashes)
                return hashes
        raise LogUnavailableError(
            f"the mirror {self._folder} has neither {tile_path(0, index)} nor its entries as the log signed them"
        )

    def leaf_hash(self, index: int) -> bytes:
        """The leaf hash of an entry; raises as :meth:`bundle_hashes`."""
        at = index % TILE_WIDTH * HASH_BYTES
        return self.bundle_hashes(index // TILE_WIDTH)[at : at + HASH_BYTES]

    def root(self, size: int) -> bytes:
        """The root that the log had at ``size``; raises :class:`LogUnavailableError` for one beyond the head."""
        return self._tree.root(size)

    def inclusion_path(self, index: int) -> list[bytes]:
        """The path from an entry to the root; raises :class:`LogUnavailableError` for one that there is not."""
        return self._tree.inclusion_path(index)

    def _remember(self, index: int, hashes: bytes) -> None:
        self._cache[index] = hashes
        if len(self._cache) > _CACHED_TILES:
            self._cache.popitem(last=False)


def tile_root(hashes: bytes) -> bytes:
    """The root of a full tile's 256 hashes."""
    prefix, level = b"\x01", hashes
    while len(level) > HASH_BYTES:
        level = b"".join(
            [sha256(prefix + level[at : at + 2 * HASH_BYTES]).digest() for at in range(0, len(level), 2 * HASH_BYTES)]
        )
    return level


@dataclass(frozen=True, slots=True)
class _Grown:
    """A tree as one reading of the mirror gives it, and the tiles of level 0 that do not say the same: index, code."""

    tree: AuthenticTree
    differing: tuple[tuple[int, str], ...]


def authentic_tree(folder: Path, head: Checkpoint, findings: Findings, known: bytes = b"") -> AuthenticTree:
    """The mirror's tree; tiles that are missing or wrong are findings, for they can be recomputed.

    ``known`` are the roots of the first full tiles, proved before and not read again. Raises
    :class:`ProofInvalidError` when neither tiles nor entries lead to the signed root, and :class:`LogUnavailableError`
    when both are missing of some stretch.
    """
    for order in ((_from_tile, _from_entries), (_from_entries, _from_tile)):
        grown = _grown(folder, head, order, known)
        if grown.tree.root(head.size) == head.root:
            for index, code in grown.differing:
                _add_tile(findings, code, tile_path(0, index, tile_width(0, index, head.size)))
            return grown.tree
    raise ProofInvalidError(
        f"neither the entries nor the tiles of {head.origin} in this mirror lead to the root that it signed"
    )


def compare_above(folder: Path, tree: AuthenticTree, findings: Findings) -> None:
    """Note the tiles above level 0 that are missing, or do not hold what follows from those below."""
    for level, index, hashes in tree.tiles_above():
        code = _differs(tile_or_none(folder, level, index, len(hashes) // HASH_BYTES), hashes)
        if code is not None:
            _add_tile(findings, code, tile_path(level, index, len(hashes) // HASH_BYTES))


def compare_tile(folder: Path, tree: AuthenticTree, index: int, findings: Findings) -> None:
    """Note the full tile ``index`` of level 0 if it is missing, or does not lead to the root that was proved of it."""
    stored = tile_or_none(folder, 0, index, TILE_WIDTH)
    if stored is None:
        _add_tile(findings, "missing-tile", tile_path(0, index))
    elif len(stored) != TILE_BYTES or tile_root(stored) != tree.tile_root(index):
        _add_tile(findings, "wrong-tile", tile_path(0, index))


def _add_tile(findings: Findings, code: str, path: str) -> None:
    if code == "missing-tile":
        findings.add(None, code, f"the mirror has no {path}; its hashes follow from the entries")
    else:
        findings.add(None, code, f"{path} does not hold the hashes of the tree that the log signed")


def _differs(stored: bytes | None, hashes: bytes) -> str | None:
    if stored is None:
        return "missing-tile"
    return None if stored == hashes else "wrong-tile"


def _grown(folder: Path, head: Checkpoint, order: tuple[Hashes, Hashes], known: bytes) -> _Grown:
    roots, edge, differing = bytearray(known), b"", list[tuple[int, str]]()
    for index, width in islice(widths(head.size), len(known) // HASH_BYTES, None):
        hashes = order[0](folder, index, width)
        from_tile = hashes is not None and order[0] is _from_tile
        if hashes is None:
            hashes = order[1](folder, index, width)
            from_tile = order[1] is _from_tile
        if hashes is None:
            raise LogUnavailableError(f"the mirror {folder} has neither {tile_path(0, index, width)} nor its entries")
        code = None if from_tile else _differs(tile_or_none(folder, 0, index, width), hashes)
        if code is not None:
            differing.append((index, code))
        if width == TILE_WIDTH:
            roots += tile_root(hashes)
        else:
            edge = hashes
    return _Grown(AuthenticTree(folder, head, bytes(roots), edge), tuple(differing))


def _from_tile(folder: Path, index: int, width: int) -> bytes | None:
    hashes = tile_or_none(folder, 0, index, width)
    return hashes if hashes is not None and len(hashes) == width * HASH_BYTES else None


def _from_entries(folder: Path, index: int, width: int) -> bytes | None:
    try:
        items = read_items(folder, index, width)
    except (LogUnavailableError, TooLargeError, MalformedError):
        return None
    return b"".join(map(item_hash, items)) if len(items) == width else None


def strange_files(folder: Path, paths: Iterable[str], tree: AuthenticTree, findings: Findings) -> None:
    """Note what lies in the folder and is not part of the tree: nobody vouches for it, and others could read it."""
    for path in paths:
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
    return hashes == tree.tile(level or 0, index)[: width * HASH_BYTES]
