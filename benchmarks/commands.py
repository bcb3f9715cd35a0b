"""How long a person waits for a command, beside the floor of the same interpreter.

    python -m benchmarks.commands [--rounds 9] [--json]

Two nodes run on loopback. Each desk's keystore is under the cheap derivation of demonstrations, one copy of a desk
under the one that an office has. Each row is a program that is started and waited for: median wall time and least CPU
time of the rounds, and the median as a multiple of ``python -c pass``. The rows go round together, so that load meets
all alike.
Floors: the interpreter alone, Typer with two commands that do nothing, one derivation of the office's key. A row with
"office's derivation" cannot be faster than that derivation, which nothing here shortens: imports go on beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._figures import Report, add_json_option
from exchange.demo.processes import variables
from exchange.settings import Home
from keys.secrets.keystore import STANDARD, Keystore
from tests.worlds.processes import EXAMPLE, PASSPHRASE, World, world

INTERPRETER, DERIVATION = "floor: python -c pass", "floor: one derivation of an office's key"
ROOT = Path(__file__).resolve().parents[1]
_HELLO = """
import typer
app = typer.Typer(add_completion=False, rich_markup_mode=None)
app.command()(lambda: None)
app.command("other")(lambda: None)
app()
"""
_DERIVE = """
from nacl.pwhash import argon2id as a
a.kdf(32, b"passphrase", bytes(16), opslimit=a.OPSLIMIT_MODERATE, memlimit=a.MEMLIMIT_MODERATE)
"""


@dataclass(frozen=True, slots=True)
class Row:
    """A program: its words, and what it took."""

    name: str
    wall_ms: float
    cpu_ms: float
    times_floor: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    add_json_option(parser)
    given = parser.parse_args()
    report = Report("commands")
    with report.shown(given.json), tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(measure(Path(folder), given.rounds))
        for row in rows:
            print(f"{row.name:48}{row.wall_ms:8.0f} ms{row.cpu_ms:8.0f} ms CPU{row.times_floor:8.1f} x the interpreter")
        floors = {row.name: row.wall_ms for row in rows if row.name.startswith("floor: ")}
        for row in rows:
            if row.name not in floors:
                least = floors[DERIVATION if row.name.endswith("office's derivation") else INTERPRETER]
                report.add(f"command: {row.name}", row.wall_ms, "ms", least)


async def measure(folder: Path, rounds: int) -> list[Row]:
    """The rows, in the order of :func:`programs`."""
    async with world(folder) as made:
        office = folder / "desk-office"
        shutil.copytree(folder / "desk-fr", office)
        keystore = Keystore.open(Home(office).keystore, PASSPHRASE)
        keystore.change_passphrase(PASSPHRASE, STANDARD)
        keystore.save()
        wanted = programs(made, office)
        environment = {**os.environ, **variables(made.commands.passphrase_file)}
        # As an installed program: its modules are compiled once, in the first round, wherever this one may write.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
        return await asyncio.to_thread(_rounds, wanted, environment, rounds)


def programs(made: World, office: Path) -> dict[str, list[str]]:
    """What is started, by the name it is printed under."""
    comity = [sys.executable, "-m", "exchange.cli.main"]
    node = [sys.executable, "-m", "node.cli.main"]
    desk, home = ["--home", str(made.root / "desk-fr"), "--json"], str(made.federation.node_home("fr"))
    return {
        INTERPRETER: [sys.executable, "-c", "pass"],
        "floor: Typer, two commands, --help": [sys.executable, "-c", _HELLO, "--help"],
        DERIVATION: [sys.executable, "-c", _DERIVE],
        "comity --help": [*comity, "--help"],
        "comity officer --help": [*comity, "officer", "--help"],
        "comity inbox --help": [*comity, "inbox", "--help"],
        "comity duty show": [*comity, "duty", "show", *desk],
        "comity inbox": [*comity, "inbox", *desk],
        "comity agenda": [*comity, "agenda", *desk],
        "comity send": [*comity, "send", str(EXAMPLE), "--home", str(made.root / "desk-jp"), "--json"],
        "comity duty show, office's derivation": [*comity, "duty", "show", "--home", str(office), "--json"],
        "comity inbox, office's derivation": [*comity, "inbox", "--home", str(office), "--json"],
        "comity-node --help": [*node, "--help"],
        "comity-node cards --help": [*node, "cards", "--help"],
        "comity-node run --help": [*node, "run", "--help"],
        "comity-node partners": [*node, "partners", home, "--json"],
        "comity-node log status": [*node, "log", "status", home, "--json"],
    }


def _rounds(wanted: Mapping[str, Sequence[str]], environment: Mapping[str, str], rounds: int) -> list[Row]:
    wall: dict[str, list[float]] = {name: [] for name in wanted}
    cpu: dict[str, list[float]] = {name: [] for name in wanted}
    for number in range(rounds + 1):  # the first writes the compiled files
        for name, words in wanted.items():
            began = time.perf_counter()
            process = subprocess.Popen(
                words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            output = process.stdout.read() if process.stdout else b""
            _pid, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode != 0:
                raise SystemExit(f"{name} ended with {process.returncode}: {output.decode('utf-8', 'replace')[-500:]}")
            if number:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(used.ru_utime + used.ru_stime)
    floor = statistics.median(wall[next(iter(wanted))])
    medians = {name: statistics.median(taken) for name, taken in wall.items()}
    return [Row(name, medians[name] * 1000, min(cpu[name]) * 1000, medians[name] / floor) for name in wanted]


if __name__ == "__main__":
    main()
