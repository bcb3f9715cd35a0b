"""The file of content keys: what is destroyed when a message's content is erased.

Each message's content is sealed under a key of its own, made from the desk's database key and a secret of 32 bytes that
stands in this file and nowhere else. Erasing overwrites the secret: whatever copy of the database there still is, in a
backup or on the disk, does not open any more. So the file is backed up apart from the database, and of its backups only
the latest is kept.

Secrets are made many at a time and are durable before the first of them is used: keeping a message costs no write here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable
from pathlib import Path

from keys.local.files import PRIVATE_MODE, sync_folder
from protocol.errors import DatabaseDamagedError, ErasedError, StorageFullError

SECRET_BYTES = 32
_AT_ONCE = 4096
_DESTROYED = bytes(SECRET_BYTES)


class ContentKeys:
    """The secrets in ``path``, by their places. Raises :class:`StorageFullError` when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._durable = 0  # so many secrets are known to be on the disk
        known = path.exists()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_MODE)
            if not known:
                sync_folder(path.parent)
        except OSError as problem:
            raise StorageFullError(f"cannot write {path}: {problem.strerror}") from problem

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def provide(self, slot: int) -> None:
        """Make sure that there is a secret at ``slot``, durably; slots are used one after the other.

        Raises :class:`DatabaseDamagedError` when the file ends before slots that were used: it is an old copy.
        """
        if slot < self._durable:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                count = self._count()  # another program may have been faster
                if slot > count:
                    raise DatabaseDamagedError(f"{self._path.name} lacks keys that the desk's database needs")
                if slot == count:
                    os.pwrite(self._file, os.urandom(_AT_ONCE * SECRET_BYTES), count * SECRET_BYTES)
                # The program that wrote them may have been killed before they were on the disk.
                os.fsync(self._file)
                self._durable = self._count()
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
            if slot >= self._durable:
                raise StorageFullError(f"cannot write {self._path}: the disk is full")
        except OSError as problem:
            raise StorageFullError(f"cannot write {self._path}: {problem.strerror}") from problem

    def secret(self, slot: int) -> bytes:
        """The secret at ``slot``; raises :class:`ErasedError` when it was destroyed.

        Raises :class:`DatabaseDamagedError` when the file does not reach so far: it is not the one of this database.
        """
        secret = os.pread(self._file, SECRET_BYTES, slot * SECRET_BYTES)
        if len(secret) != SECRET_BYTES:
            raise DatabaseDamagedError(f"{self._path.name} lacks keys that the desk's database needs")
        if secret == _DESTROYED:
            raise ErasedError
        return secret

    def destroy(self, slots: Iterable[int]) -> None:
        """Overwrite secrets, durably."""
        try:
            for slot in slots:
                os.pwrite(self._file, _DESTROYED, slot * SECRET_BYTES)
            os.fsync(self._file)
        except OSError as problem:
            raise StorageFullError(f"cannot write {self._path}: {problem.strerror}") from problem

    def _count(self) -> int:
        return os.fstat(self._file).st_size // SECRET_BYTES
