"""What auditing costs at scale, beside the floor of its parts.

    python -m benchmarks.audit [--entries N] [--log-entries N] [--full] [--json] [folder]

Each row is a figure, its floor in the same run, and their ratio.

Figures: the CPU of one entry that is verified, of a log without statements, of an honest node's log (a third of the
entries are signed by desks) and of the most that a log can have signed (half); two such logs reconciled, in time and in
the most memory that the process took; the CPU that an append costs at the end of a long log against a short one; the
time of a proof for any entry of the long log. Then, of a log that an auditor keeps: verified at first, again without
anything new, again with 1,000 new entries; one message traced; the most memory, and how much of it a million entries
more cost. ``--full`` measures 1,000,000 and 10,000,000 entries (some 6 GB of disk, some 20 minutes).

Floors: one leaf hashed, one entry decoded as bare CBOR, one signature verified by libsodium, one row of the same size
inserted by SQLite; all files of the mirror looked at (``lstat``); one row looked up by SQLite, one bundle read and
hashed; the memory of a process that has loaded the same modules.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import shutil
import sqlite3
import statistics
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2

from benchmarks import kept_audit
from benchmarks._figures import Report, add_json_option, peak_mb
from benchmarks.floor import cpu_us
from benchmarks.kept_audit import alone, leaves
from benchmarks.store import BATCH, FR, JP, NOW, PARIS, TOKYO, Signing, incoming
from exchange.audit.reconcile import reconcile
from exchange.audit.verify import LogMirror, VerifyPlan, verify_mirror
from keys.directory.cards import NodeCard
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from node.store.operations import AcceptTransfer, FoundLog
from node.store.sqlite.store import SqliteStore
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.encoding.ids import new_message_id
from protocol.event import Event, EventName, LeafReference, encode_event
from protocol.log.checkpoint import Checkpoint, sign_checkpoint
from protocol.log.layout import TILE_WIDTH, encode_bundle, entries_path, tile_path
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from protocol.statement import DeskStatement, sign_statement

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SIGNERS = {"jp": JP, "fr": FR}
DESKS = {"jp": TOKYO, "fr": PARIS}
KEYS = {node: generate_desk_keys() for node in DESKS}
ENROLLED = BEGIN - timedelta(days=1)
REPORT = Report("audit")
# CPU microseconds of the parts, once they were measured.
HANDED, OPENED = EventName.ContentHandover, EventName.ContentAccessTracking


class Writer:
    """Writes a mirror as a node's log would fill it, bundle by bundle."""

    def __init__(self, folder: Path, node: str) -> None:
        self.node = node
        self.folder = folder / node
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.tree = TileTree(0, lambda level, index: self.tiles[level, index])
        self._open: list[bytes] = []
        self._last = BEGIN

    def add(self, event: Event) -> LeafReference:
        entry = encode_event(event)
        hash_ = leaf_hash(entry)
        self._last = max(self._last, event.at)
        index = self.tree.append(hash_)
        self._open.append(entry)
        if len(self._open) == TILE_WIDTH:
            self._flush()
        return LeafReference(SIGNERS[self.node].origin, index, hash_)

    def _flush(self) -> None:
        self._write(entries_path((self.tree.size - 1) // TILE_WIDTH, len(self._open)), encode_bundle(self._open))
        self._open = []
        for level, index, hashes in self.tree.take_changed_tiles():
            self.tiles[level, index] = hashes

    def close(self) -> None:
        if self._open:
            self._flush()
        for (level, index), hashes in self.tiles.items():
            self._write(tile_path(level, index, len(hashes) // 32), hashes)
        signer = SIGNERS[self.node]
        note = sign_checkpoint(Checkpoint(signer.origin, self.tree.size, self.tree.root()), signer, self._last)
        self._write("checkpoint", note)

    def _write(self, path: str, content: bytes) -> None:
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def message(number: int, sender: Writer, receiver: Writer, *, stated: bool) -> None:
    """What both nodes log of one message."""
    at = BEGIN + timedelta(milliseconds=60 * number)
    desk = DESKS[receiver.node]
    shared: dict[str, Any] = {"message_id": new_message_id(at, os.urandom(10)), "digest": os.urandom(32)}

    def event(name: EventName, delay_ms: int, **more: Any) -> Event:
        return Event(name=name, at=at + timedelta(milliseconds=delay_ms), salt=os.urandom(16), **shared, **more)

    sender.add(event(EventName.SubmissionAcceptance, 0))
    taken = receiver.add(event(EventName.RelayAcceptance, 20, peer=sender.node))
    receiver.add(event(EventName.ContentConsignment, 20, recipient=desk))
    sender.add(event(EventName.RelayAcceptance, 40, peer=receiver.node, reference=taken))
    for name in (HANDED, OPENED) if stated else ():
        said = DeskStatement(name, shared["message_id"], shared["digest"], desk, at)
        statement = sign_statement(said, KEYS[receiver.node].signer())
        receiver.add(event(name, 50, recipient=desk, statement=statement))


def write_pair(folder: Path, entries: int) -> None:
    """Two honest logs of about so many entries each, a third of them statements."""
    jp, fr = Writer(folder, "jp"), Writer(folder, "fr")
    number = 0
    while fr.tree.size < entries:
        message(number, jp, fr, stated=True)
        message(number, fr, jp, stated=True)
        number += 1
    jp.close()
    fr.close()


def write_one(folder: Path, entries: int, *, stated: bool) -> None:
    """The log of a node that only receives: half of its entries are statements, or none."""
    jp, fr = Writer(folder / "other", "jp"), Writer(folder, "fr")
    number = 0
    while fr.tree.size < entries:
        message(number, jp, fr, stated=stated)
        number += 1
    fr.close()


# --- Measuring, each in a process of its own -----------------------------------------------------------------------


def cards() -> list[Any]:
    """The cards of both nodes and both desks."""
    found: list[Any] = []
    for node, desk in DESKS.items():
        keys = generate_node_keys(node, ["127.0.0.1"], ENROLLED)
        urls = ["https://127.0.0.1:8443"]
        found.append(node_card(node, keys, f"{node}.example/{node}", ENROLLED, name=node, urls=urls))
        found.append(contact_point_card(desk, KEYS[node], ENROLLED, office="Office", agency="Police"))
    return found


def directory(given: list[Any]) -> Directory:
    """The directory of these cards."""
    nodes = [card for card in given if isinstance(card, NodeCard)]
    return Directory(1, NOW + timedelta(days=365), nodes, [card for card in given if card not in nodes])


def measure_verify(folder: Path, node: str, given: list[Any], jobs: int) -> tuple[float, float, int, int]:
    """CPU and wall seconds, entries, and the most memory in MB."""
    began, began_cpu = time.perf_counter(), time.process_time()
    log = verify_mirror(LogMirror(folder / node, node, SIGNERS[node].verifier), directory(given), VerifyPlan(jobs=jobs))
    wall, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    assert log.ok, log.findings[:3]
    return cpu, wall, log.tree.size, int(peak_mb())


def measure_reconcile(folder: Path, given: list[Any], jobs: int) -> tuple[float, float, float, int, int]:
    """Seconds of all, of its CPU in this process and of the matching; messages; and the most memory in MB."""
    began, began_cpu = time.perf_counter(), time.process_time()
    jp, fr = (
        verify_mirror(LogMirror(folder / node, node, SIGNERS[node].verifier), directory(given), VerifyPlan(jobs=jobs))
        for node in ("jp", "fr")
    )
    verified = time.perf_counter()
    result = reconcile(jp, fr)
    ended = time.perf_counter()
    assert result.ok, result.rows[:3]
    assert not result.rows
    peak = int(peak_mb())
    return ended - began, time.process_time() - began_cpu, ended - verified, result.messages, peak


# --- A long log in a node's store ----------------------------------------------------------------------------------


async def seed(path: Path, size: int) -> SqliteStore:
    """A store whose log has ``size`` entries: their rows, every tile, and the head, signed. Its messages are purged."""
    store = SqliteStore(path, JP.origin)
    await store.open()
    store.apply([FoundLog(NOW)], Signing(JP))
    store.release()
    await store.close()
    connection = sqlite3.connect(path, isolation_level=None)
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    rows: list[tuple[int, bytes, str, int]] = []
    for leaf in leaves(size):
        rows.append((tree.append(leaf_hash(leaf)), leaf, "RelayAcceptance", tree.size - 1))
        if len(rows) == 4096 or tree.size == size:
            connection.executemany("INSERT INTO event (idx, leaf, name, message) VALUES (?, ?, ?, ?)", rows)
            rows.clear()
            changed = tree.take_changed_tiles()
            connection.executemany("INSERT OR REPLACE INTO tile (level, idx, hashes) VALUES (?, ?, ?)", changed)
            tiles = {key: tiles[key] for key in tiles if key[0]} | {(level, n): hashes for level, n, hashes in changed}
    root = tree.root()
    note = sign_checkpoint(Checkpoint(JP.origin, size, root), JP, NOW)
    connection.execute("INSERT INTO checkpoint (size, root, note) VALUES (?, ?, ?)", (size, root, note))
    connection.execute("COMMIT")
    connection.close()
    await store.open()
    store.release()
    return store


def append_us(store: SqliteStore, batches: int) -> float:
    """CPU microseconds of appending one transfer (two leaves), signing left out; the median of batches."""
    costs = []
    for _ in range(batches):
        operations = [AcceptTransfer(incoming(PARIS, TOKYO), "fr", (TOKYO,), NOW) for _ in range(BATCH)]
        signing = Signing(JP)
        began = time.process_time()
        store.apply(operations, signing)
        costs.append((time.process_time() - began - signing.cpu_s) / BATCH * 1e6)
        store.release()
    return statistics.median(costs)


async def measure_store(folder: Path, short: int, long: int) -> None:
    stores = [await seed(folder / f"log-{size}.db", size) for size in (short, long)]
    # In turns, so that what else the machine does falls on both.
    rounds = [[append_us(store, 20) for store in stores] for _ in range(10)]
    at_short, at_long = (statistics.median(costs) for costs in zip(*rounds, strict=True))
    REPORT.add(f"audit: append at {long:,} entries", at_long, "µs CPU", at_short)
    print(f"append at {short:,} entries          {at_short:8.1f} µs CPU/op")
    print(f"append at {long:,} entries      {at_long:8.1f} µs CPU/op   {at_long / at_short:5.2f} times (at most 1.2)")
    times = []
    picker = random.Random(1)  # noqa: S311 - the same entries every time, nothing secret
    for _ in range(2000):
        index = picker.randrange(long)
        began = time.perf_counter()
        await stores[1].reads.inclusion_path(index)
        times.append((time.perf_counter() - began) * 1e3)
    times.sort()
    REPORT.add(f"audit: proof of any of {long:,} entries, slowest", times[-1], "ms")
    print(
        f"proof of any of {long:,} entries {statistics.median(times):7.2f} ms median"
        f"   {times[int(len(times) * 0.99)]:6.2f} ms of 99 %   {times[-1]:6.2f} ms slowest (at most 5)"
    )
    for store in stores:
        await store.close()


# --- Printing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Floor:
    """CPU microseconds of what nothing can be cheaper than: for each entry, and for each that is signed."""

    hash_us: float
    decode_us: float
    verify_us: float
    row_us: float

    def of(self, signed: float) -> float:
        """The floor of an entry in a log of which the part ``signed`` (0 to 1) has a statement inside."""
        return self.hash_us + self.row_us + self.decode_us * (1 + signed) + self.verify_us * signed


def measure_floor(rounds: int = 20_000) -> Floor:
    """Measure and print the parts."""
    at = BEGIN
    plain = Event(EventName.ContentConsignment, at, new_message_id(at, bytes(10)), bytes(32), bytes(16), PARIS)
    entry = encode_event(plain)
    signer = Ed25519Signer(bytes(32))
    verifier, signature = Ed25519Verifier(signer.public_key), signer.sign(entry)
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")
    connection.execute("BEGIN")
    rows = [(None, entry)] * 256
    floor = Floor(
        cpu_us(lambda: leaf_hash(entry), rounds),
        cpu_us(lambda: cbor2.loads(entry), rounds),
        cpu_us(lambda: verifier.verify(entry, signature), rounds // 10),
        cpu_us(lambda: connection.executemany("INSERT INTO row VALUES (?, ?)", rows), rounds // 256) / 256,
    )
    print(f"floor: hash a leaf {floor.hash_us:21.2f} µs")
    print(f"floor: bare CBOR decode {floor.decode_us:16.2f} µs")
    print(f"floor: libsodium verify {floor.verify_us:16.2f} µs")
    print(f"floor: SQLite row {floor.row_us:22.2f} µs")
    return floor


def print_verify(name: str, figures: tuple[float, float, int, int], floor_us: float | None) -> None:
    cpu, wall, entries, peak = figures
    each = cpu / entries * 1e6
    REPORT.add(f"audit: {name.strip()}", each, "µs CPU", floor_us)
    REPORT.slopes[f"memory MB of {entries:,} entries, {name.strip()}"] = peak
    beside = "" if floor_us is None else f"   floor {floor_us:6.1f} µs   ratio {each / floor_us:5.1f}"
    print(
        f"{name:44} {entries / cpu:9,.0f} entries/s of CPU   {each:6.1f} µs{beside}   {wall:6.1f} s wall   {peak} MB",
        flush=True,
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", nargs="?", help="where to work; needs some 6 GB with --full")
    arguments.add_argument("--entries", type=int, default=60_000, help="entries of each log that is verified")
    arguments.add_argument("--log-entries", type=int, default=300_000, help="entries of the long log")
    arguments.add_argument("--full", action="store_true", help="1,000,000 and 10,000,000 entries")
    add_json_option(arguments)
    given = arguments.parse_args()
    entries, long = (1_000_000, 10_000_000) if given.full else (given.entries, given.log_entries)
    with REPORT.shown(given.json), tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        floor = measure_floor()
        known = cards()
        for part, stated in (("without", False), ("half", True)):
            write_one(folder / part, min(entries, 200_000), stated=stated)
        write_pair(folder / "pair", entries)
        print_verify("verify, no statements", alone(measure_verify, folder / "without", "fr", known, 1), floor.of(0))
        print_verify("verify, a third signed", alone(measure_verify, folder / "pair", "fr", known, 1), floor.of(1 / 3))
        print_verify("verify, half signed", alone(measure_verify, folder / "half", "fr", known, 1), floor.of(1 / 2))
        print_verify(
            "  the same with two processes (parent's CPU)",
            alone(measure_verify, folder / "half", "fr", known, 2),
            None,
        )
        for jobs in (1, 2):
            total, cpu, matching, messages, peak = alone(measure_reconcile, folder / "pair", known, jobs)
            least = 2 * entries * floor.of(1 / 3) / 1e6
            REPORT.add(f"audit: reconcile two logs of {entries:,}, --jobs {jobs}", total, "s", least)
            print(
                f"reconcile two logs of {entries:,}, --jobs {jobs}: {total:.1f} s ({cpu:.1f} s CPU of one"
                f" process; floor {least:.1f} s, ratio {cpu / least:.1f}), of which matching {matching:.1f} s;"
                f" {messages:,} messages; {peak} MB"
            )
        asyncio.run(measure_store(folder, 10_000, long))
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        kept_audit.measure_both(REPORT, folder, entries, long, floor.of(0))


if __name__ == "__main__":
    main()
