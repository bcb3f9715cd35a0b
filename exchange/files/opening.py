"""Opening: a file of a message is written where an officer wants it, whole and as its message says, or not at all.

One pass over the sealed file compares it with its name, opens it with its key, and compares what comes out with the
hashes of the message. The result gets its name when all of that held, and never the name of another file that is there.
Blocking; for a thread of its own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.files.progress import Meter
from exchange.files.sealing import MORE_HASHES, Stop, StoppedError, key_of, sealed_file_of, segments_of
from exchange.files.shelf import RESERVE_BYTES, Shelf
from keys.local.files import PRIVATE_MODE, sync_folder
from keys.local.long_files.past_cache import GrowingFile
from protocol.errors import FileAlteredError, FileHashMismatchError, StorageFullError, UsageError
from protocol.files.opening import open_file
from protocol.files.sealed_file import SealedFile, segment_hash
from protocol.log.frontier import Frontier

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})

Checked = Callable[[Path], None]
"""Looks at the plaintext before it gets its name; raises where it must not."""


@dataclass(frozen=True, slots=True)
class ToOpen:
    """A file to be opened: its attachment with the key, where it lies sealed, and where it is wanted."""

    attachment: Mapping[str, Any] = field(repr=False)
    place: str
    target: Path


class FileOpening:
    """Opens files of one desk's shelf."""

    def __init__(self, shelf: Shelf, stop: Stop) -> None:
        self._shelf = shelf
        self._stop = stop

    def open(self, wanted: ToOpen, meter: Meter, checked: Checked) -> Path:
        """Write the file; where it lies.

        Raises :class:`FileNotHereError`, :class:`FileKeyMismatchError`, :class:`FileAlteredError`,
        :class:`FileLengthMismatchError`, :class:`FileHashMismatchError`, :class:`StorageFullError`,
        :class:`UsageError` where a file of that name is there, and what ``checked`` raises.
        """
        target = wanted.target
        if self._is_there(wanted):
            meter.add(int(wanted.attachment["size_bytes"]), files=1)
            return target
        self._require_place(target, int(wanted.attachment["size_bytes"]))
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=".comity-", suffix=".part", dir=target.parent)
        except OSError as problem:
            raise _cannot_write(target.parent, problem) from problem
        try:
            os.fchmod(descriptor, PRIVATE_MODE)
            self._write(wanted, descriptor, meter)
            checked(Path(temporary))
            _give_name(temporary, target)
        finally:
            os.close(descriptor)
            with suppress(FileNotFoundError):
                os.unlink(temporary)
        return target

    def verify(self, attachment: Mapping[str, Any], place: str, meter: Meter) -> None:
        """As :meth:`open`, and nothing is written."""
        for _ in self._pieces(attachment, place, meter):
            pass

    def pieces(self, attachment: Mapping[str, Any], place: str, meter: Meter) -> Iterator[memoryview]:
        """The file in pieces: nothing may be used before the last one came. Raises as :meth:`open`."""
        yield from self._pieces(attachment, place, meter)

    def is_as_named(self, file: SealedFile, place: str) -> bool:
        """Whether the sealed file on the shelf is the one that its name stands for, whatever is in it."""
        with self._shelf.reading(place) as descriptor:
            if os.fstat(descriptor).st_size != file.length:
                return False
            return Frontier().extended(map(segment_hash, segments_of(descriptor, file))).root() == file.root

    # --- Inside ---

    def _is_there(self, wanted: ToOpen) -> bool:
        """Whether the very file lies there already: what was interrupted goes on with the next one."""
        try:
            descriptor = os.open(wanted.target, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size != int(wanted.attachment["size_bytes"]):
                return False
            return hashlib.file_digest(file, "sha256").hexdigest() == str(wanted.attachment["sha256"])

    def _require_place(self, target: Path, size: int) -> None:
        if os.path.lexists(target):
            raise UsageError(f"{target} is there already: nothing is written over it")
        try:
            free = shutil.disk_usage(target.parent).free
        except OSError as problem:
            raise _cannot_write(target.parent, problem) from problem
        if free < size + RESERVE_BYTES:
            raise StorageFullError(f"the disk of {target.parent} has {free} bytes free, and the file has {size}")

    def _write(self, wanted: ToOpen, descriptor: int, meter: Meter) -> None:
        file = GrowingFile(descriptor, int(wanted.attachment["size_bytes"]))
        for piece in self._pieces(wanted.attachment, wanted.place, meter):
            try:
                file.write(piece)
            except OSError as problem:
                raise _cannot_write(wanted.target.parent, problem) from problem
        try:
            os.fsync(descriptor)
        except OSError as problem:
            raise _cannot_write(wanted.target.parent, problem) from problem

    def _pieces(self, attachment: Mapping[str, Any], place: str, meter: Meter) -> Any:
        file = sealed_file_of(attachment)
        more = {name: hashlib.new(name, usedforsecurity=False) for name in MORE_HASHES if attachment.get(name)}
        size, digest = int(attachment["size_bytes"]), bytes.fromhex(attachment["sha256"])
        with self._shelf.reading(place) as descriptor:
            if os.fstat(descriptor).st_size != file.length:
                raise FileAlteredError("the sealed file is not as long as its name says")
            for piece in open_file(file, key_of(attachment), size, segments_of(descriptor, file), digest=digest):
                if self._stop.is_set():
                    raise StoppedError
                for one in more.values():
                    one.update(piece)
                meter.add(len(piece))
                yield piece
        wrong = [name for name, made in more.items() if made.hexdigest() != attachment[name]]
        if wrong:
            raise FileHashMismatchError(f"the file opens, and its {', '.join(wrong)} is not the one in the message")
        meter.add(0, files=1)


def _give_name(temporary: str, target: Path) -> None:
    """Give the file its name, if nothing has it, durably."""
    try:
        try:
            os.link(temporary, target)
        except OSError as problem:
            if problem.errno not in _NO_LINKS:
                raise
            # A file system without links: the name is taken first, by whoever is first.
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, PRIVATE_MODE))
            os.replace(temporary, target)
        sync_folder(target.parent)
    except FileExistsError:
        raise UsageError(f"{target} is there already: nothing is written over it") from None
    except OSError as problem:
        raise _cannot_write(target.parent, problem) from problem


def _cannot_write(folder: Path, problem: OSError) -> UsageError | StorageFullError:
    if problem.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}:
        return StorageFullError(f"the disk of {folder} is full or read-only")
    return UsageError(f"cannot write into {folder}: {problem.strerror}")
