"""A desk's program that sends to another nation and takes what comes, until it is killed: then it is begun again.

    python -m tests.faults.kill_desk HOME TO JOURNAL STOP

Each batch goes under a key of its own. Its messages stand in the journal when they were submitted, or kept to be; a
program that begins again goes on behind the last whole line. When the file STOP is there, nothing new is sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from exchange.desk.desk import Desk
from exchange.messaging.once import under_key
from protocol.errors import ComityError
from tests.worlds.processes import PASSPHRASE, request_draft

BATCH = 4


async def run(home: Path, to: str, journal: Path, stop: Path) -> None:
    """Open the desk and work on it; begin again where a node cannot be reached, as a person would."""
    while True:
        try:
            async with Desk.open(home, PASSPHRASE) as desk:
                await _work(desk, to, journal, stop)
        except ComityError as problem:
            if not problem.retryable:
                raise
            await asyncio.sleep(0.05)


async def _work(desk: Desk, to: str, journal: Path, stop: Path) -> None:
    number = len(_whole_lines(journal))
    while True:
        sends = not _is_there(stop)
        if sends:
            number = await _send(desk, to, journal, number)
        await desk.messages.sync(0 if sends else 1)


def _is_there(file: Path) -> bool:
    return file.exists()


async def _send(desk: Desk, to: str, journal: Path, number: int) -> int:
    """Send one batch, the ``number``-th of this desk; the number of the next."""
    names = [f"{desk.address.node}-{number}-{part}" for part in range(BATCH)]
    with under_key(f"batch-{number}"):
        sent = await desk.messages.send_many([{**request_draft(), "to": [to], "own_reference": name} for name in names])
    with journal.open("a", encoding="utf-8") as file:
        file.write(json.dumps([str(one.id) for one in sent]) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return number + 1


def _whole_lines(journal: Path) -> list[str]:
    """The lines that were written to their end; a part of one that a kill cut off is taken away."""
    if not journal.exists():
        return []
    whole, _, _ = journal.read_text("utf-8").rpartition("\n")
    lines = whole.splitlines()
    journal.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return lines


def main() -> None:
    """Run until somebody ends it."""
    home, to, journal, stop = sys.argv[1:]
    asyncio.run(run(Path(home), to, Path(journal), Path(stop)))


if __name__ == "__main__":
    main()
