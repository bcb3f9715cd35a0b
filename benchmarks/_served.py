"""Wall time of a command against a running desk, and beside it that of an interpreter that only starts and ends.

The service runs over the home that the script filled; its node cannot be reached, so commands are given ``--offline``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks._figures import Report
from keys.local.files import write_file

PROGRAMS = 20
EACH = 5
_COMITY = (sys.executable, "-m", "exchange.cli.main")


def measure_service(report: Report, home: Path, passphrase: bytes) -> None:
    """Start the service, time commands, end it."""
    secret = home.parent / "benchmark-passphrase"
    write_file(secret, passphrase + b"\n", mode=0o600)
    environment = {**os.environ, "COMITY_HOME": str(home)}
    began = time.perf_counter()
    service = subprocess.Popen(
        [*_COMITY, "desk", "run", "--json"],
        env={**environment, "COMITY_PASSPHRASE_FILE": str(secret)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert service.stdout is not None
        assert json.loads(service.stdout.readline())["event"] == "running"
        started = time.perf_counter() - began
        report.add("desk: start of the service", started, "s")
        print(f"start of the service {started:.2f} s (goal 3)")
        floor = min(_timed([sys.executable, "-c", "pass"], environment) for _ in range(5))
        for name, words in (
            ("a command (inbox of 20)", ["inbox", "--offline", "--limit", "20", "--json"]),
            ("a command (inbox of 20, for a person)", ["inbox", "--offline", "--limit", "20"]),
            ("a command (list of 50 cases)", ["case", "list", "--no-sync"]),
            ("a command (agenda)", ["agenda", "--no-sync"]),
            ("a command (drafts at the desk)", ["draft", "list", "--json"]),
            ("a command (who is signed in)", ["sessions", "--json"]),
        ):
            times = sorted(_timed([*_COMITY, *words], environment) for _ in range(9))
            report.add(f"desk, served: {name}", times[4] * 1000, "ms", floor * 1000)
            print(f"{name:34}{times[4] * 1000:9.0f} ms median {times[-1] * 1000:9.0f} ms most (goal 150); "
                  f"floor, an interpreter: {floor * 1000:.0f} ms")  # fmt: skip
        _at_once(report, environment)
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate()


def _at_once(report: Report, environment: dict[str, str]) -> None:
    command = [*_COMITY, "inbox", "--offline", "--limit", "20", "--json"]
    began = time.perf_counter()
    with ThreadPoolExecutor(PROGRAMS) as programs:
        times = sorted(programs.map(lambda _: _timed(command, environment), range(PROGRAMS * EACH)))
    rate = PROGRAMS * EACH / (time.perf_counter() - began)
    report.add(f"desk, served: commands of {PROGRAMS} programs at once", rate, "/s", more_is_better=True)
    print(f"{PROGRAMS} programs at once: {rate:.1f} commands a second, half of them within "
          f"{times[len(times) // 2] * 1000:.0f} ms, all within {times[-1] * 1000:.0f} ms")  # fmt: skip


def _timed(command: Sequence[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
    assert done.returncode in {0, 5}
    return time.perf_counter() - began
