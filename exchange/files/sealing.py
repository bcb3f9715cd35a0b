"""Sealing: one pass over a file gives the hashes of its plaintext, its sealed form on the shelf, and its name.

Four threads share the work: one reads and encrypts, one hashes what is encrypted at that moment, one hashes the
ciphertext, and one writes it. Memory does not grow with the file. A source that changed meanwhile is refused at its end
(:class:`exchange.files._source.OpenSource`): then nothing of it stays.

Blocking; for a thread of its own.
"""

from __future__ import annotations

import hashlib
import os
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from queue import Empty, Full, Queue
from typing import Any, Protocol

from exchange.files._source import (
    OpenSource,
    as_text,
    media_type_of,
    name_given,
    name_in_message,
    opened_source,
    read_into,
)
from exchange.files.progress import Meter
from exchange.files.shelf import (
    LEAVES,
    Shelf,
    ShelfPart,
    off_this_disk,
    on_this_disk,
    own_place,
)
from exchange.store.files import ShelfFile, SourceSeen
from keys.local.long_files.cache import CACHED_BYTES, RUN_BYTES, is_cached, let_go_of_cache
from keys.local.long_files.past_cache import GrowingFile
from keys.transport.segments import BUFFERS
from keys.transport.tls_io import step_back
from protocol.errors import FileNotHereError, TooLargeError
from protocol.files.chunked import KEY_BYTES, SALT_BYTES, Buffer
from protocol.files.opening import open_file
from protocol.files.sealed_file import SEGMENT_SIZES, SealedFile, sealed_length, segment_hash
from protocol.files.sealing import FileSealer
from protocol.log.frontier import Frontier

BLOCK_BYTES = 1 << 20
# A file that is no longer is sealed by one thread.
_SHORT_BYTES = BLOCK_BYTES // 2
# Hashes that forensic tools ask for, beside SHA-256.
MORE_HASHES = ("sha512", "sha1", "md5")
# A file of so many segments keeps its leaf hashes beside it: of a shorter one they are quickly made anew.
LEAVES_FROM = 64
# Segments between two threads: so many wait to be hashed, and so many are to be written. A moment's wait for the disk
# does not hold up the hashing then. Three more are in memory: one is made, one waits for its place, one is hashed.
_WAITING = 1
_TO_WRITE = 2
# Blocks of the plaintext in memory: so far may the thread that hashes them fall behind the one that encrypts them.
_BLOCKS = 4
# A longer file has longer segments: as many requests move twice as much, and more than that.
_LONG_BYTES = 32 << 20
_VERY_LONG_BYTES = 128 << 20
_LOOK_S = 0.5


class StoppedError(Exception):
    """Whoever asked for it does not want it any more."""


class Stop(Protocol):
    """Whether something long is to end."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file to be sealed. ``hashes`` are names of :data:`MORE_HASHES`; ``name`` and ``media_type`` as the officer
    gives them, if not as the file is called.
    """

    path: Path
    hashes: tuple[str, ...] = ()
    name: str | None = None
    media_type: str | None = None


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file that comes piece by piece, such as out of a browser, and lies nowhere in the clear meanwhile.

    ``name`` is what its sender calls it, of which only what is a name is taken; ``most_bytes`` are no fewer than it
    has. ``pieces`` may wait for what has not come, and raises what ended it.
    """

    name: str
    pieces: Iterable[Buffer]
    most_bytes: int
    hashes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file that was sealed and is not on the shelf yet: its attachment with the key, and where it was written.

    ``called`` is what it was called where it came from.
    """

    attachment: Mapping[str, Any] = field(repr=False)
    written: Path
    leaves: bytes
    source: SourceSeen | None
    called: str | None = None

    @property
    def place(self) -> str:
        """Its place on the shelf."""
        return own_place(bytes.fromhex(self.attachment["sealed"]["name"]))


class FileSealing:
    """Seals files for one desk's shelf, within a ``batch`` of it (:meth:`Shelf.batch`)."""

    def __init__(self, shelf: Shelf, batch: str, stop: Stop) -> None:
        self._shelf = shelf
        self._batch = batch
        self._stop = stop

    def seal(self, wanted: WantedFile, meter: Meter) -> Sealed:
        """Seal a file of the officer's.

        Raises as :func:`opened_source`, :class:`FileSourceChangedError`, :class:`StorageFullError`, and
        :class:`StoppedError`.
        """
        with opened_source(wanted.path) as source:
            hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", *wanted.hashes)}
            pieces = _Pieces(source)
            sealed, written, leaves = self._sealed(
                _hashing(pieces, list(hashes.values()), source.seen.size), meter, source.seen.size
            )
            try:
                source.require_unchanged(pieces.read)
            except BaseException:
                written.unlink()
                raise
        name = wanted.name if wanted.name is not None else name_in_message(wanted.path)
        attachment = {
            "name": name,
            "size_bytes": pieces.read,
            "media_type": wanted.media_type or media_type_of(name),
            **{algorithm: made.hexdigest() for algorithm, made in hashes.items()},
            "sealed": sealed,
        }
        return Sealed(attachment, written, leaves, source.seen, wanted.name or as_text(wanted.path.name))

    def seal_arriving(self, arriving: UploadedFile, meter: Meter) -> Sealed:
        """Seal a file as it comes; nothing of one that ends early stays.

        Raises what its pieces raise, :class:`TooLargeError` for more than ``most_bytes``, :class:`StorageFullError`,
        and :class:`StoppedError`.
        """
        hashes = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", *arriving.hashes)}
        pieces = _Counted(arriving)
        sealed, written, leaves = self._sealed(
            _hashing(pieces, list(hashes.values()), arriving.most_bytes), meter, arriving.most_bytes
        )
        name = name_given(arriving.name)
        attachment = {
            "name": name,
            "size_bytes": pieces.read,
            "media_type": media_type_of(name),
            **{algorithm: made.hexdigest() for algorithm, made in hashes.items()},
            "sealed": sealed,
        }
        return Sealed(attachment, written, leaves, None, as_text(arriving.name))

    def anew(self, kept: ShelfFile, meter: Meter) -> Sealed:
        """Seal what lies sealed on the shelf once more, under another key: for another message.

        Raises :class:`FileNotHereError`, :class:`FileAlteredError` and its kin, :class:`StorageFullError`.
        """
        file, key = sealed_file_of(kept.attachment), key_of(kept.attachment)
        size = int(kept.attachment["size_bytes"])
        digest = bytes.fromhex(kept.attachment["sha256"])
        with self._shelf.reading(kept.place) as descriptor:
            pieces = open_file(file, key, size, segments_of(descriptor, file), digest=digest)
            sealed, written, leaves = self._sealed(pieces, meter, size)
        return Sealed({**kept.attachment, "sealed": sealed}, written, leaves, kept.source, kept.called)

    def settle(self, sealed: Sequence[Sealed]) -> None:
        """Put files on the shelf, all durable when this returns. Raises :class:`StorageFullError`."""
        self._shelf.settle([(one.written, one.place) for one in sealed])
        for one in sealed:
            if one.leaves:
                leaves = self._shelf.path(one.place + LEAVES)
                with on_this_disk():
                    leaves.write_bytes(one.leaves)  # not durable: they are made anew where they are wrong

    # --- Inside ---

    def _sealed(self, pieces: Generator[Buffer], meter: Meter, size: int) -> tuple[dict[str, Any], Path, bytes]:
        key, salt = os.urandom(KEY_BYTES), os.urandom(SALT_BYTES)
        self._shelf.require_room(sealed_length(size))
        # At each end of this block the threads have ended, and no memory waits to be found by the collector of cycles.
        with self._shelf.writing(self._batch) as part, closing(pieces):
            short = size <= _SHORT_BYTES
            make = bytearray if short else BUFFERS.take
            sealer = FileSealer(key, salt, segment_bytes_of(size), expected_bytes=size, make=make)
            segments = _segments(sealer, pieces, meter, self._stop)
            with (
                closing(segments),
                nullcontext() if short else _thread() as beside,
                closing(_Writer(part, sealed_length(size), beside)) as writer,
            ):
                if beside is None:
                    for segment in segments:
                        writer.take(segment)
                else:
                    _in_two_threads(segments, writer.take)
                file = sealer.sealed_file(writer.edge.root())
                writer.done(file)
        sealed = {
            "name": file.name.hex(),
            "key": urlsafe_b64encode(key).rstrip(b"=").decode(),
            "suite": file.suite,
            "segment_bytes": file.segment_bytes,
            "length": file.length,
            "root": file.root.hex(),
        }
        return sealed, part.path, bytes(writer.leaves) if file.segments >= LEAVES_FROM else b""


def segment_bytes_of(size: int) -> int:
    """How long the segments of a file of this size are, as this desk seals it."""
    return SEGMENT_SIZES[(size >= _LONG_BYTES) + (size >= _VERY_LONG_BYTES)]


class _Counted:
    """The pieces of a file that comes, counted."""

    def __init__(self, arriving: UploadedFile) -> None:
        self._arriving = arriving
        self.read = 0

    def __iter__(self) -> Iterator[Buffer]:
        for piece in self._arriving.pieces:
            self.read += len(piece)
            if self.read > self._arriving.most_bytes:
                raise TooLargeError("the file is longer than it was said to be")
            yield piece


class _Pieces:
    """The plaintext, block by block; so many stay as they are while the next one is read (:data:`_BLOCKS`)."""

    def __init__(self, source: OpenSource) -> None:
        self._source = source
        self._descriptor = source.descriptor
        # One byte more than it is long: so its end is seen by the first look, or that it grew.
        length = min(BLOCK_BYTES, source.seen.size + 1)
        count = _BLOCKS if source.seen.size > _SHORT_BYTES else 1
        self._blocks = cycle([memoryview(bytearray(length)) for _ in range(count)])
        self._passes = source.seen.size > CACHED_BYTES and not is_cached(source.descriptor)
        self.read = 0

    def __iter__(self) -> Iterator[Buffer]:
        for block in self._blocks:
            count = read_into(self._descriptor, block)
            if count == 0:
                return
            self.read += count
            if self.read > self._source.seen.size:  # it grows: perhaps for ever
                self._source.require_unchanged(self.read)
            yield block[:count]
            if count < len(block):
                return
            if self._passes and self.read % RUN_BYTES == 0:
                let_go_of_cache(self._descriptor, self.read - RUN_BYTES, RUN_BYTES)


def _hashing(pieces: Iterable[Buffer], hashes: Sequence[Any], size: int) -> Generator[Buffer]:
    """The pieces, each hashed too: those of a long file in a thread beside, while whoever takes them encrypts them.

    It may be behind by some of them, which stay as they are until then.
    """
    if size <= _SHORT_BYTES:
        for piece in pieces:
            _update(hashes, piece)
            yield piece
        return
    hashed = deque[Future[None]]()
    with _thread() as beside:
        for piece in pieces:
            hashed.append(beside.submit(_update, hashes, piece))
            yield piece
            _wait(hashed, _BLOCKS - 1)
        _wait(hashed, 0)


def _thread() -> ThreadPoolExecutor:
    """One that does a part of the work beside the others."""
    return ThreadPoolExecutor(1, thread_name_prefix="sealing", initializer=step_back)


def _wait(under_way: deque[Future[None]], most: int) -> None:
    """Until no more than so many are not done; raises what one of them raised."""
    while len(under_way) > most:
        under_way.popleft().result()


def _update(hashes: Sequence[Any], piece: Buffer) -> None:
    for one in hashes:
        one.update(piece)


def _segments(sealer: FileSealer, pieces: Iterable[Buffer], meter: Meter, stop: Stop) -> Generator[memoryview]:
    for piece in pieces:
        if stop.is_set():
            raise StoppedError
        yield from sealer.update(piece)
        meter.add(len(piece))
    for segment in sealer.finish():  # the padding of a very long file is long too
        if stop.is_set():
            raise StoppedError
        yield segment


class _Writer:
    """Hashes segments and writes them, one after the other: those of a long file while the next ones are hashed."""

    def __init__(self, part: ShelfPart, length: int, beside: Executor | None) -> None:
        self._file = GrowingFile(part.descriptor, length)
        self._beside = beside
        self._writing = deque[Future[None]]()
        self.edge = Frontier()
        self.leaves = bytearray()

    def take(self, segment: memoryview) -> None:
        leaf = segment_hash(segment)
        self.edge = self.edge.append(leaf)
        self.leaves += leaf
        if self._beside is None:
            self._write(segment)
            return
        _wait(self._writing, _TO_WRITE - 1)
        self._writing.append(self._beside.submit(self._write, segment))

    def close(self) -> None:
        """Ask for nothing more: else what was not asked for, its error, and this would keep each other."""
        self._writing.clear()

    def done(self, file: SealedFile) -> None:
        _wait(self._writing, 0)
        if self._file.written != file.length:
            raise RuntimeError("a file was sealed to another length than its own")

    def _write(self, segment: memoryview) -> None:
        with on_this_disk():
            self._file.write(segment)
        BUFFERS.put_back([segment])


def _in_two_threads(segments: Iterator[memoryview], take: Callable[[memoryview], None]) -> None:
    """Make segments in this thread, and take them in another one. Raises what either raised.

    Only the other one stands back: this one has the interpreter for much of its work, and whoever waits for that would
    wait for a thread that others go before.
    """
    waiting: Queue[memoryview | None] = Queue(_WAITING)
    failed: list[BaseException] = []
    ended = threading.Event()

    def taking() -> None:
        step_back()
        try:
            while (segment := waiting.get()) is not None:
                take(segment)
        except BaseException as problem:  # noqa: BLE001 - it is raised where the work was asked for
            failed.append(problem)
        finally:
            ended.set()
            with suppress(Empty):
                while True:
                    waiting.get_nowait()

    def give(segment: memoryview | None) -> None:
        while not ended.is_set():
            with suppress(Full):
                waiting.put(segment, timeout=_LOOK_S)
                return

    taker = threading.Thread(target=taking, name="sealing", daemon=True)
    taker.start()
    try:
        for segment in segments:
            give(segment)
            if failed:
                break
    finally:
        give(None)
        taker.join()
    if failed:
        raise failed.pop()  # else both would keep each other, and the memory that was lent


# --- Of attachments ---


def sealed_file_of(attachment: Mapping[str, Any]) -> SealedFile:
    """What names the sealed file of an attachment."""
    sealed = attachment["sealed"]
    return SealedFile(sealed["suite"], sealed["segment_bytes"], sealed["length"], bytes.fromhex(sealed["root"]))


def key_of(attachment: Mapping[str, Any]) -> bytes:
    """The key of an attachment's file."""
    return urlsafe_b64decode(str(attachment["sealed"]["key"]) + "=")


def segments_of(descriptor: int, file: SealedFile) -> Iterator[Buffer]:
    """The segments of a sealed file, in order, in one buffer that is used again; raises :class:`FileNotHereError`."""
    block = memoryview(bytearray(min(file.segment_bytes, file.length)))
    passes = file.length > CACHED_BYTES and not is_cached(descriptor)
    for index in range(file.segments):
        offset, length = file.extent(index)
        filled = 0
        while filled < length:
            with off_this_disk():
                count = os.preadv(descriptor, [block[filled:length]], offset + filled)
            if count == 0:
                raise FileNotHereError("the sealed file on this desk's shelf is shorter than it was")
            filled += count
        yield block[:length]
        if passes and (offset + length) % RUN_BYTES == 0:
            let_go_of_cache(descriptor, offset + length - RUN_BYTES, RUN_BYTES)
