"""A desk that runs as a service, and programs and people who give it commands: real processes, one real node."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from exchange.demo.processes import variables
from keys.local.files import write_file
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import PASSPHRASE, make_homes

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
COMITY = (sys.executable, "-m", "exchange.cli.main")
OFFICERS = ("kim", "lee", "nam")


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The object that it printed."""
        return json.loads(self.out)


@dataclass(slots=True)
class ServedDesk:
    """The desk jp in ``root``. ``service`` is its process while it runs."""

    root: Path
    service: subprocess.Popen[str] | None = None
    nodes: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def home(self) -> Path:
        """The desk's home."""
        return self.root / "desk-jp"

    @property
    def passphrase(self) -> Path:
        """The file with the desk's passphrase."""
        return self.root / "passphrase"

    def environment(self, **more: str) -> dict[str, str]:
        """The variables of a command, without the desk's passphrase."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COMITY_", "LC_", "LANG"))}
        return {**kept, "COMITY_HOME": str(self.home), "PYTHONPATH": str(ROOT), "COLUMNS": "100", **more}

    def secret(self, officer: str) -> Path:
        """The file with an officer's passphrase."""
        return self.root / f"secret-{officer}"

    def run(self, *arguments: str, cwd: Path | None = None, session: bool = False, **more: str) -> Ran:
        """Run a command to its end; in a terminal session of its own with ``session``."""
        done = subprocess.run(
            [*COMITY, *arguments],
            cwd=cwd or self.root,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            start_new_session=session,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def begin(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start a command that does not end by itself."""
        return subprocess.Popen(
            [*COMITY, *arguments],
            cwd=self.root,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def start(self) -> subprocess.Popen[str]:
        """Start the service and wait until it takes commands."""
        self.service = self.begin("desk", "run", "--json", COMITY_PASSPHRASE_FILE=str(self.passphrase))
        assert self.service.stdout is not None
        said = self.service.stdout.readline()
        assert said, self.service.communicate()[1]
        assert json.loads(said)["event"] == "running"
        return self.service

    def stop(self) -> int:
        """End the service in order; its exit code."""
        assert self.service is not None
        self.service.send_signal(signal.SIGTERM)
        self.service.communicate(timeout=WITHIN_S)
        code, self.service = self.service.returncode, None
        return code

    def kill(self) -> None:
        """End the service with SIGKILL."""
        assert self.service is not None
        self.service.kill()
        self.service.communicate(timeout=WITHIN_S)
        self.service = None

    def add_officers(self) -> None:
        """Register three officers with all roles."""
        roles = [word for role in ("administrator", "drafter", "releaser") for word in ("--role", role)]
        acting: list[str] = []
        for officer in OFFICERS:
            write_file(self.secret(officer), f"secret of {officer}\n".encode(), mode=0o600)
            said = self.run(
                *("officer", "add", officer, "--name", officer.title(), "--job-title", "Inspector", *roles),
                *("--new-passphrase-file", str(self.secret(officer)), "--quick-derivation", *acting),
                COMITY_PASSPHRASE_FILE=str(self.passphrase),
            )
            assert said.code == 0, said
            acting = self.by("kim")

    def by(self, officer: str) -> list[str]:
        """The options by which an officer acts."""
        return ["--officer", officer, "--officer-passphrase-file", str(self.secret(officer))]


@contextmanager
def served_world(root: Path, *nodes: str) -> Iterator[ServedDesk]:
    """The desk jp with its ``nodes``, which run; the service does not run yet."""
    passphrase = root / "passphrase"
    write_file(passphrase, PASSPHRASE, mode=0o600)
    make_homes(root, PASSPHRASE, passphrase, "jp", "fr")
    made = ServedDesk(root)
    try:
        for node in nodes:
            running = subprocess.Popen(
                [sys.executable, "-m", "node.cli.main", "run", str(root / f"node-{node}")],
                env={**made.environment(), **variables(passphrase)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            made.nodes.append(running)
        for running in made.nodes:
            assert running.stdout is not None
            assert running.stdout.readline()
        yield made
    finally:
        if made.service is not None:
            made.kill()
        for running in made.nodes:
            running.terminate()
        for running in made.nodes:
            running.communicate(timeout=WITHIN_S)


_REPL = """
import json, subprocess, sys
for line in sys.stdin:
    ran = subprocess.run(json.loads(line), stdin=subprocess.DEVNULL, capture_output=True, text=True)
    print(json.dumps([ran.returncode, ran.stdout, ran.stderr]), flush=True)
"""


class Shell:
    """A terminal session without a terminal, as a program has it: its commands are typed one after the other."""

    def __init__(self, desk: ServedDesk) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _REPL],
            cwd=desk.root,
            env=desk.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The leader of the session."""
        return self._process.pid

    def run(self, *arguments: str) -> Ran:
        """Run a command to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([*COMITY, *arguments]) + "\n")
        self._process.stdin.flush()
        return Ran(*json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=WITHIN_S)


class Terminal:
    """A person at a terminal of their own, who types one command."""

    def __init__(self, desk: ServedDesk, *arguments: str, program: tuple[str, ...] = COMITY, **more: str) -> None:
        environment: Mapping[str, str] = desk.environment(**more)
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(desk.root)
            os.execve(program[0], [*program, *arguments], dict(environment))  # noqa: S606 - the program under test
        self.shown = b""

    def until(self, text: str) -> str:
        """Read until ``text`` is shown; all that was shown."""
        end = time.monotonic() + WITHIN_S
        while not re.search(text.encode(), self.shown):
            ready, _, _ = select.select([self._terminal], [], [], max(0, end - time.monotonic()))
            assert ready, f"{text!r} was not shown: {self.shown!r}"
            more = self._read()
            assert more, f"{text!r} was not shown: {self.shown!r}"
        return self.shown.decode()

    def type(self, text: str) -> None:
        """Type, as on a keyboard."""
        os.write(self._terminal, text.encode())

    def ended(self) -> tuple[int, str]:
        """Wait for the end; the exit code (minus the signal) and all that was shown."""
        end = time.monotonic() + WITHIN_S
        while select.select([self._terminal], [], [], max(0, end - time.monotonic()))[0] and self._read():
            continue
        if time.monotonic() >= end:
            os.kill(self.pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self._terminal)
        return code, self.shown.decode().replace("\r\n", "\n")

    def _read(self) -> bytes:
        more = b""
        with suppress(OSError):  # the last of it was read
            more = os.read(self._terminal, 65_536)
        self.shown += more
        return more


def until(condition: Callable[[], T]) -> T:
    """What ``condition`` gives as soon as that is something."""
    end = time.monotonic() + WITHIN_S
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found
