"""What going on costs an auditor who keeps what was verified: see :mod:`benchmarks.audit`, of which it is a part."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from uuid import UUID

from benchmarks._figures import Report, peak_mb
from benchmarks.store import JP, NOW
from exchange.audit import Keeper
from exchange.audit.mirror import TileFolderSource, mirror
from exchange.audit.trace import trace
from exchange.audit.verify import EVERYTHING, LogMirror, VerifiedLog, VerifyPlan, verify_mirror
from keys.directory.view import Directory
from protocol.encoding.ids import new_message_id
from protocol.event import Event, EventName, encode_event
from protocol.log.checkpoint import Checkpoint, sign_checkpoint
from protocol.log.layout import TILE_WIDTH, decode_bundle, encode_bundle, entries_path, tile_path, tile_width
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree

GROWTH = 1_000
"""So many entries come to the log between two audits."""
TRACED = 200
FILLED = 1_000_000
"""A shorter log does not fill the caches: memory grows with it, and that is no slope."""
NOBODY = Directory(1, NOW + timedelta(days=365), [], [])


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What ``work`` returns in a process of its own: its memory is its own as well."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def leaves(count: int) -> Iterator[bytes]:
    """Entries of one shape, each with an id, digest and salt of its own."""
    event = Event(EventName.RelayAcceptance, NOW, new_message_id(NOW, bytes(10)), bytes(32), bytes(16), peer="fr")
    whole = encode_event(event)
    id_at = whole.index(event.message_id.bytes)
    digest_at = whole.index(b"\x05\x58\x20") + 3
    salt_at = whole.index(b"\x09\x50") + 2
    for number in range(count):
        name = number.to_bytes(8, "big")
        yield b"".join(
            (
                whole[: id_at + 8],
                b"\x80" + name[1:],  # the variant of a UUID
                whole[id_at + 16 : digest_at],
                sha256(name).digest(),
                whole[digest_at + 32 : salt_at],
                name,
                name,
                whole[salt_at + 16 :],
            )
        )


def message_id(number: int) -> UUID:
    """The message of entry ``number``."""
    return UUID(bytes=new_message_id(NOW, bytes(10)).bytes[:8] + b"\x80" + number.to_bytes(8, "big")[1:])


def serve(folder: Path, sizes: tuple[int, ...]) -> None:
    """A served log as it is at each of these sizes, in ``folder``/<size>; the longer ones are made of the shorter."""
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    entries: list[bytes] = []
    place = folder / str(sizes[0])
    for leaf in leaves(sizes[-1]):
        tree.append(leaf_hash(leaf))
        entries.append(leaf)
        if len(entries) == TILE_WIDTH:
            _write(place, entries_path(tree.size // TILE_WIDTH - 1), encode_bundle(entries))
            entries = []
        if tree.size % (TILE_WIDTH * TILE_WIDTH) == 0:
            _take(place, tree, tiles)
        if tree.size in sizes:
            if entries:
                _write(place, entries_path(tree.size // TILE_WIDTH, len(entries)), encode_bundle(entries))
            _take(place, tree, tiles)
            for (level, index), hashes in tiles.items():
                _write(place, tile_path(level, index, len(hashes) // 32), hashes)
            head = Checkpoint(JP.origin, tree.size, tree.root())
            _write(place, "checkpoint", sign_checkpoint(head, JP, NOW))
            if tree.size != sizes[-1]:
                grown = folder / str(sizes[sizes.index(tree.size) + 1])
                shutil.copytree(place, grown, copy_function=os.link)
                place = grown


def _take(place: Path, tree: TileTree, tiles: dict[tuple[int, int], bytes]) -> None:
    """Write the full tiles; those that are not stand in ``tiles``, with all above level 0."""
    for level, index, hashes in tree.take_changed_tiles():
        if len(hashes) == 32 * TILE_WIDTH:
            _write(place, tile_path(level, index), hashes)
        tiles[level, index] = hashes
    for key in [key for key in tiles if key[0] == 0 and len(tiles[key]) == 32 * TILE_WIDTH]:
        del tiles[key]


def _write(folder: Path, path: str, content: bytes) -> None:
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # it may be a link into the log as it was before
    target.write_bytes(content)


# --- Measuring -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU and wall seconds of a run, the most memory (MB), and that before it began."""

    cpu_s: float
    wall_s: float
    peak_mb: int
    idle_mb: int


def costing(work: Callable[[], Any]) -> tuple[Any, Cost]:
    """What ``work`` returns, and what it cost."""
    idle, began, began_cpu = int(peak_mb()), time.perf_counter(), time.process_time()
    result = work()
    return result, Cost(time.process_time() - began_cpu, time.perf_counter() - began, int(peak_mb()), idle)


def plan_of(kept: Path) -> VerifyPlan:
    """Verifying on from what is kept there."""
    return VerifyPlan(keeper=Keeper(kept, bytes(32)))


def verified(folder: Path, kept: Path | None) -> VerifiedLog:
    """The mirror, verified; it has no finding."""
    plan = EVERYTHING if kept is None else plan_of(kept)
    log = verify_mirror(LogMirror(folder, "jp", JP.verifier), NOBODY, plan)
    assert log.ok, log.findings[:3]
    return log


def measure_mirror(served: Path, folder: Path) -> Cost:
    """Mirroring a log, or what is new of it."""
    return costing(lambda: asyncio.run(mirror(TileFolderSource(served), folder, JP.verifier)))[1]


def measure_verify(folder: Path, kept: Path | None) -> Cost:
    """Verifying a mirror; with ``kept`` on from what is kept."""
    return costing(lambda: verified(folder, kept))[1]


def measure_trace(folder: Path, kept: Path, size: int) -> tuple[list[float], list[float], Cost]:
    """Milliseconds of tracing one message, and the memory.

    First of CPU, from the closed ledger and a look at all files of the mirror on; then in a log that is open.
    """
    picker = random.Random(1)  # noqa: S311 - the same messages every time, nothing secret
    whole, opened = [], []
    log = verified(folder, kept)
    for _ in range(TRACED):
        wanted = message_id(picker.randrange(size))
        began = time.perf_counter()
        assert len(trace(wanted, [log])) == 1
        opened.append((time.perf_counter() - began) * 1e3)
    for _ in range(TRACED // 10):
        wanted = message_id(picker.randrange(size))
        began = time.process_time()
        assert len(trace(wanted, [verified(folder, kept)])) == 1
        whole.append((time.process_time() - began) * 1e3)
    return whole, opened, Cost(0, 0, int(peak_mb()), 0)


def floor_of_files(folder: Path) -> float:
    """CPU seconds of looking at every file of the mirror."""
    began = time.process_time()
    for place, _folders, files in os.walk(folder):
        for name in files:
            os.lstat(os.path.join(place, name))
    return time.process_time() - began


def floor_of_trace(folder: Path, size: int) -> float:
    """Milliseconds of one row looked up by SQLite, and one bundle read, taken apart and hashed with its path."""
    connection = sqlite3.connect("", isolation_level=None)
    connection.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB)")
    connection.executemany("INSERT INTO row VALUES (?, ?)", [(None, bytes(100))] * 10_000)
    picker, times = random.Random(2), []  # noqa: S311 - as above
    for _ in range(TRACED):
        number, index = picker.randrange(10_000), picker.randrange(size // TILE_WIDTH)
        began = time.perf_counter()
        connection.execute("SELECT body FROM row WHERE id = ?", (number,)).fetchone()
        bundle = (folder / entries_path(index, tile_width(0, index, size))).read_bytes()
        for entry in decode_bundle(bundle):
            leaf_hash(entry)
        times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(times)


# --- Printing ------------------------------------------------------------------------------------------------------


Row = Callable[..., None]
"""Prints and keeps a figure: name, value, unit, and if there are any its floor and a note."""


def rows_of(report: Report, about: str) -> Row:
    """Rows of ``report`` on what is ``about``."""

    def row(name: str, figure: float, unit: str, floor: float | None = None, note: str = "") -> None:
        report.add(f"audit: {name.strip()}, {about}", figure, unit, floor)
        show(name, figure, unit, floor, note)

    return row


def show(name: str, figure: float, unit: str, floor: float | None = None, note: str = "") -> None:
    """A figure, its floor and their ratio."""
    beside = "" if floor is None else f"   floor {floor:10,.2f} {unit}   ratio {figure / floor:6.1f}"
    print(f"{name:52} {figure:12,.2f} {unit}{beside}{note and f'   {note}'}", flush=True)


def measure(report: Report, folder: Path, size: int, entry_floor_us: float) -> dict[str, float]:
    """Print what a log of ``size`` entries costs; the most memory of each kind of run (MB)."""
    row = rows_of(report, f"{size:,} entries")
    served, kept, beside = folder / "served", folder / "kept", folder / "mirror"
    alone(serve, served, (size, size + GROWTH))
    small, large = served / str(size), served / str(size + GROWTH)
    shutil.copytree(small, beside)
    print(f"--- a log of {size:,} entries, kept")
    memory: dict[str, float] = {}

    def told(name: str, cost: Cost, entries: int, floor_us: float) -> None:
        memory[name] = cost.peak_mb
        row(f"{name}, an entry", cost.cpu_s / entries * 1e6, "µs", floor_us, f"{cost.wall_s:.1f} s wall")

    told("verify at first, kept", alone(measure_verify, beside, kept), size, entry_floor_us)
    files_ms = alone(floor_of_files, beside) * 1e3
    alone(measure_verify, beside, kept)  # files that were young then are known by their marks from here on
    again = alone(measure_verify, beside, kept)
    memory["verify again"] = again.peak_mb
    row("verify again, nothing new", again.cpu_s * 1e3, "ms", files_ms)
    whole, opened, cost = alone(measure_trace, beside, kept, size)
    memory["trace"] = cost.peak_mb
    look_up = floor_of_trace(beside, size)
    row("trace, the ledger opened and the mirror looked at", statistics.median(whole), "ms", files_ms + look_up)
    row("  the slowest of them", max(whole), "ms", files_ms + look_up, "at most 100 at 1,000,000 entries")
    row("trace, in a log that is open", statistics.median(opened), "ms", look_up)
    grown = alone(measure_mirror, large, beside)
    row(f"mirror {GROWTH:,} new entries", grown.cpu_s * 1e3, "ms")
    after = alone(measure_verify, beside, kept)
    row(f"verify {GROWTH:,} new entries", after.cpu_s * 1e3, "ms", files_ms + GROWTH * entry_floor_us / 1e3)
    memory |= {"mirror on": grown.peak_mb, "verify on": after.peak_mb}
    whole_run = alone(measure_verify, beside, None)
    told("verify from the beginning, nothing kept", whole_run, size, entry_floor_us)
    for name, peak in memory.items():
        row(f"memory, {name}", peak, "MB", whole_run.idle_mb)
    ledger = sum(path.stat().st_size for path in kept.iterdir())
    row("disk of what is kept, an entry", ledger / size, "B")
    shutil.rmtree(beside)
    shutil.rmtree(kept)
    shutil.rmtree(served)
    return memory


def measure_both(report: Report, folder: Path, short: int, long: int, entry_floor_us: float) -> None:
    """Print the figures of a short log and of a long one, and how memory grows from one to the other."""
    at_short, at_long = (measure(report, folder, size, entry_floor_us) for size in (short, long))
    print("--- memory by length")
    for name, peak in at_long.items():
        slope = (peak - at_short[name]) / ((long - short) / 1e6)
        note = f"{at_short[name]:.0f} MB, then {peak:.0f}, at most 300"
        if long >= FILLED:
            report.slopes[f"memory MB of a million entries more, {name}"] = slope
        show(f"{name}, a million entries more", slope, "MB", None, note)
    size = short // 10
    alone(serve, folder / "served", (size, short))
    first, second = (
        alone(measure_mirror, folder / "served" / str(one), folder / f"mirrored-{one}") for one in (size, short)
    )
    slope = (second.peak_mb - first.peak_mb) / ((short - size) / 1e6)
    rows_of(report, f"{short:,} entries")(
        "mirror from nothing, an entry", second.cpu_s / short * 1e6, "µs", None, f"{second.wall_s:.1f} s wall"
    )
    note = f"{first.peak_mb} MB, then {second.peak_mb}, at most 300"
    if long >= FILLED:
        report.slopes["memory MB of a million entries more, mirror from nothing"] = slope
    show("  memory, a million entries more", slope, "MB", None, note)
    for name in ("served", f"mirrored-{size}", f"mirrored-{short}"):
        shutil.rmtree(folder / name)
