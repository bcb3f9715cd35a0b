"""What a disk refuses, in the node's terms."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from node.store.sqlite.connection import database_errors
from protocol.errors import ComityError, StorageFullError, UnavailableError

Report = Callable[[Path, BaseException | None, str], None]
"""Told of each use of a file (``writing``, ``reading``): of the problem that it met, or of None when it met none."""


def unreported(file: Path, problem: BaseException | None, use: str) -> None:
    """For programs that end with their first error: nobody watches the disk."""


_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


def disk_error(problem: OSError, text: str) -> ComityError:
    """``StorageFullError`` where writing needs room or another mount, else ``UnavailableError``."""
    return (StorageFullError if problem.errno in _FULL else UnavailableError)(text)


@contextmanager
def storage_errors(failed: Callable[[OSError], str]) -> Iterator[None]:
    """Raise what the node's database or files refuse inside as typed errors; ``failed`` says what could not be done."""
    try:
        with database_errors("the database cannot be read"):
            yield
    except OSError as problem:
        raise disk_error(problem, f"{failed(problem)}: {problem.strerror}") from problem
