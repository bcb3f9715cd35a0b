"""Whether the database that a process has open is still the one that lies under its name.

SQLite goes on with the files that it opened: when somebody removes or replaces them, everything written from then on is
lost with the process, and nobody is told. So the files are compared before each batch and after each commit.
"""

from __future__ import annotations

import os
from pathlib import Path

from protocol.errors import StoreReplacedError

_SUFFIXES = ("", "-wal", "-shm", ".lock")


class FileIdentity:
    """The files of one open database: which they were, and what this process wrote last into the database file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, tuple[int, int]] = {}
        self._written: tuple[int, int] | None = None
        self.require_same()
        self.note_written()

    def note_written(self) -> None:
        """What the database file is now, is this process's own work."""
        stat = _stat(self._path)
        self._written = (stat.st_size, stat.st_mtime_ns) if stat is not None else None

    def require_untouched(self) -> None:
        """:meth:`require_same`, and nobody else wrote into the database file; raises :class:`StoreReplacedError`."""
        self.require_same()
        stat = _stat(self._path)
        if stat is not None and self._written is not None and (stat.st_size, stat.st_mtime_ns) != self._written:
            raise StoreReplacedError(f"another program wrote into {self._path.name} while this node was running")

    def require_same(self) -> None:
        """Return if every file is there and is the same one; raises :class:`StoreReplacedError`."""
        for suffix in _SUFFIXES:
            stat = _stat(self._path.with_name(self._path.name + suffix))
            known = self._known.get(suffix)
            if stat is None:
                if known is not None or not suffix:
                    raise StoreReplacedError(f"{self._path.name}{suffix} was removed while this node was running")
                continue
            if self._known.setdefault(suffix, (stat.st_dev, stat.st_ino)) != (stat.st_dev, stat.st_ino):
                raise StoreReplacedError(f"{self._path.name}{suffix} was replaced while this node was running")


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
