"""A command as a client of the desk's service: it hands its terminal over, and waits for the exit code.

It imports little: whoever types a command against a running desk waits for nothing else.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from exchange.service import wire
from exchange.service.run_folder import RunNote, is_owned, owners_of, read_note

# These open no desk, or are about the home and its service themselves; all others are given to a running desk.
HERE = frozenset(
    {
        *(("desk", "run"), ("desk", "status"), ("desk", "stop"), ("desk", "unit"), ("desk", "api"), ("desk", "events")),
        ("desk", "open"),
        *(("init",), ("demo",), ("codes",), ("keys",), ("settings",), ("targets",), ("template",)),
        *(("officer", "passphrase"), ("epoc",), ("evidence", "stamp"), ("evidence", "verify"), ("evidence", "root")),
    }
)
_HELP = frozenset(["--help", "--version"])
# So long a service that owns the home may take until it listens, or until it has ended.
_STARTING_S = 15.0
_LOOK_AGAIN_S = 0.05
# A service that does not say within so long that it heard a signal is stopped, or hangs: nobody waits for it.
_HEARS_WITHIN_S = 15.0
_ENDS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGWINCH)


def forwarded(arguments: Sequence[str]) -> int | None:
    """The exit code of the command that a running desk ran; None when there is none, or it is no command for one.

    Raises :class:`ComityError` when the service cannot take it, or what became of it is not known.
    """
    if not for_a_desk(arguments) or _in_background():
        return None
    home = home_of(arguments, os.environ)
    note = read_note(home)
    if note is None:
        return None
    connection = _connected(home, note)
    if connection is None:
        return None
    with connection:
        return _run(connection, arguments)


def _in_background() -> bool:
    """Whether the terminal belongs to another job now: then the system stops whoever reads it, and only itself."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:
        return False


def for_a_desk(arguments: Sequence[str]) -> bool:
    """Whether a running desk is asked to run the command."""
    words = tuple(_words(arguments))
    return bool(words) and not _HELP.intersection(arguments) and not HERE.intersection({words[:1], words[:2]})


def _words(arguments: Sequence[str]) -> Iterator[str]:
    """The words that are no options; those that name the command come first."""
    known = iter(arguments)
    for one in known:
        if one in WITH_VALUE:
            next(known, None)
        elif not one.startswith("-"):
            yield one


# The options with a value that may stand before a command and within its name.
WITH_VALUE = frozenset(["--officer", "--officer-passphrase-file", "--purpose", "--because", "--home"])


def home_of(arguments: Sequence[str], environment: Any) -> str:
    """The home that the command is for, as far as its arguments say; the command itself reads them with all care."""
    found = environment.get("COMITY_HOME") or "~/.comity"
    for place, one in enumerate(arguments):
        if one == "--":
            break
        if one == "--home" and place + 1 < len(arguments):
            found = arguments[place + 1]
        elif one.startswith("--home="):
            found = one.removeprefix("--home=")
    return os.path.expanduser(found)


def _connected(home: str, note: RunNote) -> Any:
    """The connection to the service that owns the home; None when nobody does."""
    import socket
    import time

    until = time.monotonic() + _STARTING_S
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(_STARTING_S)
            connection.connect(note.command_socket)
        except OSError as problem:
            connection.close()
            if not is_owned(home):
                return None
            if time.monotonic() >= until:
                from protocol.errors import ServiceBusyError

                raise ServiceBusyError(f"process {note.pid} owns this desk and does not answer") from problem
            time.sleep(_LOOK_AGAIN_S)
            note = read_note(home) or note
        else:
            _require_owner(connection, home)
            connection.settimeout(None)
            return connection


def _require_owner(connection: Any, home: str) -> None:
    """Return if this user's process that owns the home listens: no other must be given a terminal."""
    import socket
    import struct

    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _gid = struct.unpack("3i", credentials)
    owners = owners_of(home)
    if uid == os.geteuid() and (pid in owners or not owners or pid == 0):
        return
    from protocol.errors import RunFolderError

    connection.close()
    if uid != os.geteuid():
        raise RunFolderError(f"user {uid} listens at the socket of this desk: run the command as the desk's user")
    owner = ", ".join(map(str, sorted(owners)))
    raise RunFolderError(f"process {pid} listens at the socket of this desk, and process {owner} owns it")


def _request(arguments: Sequence[str]) -> bytes:
    import json

    umask = os.umask(0o077)
    os.umask(umask)
    streams = [[stream.encoding, stream.errors] for stream in (sys.stdin, sys.stdout, sys.stderr)]
    said = {"arguments": list(arguments), "environment": dict(os.environ), "umask": umask, "streams": streams}
    return json.dumps(said).encode()


def _run(connection: Any, arguments: Sequence[str]) -> int | None:
    import socket

    folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    content = wire.frame(wire.REQUEST, _request(arguments))
    waiting: list[int] | None = []  # a signal must not be written into the midst of the request
    asked = _Asked()

    def pass_on(number: int, _frame: FrameType | None = None) -> None:
        if number in _ENDS:
            asked.to_end()
        if waiting is not None:
            waiting.append(number)
            return
        with suppress(OSError):
            connection.send(wire.frame(wire.SIGNAL, bytes([number])), socket.MSG_DONTWAIT)

    def stop_too(_number: int, _frame: FrameType | None) -> None:
        pass_on(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)
        pass_on(signal.SIGCONT)

    before = {number: signal.signal(number, pass_on) for number in _SIGNALS}
    before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, stop_too)
    try:
        sent = socket.send_fds(connection, [content[:1]], [0, 1, 2, folder])
        connection.sendall(content[sent:])
        early, waiting = waiting or [], None
        for number in early:
            pass_on(number)
        kind, said = _answer(connection, asked)
        if kind == wire.TAKEN:
            kind, said = _answer(connection, asked)
            if kind is None:
                kind = wire.LOST
        elif kind is None and asked.in_vain():
            return _interrupted()
    except OSError:
        kind, said = None, b""
    finally:
        os.close(folder)
        for number, handler in before.items():
            signal.signal(number, handler)
    return _outcome(kind, said)


class _Asked:
    """Since when the service was asked to end the command, and did not say that it heard so."""

    def __init__(self) -> None:
        self._since: float | None = None

    def to_end(self) -> None:
        """A signal that ends a command was passed on."""
        import time

        if self._since is None:
            self._since = time.monotonic()

    def heard(self) -> None:
        """The service said so."""
        self._since = None

    def in_vain(self) -> bool:
        """Whether nobody waits for the service any longer."""
        import time

        return self._since is not None and time.monotonic() - self._since >= _HEARS_WITHIN_S


def _answer(connection: Any, asked: _Asked) -> tuple[bytes | None, bytes]:
    """The next frame's kind and content; no kind where the service is gone, or heard a signal for too long not."""
    while True:
        header = _exactly(connection, wire.HEADER_BYTES, asked)
        if header is None or wire.length(header) > wire.MAX_REPLY_BYTES:
            return None, b""
        content = _exactly(connection, wire.length(header), asked)
        if content is None:
            return None, b""
        if header[:1] != wire.HEARD:
            return header[:1], content
        asked.heard()


def _exactly(connection: Any, count: int, asked: _Asked) -> bytes | None:
    import select

    found = b""
    while len(found) < count:
        try:
            if not select.select([connection], [], [], 1)[0]:
                if asked.in_vain():
                    return None
                continue
            more = connection.recv(count - len(found))
        except OSError:
            return None
        if not more:
            return None
        found += more
    return found


def _interrupted() -> int:
    """A command that the service did not take was interrupted: nothing ran."""
    from keys.local.translation import _

    os.write(2, f"{_('interrupted')}\n".encode("utf-8", "replace"))
    return 128 + signal.SIGINT


def _outcome(kind: bytes | None, said: bytes) -> int | None:
    """The exit code; None when the service was gone before it took the command: then nothing ran."""
    if kind == wire.ENDED and len(said) == 1:
        return said[0]
    if kind is None:
        return None
    import json

    from protocol.errors import ServiceLostError
    from protocol.errors import registry as error_classes

    if kind == wire.REFUSED:
        told = json.loads(said)
        raise error_classes()[told["code"]](str(told["detail"]))
    raise ServiceLostError("the desk's service ended while the command ran: whether it is done is not known")
