"""Long pieces of files, between the memory of a program and the disk, without the system's cache (``O_DIRECT``).

Not each file system takes that, nor each piece of memory. Where one does not, the same bytes go through the cache, and
nobody is told: it is only slower. So does what is no whole page, such as the end of a file. A descriptor has the flag
only for the length of a call, so that whoever reads from it, or syncs it, need not know. One thread at a time.

A process that forks while it reads may read nonsense with kernels before 6.5 (open(2)); nothing here forks then, and
each segment is verified by its hash before it is used.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable

from keys.local.long_files.cache import CACHED_BYTES, RUN_BYTES, let_go_of_cache, read_ahead, write_out

Buffer = bytes | bytearray | memoryview

PAGE_BYTES = 4096
"""Memory, length and place of what goes past the cache are whole ones of these: no common disk asks for more."""
LONG_BYTES = 1 << 20
"""Of a piece. A shorter one goes through the cache: a wait for the disk would cost more than the copy."""
# The disk is given so much at a time: whoever waits for it to write a few bytes, such as for a message, waits for no
# more of each file than that.
_DIRECT_BYTES = 512 << 10
# So much is copied into the cache at a time: the processor has it in its own still, and longer ones cost twice as much.
_COPIED_BYTES = 256 << 10
# Linux alone has it. Elsewhere there is nothing to ask for.
_DIRECT = getattr(os, "O_DIRECT", 0)
_REFUSED = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})


def behind_page(memory: bytearray) -> int:
    """How many bytes behind its beginning a page of this memory begins."""
    return -_address(memoryview(memory)) % PAGE_BYTES


def write_at(descriptor: int, piece: Buffer, offset: int) -> int:
    """Write all of a piece to its place in a file; how many bytes of it the cache has now.

    Raises :class:`OSError` for what the disk does not take: some of it may be there then.
    """
    view = memoryview(piece).cast("B")
    done = _directly(descriptor, view, offset, lambda part, at: os.pwrite(descriptor, part, at))
    copied = len(view) - done
    while done < len(view):
        done += os.pwrite(descriptor, view[done : done + _COPIED_BYTES], offset + done)
    return copied


def read_at(descriptor: int, view: memoryview, offset: int) -> int:
    """Fill the view from a place in a file, as far as the file goes; how many bytes. Raises :class:`OSError`.

    The cache lets go of what had to come through it, if that is long.
    """
    done = _directly(descriptor, view, offset, lambda part, at: os.preadv(descriptor, [part], at))
    copied = len(view) - done
    if copied >= LONG_BYTES:
        read_ahead(descriptor, offset + done, copied)
    while done < len(view) and (more := os.preadv(descriptor, [view[done:]], offset + done)):
        done += more
    if copied >= LONG_BYTES:
        let_go_of_cache(descriptor, offset + done - copied, copied)
    return done


class GrowingFile:
    """A file that grows to ``length`` bytes, piece by piece.

    The system writes out what goes through the cache as the file grows, and lets go of it behind that: so the wait at
    the end is short, dirty memory stays small, and a long file pushes nothing else out.
    """

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor = descriptor
        self._passes = length > CACHED_BYTES
        self._begun = 0  # up to here nothing is to be written out: it is on its way, or never was in the cache
        self.written = 0
        """How many bytes it has."""

    def write(self, piece: Buffer) -> None:
        """The next bytes; raises :class:`OSError` for what the disk does not take."""
        if not write_at(self._descriptor, piece, self.written) and self._begun == self.written:
            self._begun += memoryview(piece).nbytes
        self.written += memoryview(piece).nbytes
        while self.written - self._begun >= RUN_BYTES:
            write_out(self._descriptor, self._begun, RUN_BYTES)
            behind = self._begun - 2 * RUN_BYTES
            if self._passes and behind >= 0:
                write_out(self._descriptor, behind, RUN_BYTES, wait=True)
                let_go_of_cache(self._descriptor, behind, RUN_BYTES)
            self._begun += RUN_BYTES


def _directly(descriptor: int, view: memoryview, offset: int, move: Callable[[memoryview, int], int]) -> int:
    """Move as much as goes past the cache: how many bytes, whole pages or up to where less was moved than asked for."""
    whole = len(view) // PAGE_BYTES * PAGE_BYTES
    if not _DIRECT or len(view) < LONG_BYTES or view.readonly or (offset | _address(view)) % PAGE_BYTES:
        return 0
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    done = 0
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | _DIRECT)
        while (
            done < whole
            and done % PAGE_BYTES == 0
            and (more := move(view[done : min(whole, done + _DIRECT_BYTES)], offset + done))
        ):
            done += more
    except OSError as problem:
        if problem.errno not in _REFUSED:
            raise
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)
    return done


def _address(view: memoryview) -> int:
    """Where in memory that can be written a view begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))
