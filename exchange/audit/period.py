"""A stretch of time that an audit is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protocol.encoding.instants import MAX_MS, to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError


@dataclass(frozen=True, slots=True)
class Period:
    """From ``since`` on and before ``until`` (aware datetimes; None: no limit). Raises :class:`UsageError` if empty."""

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise UsageError(phrase("the period ends before it begins"))

    def holds(self, at: datetime) -> bool:
        """Whether the instant lies inside."""
        return (self.since is None or at >= self.since) and (self.until is None or at < self.until)

    def bounds_ms(self) -> tuple[int, int]:
        """The first and the last Unix millisecond inside."""
        first = 0 if self.since is None else to_ms(self.since)
        return first, MAX_MS if self.until is None else to_ms(self.until) - 1


ALWAYS = Period()
