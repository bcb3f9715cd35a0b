"""How often wrong passphrases and codes may be tried: ever more slowly, and never so that an officer is locked out.

Tries count by officer and by browser: one in which the officer signed in before has a count of its own, which nobody
else can use up. All tries from unknown browsers together are counted too. A passkey or a one-time code of the terminal
is not guessed, and waits for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from protocol.errors import SignInLaterError

FREE = 5
LONGEST_WAIT_S = 60.0
FORGET_S = 900.0
# All wrong tries from unknown browsers together.
MOST_A_MINUTE = 60
MAX_COUNTED = 4_096
_MINUTE_S = 60.0


@dataclass(slots=True)
class _Count:
    failed: int
    last: float


class Guesses:
    """The wrong tries of one desk. ``who``: an officer as typed; ``known``: the officer signed in there before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[tuple[str, bool], _Count] = {}
        self._unknown: list[float] = []

    def check(self, who: str, known: bool) -> None:
        """Return where a try may be made now; raises :class:`SignInLaterError`."""
        now = self._clock()
        count = self._counts.get((who, known))
        if count is not None:
            if now - count.last >= FORGET_S:
                del self._counts[who, known]
            elif now - count.last < wait_s(count.failed):
                raise SignInLaterError
        if not known:
            self._unknown = [at for at in self._unknown if now - at < _MINUTE_S]
            if len(self._unknown) >= MOST_A_MINUTE:
                raise SignInLaterError

    def failed(self, who: str, known: bool) -> None:
        """Count a wrong try."""
        now = self._clock()
        count = self._counts.pop((who, known), None) or _Count(0, now)
        count.failed, count.last = count.failed + 1, now
        self._counts[who, known] = count  # the latest stands last
        if not known:
            self._unknown.append(now)
        while len(self._counts) > MAX_COUNTED:
            del self._counts[next(iter(self._counts))]

    def succeeded(self, who: str, known: bool) -> None:
        """Forget the wrong tries of who signed in."""
        self._counts.pop((who, known), None)


def wait_s(failed: int) -> float:
    """How long after so many wrong tries the next is refused."""
    return 0.0 if failed < FREE else min(2.0 ** min(failed - FREE, 10), LONGEST_WAIT_S)
