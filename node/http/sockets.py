"""The sockets that a listener's address stands for."""

from __future__ import annotations

import socket
from contextlib import suppress

from protocol.errors import SettingsError, UnavailableError

BACKLOG = 1024


def listening_sockets(host: str, port: int, where: str) -> list[socket.socket]:
    """Sockets that listen on all addresses of ``host``; ``::`` is every address of both families.

    Raises :class:`UnavailableError` or :class:`SettingsError`, which name ``where``.
    """
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - the operator asked for every address that there is
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as problem:
        raise SettingsError(f"cannot listen on {where}: {problem.strerror}") from problem
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            one = socket.socket(family, kind, protocol)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
            one.bind(address)
            one.listen(BACKLOG)
            one.setblocking(False)
    except OSError as problem:
        for one in sockets:
            with suppress(OSError):
                one.close()
        raise UnavailableError(f"cannot listen on {where}: {problem.strerror}") from problem
    return sockets
