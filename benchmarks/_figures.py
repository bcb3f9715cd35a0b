"""Figures of one run, for a person and for the table: each with its floor from the same run; slopes beside them.

With ``--json`` a script prints one line on standard output, and what a person reads on standard error::

    {"script": "store", "figures": [{"name": …, "value": …, "unit": …, "floor": …, "more_is_better": …}], "slopes": {…},
     "peers": {"age": [{"name": …, …}]}, "missing": {"nginx": "why"}}
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


def peak_mb() -> float:
    """The most memory of this process so far, MB: of its own, where getrusage also tells of what started it."""
    status = Path("/proc/self/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure. ``floor`` is what its parts cost alone, in the same unit; None where no floor is measured."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    more_is_better: bool = False

    def times_floor(self) -> float | None:
        """How many times its floor a cost is, or how many times a rate stays below its ceiling; 1 is the best."""
        if not self.floor or not self.value:
            return None
        return self.floor / self.value if self.more_is_better else self.value / self.floor

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Figure:
        """A figure of a script's line; raises ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
        floor = given.get("floor")
        return cls(
            str(given["name"]),
            float(given["value"]),
            str(given["unit"]),
            None if floor is None else float(floor),
            bool(given.get("more_is_better", False)),
        )


@dataclass(slots=True)
class Report:
    """What a script measured. ``slopes`` are growth by name, such as bytes of disk a message.

    ``peers`` are figures of other programs in the same run; ``missing`` says why one could not be had.
    """

    script: str
    figures: list[Figure] = field(default_factory=list)
    slopes: dict[str, float] = field(default_factory=dict)
    peers: dict[str, list[Figure]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def add_peer(self, peer: str, name: str, value: float, unit: str, *, more_is_better: bool = False) -> None:
        """Keep what another program reached in the same run, for the row of this name."""
        self.peers.setdefault(peer, []).append(Figure(name, value, unit, None, more_is_better))

    def add(
        self, name: str, value: float, unit: str, floor: float | None = None, *, more_is_better: bool = False
    ) -> None:
        """Keep a figure."""
        self.figures.append(Figure(name, value, unit, floor, more_is_better))

    @contextmanager
    def shown(self, as_json: bool) -> Iterator[None]:
        """For the length of a run: with ``as_json`` only the line for the table goes to standard output."""
        if not as_json:
            yield
            for name, value in self.slopes.items():
                print(f"slope: {name} {value:.3g}")
            return
        with redirect_stdout(sys.stderr):
            yield
        print(self.line(), flush=True)

    def line(self) -> str:
        """The line for the table."""
        figures = [asdict(figure) for figure in self.figures]
        told: dict[str, Any] = {"script": self.script, "figures": figures, "slopes": self.slopes}
        if self.peers or self.missing:
            told["peers"] = {peer: [asdict(figure) for figure in found] for peer, found in self.peers.items()}
            told["missing"] = self.missing
        return json.dumps(told, ensure_ascii=False)


def database_bytes(path: Path) -> int:
    """Bytes of what a SQLite database holds now: its pages in use, wherever they lie; free pages are used again."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        pages, free, size = (
            int(connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
    finally:
        connection.close()
    return (pages - free) * size


def home_bytes(home: Path) -> int:
    """Bytes of all that a node or a desk keeps below its home."""
    total = 0
    for file in home.rglob("*"):
        if not file.is_file() or file.name.endswith(("-wal", "-shm")):
            continue
        with file.open("rb") as opened:
            is_database = opened.read(16) == b"SQLite format 3\0"
        total += database_bytes(file) if is_database else file.stat().st_size
    return total


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """The option that every script has."""
    parser.add_argument("--json", action="store_true", help="one line for the table on standard output")
