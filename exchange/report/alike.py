"""Counting for publication: what is rare is taken out before anything is counted, and so it is in no number at all.

Leaving small counts out of tables does not hide them: another table, another period or another nation's report gives a
sum in which they are. Therefore a report to publish is made of *units* (what one log holds of one message in one month)
that are alike in everything the report tells of them. Groups of fewer than the threshold are taken out whole.

1. Units are grouped within one log and one calendar month (UTC), and a published report is of one finished month: the
   same groups are taken out of every report, whoever makes it, of whichever logs together.
2. A message is counted in one log only: that of the node that made it available to a desk, or where it ended. Two logs
   that both count it could be held against each other, and one of them knows more of what became of it.
3. Every number that is then counted is a sum over groups that are each as large as the threshold.
4. A group that was taken out had any number of units from none to one less than the threshold: no report says which.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from exchange.audit.period import Period
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError
from protocol.event import Event, EventName
from protocol.log.freshness import FRESH_WITHIN

UnitT = TypeVar("UnitT")


def require_month(period: Period, stood_at: Iterable[datetime | None]) -> None:
    """Return if the period is one calendar month that was over when each source stood so; raises :class:`UsageError`.

    Without that, two reports differ by a day or an hour, and their difference is of few.
    """
    since, until = period.since, period.until
    if since is None or until is None or since != _month(since) or until != _next(since):
        raise UsageError(
            phrase(
                "what leaves out small counts is of one whole month, such as from 2026-10-01T00:00:00Z to"
                " 2026-11-01T00:00:00Z"
            )
        )
    for at in stood_at:
        if at is None:
            raise UsageError(
                phrase(
                    "what is counted does not say when it was signed, and so not that the month is over: mirror again"
                )
            )
        if at < until + FRESH_WITHIN:
            raise UsageError(
                phrase(
                    "the month is not over in what is counted, which is of {at}: mirror again after it", at=to_text(at)
                )
            )


def frequent(units: Sequence[tuple[Hashable, UnitT]], below: int) -> list[UnitT]:
    """Of units with what is told of each, those that at least ``below`` are alike with, themselves among them."""
    counted = Counter(told for told, _unit in units)
    return [unit for told, unit in units if counted[told] >= below]


def frequent_events(
    entries: Iterable[tuple[int, Event]], doubtful: frozenset[int], below: int
) -> list[tuple[int, Event]]:
    """Of a log's entries (index, event) of one month those of units that are frequent, in the order of the log.

    A message with an entry that has a finding measures nothing, and is taken out too.
    """
    units: dict[bytes, list[tuple[int, Event]]] = {}
    for index, event in entries:
        units.setdefault(event.digest, []).append((index, event))
    sound = [unit for unit in units.values() if doubtful.isdisjoint(index for index, _event in unit)]
    counted = [here for unit in sound if (here := _counted_here(unit))]
    kept = frequent([(_told(unit), unit) for unit in counted], below)
    return sorted((entry for unit in kept for entry in unit), key=lambda entry: entry[0])


def _counted_here(unit: Sequence[tuple[int, Event]]) -> list[tuple[int, Event]]:
    """What this log counts of a message: not what the log of the node that took or refused it counts."""
    accepted = any(_accepts(event) for _index, event in unit)
    here = [
        (index, event)
        for index, event in unit
        if not _passes_on(event) and not (accepted and event.name is EventName.RelayRejection)
    ]
    went = len(here) < len(unit)
    return [] if went and all(_accepts(event) for _index, event in here) else here


def _accepts(event: Event) -> bool:
    """The node took the message, from a desk or from another node."""
    taken = event.name is EventName.RelayAcceptance and not _passes_on(event)
    return taken or event.name is EventName.SubmissionAcceptance


def _passes_on(event: Event) -> bool:
    """The next node took the message, or this one keeps it for somebody whom another node serves."""
    passed = event.reference is not None or event.recipient is not None
    return event.name is EventName.RelayAcceptance and passed


def _told(unit: Sequence[tuple[int, Event]]) -> Hashable:
    """All that a report tells of a unit: its events, with which node, for an office of which nation, and why."""
    return tuple(
        sorted(
            (
                event.name.value,
                event.peer or "",
                "" if event.recipient is None else event.recipient.node,
                tuple(sorted(event.reasons)),
            )
            for _index, event in unit
        )
    )


def _month(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _next(at: datetime) -> datetime:
    return _month(_month(at) + timedelta(days=32))
