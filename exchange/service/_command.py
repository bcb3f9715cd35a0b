"""A command in its own process of a running desk: it takes over the caller's terminal, folder and environment."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from exchange.service.served import Served, serve_here
from keys.local.translation import language, take_language_anew
from keys.secrets.keystore import Keystore

# The texts of commands are put into the reader's language when their modules are imported.
_SPOKEN = "exchange.cli"
_DEFECT = 70


@dataclass(frozen=True, slots=True)
class CommandRunner:
    """What a copy of the warm process does. ``program`` runs the program by ``sys.argv`` and exits."""

    home: Path
    keystore: Keystore
    program: Callable[[], None]
    secret: bytes = field(repr=False)
    derived: dict[str, Any] = field(repr=False)

    def __call__(self, descriptors: list[int]) -> NoReturn:
        """Be the command whose request stands in the last of these descriptors, to its exit."""
        code = _DEFECT
        try:
            code = self._run(descriptors)
        finally:
            os._exit(code)

    def _run(self, descriptors: list[int]) -> int:
        link = socket.socket(fileno=descriptors[-1])
        request = _read_request(link)
        _take_over(descriptors[:-1], request)
        try:
            # A signal that came before is taken now, where the program would take it.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
            serve_here(Served(self.home, self.keystore, link, self.secret, self.derived))
            self.program()
        except KeyboardInterrupt:  # before the program could take it
            return 130
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            for stream in (sys.stdout, sys.stderr):
                try:
                    stream.flush()
                except (OSError, ValueError):
                    continue
        return 0


def _read_request(link: socket.socket) -> dict[str, Any]:
    size = int.from_bytes(_exactly(link, 4), "big")
    found: dict[str, Any] = json.loads(_exactly(link, size))
    return found


def _exactly(link: socket.socket, count: int) -> bytes:
    content = bytearray()
    while len(content) < count:
        more = link.recv(count - len(content))
        if not more:
            raise EOFError
        content += more
    return bytes(content)


def _take_over(descriptors: list[int], request: dict[str, Any]) -> None:
    """Stand where the caller stands: its terminal, its folder, its environment, its language and zone."""
    *streams, folder = descriptors
    os.fchdir(folder)
    os.close(folder)
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.umask(request["umask"])
    spoken = language()
    os.environ.clear()
    os.environ.update(request["environment"])
    time.tzset()
    take_language_anew()
    if language() != spoken:
        for name in [one for one in sys.modules if one == _SPOKEN or one.startswith(f"{_SPOKEN}.")]:
            del sys.modules[name]
    sys.stdin, sys.stdout, sys.stderr = (_stream(number, *shape) for number, shape in enumerate(request["streams"]))
    sys.argv[:] = ["comity", *request["arguments"]]


def _stream(number: int, encoding: str, errors: str) -> io.TextIOWrapper:
    """The standard stream ``number`` as the interpreter of the caller has it."""
    raw = io.FileIO(number, "r" if number == 0 else "w", closefd=False)
    buffered = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
    by_line = number == 2 or raw.isatty()
    return io.TextIOWrapper(buffered, encoding=encoding, errors=errors, line_buffering=by_line)
