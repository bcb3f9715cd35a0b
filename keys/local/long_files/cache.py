"""What the system keeps of long files in its cache: asked for, written out, or let go of."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress

CACHED_BYTES = 32 << 20
"""A longer file passes through the cache: the same pages of it serve again and again. New ones cost more than the rest
of the work, where a virtual machine has to fetch each from its host."""
RUN_BYTES = 8 << 20
"""Of a file that grows, so much is written out at a time."""
# Of Linux's sync_file_range(2): begin to write out what is not on its way; the same, and wait for all of it.
_WRITE, _WRITE_AND_WAIT = 2, 7
_NOT_HERE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESPIPE, errno.EOPNOTSUPP})

_sync_range = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)


def write_out(descriptor: int, offset: int, length: int, *, wait: bool = False) -> None:
    """Have the system write these bytes out, without what makes them durable; ``length`` 0 is all behind ``offset``.

    Where a system cannot, nothing is done. Raises :class:`OSError` for what the disk does not take.
    """
    if _sync_range is None:
        return
    how = _WRITE_AND_WAIT if wait else _WRITE
    bounds = ctypes.c_int64(offset), ctypes.c_int64(length)
    if _sync_range(ctypes.c_int(descriptor), *bounds, ctypes.c_uint(how)) == 0:
        return
    number = ctypes.get_errno()
    if number not in _NOT_HERE:
        raise OSError(number, os.strerror(number))


def read_ahead(descriptor: int, offset: int, length: int) -> None:
    """Ask the system to have these bytes in memory, all in one go."""
    with suppress(OSError):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_WILLNEED)


def let_go_of_cache(descriptor: int, offset: int = 0, length: int = 0) -> None:
    """Ask the system not to keep these bytes in memory; ``length`` 0 is all behind ``offset``."""
    with suppress(OSError):
        os.posix_fadvise(descriptor, offset, length, os.POSIX_FADV_DONTNEED)


def is_cached(descriptor: int) -> bool:
    """Whether the file's beginning is in memory: then others may use it, and it is not let go of."""
    try:
        return os.preadv(descriptor, [bytearray(1)], 0, os.RWF_NOWAIT) == 1
    except OSError:  # it would have to be read, or this system does not tell
        return False
