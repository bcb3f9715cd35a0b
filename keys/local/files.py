"""Crash-safe files: a reader sees the old file or the new one, never a torn one, also after a power cut."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from protocol.errors import ComityError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
# Where one of several programs on the same files waits for another: longer than any honest one takes.
LOCK_WAIT_S = 60.0
_LOOK_AGAIN_S = 0.01
# From so many files on, a sync of the whole file system is cheaper than two for each file.
_MANY_FILES = 32


def write_file(path: Path, content: bytes, *, mode: int = PUBLIC_MODE, durable: bool = True) -> None:
    """Replace ``path`` by ``content``: temporary file in the same folder, fsync, rename, fsync of the folder.

    The file has exactly ``mode`` from its first byte on. ``durable=False`` leaves out the fsyncs, for folders that do
    not outlive the process. Raises :class:`OSError`; the old file is then unchanged.
    """
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    if durable:
        sync_folder(path.parent)


_LEFT_BEHIND = re.compile(r"\..+\.[a-z0-9_]{8}\.tmp")


def drop_left_behind(folder: Path) -> None:
    """Remove what :func:`write_file` leaves in ``folder`` and below when it is killed. Nobody may write there now."""
    for place, _folders, files in os.walk(folder):
        for name in filter(_LEFT_BEHIND.fullmatch, files):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(place, name))


def write_files(files: Mapping[Path, bytes], *, durable: bool = True) -> None:
    """Replace many files, each whole; all of them are durable when this returns. Missing folders are made.

    Raises :class:`OSError`; some of the files may be replaced then, each whole.
    """
    for folder in {path.parent for path in files}:
        _make_folder(folder, durable=durable)
    for path, content in files.items():
        write_file(path, content, durable=False)
    if durable:
        make_durable(files)


def make_durable(paths: Collection[Path], *, named: bool = True) -> None:
    """Make files and their names durable that were written without; raises :class:`OSError`.

    ``named=False`` leaves the names out, for files that get others before they count.
    """
    folders = {path.parent for path in paths}
    if len(paths) <= _MANY_FILES:
        for path in paths:
            _sync(path, os.O_RDONLY)
        for folder in folders if named else ():
            sync_folder(folder)
        return
    # One wait for the disk, where each file by itself would take one of its own.
    by_device = {os.stat(folder).st_dev: folder for folder in folders}
    for folder in by_device.values():
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            _sync_file_system(descriptor)
        finally:
            os.close(descriptor)


def _sync_file_system(descriptor: int) -> None:
    # Python has sync(2), which reports no failure, and not Linux's syncfs(2), which does.
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _make_folder(folder: Path, *, durable: bool) -> None:
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing if durable else ():
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames and new names in ``folder`` durable."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def acquire_lock(path: Path, refusal: Callable[[], ComityError], *, wait_s: float = 0, shared: bool = False) -> int:
    """Take the advisory lock of file ``path`` and return its descriptor; ``shared`` is with others that only read.

    Raises ``refusal()`` when another holds it for longer than ``wait_s``: who holds it may be stopped, or hang. The
    lock lasts until :func:`release_lock`, or until the process ends.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE)
    until = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as problem:
            if time.monotonic() >= until:
                os.close(descriptor)
                raise refusal() from problem
            time.sleep(_LOOK_AGAIN_S)
        except BaseException:
            os.close(descriptor)
            raise
        else:
            return descriptor


def release_lock(descriptor: int) -> None:
    """Give the lock back."""
    os.close(descriptor)


@contextmanager
def locked(path: Path, refusal: Callable[[], ComityError], *, wait_s: float = 0) -> Iterator[None]:
    """Hold the advisory lock of file ``path`` for the length of a block; raises as :func:`acquire_lock`."""
    descriptor = acquire_lock(path, refusal, wait_s=wait_s)
    try:
        yield
    finally:
        release_lock(descriptor)
