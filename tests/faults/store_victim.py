"""A node's sequencer in a process of its own, to be killed or starved.

Prints one line per acknowledged envelope: its number, its leaf's index, and of the checkpoint the size, the root and
the digest. The envelopes are made from their numbers, so that another process can submit the same ones again.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from node.log.checkpoint_file import CheckpointFile, KeptCheckpoint
from node.log.sequencer import Sequencer
from node.store.operations import AcceptTransfer, Done, Incoming
from node.store.sqlite.store import SqliteStore
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.log.checkpoint import SoftLogSigner, parse_checkpoint

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SIGNER = SoftLogSigner("jp.example/log", bytes([1]) * 32, bytes([2]) * 32)
DESK, SENDER = Address.parse("24-7@jp"), Address.parse("24-7@fr")


def numbered(number: int) -> AcceptTransfer:
    """The transfer of envelope ``number``."""
    seed = sha256(number.to_bytes(8, "big")).digest()
    raw = seed * 64
    message_id = new_message_id(NOW, seed[:10])
    message = Incoming(
        raw, sha256(raw).digest(), message_id, SENDER, (DESK,), NOW, NOW + timedelta(days=1), 0, bytes(32)
    )
    return AcceptTransfer(message, "fr", (DESK,), NOW)


def new_sequencer(folder: Path) -> tuple[Sequencer, SqliteStore]:
    """The node in ``folder``."""
    store = SqliteStore(folder / "node.db", SIGNER.origin)
    return Sequencer(store, SIGNER, KeptCheckpoint(CheckpointFile(folder / "last-checkpoint")), lambda: NOW), store


async def work(folder: Path, first: int, clients: int = 24) -> None:
    """Accept envelopes from ``first`` on, for ever, ``clients`` at a time."""
    sequencer, _ = new_sequencer(folder)
    await sequencer.start()
    print("started", flush=True)
    numbers = iter(range(first, sys.maxsize))

    async def client() -> None:
        for number in numbers:
            outcome = await sequencer.submit(numbered(number))
            if isinstance(outcome, Done):
                receipt = outcome.receipts[0]
                note = receipt.checkpoint
                head = parse_checkpoint(note)
                print(number, receipt.index, head.size, head.root.hex(), sha256(note).hexdigest(), flush=True)

    await asyncio.gather(*(client() for _ in range(clients)))


if __name__ == "__main__":
    asyncio.run(work(Path(sys.argv[1]), int(sys.argv[2])))
