"""A pseudo-terminal of 80 columns in which a test types as an officer does, and reads what stands there."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.worlds.patience import WITHIN_S

COLUMNS = 80
ROOT = Path(__file__).resolve().parents[2]
COMITY = (sys.executable, "-m", "exchange.cli.main")
# The pseudo-terminal becomes that of the program, so that Ctrl-C there is a signal.
_WITH_TERMINAL = (
    sys.executable,
    "-c",
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])",
)
INTERRUPT = "\x03"
# At the beginning of a line: an editor of lines shows it again behind a carriage return alone.
PROMPT = "\n> "


class Terminal:
    """One program at a pseudo-terminal."""

    def __init__(self, master: int, program: subprocess.Popen[bytes]) -> None:
        self._master = master
        self._program = program
        self.shown = ""
        self._looked_at = 0

    def until(self, text: str, within_s: float = WITHIN_S) -> str:
        """What the program showed since it was last looked at, up to ``text``.

        Fails when the program ends before, or takes too long.
        """
        begun, until = self._looked_at, time.monotonic() + within_s
        while (found := self.shown.find(text, begun)) < 0:
            left = until - time.monotonic()
            assert left > 0, f"no {text!r} in {self.shown[begun:]!r}"
            assert self._read(left) or text in self.shown[begun:], f"it ended without {text!r}: {self.shown[begun:]!r}"
        self._looked_at = found + len(text)
        return self.shown[begun : self._looked_at]

    def answer(self, *lines: str) -> str:
        """Type each line and Enter, where the program asks; what it showed up to the first."""
        shown = [self.until(PROMPT)]
        for place, text in enumerate(lines):
            if place:
                shown.append(self.until(PROMPT))
            self.type(text + "\n")
        return shown[0]

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def end(self, within_s: float = WITHIN_S) -> int:
        """Read what is left; the exit code."""
        until = time.monotonic() + within_s
        while self._read(max(0.1, until - time.monotonic())) and time.monotonic() < until:
            pass
        return self._program.wait(within_s)

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if not ready:
            return True
        try:
            more = os.read(self._master, 65_536)
        except OSError:  # Linux: the other end is closed
            return False
        self.shown += more.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(more)


@contextmanager
def terminal(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    columns: int = COLUMNS,
) -> Iterator[Terminal]:
    """``command`` at a pseudo-terminal in ``folder``, ``columns`` wide; it is ended with the block."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {**os.environ, "TERM": "dumb", "PYTHONPATH": str(ROOT), **(environment or {})}
    with subprocess.Popen(
        [*_WITH_TERMINAL, *command],
        stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=environ, start_new_session=True,
    ) as program:  # fmt: skip
        os.close(slave)
        try:
            yield Terminal(master, program)
        finally:
            if program.poll() is None:
                program.kill()
            os.close(master)
