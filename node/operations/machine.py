"""The machine that a node runs on, as far as its operator asks: memory, and since when the process runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_STATM = Path("/proc/self/statm")
_MEMINFO = Path("/proc/meminfo")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: of this process, and of the machine; None where the system does not say."""

    own_bytes: int | None
    available_bytes: int | None
    total_bytes: int | None


def memory(statm: Path = _STATM, meminfo: Path = _MEMINFO) -> Memory:
    """How much is used now (proc(5)). Files of the kernel: reading them waits for nothing."""
    try:
        own = int(statm.read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        own = None
    lines: dict[str, int] = {}
    try:
        for line in meminfo.read_text("ascii").splitlines():
            name, _colon, value = line.partition(":")
            if name in {"MemTotal", "MemAvailable"}:
                lines[name] = int(value.split()[0]) * _KIB
    except (OSError, ValueError, IndexError):
        lines = {}
    return Memory(own, lines.get("MemAvailable"), lines.get("MemTotal"))
