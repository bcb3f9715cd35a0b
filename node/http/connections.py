"""The open connections of a listener: which one has to go when there are too many.

A connection is nobody's until a request on it authenticates. Of nobody's connections there may be so many, in all and
from one network; what goes beyond ends the oldest of them, never the newest: who has a key shows it within moments. Of
one key's connections there may be so many too, and the one that rested longest goes.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from node.operations.limits import network_of
from protocol.errors import RateLimitedError


@dataclass(slots=True, eq=False)
class Connection:
    """One connection from ``network``. ``end`` closes it at once; ``holder`` is whose key authenticated on it last.

    ``busy`` counts its requests under way, ``timer`` ends it unless somebody authenticates in time.
    """

    network: str
    end: Callable[[], None]
    holder: str | None = None
    busy: int = 0
    timer: asyncio.TimerHandle | None = None


class Connections:
    """All open connections. Event loop only."""

    def __init__(self, unknown: int, unknown_per_network: int, per_key: int) -> None:
        self._limits = (unknown, unknown_per_network)
        self._per_key = per_key
        # Both in the order in which they came, or were used last.
        self._unknown: dict[Connection, None] = {}
        self._known: dict[Connection, None] = {}
        self._networks: Counter[str] = Counter()
        self._holders: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._unknown) + len(self._known)

    @property
    def unknown(self) -> int:
        """How many are nobody's yet."""
        return len(self._unknown)

    def opened(self, address: str, end: Callable[[], None]) -> Connection:
        """A new connection from ``address``; ends older ones of nobody that are too many now."""
        connection = Connection(network_of(address), end)
        self._unknown[connection] = None
        self._networks[connection.network] += 1
        in_all, per_network = self._limits
        if self._networks[connection.network] > per_network:
            self._end_unknown(connection.network)
        elif len(self._unknown) > in_all:
            self._end_unknown(self._networks.most_common(1)[0][0])
        return connection

    def closed(self, connection: Connection) -> None:
        """The connection is gone. Harmless to repeat."""
        if connection.timer is not None:
            connection.timer.cancel()
        if connection in self._unknown:
            del self._unknown[connection]
            self._leave(self._networks, connection.network)
        elif connection in self._known:
            del self._known[connection]
            self._leave(self._holders, connection.holder or "")

    def authenticated(self, connection: Connection, holder: str) -> None:
        """A request of ``holder`` came on it; raises :class:`RateLimitedError` when its key has too many in use."""
        if connection not in self._unknown and connection not in self._known:
            return  # it went meanwhile
        if connection.holder != holder:
            if self._holders[holder] >= self._per_key and not self._end_resting(holder):
                raise RateLimitedError("too many connections of this caller are open; use fewer")
            self.closed(connection)
            connection.holder = holder
            self._holders[holder] += 1
        self._known.pop(connection, None)
        self._known[connection] = None

    @contextmanager
    def serving(self, connection: Connection) -> Iterator[None]:
        """A request is under way on it for as long as the block lasts."""
        connection.busy += 1
        try:
            yield
        finally:
            connection.busy -= 1

    def shed(self) -> bool:
        """End the oldest of nobody, else the one that rested longest; False when there is none to end."""
        if self._unknown:
            self._end(next(iter(self._unknown)))
            return True
        return self._end_resting(None)

    # --- Inside ---

    def _end_unknown(self, network: str) -> None:
        self._end(next(connection for connection in self._unknown if connection.network == network))

    def _end_resting(self, holder: str | None) -> bool:
        """End the connection (of ``holder``, if given) that has no request and was used longest ago."""
        for connection in self._known:
            if not connection.busy and holder in {None, connection.holder}:
                self._end(connection)
                return True
        return False

    def _end(self, connection: Connection) -> None:
        self.closed(connection)
        connection.end()

    @staticmethod
    def _leave(counts: Counter[str], key: str) -> None:
        counts[key] -= 1
        if not counts[key]:
            del counts[key]
