"""Ports of loopback for servers that start a little later."""

from __future__ import annotations

import errno
import random
import socket

from protocol.errors import UnavailableError

# Below the ports that systems give to outgoing connections: nobody's connection takes one before the server does.
_FIRST, _LAST = 20000, 32000
_TRIES = 200


def free_port() -> int:
    """A port that nobody uses now; raises :class:`UnavailableError`."""
    for port in random.sample(range(_FIRST, _LAST), _TRIES):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as problem:
                if problem.errno in {errno.EADDRINUSE, errno.EACCES}:
                    continue
                raise
        return port
    raise UnavailableError(f"no free port between {_FIRST} and {_LAST}")
