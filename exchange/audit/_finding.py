"""What is wrong with a log or its mirror: one line each, with a code that stays."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

MAX_FINDINGS = 10_000


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in one line. ``index`` is the entry in the log ``origin`` (None: the log as a whole)."""

    origin: str
    index: int | None
    code: str
    text: str


class Findings:
    """The findings about one log. The first 10,000 are kept; of the others, how many there are of each code."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._kept: list[Finding] = []
        self._beyond: Counter[str] = Counter()

    def add(self, index: int | None, code: str, text: str) -> None:
        """Note one more."""
        if len(self._kept) < MAX_FINDINGS:
            self._kept.append(Finding(self._origin, index, code, text))
        else:
            self._beyond[code] += 1

    def in_order(self) -> tuple[Finding, ...]:
        """All of them: those of the whole log first, then by entry."""
        self._kept.sort(key=lambda finding: -1 if finding.index is None else finding.index)
        more = [
            Finding(self._origin, None, "more-findings", f"{count} more findings of the code {code}")
            for code, count in sorted(self._beyond.items())
        ]
        return (*more, *self._kept)
