"""Two nations' logs, matched message by message: what either mentions of messages relayed between them, the other must
hold.

The logs are read side by side in the order of the envelopes' digests, so memory does not grow with them, but for eight
bytes a relaying and the rows that are kept. A message belongs to the period in which either log first mentions it:
periods that follow one another count every message once.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heappush, heapreplace, merge
from itertools import groupby
from operator import itemgetter
from statistics import median
from uuid import UUID

from exchange.audit._entry_reader import NAMES, Row
from exchange.audit._finding import Finding
from exchange.audit._handovers import IN_FLIGHT_MS, LogSide, Status, Verdict, is_open, judge, judge_refusals
from exchange.audit._views import rollbacks, split_views
from exchange.audit.period import ALWAYS, Period
from exchange.audit.verify import VerifiedLog
from protocol.encoding.instants import from_ms

MAX_ROWS = 10_000
LEAST_LATE_S = 60.0
LATE_MEDIANS = 10
_SETTLED = frozenset({Status.MATCHED, Status.REFUSED})


@dataclass(frozen=True, slots=True)
class Cited:
    """An entry that a row rests on: prove it with :meth:`VerifiedLog.proof`."""

    node: str
    index: int
    leaf_hash: bytes
    event: str
    at: datetime


@dataclass(frozen=True, slots=True)
class ReconciledRow:
    """One relaying, refusal or message that did not simply match, in one line, with all entries that say so.

    ``sender`` and ``receiver`` are nodes; for what has no direction they are the two in the order given.
    """

    status: Status
    message_id: UUID
    digest: bytes
    sender: str
    receiver: str
    text: str
    entries: tuple[Cited, ...]
    delay_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What came of it.

    ``messages`` are all that either log mentions in the period, ``elsewhere`` those that did not pass between the two
    nodes. ``counts`` are relayings, refusals and open messages by status. ``rows`` are all that are not matched or
    refused, the gravest first, at most 10,000; ``more_rows`` says how many more there are.
    ``late_after_s`` is the threshold that was applied, ``median_delay_s`` None without matched relayings.
    """

    nodes: tuple[str, str]
    messages: int
    elsewhere: int
    counts: dict[Status, int]
    rows: tuple[ReconciledRow, ...]
    more_rows: int
    late_after_s: float
    median_delay_s: float | None
    findings: tuple[Finding, ...]

    @property
    def unexplained(self) -> int:
        """How many relayings and refusals only one log holds, or both tell differently."""
        return sum(count for status, count in self.counts.items() if status.unexplained)

    @property
    def unchecked(self) -> int:
        """How many could not be checked here: the counterpart is withheld, or newer than the other mirror."""
        return self.counts[Status.WITHHELD] + self.counts[Status.BEYOND_MIRROR]

    @property
    def ok(self) -> bool:
        """Whether both logs are without finding and tell the same story."""
        return not self.findings and not self.unexplained


def reconcile(
    first: VerifiedLog, second: VerifiedLog, period: Period = ALWAYS, *, late_after_s: float | None = None
) -> Reconciliation:
    """Match everything between two nodes, in both directions.

    A relaying is late when more than ``late_after_s`` passed from the acceptance at the sender's node to that at the
    receiver's. By default that is ten times the median of these logs, and at least a minute.
    """
    work = _Work(first, second)
    for group in _messages(first, second, period):
        work.take(*group)
    return work.result(late_after_s)


def _messages(first: VerifiedLog, second: VerifiedLog, period: Period) -> Iterator[tuple[list[Row], list[Row]]]:
    """The rows of each envelope in both logs, for envelopes that were first mentioned in the period."""
    begin, end = period.bounds_ms()
    ordered = merge(
        ((row.digest, 0, row) for row in first.index.by_message()),
        ((row.digest, 1, row) for row in second.index.by_message()),
        key=itemgetter(0, 1),
    )
    for _, group in groupby(ordered, key=itemgetter(0)):
        rows: tuple[list[Row], list[Row]] = ([], [])
        for _digest, side, row in group:
            rows[side].append(row)
        if begin <= min((*map(first.logged_ms, rows[0]), *map(second.logged_ms, rows[1]))) <= end:
            yield rows


class _Work:
    """One reconciliation as it goes."""

    def __init__(self, first: VerifiedLog, second: VerifiedLog) -> None:
        self._logs = (first, second)
        self._sides = (_side(first), _side(second))
        self._messages = 0
        self._elsewhere = 0
        self._counts: Counter[Status] = Counter()
        self._kept: dict[Status, list[ReconciledRow]] = {status: [] for status in Status}
        self._delays = array("q")
        # The slowest relayings, the least slow on top: which of them are late is known at the end.
        self._slowest: list[tuple[int, int, Verdict, int]] = []

    def take(self, first: list[Row], second: list[Row]) -> None:
        """Judge one envelope."""
        self._messages += 1
        one, other = self._sides
        agreed, found = True, False
        for sender, verdict in self._handovers(first, second):
            found = True
            if verdict.status is Status.MATCHED and verdict.delay_ms is not None:
                self._matched(verdict, sender)
            else:
                agreed = agreed and verdict.status is Status.MATCHED
                self._keep(verdict, sender)
        refused = judge_refusals(first, second, one, other)
        if refused is not None:
            self._keep(refused, 0)
        elif agreed:
            self._elsewhere += not found
            self._note_open(first, second)

    def _handovers(self, first: list[Row], second: list[Row]) -> Iterator[tuple[int, Verdict]]:
        one, other = self._sides
        for verdict in judge(first, second, one, other):
            yield 0, verdict
        for verdict in judge(second, first, other, one):
            yield 1, verdict

    def _matched(self, verdict: Verdict, sender: int) -> None:
        delay = verdict.delay_ms or 0
        self._delays.append(delay)
        item = (delay, -len(self._delays), verdict, sender)
        if len(self._slowest) < MAX_ROWS:
            heappush(self._slowest, item)
        elif item > self._slowest[0]:
            heapreplace(self._slowest, item)

    def _note_open(self, first: list[Row], second: list[Row]) -> None:
        for number, rows in enumerate((first, second)):
            side = self._sides[number]
            if not is_open(rows) or not side.whole:
                continue
            if side.logged_ms(rows[-1]) > side.reaches_ms - IN_FLIGHT_MS:
                continue  # it was only just accepted
            text = f"{side.node} accepted it, and its log does not say yet what became of it"
            self._keep(Verdict(Status.OPEN, text, tuple(rows), ()), number)

    def _keep(self, verdict: Verdict, sender: int) -> None:
        self._counts[verdict.status] += 1
        if verdict.status in _SETTLED:
            return
        kept = self._kept[verdict.status]
        if len(kept) < MAX_ROWS:
            kept.append(self._row(verdict, sender))

    def _row(self, verdict: Verdict, sender: int) -> ReconciledRow:
        rows = (*verdict.at_sender, *verdict.at_receiver)
        return ReconciledRow(
            verdict.status,
            UUID(bytes=rows[0].message_id),
            rows[0].digest,
            self._logs[sender].node,
            self._logs[1 - sender].node,
            verdict.text,
            (
                *(_cited(self._logs[sender], row) for row in verdict.at_sender),
                *(_cited(self._logs[1 - sender], row) for row in verdict.at_receiver),
            ),
            None if verdict.delay_ms is None else verdict.delay_ms / 1000,
        )

    def result(self, late_after_s: float | None) -> Reconciliation:
        """The outcome, once every envelope was taken."""
        usual = median(self._delays) / 1000 if self._delays else None
        if late_after_s is None:
            late_after_s = max(LEAST_LATE_S, LATE_MEDIANS * (usual or 0))
        late = sum(delay > late_after_s * 1000 for delay in self._delays)
        self._counts[Status.LATE] = late
        self._counts[Status.MATCHED] += len(self._delays) - late
        for delay, _number, verdict, sender in sorted(self._slowest, key=itemgetter(0), reverse=True):
            if delay > late_after_s * 1000:
                text = f"taken {delay / 1000:.0f} s after the sender's node had accepted it"
                slow = Verdict(Status.LATE, text, verdict.at_sender, verdict.at_receiver, delay)
                self._kept[Status.LATE].append(self._row(slow, sender))
        rows = [row for status in reversed(Status) for row in self._kept[status]]
        listed = sum(self._counts[status] for status in Status if status not in _SETTLED)
        shown = tuple(rows[:MAX_ROWS])
        first, second = self._logs
        return Reconciliation(
            (first.node, second.node),
            self._messages,
            self._elsewhere,
            {status: self._counts[status] for status in Status},
            shown,
            listed - len(shown),
            late_after_s,
            usual,
            (*first.findings, *second.findings, *_view_findings((first, second))),
        )


def _side(log: VerifiedLog) -> LogSide:
    return LogSide(
        log.node,
        log.origin,
        log.tree.size,
        log.reaches_ms,
        not log.partial,
        log.index.at,
        log.tree.leaf_hash,
        log.logged_ms,
        lambda row: row.number in log.false_times,
    )


def _cited(log: VerifiedLog, row: Row) -> Cited:
    return Cited(log.node, row.number, log.tree.leaf_hash(row.number), NAMES[row.name].value, from_ms(row.at_ms))


def _view_findings(logs: Sequence[VerifiedLog]) -> Iterator[Finding]:
    for log in logs:
        yield from rollbacks(log.origin, log.views)
    yield from split_views(logs)
