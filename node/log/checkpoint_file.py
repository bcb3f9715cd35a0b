"""The last signed checkpoint, kept in a file of its own beside (better: on another disk than) the database.

A database restored from a backup is shorter than what the log's receipts already prove. This file remembers the
truth: the node refuses to start on a database that does not lead to it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from keys.local.files import sync_folder, write_file
from node.log._volatile_checkpoint import VolatileCheckpoint
from node.store.disk_errors import Report, disk_error, unreported
from protocol.errors import CheckpointFileDamagedError, CheckpointFileError, CheckpointInvalidError, ComityError
from protocol.log.checkpoint import parse_checkpoint

# A checkpoint is about 4 KB; room for the lines of witnesses.
MAX_NOTE_BYTES = 64 * 1024


class CheckpointFile:
    """One signed checkpoint on disk, replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> bytes | None:
        """The note, None if there is no file; its signatures are not verified.

        Raises :class:`CheckpointFileDamagedError` for what is no checkpoint, else :class:`CheckpointFileError`.
        """
        try:
            with self.path.open("rb") as file:
                note = file.read(MAX_NOTE_BYTES + 1)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise CheckpointFileError(f"the checkpoint file cannot be read ({_name(problem)})") from problem
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
        """Replace the note, durably on return; the old one stays if this raises before the rename.

        Raises ``StorageFullError`` or ``UnavailableError``. Writing the same note again is harmless.
        """
        try:
            write_file(self.path, note)
        except OSError as problem:
            raise disk_error(problem, f"the checkpoint file cannot be written ({_name(problem)})") from problem

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


def _name(problem: OSError) -> str:
    return errno.errorcode.get(problem.errno or 0, os.strerror(problem.errno or 0))
