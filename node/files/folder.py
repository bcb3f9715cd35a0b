"""The store of segments in a folder of this machine: a file for each, whole or not there, durable when it is told.

A message has a folder, named by its digest; a segment's file is named ``NAME.INDEX``. A batch is written under names of
its own, synced with one wait for the disk, renamed, and the folder synced: a crash leaves a whole segment or none.

The file of a long segment is named ``NAME.INDEX.long``. Its content stands first, so that it begins with a page and can
go past the system's cache; its head stands behind that, then the head's length in four bytes, big-endian. Before
2026-12 long ones were kept as others are: they are read, counted and removed as before.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from keys.local.files import PRIVATE_MODE, acquire_lock, make_durable, release_lock, sync_folder
from keys.local.long_files.cache import let_go_of_cache
from keys.local.long_files.past_cache import LONG_BYTES, PAGE_BYTES, read_at, write_at
from keys.transport.segments import BUFFERS
from keys.transport.tls_io import step_back
from node.files.store import KEY_BYTES, Buffer, SegmentObject
from node.store.disk_errors import Report, disk_error, unreported
from protocol.errors import NotFoundError, StoreInUseError

T = TypeVar("T")

_THREADS = 4
_TEMPORARY = "."
_HEX_CHARS = 2 * KEY_BYTES
_LONG = ".long"
_COUNT_BYTES = 4  # of the head's length
# Where long objects have to go through the cache, it lets go of them after so many others: the same pages of it serve
# again and again (see :data:`keys.local.long_files.cache.CACHED_BYTES`).
_KEPT = 16


class FolderStore:
    """A :class:`~node.files.store.FileStore` in the folder ``path``, which is made if it is missing."""

    def __init__(self, path: Path, *, report: Report = unreported) -> None:
        self._path = path
        self._report = report
        self._lock: int | None = None
        self._run = secrets.token_hex(4)  # what another run left unfinished has another one
        self._threads: ThreadPoolExecutor | None = None
        self._cached: deque[Path] = deque()
        # Of which messages something is written by how many threads now, and which are being deleted.
        self._turn = threading.Condition()
        self._written = Counter[bytes]()
        self._deleted = set[bytes]()

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
        named = [(_place(folder, segment), segment) for segment in segments]
        with self._writing(), self._writing_of(message):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(self._path)
            written: list[tuple[Path, Path]] = []
            cached: list[Path] = []
            try:
                for final, segment in named:
                    temporary = folder / f"{_TEMPORARY}{self._run}.{secrets.token_hex(8)}"
                    written.append((temporary, final))
                    if _write(temporary, segment) >= LONG_BYTES:
                        cached.append(final)
                make_durable([temporary for temporary, _ in written], named=False)
                for temporary, final in written:
                    os.replace(temporary, final)
                    _otherwise(final).unlink(missing_ok=True)
                sync_folder(folder)
                self._pass_on(cached)
            except BaseException:
                for temporary, _ in written:
                    with suppress(OSError):
                        temporary.unlink()
                raise

    def _pass_on(self, written: Sequence[Path]) -> None:
        """Let the cache go of what was written into it before these long objects."""
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
            kept = self._folder(message) / _file_name(name, index)
            kept.unlink(missing_ok=True)
            _otherwise(kept).unlink(missing_ok=True)

    async def delete(self, message: bytes) -> None:
        """See :class:`~node.files.store.FileStore`."""
        await self._calling(lambda: self._delete(message))

    def _delete(self, message: bytes) -> None:
        with self._writing(), self._deleting(message), suppress(FileNotFoundError):
            shutil.rmtree(self._folder(message))

    # --- Reading ------------------------------------------------------------------------------------------------------

    async def get(self, message: bytes, name: bytes, index: int) -> Buffer:
        """See :class:`~node.files.store.FileStore`."""
        return await self._calling(lambda: self._get(message, name, index))

    def _get(self, message: bytes, name: bytes, index: int) -> Buffer:
        kept = self._folder(message) / _file_name(name, index)
        with self._reading():
            for path in (_otherwise(kept), kept):
                with suppress(FileNotFoundError):
                    return _read(path)
        raise NotFoundError("this segment is not here")

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
        found: dict[bytes, set[int]] = {}
        with self._reading(), suppress(FileNotFoundError):
            for entry in os.scandir(self._folder(message)):
                if entry.name.startswith(_TEMPORARY):
                    if not entry.name.startswith(_TEMPORARY + self._run):
                        with suppress(FileNotFoundError):
                            os.unlink(entry.path)
                    continue
                name, index = _of_file_name(entry.name)
                found.setdefault(name, set()).add(index)
        return {name: list(indexes) for name, indexes in found.items()}

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
        used = 0
        with self._reading(), suppress(FileNotFoundError):
            for entry in os.scandir(self._folder(message)):
                with suppress(FileNotFoundError):  # it got its own name, or went, meanwhile
                    used += entry.stat().st_size - _COUNT_BYTES * entry.name.endswith(_LONG)
        return used

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
    def _writing_of(self, message: bytes) -> Iterator[None]:
        """While segments are written nobody deletes their folder: a disk that lost it would seem to fail."""
        with self._turn:
            self._turn.wait_for(lambda: message not in self._deleted)
            self._written[message] += 1
        try:
            yield
        finally:
            with self._turn:
                self._written[message] -= 1
                if not self._written[message]:
                    del self._written[message]
                self._turn.notify_all()

    @contextmanager
    def _deleting(self, message: bytes) -> Iterator[None]:
        """While a folder is deleted nobody writes there."""
        with self._turn:
            self._turn.wait_for(lambda: message not in self._deleted)
            self._deleted.add(message)
            self._turn.wait_for(lambda: message not in self._written)
        try:
            yield
        finally:
            with self._turn:
                self._deleted.discard(message)
                self._turn.notify_all()

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


def _is_long(segment: SegmentObject) -> bool:
    return memoryview(segment.content).nbytes >= LONG_BYTES


def _place(folder: Path, segment: SegmentObject) -> Path:
    path = folder / _file_name(segment.name, segment.index)
    return _otherwise(path) if _is_long(segment) else path


def _otherwise(path: Path) -> Path:
    """Where the same object lies if it was kept in the other of the two ways."""
    return path.with_suffix("") if path.suffix == _LONG else path.with_name(path.name + _LONG)


def _read(path: Path) -> Buffer:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        length = os.fstat(descriptor).st_size
        if path.suffix == _LONG:
            return _read_long(descriptor, length)
        if length < LONG_BYTES:
            return _read_short(descriptor, length)
        content = BUFFERS.take_for(length)
        return content[: read_at(descriptor, content, 0)]
    finally:
        os.close(descriptor)


def _read_long(descriptor: int, length: int) -> Buffer:
    """Head and content, one behind the other: the content where a page of memory begins."""
    count = os.pread(descriptor, _COUNT_BYTES, max(0, length - _COUNT_BYTES))
    head = int.from_bytes(count, "big")
    size = length - _COUNT_BYTES - head
    if head > PAGE_BYTES or size < 0:
        raise FileNotFoundError  # damaged, as one that was cut: it is brought again
    whole = BUFFERS.take_for(head + size, before=head)
    if os.preadv(descriptor, [whole[:head]], size) != head or read_at(descriptor, whole[head:], 0) != size:
        raise FileNotFoundError
    return whole


def _read_short(descriptor: int, length: int) -> bytes:
    content = os.pread(descriptor, length, 0)
    while len(content) < length and (more := os.pread(descriptor, length - len(content), len(content))):
        content += more
    return content


def _write(path: Path, segment: SegmentObject) -> int:
    """Write an object; how many bytes of it the cache has now."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, PRIVATE_MODE)
    try:
        if not _is_long(segment):
            return _write_rest(descriptor, [segment.head, segment.content])
        copied = write_at(descriptor, segment.content, 0)
        os.lseek(descriptor, 0, os.SEEK_END)
        return copied + _write_rest(descriptor, [segment.head, len(segment.head).to_bytes(_COUNT_BYTES, "big")])
    finally:
        os.close(descriptor)


def _write_rest(descriptor: int, parts: Sequence[Buffer]) -> int:
    """Write parts one behind the other, from where the descriptor stands; how many bytes."""
    length = sum(memoryview(part).nbytes for part in parts)
    written = os.writev(descriptor, parts)
    if written < length:  # it was interrupted, or the disk is nearly full
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    return length


def _file_name(name: bytes, index: int) -> str:
    if len(name) != KEY_BYTES or index < 0:
        raise ValueError("a segment is named by 32 bytes and an index")
    return f"{name.hex()}.{index}"


def _of_file_name(text: str) -> tuple[bytes, int]:
    name, _, index = text.removesuffix(_LONG).partition(".")
    return bytes.fromhex(name), int(index)
