"""How far something long is, how fast it goes and how long it still takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_OVER_S = 10.0
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class Progress:
    """What was done of what there is, in bytes and files; ``rate`` in bytes a second of late, ``left_s`` until the end.

    ``phase`` is what is done: ``sealing``, ``uploading``, ``downloading``, ``checking``, ``opening``. ``held_up`` says
    why nothing moves just now.
    """

    phase: str
    done: int
    total: int
    rate: int = 0
    left_s: float | None = None
    files: int = 0
    files_done: int = 0
    held_up: str | None = None

    @property
    def percent(self) -> int:
        """The share that was done, rounded down: 100 says that all is."""
        return 100 if self.done >= self.total else self.done * 100 // max(self.total, 1)


Told = Callable[[Progress], None]


class Tells(Protocol):
    """Takes the progress of something."""

    def __call__(self, progress: Progress, /) -> None: ...


def nobody(_progress: Progress) -> None:
    """Tell nobody."""


class Meter:
    """Measures one phase, and tells of it a few times a second, from whatever thread works."""

    def __init__(self, phase: str, total: int, told: Told = nobody, *, done: int = 0, files: int = 0) -> None:
        self._phase = phase
        self._total = total
        self._told = told
        self._done = done
        self._files = files
        self._files_done = 0
        self._at = deque([(time.monotonic(), done)])
        self._next = 0.0
        self.held_up: str | None = None

    @property
    def done(self) -> int:
        """So many bytes were done."""
        return self._done

    @property
    def rate(self) -> int:
        """Bytes a second, of late."""
        (begun, before), (now, done) = self._at[0], self._at[-1]
        return int((done - before) / (now - begun)) if now > begun else 0

    def add(self, count: int, *, files: int = 0) -> None:
        """So many more bytes, and files, are done."""
        self._done += count
        self._files_done += files
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _LOOK_EVERY_S
            self._at.append((now, self._done))
            while self._at[0][0] < now - _OVER_S and len(self._at) > 2:
                self._at.popleft()
            self.tell()

    def tell(self) -> None:
        """Tell how it stands now."""
        rate = self.rate
        left = (self._total - self._done) / rate if rate else None
        self._told(
            Progress(
                self._phase, self._done, self._total, rate, left, self._files, self._files_done, held_up=self.held_up
            )
        )
