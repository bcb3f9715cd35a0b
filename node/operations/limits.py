"""How much one caller may ask of a node: by its key once that is known, by its network before. Times in seconds.

Nothing here is asked of a request that authenticates but by its own key: what others do behind the same address never
refuses it.
"""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network, ip_address

from node.settings import FilesSettings, LimitSettings
from protocol.errors import RateLimitedError, UnavailableError

MAX_BUCKETS = 10_000
_NETWORK_BITS = 64
_TOO_MANY = "too many requests from this caller; slow down"


class TokenBuckets:
    """One bucket of ``burst`` tokens per key, refilled at ``per_second``. At most :data:`MAX_BUCKETS` are kept."""

    def __init__(
        self,
        per_second: float,
        burst: float,
        timer: Callable[[], float] = time.monotonic,
        *,
        detail: str = _TOO_MANY,
    ) -> None:
        self._detail = detail
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
            raise RateLimitedError(self._detail)
        self._keep(key, level - tokens, now)

    def _level(self, key: str, now: float) -> float:
        level, at = self._buckets.get(key, (self._burst, now))
        return min(self._burst, level + (now - at) * self._per_second)

    def _keep(self, key: str, level: float, now: float) -> None:
        self._buckets[key] = (level, now)
        self._buckets.move_to_end(key)
        while len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)


class Room:
    """How many of something are under way, in all and for one key at most. Event loop only."""

    def __init__(self, in_all: int, per_key: int, what: str) -> None:
        self._in_all = in_all
        self._per_key = min(per_key, in_all)
        self._what = what
        self._taken: Counter[str] = Counter()
        self._total = 0

    @property
    def total(self) -> int:
        """What is taken now."""
        return self._total

    @contextmanager
    def take(self, key: str, amount: int = 1) -> Iterator[None]:
        """Take room for as long as the block lasts, more than a key's share only as the first of that key.

        Raises :class:`RateLimitedError` when the key has taken its share, ``UnavailableError`` when all is taken.
        """
        if self._taken.get(key) and self._taken[key] + amount > self._per_key:
            raise RateLimitedError(f"too many {self._what} of this caller are under way already")
        if self._total and self._total + amount > self._in_all:
            raise UnavailableError(f"too many {self._what} are under way at this node")
        self._taken[key] += amount
        self._total += amount
        try:
            yield
        finally:
            self._total -= amount
            self._taken[key] -= amount
            if not self._taken[key]:
                del self._taken[key]


_TOO_MANY_BYTES = "too many bytes from this caller; send less, or later"
_TOO_MANY_FAILED = "too many requests that failed from this network; slow down"


@dataclass(frozen=True, slots=True)
class Allowances:
    """How much each caller may ask of this node: desks and partners by key, requests that fail by network."""

    desk: TokenBuckets
    partner: TokenBuckets
    desk_bytes: TokenBuckets
    partner_bytes: TokenBuckets
    failures: TokenBuckets
    requests: Room
    bodies: Room
    file_bytes: TokenBuckets
    file_bodies: Room

    @classmethod
    def of(cls, limits: LimitSettings, files: FilesSettings) -> Allowances:
        """Those of the settings, all unused."""
        return cls(
            desk=TokenBuckets(limits.desk_requests_per_s, limits.desk_burst),
            partner=TokenBuckets(limits.partner_requests_per_s, limits.partner_burst),
            desk_bytes=TokenBuckets(limits.desk_bytes_per_s, limits.desk_bytes_burst, detail=_TOO_MANY_BYTES),
            partner_bytes=TokenBuckets(limits.partner_bytes_per_s, limits.partner_bytes_burst, detail=_TOO_MANY_BYTES),
            failures=TokenBuckets(limits.failures_per_s, limits.failures_burst, detail=_TOO_MANY_FAILED),
            requests=Room(limits.requests_at_once, limits.requests_per_key, "requests"),
            bodies=Room(limits.body_bytes_at_once, limits.body_bytes_per_key, "bytes of bodies"),
            file_bytes=TokenBuckets(files.caller_bytes_per_s, files.caller_bytes_burst, detail=_TOO_MANY_BYTES),
            file_bodies=Room(files.body_bytes_at_once, files.body_bytes_per_key, "bytes of files"),
        )


def network_of(address: str) -> str:
    """Whom limits before authentication count together: an IPv4 address, or the /64 of an IPv6 address.

    One subscriber has a whole /64 of IPv6; and an IPv4 address that comes in over an IPv6 socket is itself.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(IPv6Network((int(ip), _NETWORK_BITS), strict=False))
