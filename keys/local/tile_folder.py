"""A log as a folder of tiles, such as a mirror: which files it has, and reading them with limits. None is trusted.

The layout is that of C2SP tlog-tiles. An auditor whose view is limited has scoped bundles in place of entry bundles.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from keys.local.files import acquire_lock, locked, release_lock
from protocol.errors import FolderBusyError, LogUnavailableError, MalformedError, TooLargeError
from protocol.log.layout import (
    TILE_WIDTH,
    TileName,
    decode_bundle,
    entries_path,
    parse_tile_path,
    tile_path,
    tile_width,
)
from protocol.log.scoped import BundleItem, decode_scoped_bundle, parse_scoped_path, scoped_path

CHECKPOINT = "checkpoint"
COSIGNED = "cosigned/checkpoint"
CONFLICT = "checkpoint.conflict"
LOCK = ".lock"
_MAX_SIGNED = (1 << 63) - 1
HEADS = "heads"
"""The folder with every signed head that a mirror was ever shown, of this history or of another."""
MAX_BUNDLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class BundleForm:
    """In which form a log's entries come: where a bundle lies, and how it is read (raises MalformedError)."""

    path: Callable[[int, int], str]
    decode: Callable[[bytes], list[BundleItem]]


def _plain_items(data: bytes) -> list[BundleItem]:
    return [*decode_bundle(data)]


PLAIN = BundleForm(entries_path, _plain_items)
SCOPED = BundleForm(scoped_path, decode_scoped_bundle)


@contextmanager
def written_alone(folder: Path) -> Iterator[None]:
    """No other program writes into the folder during the block, or verifies it; raises :class:`FolderBusyError`.

    Two at once would remove parts of tiles that the other's checkpoint speaks of. The folder is made if need be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / LOCK, lambda: _busy(folder)):
        yield


@contextmanager
def read_whole(folder: Path) -> Iterator[None]:
    """Nobody writes into the folder during the block, others may read it; raises :class:`FolderBusyError`.

    A folder without a lock file, or with one of another user or on a medium that cannot be written, is read as it is:
    who only reads leaves nothing behind.
    """
    try:
        os.stat(folder / LOCK)
        descriptor = acquire_lock(folder / LOCK, lambda: _busy(folder), shared=True)
    except OSError:
        yield
        return
    try:
        yield
    finally:
        release_lock(descriptor)


def _busy(folder: Path) -> FolderBusyError:
    return FolderBusyError(f"another program works in the folder {folder}")


def read_resource(folder: Path, path: str) -> bytes:
    """A file of a mirror; raises :class:`LogUnavailableError` or, above 4 MiB, :class:`TooLargeError`."""
    try:
        # Not blocking: what lies there may be a pipe.
        descriptor = os.open(folder / path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise LogUnavailableError(f"{path} of the mirror {folder} is not a file")
            content = file.read(MAX_BUNDLE_BYTES + 1)
    except OSError as problem:
        raise LogUnavailableError(f"the mirror {folder} has no {path}") from problem
    if len(content) > MAX_BUNDLE_BYTES:
        raise TooLargeError(f"{path} of the mirror {folder} has more than {MAX_BUNDLE_BYTES} bytes")
    return content


def read_items(folder: Path, index: int, width: int) -> list[BundleItem]:
    """The items of bundle ``index`` as the mirror has them, of whatever number.

    Raises :class:`LogUnavailableError`, :class:`TooLargeError` or :class:`MalformedError`.
    """
    for form in (PLAIN, SCOPED):
        path = form.path(index, width)
        if (folder / path).exists():
            return form.decode(read_resource(folder, path))
    raise LogUnavailableError(f"the mirror {folder} has no {entries_path(index, width)}")


def widths(size: int) -> Iterator[tuple[int, int]]:
    """The bundles (or tiles of level 0) of a log of ``size`` entries: number and width."""
    for index in range(-(-size // TILE_WIDTH)):
        yield index, min(TILE_WIDTH, size - index * TILE_WIDTH)


def file_names(folder: Path) -> Iterator[str]:
    """The paths of all that lies in the folder, below it, folders left out; in order."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield os.path.relpath(os.path.join(place, name), folder)


class FileMark(NamedTuple):
    """By what a file is known to be the one that was read: nobody who writes into it leaves all of these as they were.

    ``changed_ns`` is when the file system says that the file last changed in any way, which no program can set.
    """

    size: int
    modified_ns: int
    changed_ns: int
    inode: int


def file_marks(folder: Path) -> dict[str, FileMark | None]:
    """All that lies in the folder, as :func:`file_names`, with the marks of what is a file in it and nothing else."""
    found: dict[str, FileMark | None] = {}
    _mark(os.fspath(folder), "", found)
    return found


def _mark(place: str, prefix: str, found: dict[str, FileMark | None]) -> None:
    folders = []
    try:
        with os.scandir(place) as entries:
            listed = sorted(entries, key=attrgetter("name"))
    except OSError:
        return
    for entry in listed:
        if entry.is_file(follow_symlinks=False):
            seen = entry.stat(follow_symlinks=False)
            mark = FileMark(seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino & _MAX_SIGNED)
            found[prefix + entry.name] = mark
        elif entry.is_dir(follow_symlinks=False):
            folders.append(entry.name)
        elif not (entry.is_symlink() and entry.is_dir()):
            found[prefix + entry.name] = None
    for name in folders:
        _mark(f"{place}/{name}", f"{prefix}{name}/", found)


def named_tile(path: str) -> TileName | None:
    """The tile or bundle that a mirror's file is, None if it is neither."""
    try:
        return parse_scoped_path(path) if path.startswith("scoped/") else parse_tile_path(path)
    except MalformedError:
        return None


def head_path(size: int, note: bytes) -> str:
    """Where a mirror keeps a head: a file each, also for one tree that was signed at several times."""
    return f"{HEADS}/{size}-{sha256(note).hexdigest()[:16]}"


def head_paths(folder: Path) -> list[str]:
    """The files in the mirror's folder of heads, in order."""
    try:
        return sorted(f"{HEADS}/{name}" for name in os.listdir(folder / HEADS))
    except (FileNotFoundError, NotADirectoryError):
        return []


def tile_or_none(folder: Path, level: int, index: int, width: int) -> bytes | None:
    """The stored tile, None if there is none that could be it."""
    try:
        return read_resource(folder, tile_path(level, index, width))
    except (LogUnavailableError, TooLargeError):
        return None


def drop_outgrown_parts(folder: Path, size: int) -> None:
    """Remove partial tiles and bundles that wider ones now stand for."""
    for path in list(file_names(folder)):
        name = named_tile(path)
        if name is not None and name.width < tile_width(name.level or 0, name.index, size):
            (folder / path).unlink()
            if not any((folder / path).parent.iterdir()):
                (folder / path).parent.rmdir()
