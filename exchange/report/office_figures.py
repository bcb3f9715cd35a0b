"""An office's figures: what its own cases say in numbers, without ids, names or anything of what a case is about.

Pure. The figures count what happened in the period, and what was open or overdue at the end of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from exchange.audit.period import Period
from exchange.report._courses import Course, How, SettledCase
from exchange.report._measures import Count, Spread, Suppression, month_of
from exchange.report.alike import frequent, require_month
from exchange.views import Direction
from protocol.address import Address
from protocol.lifecycle.deadlines import Deadline
from protocol.lifecycle.profiles import acknowledgement_period, warning_steps
from protocol.lifecycle.rules import Side

K = TypeVar("K", bound=tuple[Any, ...])

ACKNOWLEDGEMENT, ANSWER = "acknowledgement", "answer"


@dataclass(frozen=True, slots=True)
class CountedMessage:
    """All that is counted of one message; ``thread`` is the case that it belongs to, ``nations`` the other side."""

    direction: Direction
    type: str
    sent_at: datetime
    thread: UUID | None = None
    nations: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that this desk refused when it came, by the code of the check that failed."""

    code: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Volume:
    """How many messages of a type were sent or received, by the month in which they were sent."""

    month: str
    direction: str
    type: str
    messages: Count


@dataclass(frozen=True, slots=True)
class WordTimes:
    """How long it took from proved receipt of a request to its acknowledgement, or to its last answer (``what``).

    ``ours``: this office asked, so these are the times of others; else they are its own.
    """

    ours: bool
    kind: str
    what: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class DeadlineCount:
    """What became of deadlines. ``ours``: this office had to act.

    ``in_time`` and ``late`` were settled in the period; ``running``, ``standing`` (paused) and ``overdue`` are left.
    ``passed`` are those of a mere target, settled or left, that were not settled by it: nobody is late with them.
    """

    ours: bool
    what: str
    in_time: Count
    late: Count
    running: Count
    standing: Count
    overdue: Count
    passed: Count = 0


@dataclass(frozen=True, slots=True)
class Lapses:
    """What became of preservations that were about to expire. ``ours``: this office had asked for them.

    A lapse was prevented when the expiry was ``extended``, or the request ``followed_up``, or the data ``released``
    within the time of warning before it; ``lapsed`` nobody did anything of that; ``near`` are in that time now.
    """

    ours: bool
    extended: Count
    followed_up: Count
    released: Count
    prevented: Count
    lapsed: Count
    near: Count


@dataclass(frozen=True, slots=True)
class GroundCount:
    """How many targets were refused on a ground. ``ours``: by this office."""

    ours: bool
    ground: str
    count: Count


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many cases of a kind are in a state. ``ours``: this office opened them."""

    ours: bool
    kind: str
    state: str
    count: Count


@dataclass(frozen=True, slots=True)
class CodeCount:
    """How many messages this desk refused, by code."""

    code: str
    count: Count


@dataclass(frozen=True, slots=True)
class UrgencyTimes:
    """How long it took from proved receipt to the acknowledgement, by urgency, beside the network's own target.

    ``ours``: this office asked, so these are the times of others.
    """

    ours: bool
    urgency: str
    spread: Spread
    target_ms: int


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """How many of the requests that this office opened in the period got so far; the first step is all of them."""

    step: str  # submitted, received, opened, acknowledged, answered
    requests: int


@dataclass(frozen=True, slots=True)
class PairVolume:
    """How many messages went between this office and a nation in a month."""

    nation: str
    month: str
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class OfficeFigures:
    """The figures of one office; ``warning_ms`` is how long before an expiry the first warning comes.

    ``replies``, ``funnel`` and ``pairs`` are for the office itself: figures for publication have none of them.
    """

    office: str
    since: datetime | None
    until: datetime | None
    as_of: datetime
    suppressed_below: int
    warning_ms: int
    received: Count
    sent: Count
    erased_cases: Count
    volumes: tuple[Volume, ...]
    times: tuple[WordTimes, ...]
    deadlines: tuple[DeadlineCount, ...]
    lapses: tuple[Lapses, ...]
    refusals: tuple[GroundCount, ...]
    states: tuple[StateCount, ...]
    quarantined: tuple[CodeCount, ...]
    replies: tuple[UrgencyTimes, ...] = ()
    funnel: tuple[FunnelStep, ...] = ()
    pairs: tuple[PairVolume, ...] = ()


@dataclass(frozen=True, slots=True)
class OfficeRecords:
    """What the figures are made of. ``erased_cases`` are cases of which no content is left."""

    office: Address
    messages: Iterable[CountedMessage] = field(repr=False)
    courses: Sequence[Course] = field(repr=False)
    refused: Iterable[RefusedMessage] = field(repr=False)
    erased_cases: int = 0


def office_figures(records: OfficeRecords, period: Period, as_of: datetime, suppression: Suppression) -> OfficeFigures:
    """The figures of these records. The same records and arguments give equal figures.

    With a threshold of suppression they are for publication: see :mod:`exchange.report.alike`. Raises
    :class:`UsageError` when the period is not one month then.
    """
    if suppression.below:
        require_month(period, ())
        records = _frequent(records, period, as_of, suppression.below)
    own, courses = records.office, records.courses
    volumes = _volumes(records.messages, period, suppression)
    return OfficeFigures(
        office=str(own),
        since=period.since,
        until=period.until,
        as_of=as_of,
        suppressed_below=suppression.below,
        warning_ms=_ms(_warning()),
        received=suppression.total(row.messages for row in volumes if row.direction == Direction.RECEIVED),
        sent=suppression.total(row.messages for row in volumes if row.direction == Direction.SENT),
        erased_cases=None if suppression.below else records.erased_cases,
        volumes=volumes,
        times=_times(courses, own, period, suppression),
        deadlines=_deadlines(courses, own, period, as_of, suppression),
        lapses=_lapses(courses, own, period, as_of, suppression),
        refusals=tuple(
            GroundCount(ours, ground, suppression.count(count))
            for (ours, ground), count in _sorted(_grounds(courses, own, period))
        ),
        states=tuple(
            StateCount(ours, kind, state, suppression.count(count))
            for (ours, kind, state), count in _sorted((c.asked_by(own), c.kind, c.state) for c in courses)
        ),
        quarantined=tuple(
            CodeCount(code, suppression.count(count))
            for (code,), count in _sorted((refused.code,) for refused in records.refused if period.holds(refused.at))
        ),
        **({} if suppression.below else _own_view(records, period)),
    )


# --- Inside ---


def _own_view(records: OfficeRecords, period: Period) -> dict[str, Any]:
    """What the office counts for itself alone."""
    return {
        "replies": _replies(records.courses, records.office, period),
        "funnel": _funnel(records.courses, records.office, period),
        "pairs": _pairs(records.messages, period),
    }


def _replies(courses: Sequence[Course], own: Address, period: Period) -> tuple[UrgencyTimes, ...]:
    measured: defaultdict[tuple[bool, str], list[int]] = defaultdict(list)
    for course in courses:
        at = course.acknowledged_at
        if course.received_at is not None and at is not None and period.holds(at) and _is_request(course):
            measured[course.asked_by(own), course.urgency].append(_ms(at - course.received_at))
    everything = Suppression()
    return tuple(
        UrgencyTimes(ours, urgency, everything.spread(times), _ms(acknowledgement_period(urgency)))
        for (ours, urgency), times in sorted(measured.items())
    )


def _funnel(courses: Sequence[Course], own: Address, period: Period) -> tuple[FunnelStep, ...]:
    """A later step counts as each earlier one: an answer was opened, whether or not that was proved."""
    asked = [
        course for course in courses if _is_request(course) and course.asked_by(own) and period.holds(course.opened_at)
    ]
    reached = [
        (
            True,
            course.received_at is not None,
            course.read_at is not None,
            course.acknowledged_at is not None,
            course.answered_at is not None,
        )
        for course in asked
    ]
    names = ("submitted", "received", "opened", "acknowledged", "answered")
    steps = [FunnelStep(name, sum(any(one[place:]) for one in reached)) for place, name in enumerate(names)]
    return tuple(steps) if asked else ()


def _is_request(course: Course) -> bool:
    return course.kind.endswith(".request")


def _pairs(messages: Iterable[CountedMessage], period: Period) -> tuple[PairVolume, ...]:
    counted: defaultdict[tuple[str, str], Counter[Direction]] = defaultdict(Counter)
    for message in messages:
        if period.holds(message.sent_at):
            for nation in message.nations:
                counted[nation, month_of(message.sent_at)][message.direction] += 1
    return tuple(
        PairVolume(nation, month, row[Direction.SENT], row[Direction.RECEIVED])
        for (nation, month), row in sorted(counted.items())
    )


def _frequent(records: OfficeRecords, period: Period, as_of: datetime, below: int) -> OfficeRecords:
    """The records of cases that enough others are like, in all that is told of them. Without a case each is one."""
    units: dict[Hashable, tuple[list[CountedMessage], list[Course]]] = defaultdict(lambda: ([], []))
    for number, message in enumerate(records.messages):
        units[message.thread or number][0].append(message)
    for number, course in enumerate(records.courses):
        units[course.thread or -1 - number][1].append(course)
    own, everything = records.office, Suppression()
    told = [
        (
            (
                _volumes(messages, period, everything),
                tuple((row.ours, row.kind, row.what) for row in _times(courses, own, period, everything)),
                _deadlines(courses, own, period, as_of, everything),
                _lapses(courses, own, period, as_of, everything),
                tuple(sorted(_grounds(courses, own, period))),
                tuple((course.asked_by(own), course.kind, course.state) for course in courses),
            ),
            (messages, courses),
        )
        for messages, courses in units.values()
    ]
    kept = frequent(told, below)
    refused = [(refused.code, refused) for refused in records.refused if period.holds(refused.at)]
    return OfficeRecords(
        own,
        [message for messages, _courses in kept for message in messages],
        [course for _messages, courses in kept for course in courses],
        frequent(refused, below),
        records.erased_cases,
    )


def _grounds(courses: Sequence[Course], own: Address, period: Period) -> Iterator[tuple[bool, str]]:
    for course in courses:
        for refusal in course.refusals:
            if period.holds(refusal.at):
                yield refusal.by == str(own), refusal.ground


def _volumes(messages: Iterable[CountedMessage], period: Period, suppression: Suppression) -> tuple[Volume, ...]:
    counted = _sorted(
        (month_of(message.sent_at), message.direction.value, message.type)
        for message in messages
        if period.holds(message.sent_at)
    )
    return tuple(Volume(month, direction, kind, suppression.count(n)) for (month, direction, kind), n in counted)


def _times(courses: Sequence[Course], own: Address, period: Period, suppression: Suppression) -> tuple[WordTimes, ...]:
    measured: defaultdict[tuple[bool, str, str], list[int]] = defaultdict(list)
    for course in courses:
        for what, at in ((ACKNOWLEDGEMENT, course.acknowledged_at), (ANSWER, course.answered_at)):
            if course.received_at is not None and at is not None and period.holds(at):
                measured[course.asked_by(own), course.kind, what].append(_ms(at - course.received_at))
    return tuple(
        WordTimes(ours, kind, what, suppression.spread(times)) for (ours, kind, what), times in sorted(measured.items())
    )


def _deadlines(
    courses: Sequence[Course], own: Address, period: Period, as_of: datetime, suppression: Suppression
) -> tuple[DeadlineCount, ...]:
    """Of all deadlines but expiries, which are :func:`_lapses`."""
    counted: defaultdict[tuple[bool, str], Counter[str]] = defaultdict(Counter)
    for course in courses:
        own_side = Side.REQUESTER if course.asked_by(own) else Side.REQUESTED
        for settled in course.settled:
            if settled.what != "expiry" and settled.how is How.MET and period.holds(settled.at):
                missed = settled.due is not None and settled.at > settled.due
                became = ("late" if settled.kind.may_be_late else "passed") if missed else "in_time"
                counted[settled.side is own_side, settled.what][became] += 1
        for left in course.open:
            if left.what != "expiry":
                counted[left.side is own_side, left.what][_where(left, as_of)] += 1
    names = ("in_time", "late", "running", "standing", "overdue", "passed")
    return tuple(
        DeadlineCount(ours, what, **_hidden(row, names, suppression)) for (ours, what), row in sorted(counted.items())
    )


def _where(left: Deadline, as_of: datetime) -> str:
    """Where a deadline stands that is left at ``as_of``."""
    if left.due is None:
        return "standing"
    if as_of < left.due:
        return "running"
    return "overdue" if left.kind.may_be_late else "passed"


def _lapses(
    courses: Sequence[Course], own: Address, period: Period, as_of: datetime, suppression: Suppression
) -> tuple[Lapses, ...]:
    counted: defaultdict[bool, Counter[str]] = defaultdict(Counter)
    for course in courses:
        row = counted[course.asked_by(own)]
        for settled in course.settled:
            outcome = _outcome(settled, period) if settled.what == "expiry" else None
            if outcome is not None:
                row[outcome] += 1
        for left in course.open:
            if left.what != "expiry" or left.due is None:
                continue
            if left.due <= as_of:
                row["lapsed"] += period.holds(left.due)
            else:
                row["near"] += left.due - as_of <= _warning()
    prevented = ("extended", "followed_up", "released")
    rows = []
    for ours, counts in sorted(counted.items()):
        hidden = _hidden(counts, (*prevented, "lapsed", "near"), suppression)
        if counts.total():
            rows.append(Lapses(ours, prevented=suppression.total(hidden[name] for name in prevented), **hidden))
    return tuple(rows)


def _outcome(settled: SettledCase, period: Period) -> str | None:
    """What became of an expiry in the period; None if it was far off, or ended in another way."""
    if settled.due is None:
        return None
    if settled.at >= settled.due:
        return "lapsed" if period.holds(settled.due) else None
    if settled.how is How.ENDED or settled.due - settled.at > _warning() or not period.holds(settled.at):
        return None
    return settled.how.value


def _warning() -> timedelta:
    """How long before an expiry its first warning comes."""
    return warning_steps("expiry")[0]


def _hidden(row: Counter[str], names: Iterable[str], suppression: Suppression) -> Mapping[str, Count]:
    return {name: suppression.count(row[name]) for name in names}


def _sorted(keys: Iterable[K]) -> list[tuple[K, int]]:
    """How often each key occurs, in the order of the keys."""
    return sorted(Counter(keys).items())


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
