"""This node's own files: which of them cannot be written or read, why, and whether the database is still there.

The log tells a failure once when it begins and once when it is over, with the file and the cause as the system names
it. So a full disk here is never taken for a partner that is down. Every folder that the node writes into is tried every
:data:`PROBE_S` seconds: a disk that fails while nobody sends anything is found out all the same.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from node.operations.logging import Log
from node.operations.metrics import Metrics
from protocol.errors import ComityError, StoreDamagedError

PROBE_S = 2.0
# A disk is nearly full when less than this part of it is free, and less than so many bytes.
NEARLY_FULL_PART = 0.05
NEARLY_FULL_BYTES = 5 * 1024**3
# One batch may need so much, so that the trial fails before a batch does.
_PROBE_BYTES = 1024 * 1024
_PROBE_NAME = ".comity-disk-probe"


def cause_of(problem: BaseException) -> str:
    """What the system said: ``ENOSPC``, ``SQLITE_CORRUPT``; the error's own code or type where it said nothing."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, sqlite3.Error) and getattr(seen, "sqlite_errorname", None):
            return str(seen.sqlite_errorname)
        if isinstance(seen, OSError) and seen.errno is not None:
            return errno.errorcode.get(seen.errno, str(seen.errno))
        seen = seen.__cause__
    return problem.code if isinstance(problem, ComityError) else type(problem).__name__


@dataclass(frozen=True, slots=True)
class _Failing:
    cause: str
    lasts: bool  # a damaged or replaced database does not become whole by itself


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """The disk that ``folder`` lies on."""

    folder: Path
    size_bytes: int
    free_bytes: int
    device: int = 0

    @property
    def is_nearly_full(self) -> bool:
        """Whether somebody should make room before anything fails."""
        return self.free_bytes < min(NEARLY_FULL_PART * self.size_bytes, NEARLY_FULL_BYTES)


@dataclass(frozen=True, slots=True, order=True)
class DiskProblem:
    """A file that cannot be used now: its name, for what (``reading``, ``writing``), and the system's cause.

    ``of_files``: it is of the folder of evidence files, without which messages go on.
    """

    file: str
    use: str
    cause: str
    of_files: bool


class Disk:
    """What is wrong with this node's files. Any thread may report."""

    def __init__(self, metrics: Metrics, log: Log) -> None:
        self._metrics = metrics
        self._log = log
        self._lock = Lock()
        self._failing: dict[tuple[Path, str], _Failing] = {}
        self._rooms: dict[Path, DiskRoom] = {}
        self._files: Path | None = None

    def __call__(self, file: Path, problem: BaseException | None, use: str) -> None:
        """See :data:`node.store.disk_errors.Report`."""
        if problem is None and not self._failing:
            return
        file = file.absolute()
        if problem is None:
            self._works(file, use)
            return
        now = _Failing(cause_of(problem), isinstance(problem, StoreDamagedError))
        self._metrics.disk_errors.labels(file.name, use, now.cause).inc()
        with self._lock:
            before = self._failing.get((file, use))
            if before is not None and before.lasts:
                return
            self._failing[file, use] = now
        if before is not None and before.cause == now.cause:
            return
        if before is not None:
            self._metrics.disk_failing.labels(file.name, use, before.cause).set(0)
        self._metrics.disk_failing.labels(file.name, use, now.cause).set(1)
        code = problem.code if isinstance(problem, ComityError) else type(problem).__name__
        self._log.error("disk-failing", file=str(file), use=use, cause=now.cause, code=code)

    def _works(self, file: Path, use: str) -> None:
        with self._lock:
            failing = self._failing.get((file, use))
            if failing is None or failing.lasts:
                return
            del self._failing[file, use]
        self._metrics.disk_failing.labels(file.name, use, failing.cause).set(0)
        self._log.info("disk-works", file=str(file), use=use, cause=failing.cause)

    @property
    def problems(self) -> list[DiskProblem]:
        """Each file that cannot be used now."""
        with self._lock:
            return sorted(
                DiskProblem(file.name, use, failing.cause, self._files in (file, *file.parents))
                for (file, use), failing in self._failing.items()
            )

    @property
    def disks(self) -> list[DiskRoom]:
        """The same, one for each disk: that of the first of its folders."""
        by_device: dict[int, DiskRoom] = {}
        for room in self.rooms:
            by_device.setdefault(room.device, room)
        return list(by_device.values())

    def of_files_alone(self, room: DiskRoom) -> bool:
        """Whether of the folders that are watched only that of evidence files lies on this disk."""
        return {one.folder for one in self.rooms if one.device == room.device} == {self._files}

    @property
    def rooms(self) -> list[DiskRoom]:
        """The room on the disk of each folder that is watched, as it was last looked at."""
        return [self._rooms[folder] for folder in sorted(self._rooms)]

    async def run(self, folders: Iterable[Path], still_there: Callable[[], None], files: Path | None = None) -> None:
        """Try the folders for ever, and ``files``, that of evidence files, where messages do not need it.

        ``still_there`` looks at the database's file and says itself what is wrong.
        """
        tried = self._watched(folders, files)
        while True:
            for folder in tried:
                await asyncio.to_thread(self._try, folder)
            await asyncio.to_thread(still_there)
            await asyncio.sleep(PROBE_S)

    def _watched(self, folders: Iterable[Path], files: Path | None) -> list[Path]:
        watched = {folder.absolute() for folder in folders}
        if files is not None:
            self._files = files.absolute()
            watched.add(self._files)
        return sorted(watched)

    def _try(self, folder: Path) -> None:
        try:
            self._look(folder)
            probe(folder)
        except OSError as problem:
            self(folder, problem, "writing")
            return
        for file, use in list(self._failing):
            # A caller that failed for want of room tries again when it needs the file; until then nothing speaks
            # against it.
            if use == "writing" and (folder == file or folder in file.parents):
                self._works(file, use)

    def _look(self, folder: Path) -> None:
        used = shutil.disk_usage(folder)
        self._rooms[folder] = DiskRoom(folder, used.total, used.free, folder.stat().st_dev)
        self._metrics.disk_size.labels(folder.name).set(used.total)
        self._metrics.disk_free.labels(folder.name).set(used.free)


def probe(folder: Path) -> None:
    """Write and sync a file in ``folder``, and take it away again; raises :class:`OSError`."""
    path = folder / _PROBE_NAME
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _PROBE_BYTES)
        os.write(descriptor, b"comity")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        with suppress(OSError):
            path.unlink()
