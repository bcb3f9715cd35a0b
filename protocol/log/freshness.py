"""How old a checkpoint that a log shows may be.

A log that is asked for its newest checkpoint signs it anew when that is older than :data:`RENEWED_AFTER`. So a log at
rest and an answer of yesterday differ: who shows an old tree either signs it with a time after that of the larger one,
which proves that it lied (``shrunk``, docs/misbehaviour.md), or shows another time than now: then it gave no answer.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from protocol.errors import CheckpointStaleError
from protocol.log.checkpoint import VerifiedCheckpoint

RENEWED_AFTER = timedelta(minutes=2)
FRESH_WITHIN = timedelta(minutes=10)
"""More than the skew of two clocks and the age at which a log signs anew, together. Before now, and after it."""


def is_due(signed_at: datetime, now: datetime) -> bool:
    """Whether a log that is asked at ``now`` signs its checkpoint anew."""
    return now - signed_at >= RENEWED_AFTER


def require_fresh(shown: VerifiedCheckpoint, asked_at: datetime) -> None:
    """Return if the log that was asked then said how it was then; raises :class:`CheckpointStaleError`."""
    if shown.signed_at is None or abs(asked_at - shown.signed_at) > FRESH_WITHIN:
        said = shown.signed_at.isoformat() if shown.signed_at is not None else "no time"
        raise CheckpointStaleError(f"the log {shown.checkpoint.origin} shows a checkpoint that it signed at {said}")
