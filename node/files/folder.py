"""The store of segments in a folder of this machine: a file for each, whole or not there, durable when it is told.

A message has a folder, named by its digest; a segment's file is named ``NAME.INDEX``. A batch is written under names of
its own, synced with one wait for the disk, renamed, and the folder synced: a crash leaves a whole segment or none.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from keys.local.files import PRIVATE_MODE, acquire_lock, let_go_of_cache, make_durable, release_lock, sync_folder
from keys.transport.segments import BUFFERS
from keys.transport.tls_io import step_back
from node.files.store import KEY_BYTES, Buffer, SegmentObject
from node.store.disk_errors import Report, disk_error, unreported
from protocol.errors import NotFoundError, StoreInUseError

T = TypeVar("T")

_THREADS = 4
_TEMPORARY = "."
_HEX_CHARS = 2 * KEY_BYTES
# Of so many long objects that were written last, none has to be read from the disk; the cache lets go of others, and
# of those that were read: the same pages of it serve again and again (see :data:`keys.local.files.CACHED_BYTES`).
_KEPT = 16
_LONG_BYTES = 1 << 20


class FolderStore:
    """A :class:`~node.files.store.FileStore` in the folder ``path``, which is made if it is missing."""

    def __init__(self, path: Path, *, report: Report = unreported) -> None:
        self._path = path
        self._report = report
        self._lock: int | None = None
        self._run = secrets.token_hex(4)  # what another run left unfinished has another one
        self._threads: ThreadPoolExecutor | None = None
        self._cached: deque[Path] = deque()

    # --- Life ---------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """See :class:`~node.files.store.FileStore`."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="files", initializer=step_back)
        if self._lock is None:
            await self._calling(self._open)

    def _open(self) -> None:
        with self._writing():
            self._path.mkdir(mode=0o700, exist_ok=True)
            lock = self._path / ".lock"
            self._lock = acquire_lock(lock, lambda: StoreInUseError(f"another process has {self._path} open"))

    async def close(self) -> None:
        """See :class:`~node.files.store.FileStore`."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.get_running_loop().run_in_executor(None, threads.shutdown)
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None

    # --- Writing ------------------------------------------------------------------------------------------------------

    async def put(self, message: bytes, segments: Sequence[SegmentObject]) -> None:
        """See :class:`~node.files.store.FileStore`."""
        if segments:
            await self._calling(lambda: self._put(message, segments))

    def _put(self, message: bytes, segments: Sequence[SegmentObject]) -> None:
        folder = self._folder(message)
        named = [(folder / _file_name(segment.name, segment.index), segment) for segment in segments]
        with self._writing():
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._path)
            written: list[tuple[Path, Path]] = []
            try:
                for final, segment in named:
                    temporary = folder / f"{_TEMPORARY}{self._run}.{secrets.token_hex(8)}"
                    written.append((temporary, final))
                    _write(temporary, segment)
                make_durable([temporary for temporary, _ in written])
                for temporary, final in written:
                    os.replace(temporary, final)
                sync_folder(folder)
                self._pass_on([final for final, segment in named if segment.size_bytes >= _LONG_BYTES])
            except BaseException:
                for temporary, _ in written:
                    with suppress(OSError):
                        temporary.unlink()
                raise

    def _pass_on(self, written: Sequence[Path]) -> None:
        """Let the cache go of what was written before these long objects."""
        self._cached.extend(written)
        while len(self._cached) > _KEPT:
            with suppress(OSError, IndexError):
                descriptor = os.open(self._cached.popleft(), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    let_go_of_cache(descriptor)
                finally:
                    os.close(descriptor)

    async def drop(self, message: bytes, name: bytes, index: int) -> None:
        """See :class:`~node.files.store.FileStore`."""
        await self._calling(lambda: self._drop(message, name, index))

    def _drop(self, message: bytes, name: bytes, index: int) -> None:
        with self._writing():
            (self._folder(message) / _file_name(name, index)).unlink(missing_ok=True)

    async def delete(self, message: bytes) -> None:
        """See :class:`~node.files.store.FileStore`."""
        await self._calling(lambda: self._delete(message))

    def _delete(self, message: bytes) -> None:
        with self._writing(), suppress(FileNotFoundError):
            shutil.rmtree(self._folder(message))

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def get(self, message: bytes, name: bytes, index: int) -> Buffer:
        """See :class:`~node.files.store.FileStore`."""
        return await self._calling(lambda: self._get(message, name, index))

    def _get(self, message: bytes, name: bytes, index: int) -> Buffer:
        with self._reading():
            try:
                return _read(self._folder(message) / _file_name(name, index))
            except FileNotFoundError:
                raise NotFoundError("this segment is not here") from None

    async def get_some(self, message: bytes, segments: Sequence[tuple[bytes, int]]) -> Sequence[Buffer | None]:
        """See :class:`~node.files.store.FileStore`."""
        return await self._calling(lambda: self._get_some(message, segments))

    def _get_some(self, message: bytes, segments: Sequence[tuple[bytes, int]]) -> list[Buffer | None]:
        found: list[Buffer | None] = []
        for name, index in segments:
            try:
                found.append(self._get(message, name, index))
            except NotFoundError:
                found.append(None)
        return found

    async def held(self, message: bytes) -> Mapping[bytes, Sequence[int]]:
        """See :class:`~node.files.store.FileStore`; what another run left unfinished is taken away."""
        return await self._calling(lambda: self._held(message))

    def _held(self, message: bytes) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        with self._reading(), suppress(FileNotFoundError):
            for entry in os.scandir(self._folder(message)):
                if entry.name.startswith(_TEMPORARY):
                    if not entry.name.startswith(_TEMPORARY + self._run):
                        with suppress(FileNotFoundError):
                            os.unlink(entry.path)
                    continue
                name, index = _of_file_name(entry.name)
                found.setdefault(name, []).append(index)
        return found

    async def messages(self) -> Sequence[bytes]:
        """See :class:`~node.files.store.FileStore`."""
        return await self._calling(self._messages)

    def _messages(self) -> list[bytes]:
        with self._reading():
            names = [entry.name for entry in os.scandir(self._path) if entry.is_dir()]
        return [bytes.fromhex(name) for name in names if len(name) == _HEX_CHARS]

    async def usage(self, message: bytes) -> int:
        """See :class:`~node.files.store.FileStore`."""
        return await self._calling(lambda: self._usage(message))

    def _usage(self, message: bytes) -> int:
        with self._reading():
            try:
                return sum(entry.stat().st_size for entry in os.scandir(self._folder(message)))
            except FileNotFoundError:
                return 0

    async def room(self) -> int | None:
        """See :class:`~node.files.store.FileStore`."""
        return await self._calling(self._room)

    def _room(self) -> int:
        if self._lock is None:
            self._open()  # or say why not
        with self._reading():
            disk = os.statvfs(self._path)
        return disk.f_bavail * disk.f_frsize

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _folder(self, message: bytes) -> Path:
        if len(message) != KEY_BYTES:
            raise ValueError("a message is named by a digest of 32 bytes")
        return self._path / message.hex()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            error = disk_error(problem, f"files cannot be written here: {problem.strerror}")
            self._report(self._path, problem, "writing")
            raise error from problem
        self._report(self._path, None, "writing")

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except OSError as problem:
            error = disk_error(problem, f"files cannot be read here: {problem.strerror}")
            self._report(self._path, problem, "reading")
            raise error from problem
        self._report(self._path, None, "reading")

    async def _calling(self, work: Callable[[], T]) -> T:
        """In a thread of this store. The work goes on when the caller goes away: nothing is left half done."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def _read(path: Path) -> Buffer:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        length = os.fstat(descriptor).st_size
        if length < _LONG_BYTES:
            return _read_short(descriptor, length)
        content, filled = BUFFERS.take_for(length), 0
        while filled < length and (more := os.preadv(descriptor, [content[filled:]], filled)):
            filled += more
        let_go_of_cache(descriptor)
    finally:
        os.close(descriptor)
    return content[:filled]


def _read_short(descriptor: int, length: int) -> bytes:
    content = os.pread(descriptor, length, 0)
    while len(content) < length and (more := os.pread(descriptor, length - len(content), len(content))):
        content += more
    return content


def _write(path: Path, segment: SegmentObject) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        written = os.writev(descriptor, [segment.head, segment.content])
        if written < segment.size_bytes:  # it was interrupted, or the disk is nearly full
            rest = memoryview(segment.head + bytes(segment.content))[written:]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def _file_name(name: bytes, index: int) -> str:
    if len(name) != KEY_BYTES or index < 0:
        raise ValueError("a segment is named by 32 bytes and an index")
    return f"{name.hex()}.{index}"


def _of_file_name(text: str) -> tuple[bytes, int]:
    name, _, index = text.partition(".")
    return bytes.fromhex(name), int(index)
