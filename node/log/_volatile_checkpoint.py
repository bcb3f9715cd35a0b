"""The newest checkpoint, kept in memory that a restart of the machine empties and that no backup holds.

As long as it is there, nothing can have been put back to before it unnoticed: so a node that is only restarted need
not ask its partners first. It is a file on a RAM file system (``log.boot_folder``), and names the boot that wrote it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from keys.local.files import PRIVATE_MODE, write_file

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MAX_BYTES = 64 * 1024


class VolatileCheckpoint:
    """The memory of the node whose home is ``home``. Losing it costs a question to the partners, nothing else."""

    def __init__(self, folder: Path, home: Path) -> None:
        name = sha256(os.fsencode(home.absolute().resolve())).hexdigest()[:32]
        self.path = folder / f"comity-{os.geteuid()}-{name}"
        self._boot = _boot_id()

    def read(self) -> bytes | None:
        """The newest checkpoint that this node signed since the machine started; None if that is not known."""
        return self._read(self.path)

    def write(self, note: bytes) -> None:
        """Remember ``note``, unless it cannot be written: an older memory vouches for less, never more."""
        self._write(self.path, note)

    def read_clock(self) -> bytes | None:
        """What :mod:`node.log.clock` kept since the machine started; None if that is not known."""
        return self._read(self._clock_path)

    def write_clock(self, state: bytes) -> None:
        """Remember ``state``, as :meth:`write`."""
        self._write(self._clock_path, state)

    @property
    def _clock_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}-clock")

    def _read(self, path: Path) -> bytes | None:
        if self._boot is None:
            return None
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            # The folder may be open to other users: what they put there vouches for nothing.
            if os.fstat(descriptor).st_uid != os.geteuid():
                return None
            boot, _, content = file.read(_MAX_BYTES).partition(b"\n")
        return content if boot == self._boot and content else None

    def _write(self, path: Path, content: bytes) -> None:
        if self._boot is not None:
            with suppress(OSError):
                _replace(path, self._boot + b"\n" + content)


def _replace(path: Path, content: bytes) -> None:
    """As :func:`write_file` with nothing flushed, in the fewest steps: every receipt waits for it. One thread a path.

    Raises :class:`OSError`; the old file is then unchanged.
    """
    temporary = f"{path}.next"
    try:
        # The folder may be open to other users: nothing of theirs is written to.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, PRIVATE_MODE)
    except FileExistsError:  # a killed process left it, or another user has put it there
        write_file(path, content, mode=PRIVATE_MODE, durable=False)
        os.unlink(temporary)
        return
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _boot_id() -> bytes | None:
    try:
        return _BOOT_ID.read_bytes().strip() or None
    except OSError:
        return None
