"""How a log's tree is laid out as static files: C2SP tlog-tiles, paths and entry bundles."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError

TILE_HEIGHT = 8
TILE_WIDTH = 256
TILE_BYTES = TILE_WIDTH * 32
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF

# Sizes are below 2^64 and a tile spans 2^8 of them.
_MAX_TILE_INDEX = (1 << 56) - 1
_PATH = re.compile(r"tile/(0|[1-9][0-9]?|entries)/((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class TileName:
    """A tile of hashes, or a bundle of entries when ``level`` is None; ``width`` is 256 unless it is partial."""

    level: int | None
    index: int
    width: int = TILE_WIDTH


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile below the log's prefix, such as ``tile/0/x001/234.p/17``."""
    return _path(str(level), index, width)


def entries_path(index: int, width: int = TILE_WIDTH) -> str:
    """The path of an entry bundle below the log's prefix, such as ``tile/entries/x001/234.p/17``."""
    return _path("entries", index, width)


def parse_tile_path(path: str) -> TileName:
    """The tile or bundle that ``path`` names; raises :class:`MalformedError` for any but the one way to write it."""
    match = _PATH.match(path) if len(path) <= 100 else None
    if match is None:
        raise MalformedError("the path does not name a tile")
    level, groups, last, width = match.groups()
    name = TileName(
        level=None if level == "entries" else int(level),
        index=int(groups.replace("x", "").replace("/", "") + last),
        width=TILE_WIDTH if width is None else int(width),
    )
    if (
        (name.level or 0) > MAX_LEVEL
        or name.index > _MAX_TILE_INDEX
        or (width is not None and name.width >= TILE_WIDTH)
    ):
        raise MalformedError("the path names a tile beyond the limits")
    if _path(level, name.index, name.width) != path:
        raise MalformedError("the path is not the one way to write it")
    return name


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes (or, on level 0, entries) that tile has in a tree of ``size`` leaves, 0 to 256."""
    return max(0, min(TILE_WIDTH, (size >> TILE_HEIGHT * level) - index * TILE_WIDTH))


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """1 to 256 entries as an entry bundle; raises :class:`MalformedError` when one is above 65,535 bytes."""
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise MalformedError(f"a bundle has 1 to {TILE_WIDTH} entries")
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise MalformedError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(data: bytes) -> list[bytes]:
    """The 1 to 256 entries of a bundle; raises :class:`MalformedError`."""
    entries: list[bytes] = []
    position = 0
    while position < len(data):
        start = position + 2
        end = start + int.from_bytes(data[position:start], "big")
        if start > len(data) or end > len(data):
            raise MalformedError("the bundle ends inside an entry")
        entries.append(data[start:end])
        position = end
        if len(entries) > TILE_WIDTH:
            break
    if not 1 <= len(entries) <= TILE_WIDTH:
        raise MalformedError(f"a bundle has 1 to {TILE_WIDTH} entries")
    return entries


def _path(level: str, index: int, width: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{name}" if width == TILE_WIDTH else f"tile/{level}/{name}.p/{width}"
