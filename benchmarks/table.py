"""One table of all figures: the figure, its floor, peers where they are installed, and the ratios.

    python -m benchmarks.table [--rounds 3] [--quick | --full] [--only throughput,store] [--no-peers] [--out FOLDER]
                               [--page]

Every script runs ``--rounds`` times, in a process of its own, and so does every peer. A figure, a floor and a ratio are
medians over the rounds; a ratio is of one round, so that what else the machine did falls on both sides of it. The table
goes to standard output, and as ``table.md`` and ``table.json`` into the folder; below it stands how long each script
took. One round fits into ten minutes of an idle machine: the pasts of desks are shorter for that than a script alone
has them. ``--full`` is with the scripts' own settings. ``--quick`` runs small settings, which show that everything
works and say nothing of speed. ``--page`` also writes the result into ``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks._capacity import capacity_rows
from benchmarks._figures import Figure

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "performance.md"
RESULT = ROOT / "docs" / "performance.json"
PEERS = Path(__file__).parent / "peers"
TIMEOUT_S = 3600
# Of a page's lines.
WIDTH = 120
# Each script with the settings that only show that it works.
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "throughput": ("--messages", "320", "--cycles", "64", "--pings", "5", "--soak", "160"),
    "latency": ("--pings", "5", "--floor", "5"),
    "commands": ("--rounds", "1"),
    "desk": ("--messages", "1000", "--cases", "200"),
    "web": ("--messages", "1000", "--cases", "200", "--officers", "5", "--rounds", "2"),
    "store": ("--count", "512"),
    "directory": ("--nations", "6", "--contact-points", "4", "--repeat", "1"),
    "audit": ("--entries", "3000", "--log-entries", "20000"),
    "files": ("--mib", "8", "--small", "20", "--messages", "4", "--rounds", "1"),
    "floor": (),
}

# With these, a round of all scripts and peers fits into ten minutes.
FITTING: Mapping[str, tuple[str, ...]] = {
    "throughput": ("--soak", "2000"),
    "latency": ("--pings", "60"),
    "commands": ("--rounds", "5"),
    "desk": ("--messages", "20000", "--cases", "4000"),
    "web": ("--messages", "20000", "--cases", "4000", "--rounds", "5"),
    "directory": ("--repeat", "2"),
    "audit": ("--entries", "20000", "--log-entries", "100000"),
    "files": ("--mib", "128", "--small", "1000", "--messages", "40", "--rounds", "2"),
}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    total = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    return {
        "at": datetime.now(UTC).date().isoformat(),
        "cpu": model or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(total / 2**20, 1),
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text("utf-8").splitlines()
    except OSError:
        return []


@dataclass(slots=True)
class Row:
    """One figure over the rounds. ``peers`` has by peer its value of each round."""

    name: str
    unit: str
    more_is_better: bool
    values: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    peers: dict[str, list[float]] = field(default_factory=dict)

    def add(self, figure: Figure) -> None:
        """Take the figure of one round."""
        self.values.append(figure.value)
        if figure.floor is not None:
            self.floors.append(figure.floor)
        if (times := figure.times_floor()) is not None:
            self.times.append(times)

    def against(self, peer: str) -> float | None:
        """How many times better than the peer: the median of the ratios round by round."""
        ratios = [
            ours / theirs if self.more_is_better else theirs / ours
            for ours, theirs in zip(self.values, self.peers.get(peer, ()), strict=False)
            if ours and theirs
        ]
        return median(ratios) if ratios else None

    def as_json(self) -> dict[str, Any]:
        """The row for programs."""
        peers = {
            peer: {"value": median(values), "comity_is_better_by": self.against(peer)}
            for peer, values in self.peers.items()
            if values
        }
        return {
            "name": self.name,
            "unit": self.unit,
            "more_is_better": self.more_is_better,
            "value": median(self.values) if self.values else None,
            "floor": median(self.floors) if self.floors else None,
            "times_floor": median(self.times) if self.times else None,
            "rounds": len(self.values),
            "peers": peers,
        }


@dataclass(slots=True)
class Table:
    """Everything that was measured. ``missing`` says of scripts and peers why they have no row."""

    rows: dict[str, Row] = field(default_factory=dict)
    slopes: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    took_s: dict[str, float] = field(default_factory=dict)
    quick: bool = False
    machine: dict[str, Any] = field(default_factory=machine)

    def take(self, told: Mapping[str, Any]) -> None:
        """The line of one script in one round."""
        for figure in map(Figure.parse, told["figures"]):
            row = self.rows.setdefault(figure.name, Row(figure.name, figure.unit, figure.more_is_better))
            row.add(figure)
        for name, value in told.get("slopes", {}).items():
            self.slopes.setdefault(name, []).append(float(value))
        for peer, figures in told.get("peers", {}).items():
            self.take_peer({"peer": peer, "figures": figures})
        for peer, why in told.get("missing", {}).items():
            self.take_peer({"peer": peer, "not_installed": why})

    def take_peer(self, told: Mapping[str, Any]) -> None:
        """The line of one peer in one round."""
        peer = str(told["peer"])
        if "not_installed" in told:
            self.missing[peer] = f"not installed: {told['not_installed']}"
            return
        for figure in map(Figure.parse, told["figures"]):
            row = self.rows.setdefault(figure.name, Row(figure.name, figure.unit, figure.more_is_better))
            row.peers.setdefault(peer, []).append(figure.value)

    def as_json(self) -> dict[str, Any]:
        """The table for programs."""
        return {
            "machine": self.machine,
            "quick": self.quick,
            "rows": [row.as_json() for row in self.rows.values()],
            "slopes": {name: median(values) for name, values in self.slopes.items()},
            "missing": self.missing,
            "took_s": {name: round(took, 1) for name, took in self.took_s.items()},
        }


# --- Running ------------------------------------------------------------------------------------------------------


def told_by(command: Sequence[str]) -> dict[str, Any]:
    """The JSON line that a script printed last; raises :class:`RuntimeError` when it failed or printed none."""
    try:
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"no answer within {TIMEOUT_S} s") from None
    if done.returncode:
        last = (done.stderr.strip() or "nothing was said").splitlines()[-1]
        raise RuntimeError(f"exit code {done.returncode}: {last}")
    for line in reversed(done.stdout.splitlines()):
        if line.startswith("{"):
            told: dict[str, Any] = json.loads(line)
            return told
    raise RuntimeError("it printed no line for the table")


def run(
    table: Table, scripts: Iterable[str], settings: Mapping[str, tuple[str, ...]], *, rounds: int, peers: bool
) -> None:
    """Run all of them in turns, so that a change of the machine falls on every figure."""
    for number in range(1, rounds + 1):
        for script in scripts:
            if not (Path(__file__).parent / f"{script}.py").exists():
                table.missing[script] = "there is no such script"
                continue
            _take(table, script, ("-m", f"benchmarks.{script}", "--json", *settings.get(script, ())), number)
        for peer in sorted(PEERS.glob("[a-z]*.py")) if peers else ():
            quickly = ("--quick",) if table.quick else ()
            _take(table, peer.stem, ("-m", f"benchmarks.peers.{peer.stem}", "--json", *quickly), number)


def _take(table: Table, name: str, command: Sequence[str], number: int) -> None:
    print(f"round {number}: {name}", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        told = told_by(command)
        if "peer" in told:
            table.take_peer(told)
        else:
            table.take(told)
    except (RuntimeError, ValueError, KeyError, TypeError) as problem:
        table.missing[name] = str(problem)
    finally:
        table.took_s[name] = table.took_s.get(name, 0.0) + time.monotonic() - began


# --- Writing ------------------------------------------------------------------------------------------------------


def shown(value: float | None, unit: str = "") -> str:
    """A figure with three digits that count."""
    if value is None:
        return ""
    digits = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{digits} {unit}".strip()


def markdown(result: Mapping[str, Any]) -> str:
    """The result as Markdown: the table, what is missing, the slopes, and what a node needs."""
    names = sorted({peer for row in result["rows"] for peer in row["peers"]})
    return "\n".join(
        (
            *textwrap.wrap(_measured(result), WIDTH),
            "",
            *_table(
                ("figure", "Comity", "floor", "× floor", *(f"{name} (Comity better by)" for name in names)),
                (_cells(row, names) for row in result["rows"]),
            ),
            "",
            *(
                line
                for name, why in sorted(result["missing"].items())
                for line in textwrap.wrap(f"- {name}: {why}", WIDTH, subsequent_indent="  ")
            ),
            *([""] if result["missing"] else []),
            "### Slopes",
            "",
            *_table(("slope", "value"), ((name, shown(value)) for name, value in result["slopes"].items())),
            "",
            "### Capacity",
            "",
            *_table(CAPACITY_HEADER, capacity_rows(result["slopes"], shown)),
            "",
            *textwrap.wrap(_took(result["took_s"]), WIDTH),
        )
    )


def _measured(result: Mapping[str, Any]) -> str:
    on, rounds = result["machine"], max((row["rounds"] for row in result["rows"]), default=0)
    told = (
        f"Measured on {on['at']}: {on['cpu']}, {on['cores']} cores, {on['memory_gb']} GB, Python {on['python']}; load "
        f"before: {on['load_before']}. Rounds: {rounds}; each value is the median."
    )
    small = " **Small settings: these show that it works, and say nothing of speed.**"
    return told + small if result["quick"] else told


def _took(by_script: Mapping[str, float]) -> str:
    each = ", ".join(f"{name} {took:.0f} s" for name, took in by_script.items())
    return f"All of it took {sum(by_script.values()) / 60:.1f} minutes: {each}."


CAPACITY_HEADER = (
    "messages a day",
    "cores of a node",
    "memory of a node",
    "disk of a node a year",
    "disk of a desk a year",
)


def _cells(row: Mapping[str, Any], peers: Sequence[str]) -> Iterator[str]:
    yield row["name"]
    yield shown(row["value"], row["unit"])
    yield shown(row["floor"], row["unit"])
    yield shown(row["times_floor"])
    for name in peers:
        peer = row["peers"].get(name)
        better = None if peer is None else peer["comity_is_better_by"]
        yield "" if peer is None else f"{shown(peer['value'], row['unit'])} ({shown(better) or '-'})"


def _table(header: Sequence[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


BEGIN, END = "<!-- measured: python -m benchmarks.table --page -->", "<!-- end of what was measured -->"


# A row for each page of a desk, by the time until a browser has it, and by processor time.
_PAGE, _PROCESSOR = "page /", ", processor, p95"
SLOWEST = 5


def page_with(page: str, result: Mapping[str, Any]) -> str:
    """The page with this result in place of the one that it has: of a desk's pages it names the slowest alone."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    pages = [row for row in result["rows"] if row["name"].startswith(_PAGE) and not row["name"].endswith(_PROCESSOR)]
    slowest = sorted(pages, key=lambda row: row["value"] or 0, reverse=True)[:SLOWEST]
    kept = [row for row in result["rows"] if not row["name"].startswith(_PAGE) or row in slowest]
    told = markdown({**result, "rows": kept})
    left = f"Of {len(pages)} pages of a desk these are the {len(slowest)} slowest; `performance.json` has all of them."
    words = "\n\n".join((told, *([left] if len(pages) > len(slowest) else [])))
    return f"{before}{BEGIN}\n\n{words}\n\n{END}{after}"


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small settings: whether it works, not how fast")
    size.add_argument("--full", action="store_true", help="the scripts' own settings: half an hour a round")
    parser.add_argument("--only", default=",".join(SCRIPTS), help="scripts, separated by commas")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "bench")
    parser.add_argument("--page", action="store_true", help="write the result into docs/performance.md too")
    given = parser.parse_args()
    table = Table(quick=given.quick)
    settings = SCRIPTS if given.quick else {} if given.full else FITTING
    run(table, given.only.split(","), settings, rounds=given.rounds, peers=not given.no_peers)
    result = table.as_json()
    told, encoded = markdown(result), json.dumps(result, ensure_ascii=False, indent=1) + "\n"
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "table.md").write_text(told + "\n", "utf-8")
    (given.out / "table.json").write_text(encoded, "utf-8")
    if given.page:
        RESULT.write_text(encoded, "utf-8")
        PAGE.write_text(page_with(PAGE.read_text("utf-8"), result), "utf-8")
    print(told)


if __name__ == "__main__":
    main()
