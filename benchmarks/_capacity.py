"""What a number of messages a day needs, by the slopes that ``benchmarks/throughput.py`` measures; nothing is guessed.

A message passes two nodes. The table is about the busier of the two, which takes each message from the other one or
from its desk, and about the busier of the two desks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

MESSAGES_A_DAY = (1_000, 10_000, 100_000, 1_000_000)
# A day's messages come within these hours: nobody writes as much at night.
BUSY_HOURS = 8
DAYS = 365
_LEAST_SHOWN = 0.01
_CPU, _DISK, _MEMORY, _GROWTH = (
    "CPU µs a message, ",
    "disk bytes a message, ",
    "memory MB, ",
    "memory bytes a message, ",
)


def capacity_rows(slopes: Mapping[str, float], shown: Callable[[float, str], str]) -> Iterator[tuple[str, ...]]:
    """A row for each number of messages a day: cores in the busy hours, memory, and disk a year."""
    needed = {prefix: _most(slopes, prefix, "node ") for prefix in (_CPU, _DISK, _MEMORY)}
    desk_disk = max(
        (value for name, value in slopes.items() if name in (f"{_DISK}sender", f"{_DISK}recipient")), default=None
    )
    if desk_disk is None or None in needed.values():
        return
    growth = max(0.0, _most(slopes, _GROWTH, "node ") or 0.0)
    for count in MESSAGES_A_DAY:
        cores = count * (needed[_CPU] or 0.0) / 1e6 / (BUSY_HOURS * 3600)
        memory = (needed[_MEMORY] or 0.0) + count * growth / 2**20
        yield (
            f"{count:,}",
            shown(cores, "") if cores >= _LEAST_SHOWN else f"under {_LEAST_SHOWN}",
            shown(memory, "MB"),
            shown(count * DAYS * (needed[_DISK] or 0.0) / 1e9, "GB"),
            shown(count * DAYS * desk_disk / 1e9, "GB"),
        )


def _most(slopes: Mapping[str, float], prefix: str, who: str) -> float | None:
    return max((value for name, value in slopes.items() if name.startswith(prefix + who)), default=None)
