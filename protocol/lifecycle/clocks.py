"""What is due and what is late: functions of the case and of now, never stored.

Every clock starts at receipt: the time at which the requested desk proved that it has the request.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from protocol.lifecycle import facts as f
from protocol.lifecycle.folding import Case, Pause, nation_of
from protocol.lifecycle.preservation import PreservationCase, TargetCase, state_at
from protocol.lifecycle.preservation_rules import LIVING
from protocol.lifecycle.profiles import (
    NO_NATIONAL_CLOCKS,
    NationalClocks,
    acknowledgement_clock,
    expiry_warning_days,
)


@dataclass(frozen=True, slots=True)
class ExpiryWarning:
    """A target that expires in at most ``days`` days: the nearest of the warning steps."""

    target: str
    expires_at: datetime
    days: int


def due_at(started_at: datetime, period: timedelta, pauses: Iterable[Pause] = ()) -> datetime | None:
    """When a clock of ``period`` started at ``started_at`` runs out; None while it is paused.

    Pauses are taken in order of time; where two overlap, the time they share counts once.
    """
    due = started_at + period
    paused_until = started_at
    for pause in sorted(pauses, key=lambda pause: pause.since):
        if pause.since >= due:
            break
        if pause.until is None:
            return None
        begin = max(pause.since, paused_until)
        if pause.until > begin:
            due += pause.until - begin
            paused_until = pause.until
    return due


def between(opening: f.Submitted, national: NationalClocks) -> NationalClocks:
    """``national`` with the nations of the request: those that it names, else those of the addresses' nodes."""
    if national.nations:
        return national
    return replace(national, nations=frozenset(nation_of(address) for address in (opening.by, *opening.requested)))


def acknowledgement_due(case: Case[Any], national: NationalClocks = NO_NATIONAL_CLOCKS) -> datetime | None:
    """When the acknowledgement is due; None as long as receipt is not proved."""
    if case.opening is None or case.delivered_at is None:
        return None
    clock = acknowledgement_clock(case.opening.kind, case.opening.urgency, between(case.opening, national))
    return due_at(case.delivered_at, timedelta(hours=clock.hours))


def expires_in(target: TargetCase, now: datetime) -> timedelta | None:
    """The time until the target expires: negative when it has; None while no expiry runs."""
    if target.expires_at is None or target.state not in LIVING or target.expiry_suspended:
        return None
    return target.expires_at - now


def expiry_warnings(case: PreservationCase, now: datetime) -> tuple[ExpiryWarning, ...]:
    """The living targets that expire within a warning step, the most pressing first."""
    found = []
    for target in case.targets:
        remaining = expires_in(target, now)
        if remaining is None or target.expires_at is None or state_at(target, now) not in LIVING:
            continue
        reached = [days for days in expiry_warning_days() if remaining <= timedelta(days=days)]
        if reached:
            found.append(ExpiryWarning(target.name, target.expires_at, min(reached)))
    return tuple(sorted(found, key=lambda warning: (warning.expires_at, warning.target)))
