"""When somebody is told of a deadline: by steps before it, when it has passed, and whom to turn to then.

The level of a deadline at an instant is a short stable text: ``21d``, ``7d``, ``2d``, ``4h``, ``1h`` (so long before),
``overdue`` or, of a target that nobody is bound to, ``target_passed``; and for an urgent request that nobody
acknowledged ``deputy`` and then ``escalation``: call the deputy, then the escalation contact of the other side. A level
is reached once for each due time: a new due time is a new deadline.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from protocol.lifecycle.deadlines import Deadline
from protocol.lifecycle.profiles import escalation_after, warning_steps

OVERDUE, TARGET_PASSED, DEPUTY, ESCALATION = "overdue", "target_passed", "deputy", "escalation"
_URGENT = frozenset({"urgent", "emergency"})


def level_at(deadline: Deadline, urgency: str, now: datetime) -> str | None:
    """The level that the deadline has reached at ``now``; None as long as it is far off, or stands still."""
    due = deadline.due
    if due is None:
        return None
    if now >= due:
        if deadline.what != "acknowledgement" or urgency not in _URGENT:
            return OVERDUE if deadline.kind.may_be_late else TARGET_PASSED
        return ESCALATION if now >= due + escalation_after() else DEPUTY
    reached = [step for step in warning_steps(deadline.what) if due - now <= step]
    return step_name(min(reached)) if reached else None


def next_change(deadline: Deadline, urgency: str, now: datetime) -> datetime | None:
    """The next instant after ``now`` at which the level changes; None when it never does."""
    if deadline.due is None:
        return None
    instants = [deadline.due - step for step in warning_steps(deadline.what)] + [deadline.due]
    if deadline.what == "acknowledgement" and urgency in _URGENT:
        instants.append(deadline.due + escalation_after())
    return min((instant for instant in instants if instant > now), default=None)


def step_name(step: timedelta) -> str:
    """``21d`` or ``4h``."""
    return f"{step.days}d" if step >= timedelta(days=1) else f"{step.seconds // 3600}h"
