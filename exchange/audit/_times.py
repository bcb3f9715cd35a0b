"""Which entries of a log say a false time: by the checkpoints that the log signed, and by the entries around them.

Rules:
1. An entry that was there when a checkpoint was signed says no later time than that, and one that was not there no
   earlier time, but for the allowed skew. A breach of this is a lie that can be proved (docs/misbehaviour.md).
2. Entries are logged in the order of their times, but for the same skew. Where they are not, those are false that
   fewest others agree with: a single entry dated ahead is blamed, and not the honest ones after it. Where as many agree
   with either side, the log does not say which are false, and both are named.

Of each bundle of entries stands in memory what decides whether anything in it can be false: its first and last time,
and whether it is in order. Single times are looked at only where something can be.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import accumulate
from operator import itemgetter

from protocol.encoding.instants import from_ms, to_ms
from protocol.log.checkpoint import VerifiedCheckpoint
from protocol.misbehaviour.verify import ALLOWED_SKEW, is_early, is_late

_SKEW_MS = ALLOWED_SKEW // timedelta(milliseconds=1)
_UNKNOWN = -1


@dataclass(frozen=True, slots=True)
class FalseTime:
    """Entry ``index`` says ``at_ms``, and was logged about ``logged_ms`` as far as others show it (Unix ms).

    ``code`` is that of the finding. A disputed time has ``logged_ms`` = ``at_ms``.
    """

    index: int
    at_ms: int
    logged_ms: int
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """The times (Unix ms) of some entries that follow one another: the earliest, the latest, whether they are in order.

    In order is what goes back by no more than the skew.
    """

    earliest: int
    latest: int
    ordered: bool


def span_of(times_ms: Iterable[int]) -> TimeSpan | None:
    """The span of times in the order of the log; None without any."""
    times = list(times_ms)
    if not times:
        return None
    earliest, latest = min(times), max(times)
    ordered = latest - earliest <= _SKEW_MS or _is_ordered(times, range(len(times)))
    return TimeSpan(earliest, latest, ordered)


class EntryTimes:
    """The times of a log's entries: a span for each bundle of ``width`` entries; those that cannot be read have none.

    ``times_in(first, end)`` gives index and time of each entry from ``first`` up to before ``end``, in any order.
    """

    def __init__(self, size: int, width: int, times_in: Callable[[int, int], Iterable[tuple[int, int]]]) -> None:
        self._size = size
        self._width = width
        self._times_in = times_in
        self._spans: list[TimeSpan | None] = []

    def add(self, span: TimeSpan | None) -> None:
        """The span of the next bundle."""
        self._spans.append(span)

    def false(self, checkpoints: Sequence[VerifiedCheckpoint]) -> list[FalseTime]:
        """All false times, by entry. ``checkpoints`` are of this log's history, in any order."""
        bounds = TimeBounds(checkpoints)
        found = [bad for first, end in self._doubtful(bounds) for bad in self._refuted(bounds, first, end)]
        if found or not self._in_order():
            times = array("q", [_UNKNOWN]) * self._size
            for index, at in self._times_in(0, self._size):
                times[index] = at
            found += _out_of_order(times, {bad.index for bad in found})
        return sorted(found, key=lambda bad: bad.index)

    def _doubtful(self, bounds: TimeBounds) -> Iterator[tuple[int, int]]:
        """The bundles in which a checkpoint may refute a time: first entry, and the one behind the last."""
        for number, span in enumerate(self._spans):
            first, end = number * self._width, min((number + 1) * self._width, self._size)
            if span is not None and bounds.may_refute(first, end, span):
                yield first, end

    def _refuted(self, bounds: TimeBounds, first: int, end: int) -> Iterator[FalseTime]:
        for index, at in self._times_in(first, end):
            bad = bounds.judge(index, at)
            if bad is not None:
                yield bad

    def _in_order(self) -> bool:
        latest = 0
        for span in self._spans:
            if span is None:
                continue
            if not span.ordered or span.earliest < latest - _SKEW_MS:
                return False
            latest = max(latest, span.latest)
        return True


class TimeBounds:
    """Between which times an entry was logged, by the checkpoints with and without it. They are of one history."""

    def __init__(self, checkpoints: Sequence[VerifiedCheckpoint]) -> None:
        timed = sorted(
            ((one.checkpoint.size, to_ms(one.signed_at), one) for one in checkpoints if one.signed_at is not None),
            key=itemgetter(1, 0),
        )
        # A smaller tree that was signed later is a lie of its own, and says nothing against entries that were there.
        largest = accumulate((size for size, _at, _one in timed), max)
        grown = [row for row, most in zip(timed, largest, strict=True) if row[0] == most]
        timed = sorted(grown, key=itemgetter(0, 1))
        self._sizes = [size for size, _at, _one in timed]
        signed = [(at, one) for _size, at, one in timed]
        self._latest_up_to = list(accumulate(signed, partial(max, key=itemgetter(0))))
        self._earliest_from = list(accumulate(reversed(signed), partial(min, key=itemgetter(0))))[::-1]

    def may_refute(self, first: int, end: int, span: TimeSpan) -> bool:
        """Whether any time of the span may be false for any entry from ``first`` up to before ``end``."""
        # Between two sizes all entries have the same bounds: those of the first behind each size decide.
        inside = self._sizes[bisect_right(self._sizes, first) : bisect_left(self._sizes, end)]
        return any(
            self.refuted_by(index, at) is not None for index in {first, *inside} for at in {span.earliest, span.latest}
        )

    def first_with(self, index: int) -> VerifiedCheckpoint | None:
        """The checkpoint that was signed first of those with this entry; None without one that says when."""
        larger = bisect_right(self._sizes, index)
        return self._earliest_from[larger][1] if larger < len(self._sizes) else None

    def last_without(self, index: int) -> VerifiedCheckpoint | None:
        """The checkpoint that was signed last of those without this entry; None without one that says when."""
        larger = bisect_right(self._sizes, index)
        return self._latest_up_to[larger - 1][1] if larger else None

    def refuted_by(self, index: int, at_ms: int) -> VerifiedCheckpoint | None:
        """The checkpoint that shows an entry's time to be false, if any does."""
        at, there, absent = from_ms(at_ms), self.first_with(index), self.last_without(index)
        if there is not None and is_late(at, there.signed_at):
            return there
        return absent if absent is not None and is_early(at, index, absent) else None

    def judge(self, index: int, at_ms: int) -> FalseTime | None:
        """What the checkpoints say against an entry's time, if anything."""
        refuted = self.refuted_by(index, at_ms)
        if refuted is None or refuted.signed_at is None:
            return None
        signed_ms = to_ms(refuted.signed_at)
        if refuted.checkpoint.size > index:
            text = f"says a time {_seconds(at_ms - signed_ms)} s after the log had signed that it was there"
            return FalseTime(index, at_ms, signed_ms, "post-dated", text)
        text = f"says a time {_seconds(signed_ms - at_ms)} s before the log signed that it was not there yet"
        return FalseTime(index, at_ms, signed_ms, "back-dated", text)


def _out_of_order(times: Sequence[int], known: set[int]) -> Iterator[FalseTime]:
    """Those that contradict other entries, beside those ``known`` to be false."""
    indexes = [index for index, at in enumerate(times) if at != _UNKNOWN and index not in known]
    if _is_ordered(times, indexes):
        return
    # Of two longest orders, one gives up what is ahead where it can, the other what is behind.
    without_ahead = _longest_order(times, indexes)
    without_behind = _longest_order([-at for at in times], indexes[::-1])
    blamed = {bad.index: bad for bad in _off(times, indexes, without_ahead)}
    others = {bad.index: bad for bad in _off(times, indexes, without_behind)}
    for index in sorted(blamed.keys() | others.keys()):
        if index in blamed and index in others:
            yield blamed[index]
        else:
            at = times[index]
            text = "this time and those around it contradict each other; the log does not say which are false"
            yield FalseTime(index, at, at, "time-disputed", text)


def _is_ordered(times: Sequence[int], indexes: Sequence[int]) -> bool:
    latest = 0
    for index in indexes:
        if times[index] < latest - _SKEW_MS:
            return False
        latest = max(latest, times[index])
    return True


def _longest_order(values: Sequence[int], indexes: Sequence[int]) -> set[int]:
    """A longest part of ``indexes``, in their order, along which the values do not go down."""
    ends: list[int] = []  # by length: the smallest value that an order of this length ends in
    last: list[int] = []  # and where
    before: dict[int, int] = {}
    for index in indexes:
        length = bisect_right(ends, values[index])
        before[index] = last[length - 1] if length else _UNKNOWN
        if length == len(ends):
            ends.append(values[index])
            last.append(index)
        else:
            ends[length], last[length] = values[index], index
    kept: set[int] = set()
    at = last[-1] if last else _UNKNOWN
    while at != _UNKNOWN:
        kept.add(at)
        at = before[at]
    return kept


def _off(times: Sequence[int], indexes: Sequence[int], order: set[int]) -> Iterator[FalseTime]:
    """Those outside the order that contradict their neighbours in it by more than the skew."""
    following: dict[int, int] = {}
    after: int | None = None
    for index in reversed(indexes):
        if index in order:
            after = times[index]
        elif after is not None:
            following[index] = after
    before: int | None = None
    for index in indexes:
        at = times[index]
        if index in order:
            before = at
        elif index in following and at > following[index] + _SKEW_MS:
            ahead = following[index]
            text = f"says a time {_seconds(at - ahead)} s after entries that were logged later"
            yield FalseTime(index, at, ahead, "time-ahead", text)
        elif before is not None and at < before - _SKEW_MS:
            text = f"says a time {_seconds(before - at)} s before entries that were logged earlier"
            yield FalseTime(index, at, before, "time-back", text)


def _seconds(ms: int) -> int:
    return ms // 1000
