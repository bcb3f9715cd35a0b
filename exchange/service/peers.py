"""Who is at the other end of a socket: the system's user, and the terminal session that the process belongs to.

The system says both (``SO_PEERCRED``, ``/proc``), never the caller. A process cannot join the session of another
terminal (setsid(2), setpgid(2)), so what is bound to a session stays in its terminal. A number of a process that ended
can be given to another: the process is held by a descriptor while it is asked about, and the leader of its session
counts with the instant at which it started.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass

from protocol.errors import SessionError

# Linux 6.5: the process that connected, held. Python has no name for it yet.
_SO_PEERPIDFD = 77
_CREDENTIALS = struct.Struct("3i")
_STAT_BYTES = 4_096


@dataclass(frozen=True, slots=True)
class TerminalSession:
    """A session of processes: its user, its leader, the instant of the leader's start (clock ticks since boot), its
    terminal (the device's number; 0 without one).
    """

    uid: int
    leader: int
    started: int
    terminal: int


@dataclass(frozen=True, slots=True)
class Peer:
    """Who connected. ``session`` is None where its leader has ended: then nothing can be bound to it."""

    uid: int
    pid: int
    session: TerminalSession | None


def peer_of(connection: socket.socket) -> Peer:
    """Who connected; raises :class:`SessionError` when that process has ended, or is another user's."""
    pid, uid, _gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    if uid != os.geteuid():
        raise SessionError(f"user {uid} is not the desk's user")
    held = _held(connection, pid)
    try:
        session = session_of(pid, uid)
        looking = select.poll()  # select(2) knows no number above 1023, and a service has more descriptors
        looking.register(held, select.POLLIN)
        if looking.poll(0):  # it ended: what was read may be of another process
            raise SessionError("the process that connected has ended")
    finally:
        os.close(held)
    return Peer(uid, pid, session)


def session_of(pid: int, uid: int) -> TerminalSession | None:
    """The session of a process; None where its leader has ended. Raises :class:`SessionError` for no process."""
    own = _stat(pid)
    if own is None:
        raise SessionError("the process that connected has ended")
    leader = _stat(own.session)
    if leader is None or leader.session != own.session:
        return None
    return TerminalSession(uid, own.session, leader.started, own.terminal)


def is_alive(session: TerminalSession) -> bool:
    """Whether the leader of the session still runs."""
    leader = _stat(session.leader)
    return leader is not None and leader.started == session.started


@dataclass(frozen=True, slots=True)
class _Stat:
    session: int
    terminal: int
    started: int


def _stat(pid: int) -> _Stat | None:
    """What proc(5) says of a process; its name is skipped, as it may hold anything."""
    try:
        descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fields = os.read(descriptor, _STAT_BYTES).rpartition(b")")[2].split()
    except OSError:
        return None
    finally:
        os.close(descriptor)
    # Field 3 (state) is the first behind the name: session is 6, tty_nr 7, starttime 22.
    with suppress(IndexError, ValueError):
        if fields[0] not in (b"Z", b"X"):
            return _Stat(int(fields[3]), int(fields[4]), int(fields[19]))
    return None


def _held(connection: socket.socket, pid: int) -> int:
    """A descriptor of the process that connected; raises :class:`SessionError` when it has ended."""
    try:
        return connection.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
    except OSError:
        pass  # an older system: there is an instant in which the number can be given to another
    try:
        return os.pidfd_open(pid)
    except OSError as problem:
        raise SessionError("the process that connected has ended") from problem
