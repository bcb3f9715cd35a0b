"""What every peer has: an environment of its own, a free port, and one line for the table.

A peer that cannot be had is no failure: its line says why, and the table repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from benchmarks._figures import Figure, add_json_option

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "peers"
CONTENT_BYTES = 2048
INSTALL_S = 600


class NotInstalledError(Exception):
    """The peer cannot be had here; the text says why."""


def python_environment(name: str) -> Path:
    """The Python of a virtual environment with exactly ``requirements/<name>.txt``; made at first."""
    wanted = ROOT / "requirements" / f"{name}.txt"
    folder, stamp = CACHE / name, sha256(wanted.read_bytes()).hexdigest()
    mark = folder / "installed"
    if not mark.exists() or mark.read_text() != stamp:
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)], f"no virtual environment for {name}")
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(wanted)]
        _run(pip, f"pip cannot install requirements/{name}.txt")
        mark.write_text(stamp)
    return folder / "bin" / "python"


def debian_folder(name: str, packages: Sequence[str]) -> Path:
    """A folder with the files of Debian packages, unpacked and not installed: nothing of the machine changes."""
    folder = CACHE / name
    mark = folder / "unpacked"
    if mark.exists() and mark.read_text().split() == list(packages):
        return folder
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise NotInstalledError(f"this is no Debian: {', '.join(packages)} cannot be fetched")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _run(["apt-get", "download", *packages], f"apt-get cannot download {', '.join(packages)}", cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        _run(["dpkg", "-x", str(package), str(folder)], f"{package.name} cannot be unpacked")
        package.unlink()
    mark.write_text(" ".join(packages))
    return folder


def _run(command: Sequence[str], failing: str, *, cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NotInstalledError(f"{failing}: {problem}") from None
    if done.returncode:
        told = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise NotInstalledError(f"{failing}: {told[-1]}")


def free_port() -> int:
    """A port on loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes] | None, within_s: float = 60) -> None:
    """Return when something accepts on ``port``; raises :class:`NotInstalledError` when it never does."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if process is not None and process.poll() is not None:
            raise NotInstalledError(f"its server ended with exit code {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise NotInstalledError(f"its server did not answer within {within_s:.0f} s")


def main(peer: str, about: str, count: int, quick: int, measure: Callable[[int], Sequence[Figure]]) -> None:
    """Parse the arguments, measure, and print; ``measure`` is given how many messages to send."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=count, help="messages")
    parser.add_argument("--quick", action="store_true", help=f"{quick} messages: whether it works, not how fast")
    add_json_option(parser)
    given = parser.parse_args()
    try:
        figures = measure(quick if given.quick else given.count)
    except NotInstalledError as problem:
        print(json.dumps({"peer": peer, "not_installed": str(problem)}) if given.json else f"not installed: {problem}")
        return
    if given.json:
        print(json.dumps({"peer": peer, "figures": [asdict(figure) for figure in figures]}, ensure_ascii=False))
        return
    for figure in figures:
        print(f"{peer}: {figure.name}: {figure.value:.1f} {figure.unit}")


def environment(**more: str) -> dict[str, str]:
    """The environment for a peer's programs: the machine's, without Python's and our own variables."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COMITY_"))}
    return {**kept, **more}
