"""Ports of loopback for servers that start a little later."""

from __future__ import annotations

import errno
import itertools
import os
import socket

from protocol.errors import UnavailableError

# Below the ports that systems give to outgoing connections: nobody's connection takes one before the server does.
_FIRST, _EACH, _PROCESSES = 20000, 50, 240
_turn = itertools.count()


def free_port() -> int:
    """A port that nobody uses now; raises :class:`UnavailableError`.

    Each process has ports of its own, by its process id, and gives them out in turn: two that run beside each other do
    not choose the same one before either listens.
    """
    own = _FIRST + os.getpid() % _PROCESSES * _EACH
    for _ in range(_EACH):
        port = own + next(_turn) % _EACH
        if is_free(port):
            return port
    raise UnavailableError(f"none of the ports {own} to {own + _EACH - 1} is free")


def is_free(port: int) -> bool:
    """Whether nobody uses this port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as problem:
            if problem.errno in {errno.EADDRINUSE, errno.EACCES}:
                return False
            raise
    return True
