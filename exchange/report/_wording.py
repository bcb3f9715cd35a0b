"""What both reports share in words: the head, counts that were left out, times, and the bars of the months."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime

from exchange.report._measures import Count, Spread, Suppression
from exchange.report.document import Bar, Chart, Column, Fact, TextKind
from exchange.report.language import Reader


class Wording:
    """Writes figures as a reader of one language reads them."""

    def __init__(self, reader: Reader, suppressed_below: int) -> None:
        self.reader = reader
        self._suppression = Suppression(suppressed_below)

    def count(self, count: Count) -> str:
        """A count; words where it was left out, or may have been."""
        _ = self.reader.text
        if count == 0 and self._suppression.below:
            return _("none, or left out")
        return _("left out") if count is None else self.reader.number(count)

    def empty(self, text: str) -> str:
        """What a table without rows says: ``text``, unless rows may have been left out."""
        _ = self.reader.text
        return _("None, or all were left out.") if self._suppression.below else text

    def who(self, *, ours: bool) -> str:
        """This office, or the others."""
        _ = self.reader.text
        return _("This office") if ours else _("Other offices")

    def spread(self, spread: Spread) -> tuple[str, str, str, str]:
        """The four cells of :meth:`spread_columns`."""
        times = (spread.median_ms, spread.p90_ms, spread.max_ms)
        median, nine_in_ten, longest = ("–" if ms is None else self.reader.span(ms) for ms in times)
        return self.count(spread.count), median, nine_in_ten, longest

    def spread_columns(self, counted: str) -> tuple[Column, ...]:
        """The columns of a spread; ``counted`` names what was measured."""
        _ = self.reader.text
        headings = (counted, _("Median"), _("Nine in ten within"), _("Longest"))
        return tuple(Column(heading, TextKind.NUMBER) for heading in headings)

    def backwards(self, spreads: Iterable[Spread]) -> tuple[str, ...]:
        """A note on times that cannot be, if there are any."""
        _ = self.reader.text
        backwards = self._suppression.total(spread.backwards for spread in spreads)
        if backwards == 0:
            return ()
        text = _("Not measured, because the clocks of two places contradict each other: {count}.")
        return (text.format(count=self.count(backwards)),)

    def head(
        self, first: Iterable[Fact], since: datetime | None, until: datetime | None, as_of: datetime
    ) -> tuple[Fact, ...]:
        """The lines of the head: ``first``, then the period, and what was left out."""
        _ = self.reader.text
        facts = [
            *first,
            Fact(_("Period begins"), _("at the beginning") if since is None else self.reader.instant(since)),
            Fact(_("Period ends"), self.reader.instant(as_of if until is None else until)),
            Fact(_("As of"), self.reader.instant(as_of)),
        ]
        below = self._suppression.below
        if below:
            text = _("everywhere what fewer than {few} of a log or office have in common, be it none or {most}")
            few, most = (self.reader.number(number) for number in (below, below - 1))
            facts.append(Fact(_("Left out"), text.format(few=few, most=most)))
        return tuple(facts)

    def months(self, caption: str, counted: Iterable[tuple[str, Count]]) -> tuple[Chart, ...]:
        """A bar for each month; none where there is only one."""
        parts: defaultdict[str, list[Count]] = defaultdict(list)
        for month, count in counted:
            parts[month].append(count)
        totals = {month: self._suppression.total(counts) for month, counts in sorted(parts.items())}
        if len(totals) < 2:
            return ()
        most = max((total for total in totals.values() if total), default=1)
        bars = [
            Bar(self.reader.month(month), self.count(total), (total or 0) / most) for month, total in totals.items()
        ]
        return (Chart(caption, tuple(bars)),)
