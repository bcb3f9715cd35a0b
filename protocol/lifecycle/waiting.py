"""Waiting for an authority of one's own State: since when, why and until when, target by target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from protocol.lifecycle import facts as f


@dataclass(frozen=True, slots=True)
class AuthorityWait:
    """The requested side waits since ``since`` for an authorisation of its own authorities.

    ``reason`` is a code of ``delay_reason``; ``until`` how long that takes, as far as it said.
    """

    since: datetime
    reason: str = ""
    until: datetime | None = None


# After these the authorisation was given, or is of no use any more.
_ENDS = (
    f.ReviewStarted,
    f.Accepted,
    f.ExecutionStarted,
    f.Preserved,
    f.NotHeld,
    f.Refused,
    f.FollowUpRefused,
    f.Impossible,
    f.Postponed,
    f.AnsweredInPart,
    f.Answered,
    f.ConditionsProposed,
    f.Forwarded,
    f.Released,
    f.Withdrawn,
    f.Closed,
)


def waiting_after(waiting: AuthorityWait | None, fact: f.CaseFact) -> AuthorityWait | None:
    """What is waited for after ``fact``: said again, it lasts since it was said first."""
    if isinstance(fact, f.AuthorisationAwaited):
        since = waiting.since if waiting is not None else fact.at
        return AuthorityWait(since, fact.reason, fact.until)
    return None if isinstance(fact, _ENDS) else waiting
