"""Processes for commands, made from one that has loaded everything and unlocked the desk's keys.

That one, the warm process, does nothing else: no thread, no database, no connection is ever opened in it, so that a
copy of it (fork(2)) is whole. It is told to make a copy, and tells the service its number and how it ended. It never
sees what a command is: the copy reads that itself.

All end with the service: the system kills the warm process when the service ends in any way, and the commands when the
warm process does (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import select
import signal
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, NoReturn

# From the service: make a copy (with five descriptors), send a signal to one, or learn what a descriptor has. From the
# warm process: a copy was made, or ended with that status.
_MAKE, _SIGNAL, _ENDED, _MADE, _LEARN = range(5)
_SAID = struct.Struct("!Biii")
COPY_DESCRIPTORS = 5
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4

Run = Callable[[list[int]], NoReturn]
Learn = Callable[[bytes], None]


class WarmNews(NamedTuple):
    """A command's number, and how it ended (``os.waitstatus_to_exitcode``); None: it was made."""

    number: int
    status: int | None


class WarmProcess:
    """The service's side of the warm process. ``socket`` gets readable when it says something."""

    def __init__(self, pid: int, ends: socket.socket) -> None:
        self.pid = pid
        self.socket = ends
        self.socket.setblocking(False)
        self._saying: asyncio.Lock | None = None  # made in the event loop that uses it

    @classmethod
    def start(cls, run: Run, learn: Learn) -> WarmProcess:
        """Make the warm process of this one; ``run`` is what each copy does with its descriptors.

        ``learn`` is called in it with what :meth:`teach` says: it must open nothing, and later copies know it.

        This process must have one thread and nothing open that cannot be shared.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.collect()
        gc.freeze()  # else the first collection in each copy writes to, and so copies, all of the memory
        service = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _end_with(service)
            try:
                _make_copies(theirs, run, learn)
            finally:
                os._exit(0)
        theirs.close()
        return cls(pid, ours)

    async def make(self, number: int, descriptors: list[int]) -> None:
        """Ask for a copy; that it was made is told with ``number``. It waits while the warm process does not read."""
        await self._say(_SAID.pack(_MAKE, number, 0, 0), descriptors)

    async def signal(self, number: int, signum: int) -> None:
        """Send a signal to a copy; nothing where it has ended. It waits as :meth:`make` does."""
        await self._say(_SAID.pack(_SIGNAL, number, signum, 0), [])

    def kill(self) -> None:
        """End it where it stands, also when somebody stopped it; the system ends its copies."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    async def teach(self, content: bytes) -> None:
        """Let every copy that is made from now on know ``content``. It goes by memory that has no name."""
        descriptor = os.memfd_create("taught")
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(content)
            await self._say(_SAID.pack(_LEARN, 0, 0, 0), [descriptor])
        finally:
            os.close(descriptor)

    async def _say(self, content: bytes, descriptors: list[int]) -> None:
        if self._saying is None:
            self._saying = asyncio.Lock()
        async with self._saying:
            while True:
                try:
                    socket.send_fds(self.socket, [content], descriptors)
                except BlockingIOError:
                    await _writable(self.socket)
                except OSError:  # it is gone; the service hears of that where it listens
                    return
                else:
                    return

    def said(self) -> WarmNews | None:
        """What it tells of a command; None for nothing. Raises :class:`EOFError` when the warm process is gone."""
        try:
            content = self.socket.recv(_SAID.size)
        except BlockingIOError:
            return None
        except ConnectionError:
            content = b""
        if not content:
            raise EOFError
        kind, number, status, _ = _SAID.unpack(content)
        return WarmNews(number, status if kind == _ENDED else None)

    def close(self) -> None:
        """End it; copies that run are killed."""
        self.socket.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def keep_memory_private() -> None:
    """Let no other program of this user trace this process or read its memory, nor the system write it to a file.

    Its forks are as private (prctl(2), PR_SET_DUMPABLE; ptrace(2)). The system's administrator still may.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


async def _writable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def awake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(connection.fileno(), awake)
    try:
        await ready
    finally:
        loop.remove_writer(connection.fileno())


def _make_copies(service: socket.socket, run: Run, learn: Learn) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the service ends this process, in its own time
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    pids: dict[int, int] = {}  # of a command's number
    while True:
        ready = select.select([service, woken], [], [])[0]
        if woken in ready:
            with suppress(BlockingIOError):
                woken.recv(4_096)
            _reap(service, pids)
        if service in ready:
            content, descriptors, _flags, _address = socket.recv_fds(
                service, _SAID.size, COPY_DESCRIPTORS, socket.MSG_CMSG_CLOEXEC
            )
            if not content:
                return
            kind, number, signum, _ = _SAID.unpack(content)
            if kind == _SIGNAL and number in pids:
                _send(pids[number], signum)
            elif kind == _LEARN:
                learn(_content_of(descriptors))
                gc.freeze()
            elif kind == _MAKE:
                pids[number] = _copy(service, [woken, wake], descriptors, run)
                service.sendall(_SAID.pack(_MADE, number, 0, 0))


def _content_of(descriptors: list[int]) -> bytes:
    """All that the one descriptor has, which is closed."""
    with os.fdopen(descriptors[0], "rb") as file:
        file.seek(0)
        return file.read()


def _copy(service: socket.socket, others: list[socket.socket], descriptors: list[int], run: Run) -> int:
    warm = os.getpid()
    # No signal may come between the fork and the child's own handlers.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    pid = os.fork()
    if pid == 0:
        try:
            _end_with(warm)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setsid()
            for each in (service, *others):
                each.close()
            run(descriptors)
        finally:
            os._exit(70)
    # Also here: a signal may come before the child has made its group.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _reap(service: socket.socket, pids: dict[int, int]) -> None:
    numbers = {pid: number for number, pid in pids.items()}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        number = numbers.get(pid)
        if number is not None:
            del pids[number]
            service.sendall(_SAID.pack(_ENDED, number, os.waitstatus_to_exitcode(status), 0))


def _send(pid: int, signum: int) -> None:
    """Send a signal to a copy and what it started. One that has no group yet keeps it until it can take it."""
    with suppress(ProcessLookupError):
        try:
            os.killpg(pid, signum)
        except ProcessLookupError:
            os.kill(pid, signum)


def _end_with(parent: int) -> None:
    """Let the system kill this process when ``parent`` ends; end now if it has ended already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
