"""What storing costs, beside the floor of what the machine can do.

    python -m benchmarks.store [folder] [--count 10240] [--json]

Figure: CPU per operation of ``apply`` for batches of 64 transfers of 3 KB (two leaves, tiles, proofs, rows), and of the
other operations of a message's life. Floor, in the same run: bare SQLite inserts of the same bytes in the same
batches, fsync of this disk, one checkpoint signature. CPU is process time: it leaves out waiting for the disk.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from benchmarks._figures import Report, add_json_option, database_bytes
from node.store.operations import (
    AcceptSubmission,
    AcceptTransfer,
    Done,
    FoundLog,
    Incoming,
    MarkReceiptsSent,
    Operation,
    RecordRelayed,
    RecordStatement,
)
from node.store.reads import OutboundKind, Portion
from node.store.sqlite.store import SqliteStore
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding.ids import new_message_id
from protocol.event import EventName, LeafReference
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.receipt import ReceiptVerifier
from protocol.statement import DeskStatement, parse_statement, sign_statement, verify_statement

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
BATCH = 64
INSERT = "floor: bare insert of the bytes"
ENVELOPE_BYTES = 3072
TOKYO, PARIS = Address.parse("24-7@jp"), Address.parse("24-7@fr")
JP = SoftLogSigner("jp.example/log", bytes(32), bytes([1]) * 32)
FR = SoftLogSigner("fr.example/log", bytes([2]) * 32, bytes([3]) * 32)
DESK = Ed25519Signer(bytes([9]) * 32)


_made = itertools.count()


def incoming(sender: Address, recipient: Address) -> Incoming:
    raw = os.urandom(ENVELOPE_BYTES)
    # Ids sort by time, as they do in life: 2,000 a second.
    message_id = new_message_id(NOW + timedelta(seconds=next(_made) / 2000), os.urandom(10))
    return Incoming(
        raw, sha256(raw).digest(), message_id, sender, (recipient,), NOW, NOW + timedelta(days=30), 0, os.urandom(32)
    )


def handover(message: Incoming) -> RecordStatement:
    statement = DeskStatement(EventName.ContentHandover, message.message_id, message.digest, TOKYO, NOW, ())
    signed = parse_statement(sign_statement(statement, DESK))
    return RecordStatement(verify_statement(signed, Ed25519Verifier(DESK.public_key)), NOW)


def batches(operations: Sequence[Operation]) -> Iterator[Sequence[Operation]]:
    for at in range(0, len(operations), BATCH):
        yield operations[at : at + BATCH]


class Signing:
    """A signer that counts its own time, so that it can be told apart."""

    def __init__(self, signer: SoftLogSigner) -> None:
        self._signer = signer
        self.cpu_s = 0.0

    def __call__(self, checkpoint: Checkpoint, at: datetime) -> bytes:
        began = time.process_time()
        note = sign_checkpoint(checkpoint, self._signer, at)
        self.cpu_s += time.process_time() - began
        return note


REPORT = Report("store")
# CPU microseconds of one bare insert of an envelope's bytes, once it was measured.
_FLOOR: dict[str, float] = {}


def run(store: SqliteStore, name: str, operations: Sequence[Operation], signer: SoftLogSigner = JP) -> list[Done]:
    signing = Signing(signer)
    outcomes: list[Done] = []
    slowest = 0.0
    began, began_cpu = time.perf_counter(), time.process_time()
    for batch in batches(operations):
        at = time.perf_counter()
        outcomes += [outcome for outcome in store.apply(batch, signing).outcomes if isinstance(outcome, Done)]
        slowest = max(slowest, time.perf_counter() - at)
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    store.release()
    assert len(outcomes) == len(operations)
    count = len(operations)
    print(
        f"{name:34} {(cpu - signing.cpu_s) / count * 1e6:7.1f} µs CPU/op"
        f"   {signing.cpu_s / count * 1e6:6.1f} µs signing/op   {count / wall:8.0f} op/s"
        f"   slowest batch {slowest * 1e3:6.1f} ms"
    )
    REPORT.add(f"store: {name}", (cpu - signing.cpu_s) / count * 1e6, "µs CPU", _FLOOR.get("insert"))
    return outcomes


@contextmanager
def timed(name: str, count: int) -> Iterator[None]:
    began, began_cpu = time.perf_counter(), time.process_time()
    yield
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    if name == INSERT:
        _FLOOR["insert"] = cpu / count * 1e6
    print(f"{name:34} {cpu / count * 1e6:7.1f} µs CPU/op   {wall / count * 1e6:8.1f} µs wall/op")


def floor_inserts(folder: Path, count: int) -> None:
    """The least that SQLite can do: one row of the envelope's size per message, WAL, synchronous=FULL."""
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    connection.execute("PRAGMA page_size = 8192")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, raw BLOB)")
    rows = [(None, os.urandom(ENVELOPE_BYTES)) for _ in range(count)]
    with timed(INSERT, count):
        for at in range(0, count, BATCH):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO row VALUES (?, ?)", rows[at : at + BATCH])
            connection.execute("COMMIT")
    connection.close()


def floor_fsync(folder: Path, count: int = 50) -> None:
    descriptor = os.open(folder / "fsync", os.O_RDWR | os.O_CREAT)
    with timed("floor: write of 8 KB and fsync", count):
        for _ in range(count):
            os.write(descriptor, bytes(8192))
            os.fsync(descriptor)
    os.close(descriptor)


async def measure(folder: Path, count: int) -> None:
    store = SqliteStore(folder / "node.db", JP.origin)
    partner = SqliteStore(folder / "partner.db", FR.origin)
    await store.open()
    await partner.open()
    for one, signer in ((store, JP), (partner, FR)):
        one.apply([FoundLog(NOW)], Signing(signer))
        one.release()

    received = [incoming(PARIS, TOKYO) for _ in range(count)]
    transfers = [AcceptTransfer(message, "fr", (TOKYO,), NOW) for message in received]
    run(store, "AcceptTransfer", transfers)
    with timed("mailbox read, 100 at a time", count):
        after = 0
        while entries := await store.reads.mailbox(TOKYO, after, 100, 1 << 22):
            after = entries[-1].seq
    run(store, "AcceptTransfer, repeated", transfers[-2048:])
    run(store, "RecordStatement (handover)", [handover(message) for message in received])
    rows = await store.reads.due_outbound("fr", OutboundKind.RECEIPTS, NOW, Portion(count, 1 << 40))
    run(store, "MarkReceiptsSent", [MarkReceiptsSent((row.outbound_id,)) for row in rows])

    sent = [incoming(TOKYO, PARIS) for _ in range(count)]
    run(store, "AcceptSubmission, onward", [AcceptSubmission(message, (), {"fr": (PARIS,)}, NOW) for message in sent])
    done = run(partner, "AcceptTransfer at the partner", [AcceptTransfer(m, "jp", (PARIS,), NOW) for m in sent], FR)
    queued = {
        row.digest: row
        for row in await store.reads.due_outbound("fr", OutboundKind.ENVELOPE, NOW, Portion(count, 1 << 40))
    }
    verifier = ReceiptVerifier({FR.origin: FR.verifier}.__getitem__)
    relayed = []
    for message, outcome in zip(sent, done, strict=True):
        receipts = tuple(verifier.verify(receipt) for receipt in outcome.receipts)
        reference = LeafReference(receipts[0].origin, receipts[0].index, receipts[0].leaf_hash)
        relayed.append(RecordRelayed(queued[message.digest].outbound_id, receipts, reference, NOW))
    run(store, "RecordRelayed (two receipts)", relayed)

    stats = await store.reads.stats()
    REPORT.slopes["disk bytes a log entry, store"] = database_bytes(folder / "node.db") / max(1, stats.log_size)
    print(f"log {stats.log_size} leaves, database {stats.database_bytes >> 20} MB, WAL {stats.wal_bytes >> 20} MB")
    await store.close()
    await partner.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="where to work")
    parser.add_argument("--count", type=int, default=10240)
    add_json_option(parser)
    given = parser.parse_args()
    count = given.count
    with REPORT.shown(given.json), tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        floor_fsync(folder)
        floor_inserts(folder, count)
        signing = Signing(JP)
        with timed("floor: one checkpoint signature", 50):
            for _ in range(50):
                signing(Checkpoint(JP.origin, 1, bytes(32)), NOW)
        asyncio.run(measure(folder, count))


if __name__ == "__main__":
    main()
