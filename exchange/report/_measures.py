"""What figures are made of: counts that may be left out, spreads of times, and the months of a period."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from protocol.encoding.instants import from_ms

Count = int | None
"""How many; None where the number is so small that it was left out."""

_MEDIAN, _NINE_IN_TEN = 50, 90


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in milliseconds, of ``count`` that could be measured.

    ``median_ms`` and ``p90_ms`` are the nearest ranks: values that occurred. All three are None of nothing, and where
    the count was left out. ``backwards`` were measured as negative, because two clocks differ, and are not in them.
    """

    count: Count
    median_ms: int | None
    p90_ms: int | None
    max_ms: int | None
    backwards: Count = 0


@dataclass(frozen=True, slots=True)
class Suppression:
    """Leaves out counts from 1 to ``below`` - 1, and every total that would give one of them away; 0: none.

    A published report is made of frequent units alone: see :mod:`exchange.report.alike`.
    """

    below: int = 0

    def count(self, number: int) -> Count:
        """``number``, or None."""
        return None if 0 < number < self.below else number

    def total(self, parts: Iterable[Count]) -> Count:
        """The sum of counts, None if one of them was left out, or if it is small itself."""
        known = list(parts)
        if None in known:
            return None
        return self.count(sum(part for part in known if part is not None))

    def spread(self, measured_ms: Sequence[int]) -> Spread:
        """The spread of times; of few, none of them is told."""
        taken = sorted(ms for ms in measured_ms if ms >= 0)
        backwards = self.count(len(measured_ms) - len(taken))
        count = self.count(len(taken))
        if not count:
            return Spread(None if self.below else count, None, None, None, None if self.below else backwards)
        if self.below:
            # How many were kept in both of two logs, and the one longest time, would tell of what was taken out.
            return Spread(None, _rank(taken, _MEDIAN), _rank(taken, _NINE_IN_TEN), None, None)
        return Spread(count, _rank(taken, _MEDIAN), _rank(taken, _NINE_IN_TEN), taken[-1], backwards)


def month_of(at: datetime) -> str:
    """The month of an instant in UTC, such as ``2026-11``."""
    return at.astimezone(UTC).strftime("%Y-%m")


def month_of_ms(ms: int) -> str:
    """As :func:`month_of`, of Unix milliseconds."""
    return month_of(from_ms(ms))


def _rank(ordered: Sequence[int], percent: int) -> int:
    """The nearest rank: the smallest value that ``percent`` of all do not exceed."""
    return ordered[-(-len(ordered) * percent // 100) - 1]
