"""What happened lately, as an operator asks for it: what partners took and why not, who was refused what, since when.

It is bounded, and outlives a restart: a file in the home is written once a minute while something changes, and when the
node stops. After a kill a minute of it may be missing: nothing is decided by it. It holds names of members and codes of
refusals; no ids of messages and no content.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from keys.local.files import PRIVATE_MODE, write_file
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ComityError, UnavailableError

SAVE_S = 60.0
DAYS = 8
MAX_PARTNERS = 1_000
MAX_ROWS_PER_DAY = 2_000
MAX_FILE_BYTES = 4 * 1024 * 1024
_MAX_DETAIL_CHARS = 200
_FLOW_S = 60.0
# The peer of refusals beyond the rows that a day has.
OTHERS = "*"
# The peer that did not say who it is.
NOBODY = ""


@dataclass(slots=True)
class PartnerPast:
    """What happened with one partner. ``None``: not yet.

    ``silent_since``: since when it cannot be reached. ``failing_since``: since when it has taken nothing that was
    tried. ``code`` and ``detail`` are of the last error, at ``failed_at``; the detail may quote the partner.
    """

    answered_at: datetime | None = None
    taken_at: datetime | None = None
    silent_since: datetime | None = None
    failing_since: datetime | None = None
    failed_at: datetime | None = None
    code: str = ""
    detail: str = ""
    cosigned_at: datetime | None = None
    called_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """So often ``peer`` (empty: nobody who said who it is) was refused by ``route`` with ``code``, today and in all."""

    peer: str
    route: str
    code: str
    today: int
    week: int


@dataclass(slots=True)
class _Day:
    rows: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, row: tuple[str, str, str], count: int) -> None:
        if row not in self.rows and len(self.rows) >= MAX_ROWS_PER_DAY:
            row = (OTHERS, row[1], row[2])
        self.rows[row] += count


class History:
    """The last days of one node. Event loop only, but for what it writes."""

    def __init__(
        self, path: Path | None, clock: Callable[[], datetime], timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._clock = clock
        self._timer = timer
        self._flows: dict[str, deque[tuple[float, int]]] = {}
        self._partners: dict[str, PartnerPast] = {}
        self._days: dict[date, _Day] = {}
        self._changed = False
        self._resumed: Counter[str] = Counter()
        self.first_start = clock()
        if path is not None:
            with suppress(ComityError, OSError, KeyError, TypeError, ValueError, AttributeError):
                self._load(path)

    # --- Partners -------------------------------------------------------------------------------------------------

    def answered(self, partner: str) -> None:
        """It answered something, a refusal perhaps: it can be reached."""
        past = self._past(partner)
        past.answered_at, past.silent_since = self._clock(), None

    def took(self, partner: str) -> None:
        """It took what was sent to it, or handed over what waited there."""
        past = self._past(partner)
        past.taken_at = past.answered_at = self._clock()
        past.silent_since = past.failing_since = None

    def failed(self, partner: str, problem: ComityError, *, offered: bool = True) -> None:
        """Something that was tried failed, at the partner or on the way; ``offered``: something waits for it."""
        past, now = self._past(partner), self._clock()
        past.failed_at, past.code, past.detail = now, problem.code, problem.detail[:_MAX_DETAIL_CHARS]
        if offered:
            past.failing_since = past.failing_since or now
        if isinstance(problem, UnavailableError) and past.silent_since is None:
            past.silent_since = now

    def called(self, partner: str) -> None:
        """A request of it was authenticated here: also of one that nobody can reach."""
        self._past(partner).called_at = self._clock()

    def cosigned(self, partner: str) -> None:
        """It cosigned this node's newest checkpoint."""
        self._past(partner).cosigned_at = self._clock()

    def resumed(self, partner: str) -> None:
        """Files to it went on after they had been delayed; counted since the node began."""
        self._resumed[partner] += 1

    def sent(self, partner: str, size_bytes: int) -> None:
        """So many bytes of files went to it."""
        flow, now = self._flows.setdefault(partner, deque(maxlen=1_024)), self._timer()
        if flow and now - flow[-1][0] < 1.0:
            flow[-1] = (flow[-1][0], flow[-1][1] + size_bytes)
        else:
            flow.append((now, size_bytes))

    def bytes_per_s(self, partner: str) -> int:
        """How fast files went to it in the last minute; 0 when none did."""
        now = self._timer()
        recent = [(at, size) for at, size in self._flows.get(partner, ()) if now - at <= _FLOW_S]
        if not recent:
            return 0
        return round(sum(size for _at, size in recent) / max(1.0, now - recent[0][0]))

    def past(self, partner: str) -> PartnerPast:
        """What happened with it."""
        return self._partners.get(partner) or PartnerPast()

    def resumes(self, partner: str) -> int:
        """How often files to it went on after a delay, since the node began."""
        return self._resumed[partner]

    def _past(self, partner: str) -> PartnerPast:
        self._changed = True
        found = self._partners.pop(partner, None) or PartnerPast()
        self._partners[partner] = found  # the one that was heard of longest ago goes first
        while len(self._partners) > MAX_PARTNERS:
            del self._partners[next(iter(self._partners))]
        return found

    # --- Refusals -------------------------------------------------------------------------------------------------

    def refused(self, peer: str, route: str, code: str, count: int = 1) -> None:
        """This node refused ``peer`` (a holder of keys; :data:`NOBODY`) something."""
        self._changed = True
        today = self._clock().date()
        if today not in self._days:
            self._days[today] = _Day()
            for old in sorted(self._days)[:-DAYS]:
                del self._days[old]
        self._days[today].add((peer, route, code), count)

    def refusals(self) -> list[RefusalRow]:
        """Of today and of the last seven days, the most frequent of the week first."""
        now = self._clock().date()
        today, week = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
        for day, rows in self._days.items():
            if now - timedelta(days=7) < day <= now:
                week.update(rows.rows)
            if day == now:
                today.update(rows.rows)
        return [RefusalRow(*row, today[row], count) for row, count in sorted(week.items(), key=lambda x: (-x[1], x[0]))]

    # --- The file -------------------------------------------------------------------------------------------------

    async def run(self, report: Callable[[Path, BaseException | None, str], None]) -> None:
        """Write what changed, for ever."""
        while True:
            await asyncio.sleep(SAVE_S)
            await self.save(report)

    async def save(self, report: Callable[[Path, BaseException | None, str], None]) -> None:
        """Write the file if something changed; ``report`` is told whether it could be written."""
        if not self._changed or self._path is None:
            return
        self._changed, content = False, cbor.encode(self._values())
        try:
            await asyncio.to_thread(write_file, self._path, content, mode=PRIVATE_MODE)
        except OSError as problem:
            self._changed = True
            report(self._path, problem, "writing")
        else:
            report(self._path, None, "writing")

    def _values(self) -> dict[int, Any]:
        partners = {
            name: [
                *(_ms(at) for at in (past.answered_at, past.taken_at, past.silent_since, past.failing_since)),
                *(_ms(at) for at in (past.failed_at, past.cosigned_at, past.called_at)),
                past.code,
                past.detail,
            ]
            for name, past in self._partners.items()
        }
        days = {day.isoformat(): [[*row, count] for row, count in one.rows.items()] for day, one in self._days.items()}
        return {1: to_ms(self.first_start), 2: partners, 3: days}

    def _load(self, path: Path) -> None:
        value = cbor.decode(path.read_bytes(), max_bytes=MAX_FILE_BYTES, max_items=cbor.MAX_FILE_ITEMS)
        first, partners, days = from_ms(value[1]), {}, {}
        for name, row in value[2].items():
            answered, taken, silent, failing, failed, cosigned, called = (_instant(ms) for ms in row[:7])
            partners[str(name)] = PartnerPast(
                answered, taken, silent, failing, failed, str(row[7]), str(row[8]), cosigned, called
            )
        for day, rows in value[3].items():
            days[date.fromisoformat(day)] = _Day(
                Counter({(str(peer), str(route), str(code)): int(count) for peer, route, code, count in rows})
            )
        self.first_start, self._partners, self._days = first, partners, days


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _instant(ms: int | None) -> datetime | None:
    return None if ms is None else from_ms(ms)
