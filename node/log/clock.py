"""Whether this node's clock may be believed, before its log signs a time.

A log that once signed a time that is far ahead can sign nothing until that time has come: whatever it dates earlier
contradicts what it signed. So a wrong clock must be found out before. Three things speak for or against it:

- **Continuity.** The clock goes on from what it said before as the machine's own monotonic time does
  (``CLOCK_BOOTTIME``, which nobody sets). The last state is kept for the time until the machine is started again.
- **The partners.** Every answer over a pinned connection says the partner's time (the ``Date`` field), also a refusal.
- **The log itself.** Nothing is dated behind what it signed (:mod:`node.log.sequencer`).

Rules:
1. A clock that goes on from a state that partners agreed with is believed, whatever they say later; it is shown.
2. Without such a state, or after a jump ahead, the partners are asked. If more of them say that the clock is ahead
   than say that it is not, nothing is signed until it is set.
3. After a jump ahead about which none of the partners could be asked, nothing is signed until one answers.
4. A node that has nobody to ask believes its clock, and logs what it did.

One partner that lies cannot stop a node whose clock was agreed with, and no number of them can make it sign a time that
its own clock does not say.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from node.log._volatile_checkpoint import VolatileCheckpoint
from node.operations.logging import Log
from node.operations.metrics import Metrics
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ClockAheadError, ClockUnconfirmedError, ComityError
from protocol.misbehaviour.verify import ALLOWED_SKEW

BOUND = ALLOWED_SKEW
ASK_S = 3.0
LOOK_S = 2.0
# A partner's word speaks for or against the clock for so long.
_VOICE_S = 3600.0
_KEEP_EVERY_S = 60.0

Ask = Callable[[str], Awaitable[None]]
"""Ask one partner anything over a pinned connection: :meth:`ClockWatch.heard` is told what time it answered."""


def boot_seconds() -> float:
    """Seconds since the machine was started, sleep included; nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class _State:
    """What the clock said at a monotonic instant, and whether partners agreed."""

    elapsed_s: float
    said: datetime
    confirmed: bool

    def jump_s(self, now: datetime, elapsed_s: float) -> float:
        """By how much the clock is ahead of going on from here."""
        return (now - self.said).total_seconds() - (elapsed_s - self.elapsed_s)


class ClockWatch:
    """The clock of one node. :meth:`problem_with` may be called from any thread, the rest belongs to the event loop."""

    def __init__(
        self,
        clock: Callable[[], datetime],
        elapsed: Callable[[], float],
        memory: VolatileCheckpoint,
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._clock = clock
        self._elapsed = elapsed
        self._memory = memory
        self._metrics = metrics
        self._log = log
        self._state: _State | None = None
        self._refused: ComityError | None = None
        self._voices: dict[str, tuple[float, datetime]] = {}  # by partner: what it said at which monotonic instant
        self._kept_at = float("-inf")
        self._told: str | None = None

    # --- Voices ---

    def heard(self, partner: str, date: str | None) -> None:
        """``partner`` answered just now over its pinned connection, with this ``Date`` field."""
        if date is None:
            return
        try:
            said = parsedate_to_datetime(date)
            offset = said - self._clock()
        except (ValueError, TypeError, OverflowError):
            return  # no time, or none with an offset
        self._voices[partner] = (self._elapsed(), said)
        self._metrics.clock_offset.labels(partner).set(offset.total_seconds())

    def differing(self) -> list[str]:
        """The partners whose time is another one than this node's."""
        return sorted(partner for partner, offset in self._offsets().items() if abs(offset) > BOUND)

    def offsets(self) -> dict[str, float]:
        """By partner, how many seconds its time is ahead of this node's; of those that said one lately."""
        return {partner: offset.total_seconds() for partner, offset in self._offsets().items()}

    def problem_with(self, at: datetime) -> ComityError | None:
        """Why nothing may be dated ``at``, now; None if it may. Any thread."""
        refused, state = self._refused, self._state
        if refused is not None:
            return refused
        if state is not None and state.jump_s(at, self._elapsed()) > BOUND.total_seconds():
            return ClockUnconfirmedError("this node's clock jumped ahead; its partners are being asked")
        return None

    @property
    def problem(self) -> ComityError | None:
        """Why nothing is signed because of the clock; None when all is well."""
        return self.problem_with(self._clock())

    # --- Judging ---

    async def settle(self, partners: Sequence[str], ask: Ask) -> ComityError | None:
        """Judge the clock now, asking ``partners`` if that is needed; why it is not believed, None if it is."""
        if self._state is None:
            self._state = self._remembered()
        if self._refused is None and self._goes_on(confirmed=True):
            self._believe(confirmed=True)
            return None
        if partners:
            await asyncio.gather(*(self._asked(partner, ask) for partner in partners))
        self._refused = self._verdict(bool(partners))
        self._tell()
        return self._refused

    async def run(self, partners: Callable[[], Sequence[str]], ask: Ask) -> None:
        """Look after the clock for ever."""
        while True:
            if self._refused is not None or not self._goes_on():
                await self.settle(partners(), ask)
            elif self._elapsed() - self._kept_at > _KEEP_EVERY_S:
                self._kept_at = self._elapsed()
                if self._agreed():  # else a clock that runs too fast would be believed bit by bit
                    self._believe(confirmed=True)
            await asyncio.sleep(LOOK_S)

    def _goes_on(self, *, confirmed: bool = False) -> bool:
        """Whether the clock did not jump, and (``confirmed``) goes on from a state that partners agreed with."""
        state = self._state
        if state is None or (confirmed and not state.confirmed):
            return False
        return abs(state.jump_s(self._clock(), self._elapsed())) <= BOUND.total_seconds()

    def _offsets(self) -> dict[str, timedelta]:
        """By partner, how far its time is ahead of this node's; of those that said one lately."""
        now, elapsed_s = self._clock(), self._elapsed()
        return {
            partner: said + timedelta(seconds=elapsed_s - at_s) - now
            for partner, (at_s, said) in self._voices.items()
            if 0 <= elapsed_s - at_s <= _VOICE_S
        }

    def _agreed(self) -> bool:
        offsets = self._offsets().values()  # none of them: not agreed
        return sum(abs(offset) <= BOUND for offset in offsets) * 2 > len(offsets)

    def _verdict(self, anyone_to_ask: bool) -> ComityError | None:
        offsets = list(self._offsets().values())
        ahead = sum(offset < -BOUND for offset in offsets)
        if ahead > len(offsets) - ahead:
            least = min(-offset for offset in offsets if offset < -BOUND)
            text = f"this node's clock is at least {int(least.total_seconds())} s ahead of {ahead} partners"
            return ClockAheadError(text)
        if offsets or not anyone_to_ask or self._state is None or self._goes_on():
            if self._state is not None and not self._goes_on():
                self._log.warning("clock-jumped", size=round(self._state.jump_s(self._clock(), self._elapsed())))
            self._believe(confirmed=bool(offsets) and self._agreed())
            return None
        if self._state.jump_s(self._clock(), self._elapsed()) < 0:
            self._believe(confirmed=False)  # back: the log's own time bounds what it dates
            return None
        return ClockUnconfirmedError("this node's clock jumped ahead, and no partner answered what time it is")

    def _believe(self, *, confirmed: bool) -> None:
        self._state = _State(self._elapsed(), self._clock(), confirmed)
        self._refused = None
        self._kept_at = self._state.elapsed_s
        if confirmed:
            self._memory.write_clock(f"{self._state.elapsed_s:.3f} {to_ms(self._state.said)}".encode())

    def _remembered(self) -> _State | None:
        """The last state that partners agreed with since the machine was started."""
        kept = (self._memory.read_clock() or b"").split()
        try:
            elapsed, said = kept
            return _State(float(elapsed), from_ms(int(said)), confirmed=True)
        except (ValueError, ComityError):
            return None

    async def _asked(self, partner: str, ask: Ask) -> None:
        try:
            async with asyncio.timeout(ASK_S):
                await ask(partner)
        except (ComityError, TimeoutError):
            return  # a refusal says the time too

    def _tell(self) -> None:
        code = self._refused.code if self._refused is not None else None
        if code != self._told:
            if code is not None:
                self._log.error("clock-not-believed", code=code)
            else:
                self._log.info("clock-believed")
        self._told = code
