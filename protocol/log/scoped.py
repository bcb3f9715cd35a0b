"""Entry bundles for readers who may see some entries only: of the others they get the leaf hash.

A log's tree verifies from leaf hashes, so a reader whose view is limited can still prove that what it sees is what was
logged, and that nothing was left out unsaid. The bundle stands on a path of its own, beside the tiles of C2SP
tlog-tiles and never in their place::

    scoped bundle = 1 to 256 items, in the order of the log
    item          = 01 || length of the entry (2, big-endian) || entry
                  / 00 || leaf hash (32)

Path: ``scoped/<index>[.p/<width>]``, index and width as in the path of an entry bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError
from protocol.log.layout import MAX_ENTRY_BYTES, TILE_WIDTH, TileName, entries_path, parse_tile_path
from protocol.log.merkle import HASH_BYTES, leaf_hash

SCOPED_TYPE = "application/vnd.comity.scoped-bundle"

_ENTRIES, _SCOPED = "tile/entries/", "scoped/"
_WITHHELD, _SHOWN = 0, 1


@dataclass(frozen=True, slots=True)
class Withheld:
    """An entry that the reader may not see, by its leaf hash (32 bytes)."""

    leaf_hash: bytes

    def __post_init__(self) -> None:
        if type(self.leaf_hash) is not bytes or len(self.leaf_hash) != HASH_BYTES:
            raise MalformedError(f"a leaf hash has {HASH_BYTES} bytes")


BundleItem = bytes | Withheld
"""An entry, or what stands for one that is withheld."""


def item_hash(item: BundleItem) -> bytes:
    """The leaf hash of an item, 32 bytes."""
    return item.leaf_hash if isinstance(item, Withheld) else leaf_hash(item)


def scoped_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of a scoped bundle below the log's prefix, such as ``scoped/x001/234.p/17``."""
    return _SCOPED + entries_path(index, width).removeprefix(_ENTRIES)


def parse_scoped_path(path: str) -> TileName:
    """The bundle that ``path`` names; raises :class:`MalformedError` for any but the one way to write it."""
    if not path.startswith(_SCOPED):
        raise MalformedError("the path does not name a scoped bundle")
    return parse_tile_path(_ENTRIES + path.removeprefix(_SCOPED))


def encode_scoped_bundle(items: Sequence[BundleItem]) -> bytes:
    """1 to 256 items as a scoped bundle; raises :class:`MalformedError` when an entry is above 65,535 bytes."""
    if not 1 <= len(items) <= TILE_WIDTH:
        raise MalformedError(f"a bundle has 1 to {TILE_WIDTH} entries")
    parts = bytearray()
    for item in items:
        if isinstance(item, Withheld):
            parts.append(_WITHHELD)
            parts += item.leaf_hash
            continue
        if len(item) > MAX_ENTRY_BYTES:
            raise MalformedError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
        parts.append(_SHOWN)
        parts += len(item).to_bytes(2, "big")
        parts += item
    return bytes(parts)


def decode_scoped_bundle(data: bytes) -> list[BundleItem]:
    """The 1 to 256 items of a scoped bundle; raises :class:`MalformedError`."""
    items: list[BundleItem] = []
    position = 0
    while position < len(data) and len(items) <= TILE_WIDTH:
        kind, start = data[position], position + 1
        if kind == _WITHHELD:
            position = start + HASH_BYTES
            body = data[start:position]
        elif kind == _SHOWN:
            position = start + 2 + int.from_bytes(data[start : start + 2], "big")
            body = data[start + 2 : position]
        else:
            raise MalformedError("an item of the bundle is neither an entry nor a leaf hash")
        if position > len(data) or (kind == _SHOWN and start + 2 > len(data)):
            raise MalformedError("the bundle ends inside an entry")
        items.append(Withheld(body) if kind == _WITHHELD else body)
    if not 1 <= len(items) <= TILE_WIDTH:
        raise MalformedError(f"a bundle has 1 to {TILE_WIDTH} entries")
    return items
