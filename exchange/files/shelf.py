"""Where sealed files lie: a folder beside the database. Nothing in it opens without the key, which is not in it.

A file appears under its name when all of it is on the disk. One that is being written has the ending ``.part``. Files
that are written together are a batch: their names begin with its own, and whoever writes them holds its lock until all
of them have their places. So the leavings of a program that was killed are known, and removed.

The files that this desk sealed lie in ``out``, those that it fetched in ``in``, in a folder for each message.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from keys.local.files import PRIVATE_MODE, make_durable, sync_folder
from protocol.errors import FileNotHereError, FileUnreadableError, StorageFullError

_FOLDER_MODE = 0o700
PART = ".part"
LEAVES = ".leaves"
_OUT, _IN = "out", "in"
# A stray file lies so long: another program may be about to say what it belongs to.
STRAY_S = 3600.0
# So much stays free on the disk: the database must be able to go on.
RESERVE_BYTES = 64 * 1024 * 1024
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class ShelfPart:
    """A file that is being written: its descriptor, where it lies now."""

    descriptor: int
    path: Path


class Shelf:
    """The shelf in ``folder``. Raises :class:`StorageFullError` where the disk takes nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, place: str) -> Path:
        """Where a file of this place lies, or will."""
        return self._folder / place

    def has(self, place: str) -> bool:
        """Whether the file is there, whole."""
        return self.path(place).is_file()

    def require_room(self, wanted_bytes: int) -> None:
        """Return if the disk has room for so many bytes; raises :class:`StorageFullError`."""
        self._make(self._folder)
        free = shutil.disk_usage(self._folder).free
        if free < wanted_bytes + RESERVE_BYTES:
            raise StorageFullError(
                f"the disk of the desk's home has {free} bytes free; the files need {wanted_bytes + RESERVE_BYTES}"
            )

    def room(self) -> int:
        """How many bytes the disk takes still."""
        self._make(self._folder)
        return max(0, shutil.disk_usage(self._folder).free - RESERVE_BYTES)

    @contextmanager
    def batch(self) -> Iterator[str]:
        """The name of a new batch: until the block ends nobody sweeps its files, also those that are whole already."""
        batch = os.urandom(16).hex()
        path = self._folder / _OUT / f"{batch}{PART}"
        with on_this_disk():
            self._make(path.parent)
            lock = _locked(path)
        try:
            yield batch
        finally:
            with suppress(OSError):  # a later sweep takes it
                path.unlink()
            os.close(lock)

    @contextmanager
    def writing(self, batch: str) -> Iterator[ShelfPart]:
        """A new file of a batch to be written, which is removed when the block raises."""
        path = self._folder / _OUT / f"{batch}.{os.urandom(16).hex()}{PART}"
        with on_this_disk():
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
        try:
            yield ShelfPart(descriptor, path)
        except BaseException:
            with suppress(FileNotFoundError):
                path.unlink()
            raise
        finally:
            os.close(descriptor)

    def settle(self, written: Sequence[tuple[Path, str]]) -> None:
        """Give files that were written their places, all of them durable when this returns."""
        with on_this_disk():
            make_durable([path for path, _ in written], named=False)
            folders = set[Path]()
            for path, place in written:
                final = self.path(place)
                self._make(final.parent)
                os.utime(path)  # it may be a stray from now on, and not since it was written
                os.rename(path, final)
                folders.add(final.parent)
            for folder in folders:
                sync_folder(folder)

    @contextmanager
    def reading(self, place: str) -> Iterator[int]:
        """A descriptor of a whole file; raises :class:`FileNotHereError`, and :class:`FileUnreadableError`."""
        try:
            with off_this_disk():
                descriptor = os.open(self.path(place), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError as problem:
            raise FileNotHereError("the sealed file is not on this desk's shelf") from problem
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def fetched(self, digest: bytes) -> list[str]:
        """The places of what came with the message of this digest, whole or in part."""
        folder = self._folder / _IN / digest.hex()
        found = {path.name.removesuffix(PART).removesuffix(LEAVES) for path in folder.glob("*")}
        return [f"{_IN}/{digest.hex()}/{name}" for name in sorted(found)]

    def make_room_for(self, path: Path) -> None:
        """Make the folder that a file will lie in."""
        self._make(path.parent)

    def remove(self, place: str) -> None:
        """Take a file, or what there is of it, off the shelf."""
        path = self.path(place)
        for each in (path, *(path.with_name(path.name + ending) for ending in (PART, LEAVES))):
            with suppress(FileNotFoundError), on_this_disk():
                os.unlink(each)
        if path.parent.parent.name == _IN:
            with suppress(OSError):
                path.parent.rmdir()

    def sweep(self, belongs: Callable[[str], bool], now: Callable[[], float] = time.time) -> int:
        """Remove what nobody writes and nothing ``belongs`` to, by its place; how many files."""
        removed = 0
        before = now() - STRAY_S
        for path in list((self._folder / _OUT).glob("*")):
            with suppress(FileNotFoundError):
                place = f"{_OUT}/{path.name.removesuffix(LEAVES)}"
                stray = path.stat().st_mtime < before and not belongs(place)
                if (path.suffix == PART and _abandoned(path)) or (path.suffix != PART and stray):
                    path.unlink()
                    removed += 1
        return removed

    def _make(self, folder: Path) -> None:
        if not folder.is_dir():
            with on_this_disk():
                made = [one for one in (folder, *folder.parents) if not one.exists()]
                for one in reversed(made):
                    one.mkdir(mode=_FOLDER_MODE, exist_ok=True)
                    sync_folder(one.parent)


def own_place(name: bytes) -> str:
    """Where a file lies that this desk sealed."""
    return f"{_OUT}/{name.hex()}"


def fetched_place(digest: bytes, name: bytes) -> str:
    """Where a file lies that came with the message of this digest: never by its name alone, which others may know."""
    return f"{_IN}/{digest.hex()}/{name.hex()}"


@contextmanager
def on_this_disk() -> Iterator[None]:
    """A disk that takes nothing becomes :class:`StorageFullError`, with its cause."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as problem:
        if problem.errno in _FULL:
            raise StorageFullError("the disk with the desk's home is full or read-only") from problem
        raise StorageFullError(f"the desk's home cannot be written: {problem.strerror}") from problem


@contextmanager
def off_this_disk() -> Iterator[None]:
    """A disk that does not give a sealed file becomes :class:`FileUnreadableError`, with its cause."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise FileUnreadableError(
            f"the sealed file on this desk's shelf cannot be read: {problem.strerror}"
        ) from problem


def _locked(path: Path) -> int:
    """A descriptor with the lock of a new file, which is there then: a sweep may take it before it is locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _abandoned(path: Path) -> bool:
    """Whether nobody works on the batch that the file belongs to, or is the lock of."""
    batch = path.with_name(path.name.partition(".")[0] + PART)
    try:
        descriptor = os.open(batch, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
