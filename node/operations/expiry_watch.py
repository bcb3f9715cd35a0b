"""Tells the operator in time of what ends: a metric always, a log line once a day for each thing that is near."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime

from keys.directory.metadata.expiry import Expiry, expiries
from keys.directory.view import Directory
from node.operations.logging import Log
from node.operations.metrics import Metrics

INTERVAL_S = 600.0
# From here on health says "attention".
URGENT_DAYS = 7


class ExpiryWatch:
    """Looks at the directory every ten minutes."""

    def __init__(
        self,
        node: str,
        directory: Callable[[], Directory],
        clock: Callable[[], datetime],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._node = node
        self._directory = directory
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._told: dict[tuple[str, str], tuple[date, int]] = {}

    def near(self) -> list[tuple[Expiry, int]]:
        """What ends within 60 days, with its level."""
        now = self._clock()
        return [
            (expiry, level)
            for expiry in expiries(self._directory(), self._node)
            if (level := expiry.level(now)) is not None
        ]

    def urgent(self) -> list[str]:
        """What health tells: ``expires:<what>:<subject>`` for what ends within seven days or is over."""
        return [f"expires:{expiry.what}:{expiry.subject}" for expiry, level in self.near() if level <= URGENT_DAYS]

    def look(self) -> None:
        """Set the metrics; log each thing that is near once a day, and at once when it comes nearer."""
        # The earliest is last, so that of several things of one kind the next to end shows.
        for expiry in reversed(expiries(self._directory(), self._node)):
            self._metrics.expires.labels(expiry.what).set(expiry.at.timestamp())
        today = self._clock().date()
        for expiry, level in self.near():
            key = (expiry.what, expiry.subject)
            if self._told.get(key) != (today, level):
                self._told[key] = (today, level)
                self._log.warning("expires", source=expiry.what, days=level, at=expiry.at.isoformat())

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self.look()
            await asyncio.sleep(INTERVAL_S)
