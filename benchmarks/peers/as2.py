"""django-pyas2 as a peer: AS2 messages of 2 KB, encrypted and signed, each answered by a signed receipt (MDN).

    python -m benchmarks.peers.as2 [--count 100] [--json]

Two partners, two processes, a database each. AS2 is what customs and trade use for the same task: the receipt is a
signature, kept by whoever got it, and no log anywhere says that there was one.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks._figures import Figure
from benchmarks.peers._peer import (
    CONTENT_BYTES,
    NotInstalledError,
    environment,
    free_port,
    main,
    python_environment,
    wait_for,
)
from benchmarks.throughput import CYCLES

CHILD = Path(__file__).parent / "children" / "as2_exchange.py"


def measure(count: int) -> Sequence[Figure]:
    """Messages a second, each with its verified receipt."""
    python = python_environment("as2")
    with tempfile.TemporaryDirectory(prefix="comity-peer-") as folder:
        port = free_port()

        def child(role: str, *given: object) -> list[str]:
            return [str(python), str(CHILD), role, folder, str(port), *map(str, given)]

        _finish(child("prepare"))
        server = subprocess.Popen(
            child("serve"), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(port, server)
            told = _finish(child("send", count, CONTENT_BYTES))
            return [Figure(CYCLES, json.loads(told.splitlines()[-1])["per_s"], "/s", more_is_better=True)]
        finally:
            server.terminate()
            server.wait(60)


def _finish(command: Sequence[str]) -> str:
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise NotInstalledError(f"its program failed: {(done.stderr.strip() or 'silently').splitlines()[-1]}")
    return done.stdout


if __name__ == "__main__":
    main("django-pyas2", __doc__ or "", 100, 10, measure)
