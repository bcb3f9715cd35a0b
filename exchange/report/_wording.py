"""What both reports share: the frame of the document, and in words the head, counts left out, times, and months."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Protocol

from exchange.report._measures import Count, Spread, Suppression
from exchange.report.document import Bar, Chart, Column, Document, Fact, Section, TextKind
from exchange.report.language import Reader, isolated


class Figures(Protocol):
    """What every report's figures say of themselves: the period, their date, and below how many they were left out."""

    @property
    def since(self) -> datetime | None: ...
    @property
    def until(self) -> datetime | None: ...
    @property
    def as_of(self) -> datetime: ...
    @property
    def suppressed_below(self) -> int: ...


class Wording:
    """Writes figures as a reader of one language reads them."""

    def __init__(self, reader: Reader, figures: Figures) -> None:
        self.reader = reader
        self._figures = figures
        self._suppression = Suppression(figures.suppressed_below)

    def document(self, title: str, first: Iterable[Fact], sections: tuple[Section, ...]) -> Document:
        """The report: its head begins with the facts ``first``."""
        _ = self.reader.text
        return Document(
            language=self.reader.tag,
            direction=self.reader.direction,
            title=title,
            as_of=self._figures.as_of,
            facts=self._head(first),
            sections=sections,
            page=_("Page {page} of {pages}"),
        )

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
        return self.numbers(counted, _("Median"), _("90 % within"), _("Longest"))

    def backwards(self, spreads: Iterable[Spread]) -> tuple[str, ...]:
        """A note on times that cannot be, if there are any."""
        _ = self.reader.text
        backwards = self._suppression.total(spread.backwards for spread in spreads)
        if backwards == 0:
            return ()
        text = _("Not measured, because the clocks of two places contradict each other: {count}.")
        return (text.format(count=self.count(backwards)),)

    def numbers(self, *headings: str) -> tuple[Column, ...]:
        """Columns of numbers."""
        return tuple(Column(heading, TextKind.NUMBER) for heading in headings)

    def _head(self, first: Iterable[Fact]) -> tuple[Fact, ...]:
        """The lines of the head: ``first``, then the period, and what was left out."""
        _ = self.reader.text
        since, until, as_of = self._figures.since, self._figures.until, self._figures.as_of
        facts = [
            *first,
            Fact(_("Period begins"), _("at the beginning") if since is None else self.reader.instant(since)),
            Fact(_("Period ends"), self.reader.instant(as_of if until is None else until)),
            Fact(_("As of"), self.reader.instant(as_of)),
        ]
        below = self._suppression.below
        if below:
            text = _("every group of fewer than {few} in a log or office: it may have had from none to {most}")
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

    def bars(self, caption: str, counted: Iterable[tuple[str, int]], most: int | None = None) -> tuple[Chart, ...]:
        """A bar for each count, as parts of ``most`` (None: of the largest); none where all are nothing."""
        numbers = list(counted)
        longest = most or max((number for _label, number in numbers), default=0)
        if not longest:
            return ()
        return (Chart(caption, tuple(Bar(label, self.count(n), n / longest) for label, n in numbers)),)

    def nation(self, node: str) -> str:
        """A nation by the name of its node."""
        country = node.upper()
        return self.reader.country(country) or isolated(node)
