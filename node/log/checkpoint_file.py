"""The last signed checkpoint, kept in a file of its own beside (better: on another disk than) the database.

A database restored from a backup is shorter than what the log's receipts already prove. This file remembers the
truth: the node refuses to start on a database that does not lead to it.

The file is a signed note, and behind it the notes that followed, each after its length and digest: the last one counts.
To append costs one flush of the disk where a new file costs two and a rename, and every receipt waits for it. A note
that a crash cut off, or of which a power failure left sectors unwritten, was never shown to anybody, so the one before
it counts. When the file is long, and when the node
stops, it is written anew with the last note alone.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

from keys.local.files import sync_folder, write_file
from node.log._volatile_checkpoint import VolatileCheckpoint
from node.store.disk_errors import Report, disk_error, unreported
from protocol.errors import CheckpointFileDamagedError, CheckpointFileError, CheckpointInvalidError, ComityError
from protocol.log.checkpoint import parse_checkpoint

# A checkpoint is about 4 KB; room for the lines of witnesses.
MAX_NOTE_BYTES = 64 * 1024
# Of the whole file, with the notes behind the first one.
MAX_FILE_BYTES = 1024 * 1024
_MARK = b"\0"  # in no note
_LENGTH_BYTES = 4
_HEADER_BYTES = len(_MARK) + _LENGTH_BYTES + 32
_SECTOR = 512  # a disk writes each of them whole or not at all
_HONEST_ZEROS = len(_MARK) + 2  # a note is shorter than 64 KiB: so many zeros begin what is appended


@dataclass(slots=True)
class _Written:
    """The file as this process left it; ``descriptor`` once something was appended."""

    inode: tuple[int, int]
    size: int
    descriptor: int | None = None

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class CheckpointFile:
    """The last signed checkpoint on disk. One thread writes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: _Written | None = None

    def read(self) -> bytes | None:
        """The note, None if there is no file; its signatures are not verified.

        Raises :class:`CheckpointFileDamagedError` for what is no checkpoint, else :class:`CheckpointFileError`.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise CheckpointFileError(f"the checkpoint file cannot be read ({_name(problem)})") from problem
        note = _last_note(content)
        if not 0 < len(note) <= MAX_NOTE_BYTES:
            raise CheckpointFileDamagedError("the checkpoint file is empty or too large")
        try:
            parse_checkpoint(note)
        except CheckpointInvalidError as problem:
            raise CheckpointFileDamagedError(f"the checkpoint file is damaged: {problem.detail}") from problem
        return note

    def put_aside(self) -> Path:
        """Give the file another name, so that nothing of it is lost; that name. Raises :class:`OSError`."""
        number = 1
        while (kept := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        self.path.rename(kept)
        sync_folder(self.path.parent)
        return kept

    def write(self, note: bytes) -> None:
        """Let this be the note, durably on return; if it raises, the one before stays, or this one counts already.

        Raises ``StorageFullError`` or ``UnavailableError``. Writing the same note again is harmless.
        """
        try:
            if not self._append(note):
                self._replace(note)
        except OSError as problem:
            self.close()  # what the disk holds now is not known: the next note comes in a new file
            raise disk_error(problem, f"the checkpoint file cannot be written ({_name(problem)})") from problem

    def close(self) -> None:
        """Let the file go; it can be written all the same."""
        if self._written is not None:
            self._written.close()
            self._written = None

    def _replace(self, note: bytes) -> None:
        self.close()
        write_file(self.path, note)
        found = self.path.stat()
        self._written = _Written((found.st_dev, found.st_ino), len(note))

    def _append(self, note: bytes) -> bool:
        """Append the note; False if the file is long, or not as this process left it."""
        written = self._written
        record = _MARK + len(note).to_bytes(_LENGTH_BYTES, "big") + sha256(note).digest() + note
        if written is None or written.size + len(record) > MAX_FILE_BYTES or not self._is_as_left(written):
            return False
        if written.descriptor is None:
            written.descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if os.pwrite(written.descriptor, record, written.size) != len(record):
            with suppress(OSError):
                os.ftruncate(written.descriptor, written.size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what a write cut short means
        os.fdatasync(written.descriptor)
        written.size += len(record)
        return True

    def _is_as_left(self, written: _Written) -> bool:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        return ((found.st_dev, found.st_ino), found.st_size) == (written.inode, written.size)

    def settle(self) -> None:
        """Write what was appended to anew, with the last note alone, if it can be written; and let the file go."""
        appended = self._written is not None and self._written.descriptor is not None
        self.close()
        if appended:
            with suppress(ComityError, OSError):
                note = self.read()
                if note is not None:
                    write_file(self.path, note)

    def sweep(self) -> None:
        """Remove temporary files that a killed process left behind."""
        for leftover in self.path.parent.glob(f".{self.path.name}.*.tmp"):
            with suppress(OSError):
                leftover.unlink()


class KeptCheckpoint:
    """The newest checkpoint of a log, outside the database: in the ``file``, and in this boot's ``memory`` if there is
    one. One thread writes."""

    def __init__(
        self, file: CheckpointFile, memory: VolatileCheckpoint | None = None, report: Report = unreported
    ) -> None:
        self.note: bytes | None = None  # what the file holds, as far as it was loaded or written here
        self._file = file
        self._memory = memory
        self._report = report
        self._remembered: bytes | None = None

    def read(self) -> bytes | None:
        """See :meth:`CheckpointFile.read`."""
        return self._file.read()

    def load(self) -> None:
        """Sweep what a killed process left behind, and know what the file holds. Raises as :meth:`read`."""
        self._file.sweep()
        self.note = self._file.read()

    def close(self) -> None:
        """Leave the last note alone in the file, as far as it can be written; whole it is in any case."""
        self._file.settle()

    def keep(self, note: bytes) -> None:
        """Keep ``note``, durably on return. Raises as :meth:`CheckpointFile.write`; the memory may know it then."""
        if note != self._remembered and self._memory is not None:
            self._memory.write(note)  # first: it must never know less than the file
            self._remembered = note
        if note != self.note:
            try:
                self._file.write(note)
            except ComityError as problem:
                self._report(self._file.path, problem, "writing")
                raise
            self._report(self._file.path, None, "writing")
            self.note = note


def _last_note(content: bytes) -> bytes:
    """The note that counts; raises :class:`CheckpointFileDamagedError` for what is not the form of the file."""
    if len(content) > MAX_FILE_BYTES:
        raise CheckpointFileDamagedError("the checkpoint file is empty or too large")
    note, _, _ = content.partition(_MARK)
    at = len(note)
    while at + _HEADER_BYTES <= len(content):
        begin = at + _HEADER_BYTES
        length = int.from_bytes(content[at + len(_MARK) : begin - 32], "big")
        following = content[begin : begin + length]
        if len(following) < length:
            break  # cut off by a crash
        digest = content[begin - 32 : begin]
        if content[at : at + len(_MARK)] != _MARK or sha256(following).digest() != digest or not following:
            if begin + length in {begin, len(content)} and _has_unwritten_sector(content, at):
                break
            raise CheckpointFileDamagedError("the checkpoint file is damaged: a note in it is not as it was written")
        note, at = following, begin + length
    return note


def _has_unwritten_sector(content: bytes, at: int) -> bool:
    """Whether a sector of what was appended at ``at`` is as new files are: full of zeros, of which a note has none."""
    edges = [at, *range((at // _SECTOR + 1) * _SECTOR, len(content), _SECTOR), len(content)]
    pieces = (content[begin:end] for begin, end in pairwise(edges))
    return any(len(piece) > _HONEST_ZEROS and not any(piece) for piece in pieces)


def _name(problem: OSError) -> str:
    return errno.errorcode.get(problem.errno or 0, os.strerror(problem.errno or 0))
