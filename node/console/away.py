"""A partner that takes nothing: since when, what waits for it, and from when on it needs the operator.

This is the one rule of it: ``/health``, the metrics that alarms ask, ``comity-node status`` and the console go by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from node.operations.history import PartnerPast
from node.store.reads import StoreStats

# So long a partner may take nothing while something waits for it.
TAKES_NOTHING = timedelta(minutes=15)
# And so long where an emergency waits, or a message whose deadline is near or has passed.
PRESSING_AFTER = timedelta(minutes=2)
AT_RISK = timedelta(hours=1)

EMERGENCY, DEADLINE, WAITING = "emergency", "deadline", "waiting"


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits for one partner: rows of the queue, messages whose files do, how many of the rows are emergencies.

    ``deadline`` is the first instant at which a message that waits is late: its acknowledgement is wanted then, or it
    expires (None: no message waits).
    """

    rows: int = 0
    file_sets: int = 0
    emergencies: int = 0
    deadline: datetime | None = None

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.rows or self.file_sets)


@dataclass(frozen=True, slots=True)
class Away:
    """A partner that takes nothing. ``silent``: it cannot be reached; else it answers, and refuses."""

    node: str
    since: datetime
    silent: bool
    waits: Waits

    def because(self, now: datetime) -> str:
        """What presses most of all that waits: ``emergency``, ``deadline``, ``waiting``; empty when nothing waits."""
        if not self.waits:
            return ""
        if self.waits.emergencies:
            return EMERGENCY
        deadline = self.waits.deadline
        return DEADLINE if deadline is not None and deadline - now <= AT_RISK else WAITING

    def needs_at(self, now: datetime) -> datetime | None:
        """From when on it needs the operator, as things are now; None while nothing waits."""
        because = self.because(now)
        if not because:
            return None
        patient = self.since + TAKES_NOTHING
        if because != WAITING:
            return self.since + PRESSING_AFTER
        # A deadline that comes near before the patience ends makes it press from then on.
        deadline = self.waits.deadline
        return patient if deadline is None else min(patient, max(self.since + PRESSING_AFTER, deadline - AT_RISK))

    def needs(self, now: datetime) -> bool:
        """Whether it needs the operator now."""
        at = self.needs_at(now)
        return at is not None and now > at


def away_of(node: str, past: PartnerPast, waits: Waits) -> Away | None:
    """The partner as one that takes nothing; None for one that does, or of which nothing was asked."""
    begins = [since for since in (past.silent_since, past.failing_since if waits else None) if since is not None]
    return Away(node, min(begins), past.silent_since is not None, waits) if begins else None


def waits_of(stats: StoreStats) -> Mapping[str, Waits]:
    """By partner, what waits for it."""
    return {
        partner: Waits(
            stats.outbound.get(partner, 0),
            stats.files_waiting.get(partner, 0),
            stats.emergencies.get(partner, 0),
            stats.deadlines.get(partner),
        )
        for partner in {*stats.outbound, *stats.files_waiting}
    }
