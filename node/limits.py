"""How much one caller may ask of a node: token buckets, by caller and by address. Time is monotonic seconds."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from protocol.errors import RateLimitedError

MAX_BUCKETS = 10_000


class TokenBuckets:
    """One bucket of ``burst`` tokens per key, refilled at ``per_second``. At most :data:`MAX_BUCKETS` are kept."""

    def __init__(self, per_second: float, burst: float, timer: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._timer = timer
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, tokens: float = 1) -> None:
        """Take tokens, at most a whole bucket; raises :class:`RateLimitedError` if they are not there."""
        now = self._timer()
        level = self._level(key, now)
        tokens = min(tokens, self._burst)
        if level < tokens:
            raise RateLimitedError("too many requests from this caller; slow down")
        self._keep(key, level - tokens, now)

    def require(self, key: str) -> None:
        """Raise :class:`RateLimitedError` if the bucket is empty; take nothing."""
        if key in self._buckets and self._level(key, self._timer()) < 1:
            raise RateLimitedError("too many requests that failed from this address; slow down")

    def drain(self, key: str) -> None:
        """Take one token, or what is left."""
        now = self._timer()
        self._keep(key, max(0.0, self._level(key, now) - 1), now)

    def _level(self, key: str, now: float) -> float:
        level, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._per_second)

    def _keep(self, key: str, level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
