"""An auditor's figures: what verified logs say in numbers, without ids, addresses of offices or content.

Pure. Entries with a finding count as events and as findings, and not as deliveries or times: what breaks a rule
measures nothing. Memory grows by some hundred bytes for each message of the period.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from exchange.audit.period import Period
from exchange.report._measures import Count, Spread, Suppression, month_of_ms
from exchange.report.alike import frequent_events, require_month
from protocol.address import Address
from protocol.encoding.instants import to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError
from protocol.event import Event, EventName

MAX_REASONS = 40
"""So many reasons are told apart, the most frequent ones; a log may hold any text as one."""

STEPS = (EventName.ContentConsignment, EventName.ContentHandover, EventName.ContentAccessTracking)
"""What is measured from the submission on: waits at the desk's node, is at the desk, was opened."""


@dataclass(frozen=True, slots=True)
class AuditedLog:
    """One verified log. ``entries`` are read once, as (index, event); ``findings`` as (index, code).

    ``withheld`` and ``unread`` count the entries that are not among them, because this auditor may not see them, or
    because they are missing or cannot be read. ``signed_at`` is the time of its checkpoint (None: it says none),
    ``missing_cosignatures`` how many the policy of witnesses wants and the checkpoint lacks (None: not looked at).
    """

    node: str
    origin: str
    size: int
    signed_at: datetime | None
    entries: Iterable[tuple[int, Event]] = field(repr=False)
    findings: Sequence[tuple[int | None, str]] = ()
    missing_cosignatures: int | None = None
    withheld: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True)
class Deliveries:
    """How many messages reached a desk of ``recipient`` from ``sender`` in ``month``; to two desks counts twice.

    Where the log of ``recipient`` was not read, what was handed over to that node counts. ``sender`` is the node whose
    log has the submission; where that was not read, the one that handed it over; None where no log says.
    """

    sender: str | None
    recipient: str
    month: str
    messages: Count


@dataclass(frozen=True, slots=True)
class StepTimes:
    """How long messages from ``sender`` to ``recipient`` took from submission to the event ``step``."""

    sender: str
    recipient: str
    step: str
    spread: Spread


@dataclass(frozen=True, slots=True)
class EventCount:
    """How often ``node`` logged ``event``."""

    node: str
    event: str
    count: Count


@dataclass(frozen=True, slots=True)
class ReasonCount:
    """How often something did not happen (``event``) for ``reason``; the reason is empty for all the rarer ones."""

    event: str
    reason: str
    count: Count


@dataclass(frozen=True, slots=True)
class FindingCount:
    """How many findings of ``code`` there are in the log of ``node``: of the whole log, whatever the period."""

    node: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class LogHealth:
    """A log as its checkpoint and entries show it. ``behind_ms`` is the checkpoint's age at ``as_of``.

    ``size`` counts everything, and is left out to publish.

    ``grown`` is how many events were logged in the period, as far as they can be seen; ``withheld`` and ``unread``
    entries of the whole log cannot.
    """

    node: str
    origin: str
    size: Count
    signed_at: datetime | None
    behind_ms: int | None
    grown: Count
    findings: int
    missing_cosignatures: int | None
    withheld: int = 0
    unread: int = 0


@dataclass(frozen=True, slots=True)
class AuditFigures:
    """The figures of some logs, for events in the period; ``as_of`` is when they stood so.

    ``partial``: not every entry of every log could be seen, so all counts may be too small.
    """

    since: datetime | None
    until: datetime | None
    as_of: datetime
    suppressed_below: int
    logs: tuple[LogHealth, ...]
    messages: Count
    deliveries: tuple[Deliveries, ...]
    times: tuple[StepTimes, ...]
    events: tuple[EventCount, ...]
    reasons: tuple[ReasonCount, ...]
    findings: tuple[FindingCount, ...]
    partial: bool = False


def audit_figures(
    logs: Sequence[AuditedLog], period: Period, as_of: datetime, suppression: Suppression
) -> AuditFigures:
    """The figures of these logs. The same logs and arguments give equal figures.

    With a threshold of suppression they are for publication: see :mod:`exchange.report.alike`. Raises
    :class:`UsageError` when the period is not one finished month then.
    """
    below = suppression.below
    if below:
        require_month(period, (log.signed_at for log in logs))
    reading = _Reading(period, frozenset(log.node for log in logs), each_alone=bool(below))
    for log in logs:
        reading.take(_to_publish(log, period, below, reading) if below else log)
    deliveries = reading.deliveries(suppression)
    return AuditFigures(
        since=period.since,
        until=period.until,
        as_of=as_of,
        suppressed_below=suppression.below,
        logs=tuple(_health(log, reading.grown[log.node], as_of, suppression) for log in _by_node(logs)),
        messages=suppression.total(row.messages for row in deliveries),
        deliveries=deliveries,
        times=reading.times(suppression),
        events=tuple(
            EventCount(node, name, suppression.count(count)) for (node, name), count in sorted(reading.events.items())
        ),
        reasons=_reasons(reading.reasons, suppression),
        findings=tuple(
            FindingCount(log.node, code, count)
            for log in _by_node(logs)
            for code, count in sorted(Counter(code for _, code in log.findings).items())
        ),
        partial=any(log.withheld or log.unread for log in logs),
    )


def stands_at(logs: Iterable[AuditedLog], period: Period) -> datetime:
    """When these logs stand as they were read: at their youngest checkpoint, or when the period ended before it.

    The same mirrors have the same time, so a report on them is the same whenever it is made. Raises
    :class:`UsageError` where no checkpoint says when it was signed, and the period has no end.
    """
    signed = max((log.signed_at for log in logs if log.signed_at is not None), default=None)
    if signed is None or period.until is None:
        stands = signed or period.until
        if stands is None:
            raise UsageError(phrase("no checkpoint says when it was signed: give the end of the period"))
        return stands
    return min(signed, period.until)


# --- Inside ---


def _to_publish(log: AuditedLog, period: Period, below: int, reading: _Reading) -> AuditedLog:
    """The log with the entries of frequent units alone. When messages were submitted is known from all of it."""
    month = [(index, event) for index, event in log.entries if period.holds(event.at)]
    doubtful = frozenset(index for index, _ in log.findings if index is not None)
    for index, event in month:
        if event.name is EventName.SubmissionAcceptance and index not in doubtful:
            reading.know(log.node, event)
    return replace(log, entries=frequent_events(month, doubtful, below))


class _Submission(NamedTuple):
    node: str
    at_ms: int


class _Delivery(NamedTuple):
    digest: bytes
    recipient: str  # the node
    handed_by: str | None  # the node that it came from, as far as this log says
    at_ms: int


class _Reading:
    """What is gathered while the logs are read, one after the other, each once."""

    def __init__(self, period: Period, nodes: frozenset[str], *, each_alone: bool) -> None:
        self.grown: Counter[str] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self._first_ms, self._last_ms = period.bounds_ms()
        self._nodes = nodes
        # To publish: nothing about one log depends on which others are read with it.
        self._each_alone = each_alone
        self._submissions: dict[bytes, _Submission] = {}
        self._deliveries: list[_Delivery] = []
        # When a message first reached each step at one recipient: (envelope, recipient) to the step's times.
        self._reached: dict[tuple[bytes, Address], list[int | None]] = {}

    def know(self, node: str, event: Event) -> None:
        """Where and when a message was submitted."""
        self._submissions.setdefault(event.digest, _Submission(node, to_ms(event.at)))

    def take(self, log: AuditedLog) -> None:
        doubtful = {index for index, _ in log.findings}
        handed_by: dict[bytes, str] = {}  # envelopes that this node took from another
        for index, event in log.entries:
            at_ms = to_ms(event.at)
            inside = self._first_ms <= at_ms <= self._last_ms
            if inside:
                self._count(log.node, event)
            if index in doubtful:
                continue
            if event.name is EventName.SubmissionAcceptance:
                self.know(log.node, event)
                handed_by.setdefault(event.digest, log.node)
            elif event.name is EventName.RelayAcceptance and event.peer is not None:
                if event.reference is None:
                    handed_by.setdefault(event.digest, event.peer)
                elif inside and event.peer not in self._nodes and not self._each_alone:
                    sender = handed_by.get(event.digest, log.node)
                    self._deliveries.append(_Delivery(event.digest, event.peer, sender, at_ms))
            elif event.name in STEPS and event.recipient is not None:
                self._reach(event, event.recipient, at_ms)
                if inside and event.name is EventName.ContentConsignment:
                    taken_from = handed_by.get(event.digest)
                    self._deliveries.append(_Delivery(event.digest, event.recipient.node, taken_from, at_ms))

    def deliveries(self, suppression: Suppression) -> tuple[Deliveries, ...]:
        counted: Counter[tuple[str, str, str]] = Counter()
        for digest, recipient, handed_by, at_ms in self._deliveries:
            submission = None if self._each_alone else self._submissions.get(digest)
            sender = submission.node if submission is not None else handed_by
            counted[sender or "", recipient, month_of_ms(at_ms)] += 1
        return tuple(
            Deliveries(sender or None, recipient, month, suppression.count(count))
            for (sender, recipient, month), count in sorted(counted.items())
        )

    def times(self, suppression: Suppression) -> tuple[StepTimes, ...]:
        measured: defaultdict[tuple[str, str, int], list[int]] = defaultdict(list)
        for (digest, recipient), reached in self._reached.items():
            submission = self._submissions.get(digest)
            if submission is None or not self._first_ms <= submission.at_ms <= self._last_ms:
                continue
            for number, at_ms in enumerate(reached):
                if at_ms is not None:
                    measured[submission.node, recipient.node, number].append(at_ms - submission.at_ms)
        return tuple(
            StepTimes(sender, recipient, STEPS[number].value, suppression.spread(times))
            for (sender, recipient, number), times in sorted(measured.items())
        )

    def _count(self, node: str, event: Event) -> None:
        self.grown[node] += 1
        self.events[node, event.name.value] += 1
        for reason in set(event.reasons):
            self.reasons[event.name.value, reason] += 1

    def _reach(self, event: Event, recipient: Address, at_ms: int) -> None:
        reached = self._reached.setdefault((event.digest, recipient), [None] * len(STEPS))
        number = STEPS.index(event.name)
        before = reached[number]
        reached[number] = at_ms if before is None else min(before, at_ms)


def _by_node(logs: Sequence[AuditedLog]) -> list[AuditedLog]:
    return sorted(logs, key=lambda log: log.node)


def _health(log: AuditedLog, grown: int, as_of: datetime, suppression: Suppression) -> LogHealth:
    behind = None if log.signed_at is None else max(0, to_ms(as_of) - to_ms(log.signed_at))
    return LogHealth(
        node=log.node,
        origin=log.origin,
        size=None if suppression.below else log.size,
        signed_at=log.signed_at,
        behind_ms=behind,
        grown=suppression.count(grown),
        findings=len(log.findings),
        missing_cosignatures=log.missing_cosignatures,
        withheld=log.withheld,
        unread=log.unread,
    )


def _reasons(counted: Counter[tuple[str, str]], suppression: Suppression) -> tuple[ReasonCount, ...]:
    ordered = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
    rows = [ReasonCount(event, reason, suppression.count(count)) for (event, reason), count in ordered[:MAX_REASONS]]
    rarer: Counter[str] = Counter()
    for (event, _reason), count in ordered[MAX_REASONS:]:
        rarer[event] += count
    rows += [ReasonCount(event, "", suppression.count(count)) for event, count in rarer.items()]
    return tuple(sorted(rows, key=lambda row: (row.event, not row.reason, row.reason)))
