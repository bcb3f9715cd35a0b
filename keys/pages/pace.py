"""How often something may be asked for: so many at once, and then so many in a time, per name.

Names are of whoever asks, or of what is asked for; they are kept in memory alone, the latest of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

_MOST_NAMES = 4_096


class AskingPace:
    """Lets ``burst`` pass at once, and one more every ``each_s`` seconds, for each name."""

    def __init__(self, burst: int, each_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._burst, self._each_s, self._clock = burst, each_s, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def passes(self, name: str = "") -> bool:
        """Whether one more may pass now; it counts when it does."""
        now = self._clock()
        left, at = self._left.pop(name, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) / self._each_s)
        passes = left >= 1.0
        self._left[name] = (left - 1.0 if passes else left, now)
        while len(self._left) > _MOST_NAMES:
            self._left.popitem(last=False)
        return passes
