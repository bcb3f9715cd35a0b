"""HTTP over a Unix socket for programs that speak through requests: any host is the socket."""

from __future__ import annotations

import socket
from typing import Any

from requests import Session
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.connectionpool import HTTPConnectionPool

from tests.worlds.patience import WITHIN_S


class _Connection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("desk")
        self._path = path

    def _new_conn(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        made.settimeout(WITHIN_S)
        made.connect(self._path)
        return made


class _Pool(HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("desk", maxsize=1, block=True)
        self._path = path

    def _new_conn(self) -> Any:
        return _Connection(self._path)


class _Adapter(HTTPAdapter):
    def __init__(self, path: str) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1)
        self._pool = _Pool(path)

    def get_connection_with_tls_context(self, *_given: Any, **_named: Any) -> Any:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()


def unix_session(path: str) -> Session:
    """A session whose requests all go to the socket ``path``, on one connection."""
    made = Session()
    made.trust_env = False
    made.mount("http://", _Adapter(path))
    return made
