"""What evidence files cost: sealing, moving over two nodes, many small ones, memory, messages meanwhile, and a kill.

    python -m benchmarks.files [--mib 256] [--small 2000] [--messages 100] [--rounds 5] [--folder FOLDER] [--json]

``--mib 1024 --small 10000`` is the full run. A value is the median of the rounds; in each round the floor, the peers
and Comity take turns with the same bytes, so that what else the machine does falls on all of them.

- sealing: the floor is SHA-256 of the plaintext, AES-256-GCM and SHA-256 of the ciphertext on two threads, nothing read
  or written; beside it ``age`` and ``openssl enc -aes-256-ctr``, which hash nothing;
- desk, node, node, desk, each verified and durable: the floor is three copies on this disk at the same time, each
  synced; beside it three ``curl`` PUT to nginx over TLS at the same time, each synced. The same for many small files;
- processor time that a MiB costs each process, which other programs on the machine change less than the clock;
- memory of every process above idle, sampled twenty times a second: resident, and what the kernel cannot drop of it;
- a message to a partner while files move; its floor is the same when they do not;
- bytes that go over the wire a second time when a process is killed (SIGKILL) in the middle; the floor is a segment
  for each request that is under way.

Peers that are not installed are fetched from Debian and unpacked. A line below each figure says what its goal is.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Queue
from statistics import median, quantiles
from subprocess import run

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks._figures import Report, add_json_option
from benchmarks._files_peers import COPIES, CURL, copying, putting, sealers, seconds
from benchmarks._files_wire import counted
from benchmarks.peers._peer import NotInstalledError
from exchange.desk.desk import Desk
from exchange.files.given import attaching
from exchange.files.progress import Meter
from exchange.files.sealing import FileSealing, WantedFile, segment_bytes_of
from exchange.files.shelf import Shelf
from tests.worlds.processes import PASSPHRASE, World, desk, request_draft, world

MIB = 1 << 20
REPORT = Report("files")
MOVING, SMALL, SEALING = "files: desk to desk over two nodes", "files: small ones, sealed to received", "files: sealing"
_CHUNK = 16 * 1024
_SMALL_BYTES = 10_000
_A_SET = 1_000
_KILLED_MIB = 96  # is moved while a process is killed
_STREAMS = 3  # requests of one message's files under way over one hop


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=256, help="size of the large file")
    parser.add_argument("--small", type=int, default=2000, help="how many small files")
    parser.add_argument("--messages", type=int, default=100, help="messages alone, and while files move")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; it needs some ten times the large file")
    add_json_option(parser)
    given = parser.parse_args()
    with REPORT.shown(given.json), tempfile.TemporaryDirectory(dir=given.folder) as folder:
        source = Path(folder) / "image.dd"
        _write(source, given.mib)
        _sealing(source, given.rounds)
        asyncio.run(_over_nodes(Path(folder), source, given))
        asyncio.run(_killed(Path(folder), min(given.mib, _KILLED_MIB)))


# --- Sealing ---


def _sealing(source: Path, rounds: int) -> None:
    mib = source.stat().st_size / MIB
    rates, floors, peers = list[float](), list[float](), dict[str, list[float]]()
    spent, spent_by_floor = list[float](), list[float]()
    for _ in range(rounds):
        before = time.process_time()
        floors.append(mib / seconds(lambda: _sealing_floor(int(mib))))
        spent_by_floor.append((time.process_time() - before) * 1000 / mib)
        with tempfile.TemporaryDirectory(dir=source.parent) as folder:
            shelf = Shelf(Path(folder) / "files")
            with shelf.batch() as batch:
                sealing = FileSealing(shelf, batch, threading.Event())
                before = time.process_time()
                rates.append(mib / seconds(partial(sealing.seal, WantedFile(source), Meter("sealing", 0))))
                spent.append((time.process_time() - before) * 1000 / mib)
        try:
            commands = sealers(source)
        except NotInstalledError as problem:
            REPORT.missing["age"] = str(problem)
            continue
        for name, command in commands.items():
            peers.setdefault(name, []).append(mib / seconds(partial(run, command, check=True)))
    source.with_suffix(".out").unlink(missing_ok=True)
    _rate(SEALING, rates, floors, "the cryptography alone", 0.8)
    REPORT.add("files: processor time of a MiB that is sealed", median(spent), "ms", median(spent_by_floor))
    print(f"  processor time of a MiB: {median(spent):.2f} ms; the cryptography alone {median(spent_by_floor):.2f} ms")
    for name, found in peers.items():
        REPORT.add_peer(name, SEALING, median(found), "MiB/s", more_is_better=True)
        print(f"  {name}: {median(found):.0f} MiB/s")


def _sealing_floor(mib: int) -> None:
    """The cryptography alone: two hashes and one encryption of so many MiB, on two threads."""
    block, out = os.urandom(MIB), bytearray(MIB + 64 * 16)
    aead, given = AESGCM(os.urandom(32)), Queue[memoryview | None](4)
    hashes = hashlib.sha256(), hashlib.sha256()

    def hashing() -> None:
        while (piece := given.get()) is not None:
            hashes[1].update(piece)

    taker = threading.Thread(target=hashing)
    taker.start()
    view, sealed = memoryview(block), memoryview(out)
    for number in range(mib):
        hashes[0].update(block)
        for chunk in range(MIB // _CHUNK):
            nonce = (number * 64 + chunk).to_bytes(12, "big")
            part = sealed[chunk * (_CHUNK + 16) : (chunk + 1) * (_CHUNK + 16)]
            aead.encrypt_into(nonce, view[chunk * _CHUNK : (chunk + 1) * _CHUNK], None, part)
        given.put(sealed)
    given.put(None)
    taker.join()


# --- Memory ---


@dataclass(slots=True)
class _Memory:
    """The most memory of processes, MB by name: resident, and what the kernel cannot drop."""

    processes: Mapping[str, int]
    most: dict[str, tuple[float, float]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def sample(self) -> None:
        while not self._ended.wait(0.05):
            for name, pid in self.processes.items():
                resident, anonymous = _memory_of(pid)
                before = self.most.get(name, (0.0, 0.0))
                self.most[name] = max(before[0], resident), max(before[1], anonymous)


@contextmanager
def _sampled(processes: Mapping[str, int]) -> Iterator[_Memory]:
    memory = _Memory(processes)
    taker = threading.Thread(target=memory.sample)
    taker.start()
    try:
        yield memory
    finally:
        memory._ended.set()
        taker.join()


def _memory_of(pid: int) -> tuple[float, float]:
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return 0.0, 0.0
    values = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return tuple(int(values[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))  # type: ignore[return-value]


# --- Moving ---


class _Receiver:
    """The desk of fr in a process of its own, which keeps watch; it may be killed and begun again."""

    def __init__(self, made: World) -> None:
        self._home = made.root / "desk-fr"
        self.process: asyncio.subprocess.Process
        self._began = asyncio.Event()

    async def start(self) -> None:
        command = (sys.executable, "-m", "benchmarks._files_desk", str(self._home), PASSPHRASE.decode())
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
        assert await self._line() == "ready", "the receiving desk ended"
        self._began.set()

    async def has(self, message: str) -> None:
        """Return when all files of the message are there."""
        while True:
            process = self.process
            line = await self._line()
            if line == message:
                return
            if not line:  # it ended: it was killed, or that is a defect
                await self._began.wait()
                assert self.process is not process, "the receiving desk ended"

    async def restart(self) -> None:
        """Kill it, and begin it again."""
        self._began.clear()
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        await self.start()

    async def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()

    async def _line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()


@asynccontextmanager
async def _receiving(made: World) -> AsyncIterator[_Receiver]:
    receiver = _Receiver(made)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


async def _over_nodes(folder: Path, source: Path, given: argparse.Namespace) -> None:
    async with world(folder) as made, desk(made, "jp") as jp, _receiving(made) as fr:
        await _sent(jp, fr, [_file(folder, "first", 1000)])
        processes = {"desk jp": os.getpid(), "desk fr": fr.process.pid}
        processes |= {f"node {name}": node.process.pid for name, node in made.nodes.items()}
        idle = {name: _memory_of(pid) for name, pid in processes.items()}
        with _sampled(processes) as memory:
            await _moving(jp, fr, source, given.rounds, processes)
        for name, (resident, anonymous) in memory.most.items():
            more = resident - idle[name][0], anonymous - idle[name][1]
            REPORT.add(f"files: memory above idle, {name}", more[0], "MB")
            REPORT.add(f"files: memory above idle that stays, {name}", more[1], "MB")
            print(f"  {name}: {more[0]:.0f} MB above idle resident, {more[1]:.0f} MB of it not of files (goal 64)")
        await _small(jp, fr, folder, given.small)
        await _messages(jp, fr, source, given.messages)


async def _moving(jp: Desk, fr: _Receiver, source: Path, rounds: int, processes: Mapping[str, int]) -> None:
    rates, floors, peers = list[float](), list[float](), list[float]()
    spent, spent_by_peers = dict[str, list[float]](), list[float]()
    mib = await asyncio.to_thread(lambda: source.stat().st_size) / MIB
    for _ in range(rounds):
        floors.append(mib / await asyncio.to_thread(copying, source.parent, [source]))
        with _unless_missing():
            before = _spent_by_children()
            peers.append(mib / await asyncio.to_thread(putting, source.parent, [source]))
            spent_by_peers.append((_spent_by_children() - before) * 1000 / mib)
        spent_before = {name: _spent(pid) for name, pid in processes.items()}
        _, moved = await _sent(jp, fr, [source])
        for name, pid in processes.items():
            spent.setdefault(name, []).append((_spent(pid) - spent_before[name]) * 1000 / mib)
        rates.append(mib / moved)
    _rate(MOVING, rates, floors, f"{COPIES} synced copies", None)
    _against_curl(MOVING, rates, peers, "MiB/s")
    each, theirs = {name: median(found) for name, found in spent.items()}, median(spent_by_peers or [0.0])
    REPORT.add("files: processor time of a MiB, all processes, sealing too", sum(each.values()), "ms", theirs or None)
    told = ", ".join(f"{name} {value:.2f}" for name, value in each.items())
    print(f"  processor time of a MiB: {sum(each.values()):.2f} ms ({told}, sealing in it); {CURL} {theirs:.2f} ms")


def _spent(pid: int) -> float:
    """Seconds of the processor that a process used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _spent_by_children() -> float:
    """The same of this process's children that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _sent(jp: Desk, fr: _Receiver, paths: list[Path]) -> tuple[float, float]:
    """Send files; seconds of sealing and sending, and of moving until they are whole at the other desk."""
    begun = time.perf_counter()
    with attaching([WantedFile(path) for path in paths]):
        sent = await jp.messages.send(request_draft())
    moving = time.perf_counter()
    await asyncio.gather(_moved(jp, sent.id), fr.has(str(sent.id)))
    return moving - begun, time.perf_counter() - moving


async def _moved(jp: Desk, message: object) -> None:
    while (await jp.files.resume(message)).state != "done":  # type: ignore[arg-type]  # noqa: ASYNC110 - tried again
        await asyncio.sleep(0.05)


async def _small(jp: Desk, fr: _Receiver, folder: Path, count: int) -> None:
    many = folder / "many"
    many.mkdir()
    paths = [_file(many, f"{number:06}.bin", _SMALL_BYTES) for number in range(count)]
    rates, floors, peers = list[float](), list[float](), list[float]()
    for at in range(0, count, _A_SET):
        some = paths[at : at + _A_SET]
        floors.append(len(some) / await asyncio.to_thread(copying, folder, some))
        with _unless_missing():
            peers.append(len(some) / await asyncio.to_thread(putting, folder, some))
        rates.append(len(some) / sum(await _sent(jp, fr, some)))
    # Of all of them, one set after the other.
    REPORT.add(SMALL, _all(rates), "files/s", _all(floors), more_is_better=True)
    print(f"{count} files of {_SMALL_BYTES} bytes: {_all(rates):.0f} files/s (goal 300), {COPIES} synced copies "
          f"{_all(floors):.0f}")  # fmt: skip
    _against_curl(SMALL, [_all(rates)], [_all(peers)] if peers else [], "files/s")


def _all(rates: list[float]) -> float:
    """The rate of equal parts that were done one after the other."""
    return len(rates) / sum(1 / rate for rate in rates)


async def _messages(jp: Desk, fr: _Receiver, source: Path, count: int) -> None:
    """How long sending a message takes, alone and while files move."""
    idle, busy = await _latencies(jp, count), list[float]()
    while len(busy) < count:
        moving = asyncio.create_task(_sent(jp, fr, [source]))
        await asyncio.sleep(0)
        while not moving.done():
            busy += await _latencies(jp, 4)
        await moving
    alone, meanwhile = _p99(idle), _p99(busy)
    REPORT.add("files: message p99 while they move", meanwhile, "ms", alone)
    print(f"message p99 {alone:.0f} ms alone, {meanwhile:.0f} ms while files move: {meanwhile / alone:.1f} times "
          f"(goal 2), of {len(busy)}; median {median(idle):.0f} and {median(busy):.0f} ms")  # fmt: skip


async def _latencies(jp: Desk, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        await jp.messages.send(request_draft())
        found.append((time.perf_counter() - begun) * 1000)
    return found


def _p99(found: list[float]) -> float:
    return quantiles(found, n=100)[98] if len(found) > 1 else found[0]


# --- Bytes on the wire after a kill ---


async def _killed(folder: Path, mib: int) -> None:
    """Kill each of the receiving processes in the middle, and count what goes over the wire more than once."""
    place = folder / "killed"
    place.mkdir()
    source = place / "image.dd"
    _write(source, mib)
    async with world(place) as made, counted(made) as wire, desk(made, "jp") as jp, _receiving(made) as fr:
        await _sent(jp, fr, [_file(place, "first", 1000)])
        before = wire.total
        await _sent(jp, fr, [source])
        segment = segment_bytes_of(mib * MIB)
        usual = wire.total - before
        print(f"{mib} MiB over three hops: {usual / MIB:.1f} MiB on the wire")
        kills: dict[str, tuple[Callable[[], Awaitable[None]], int]] = {
            "the sender's node": (partial(made.restart, "jp"), 2),
            "the recipient's node": (partial(made.restart, "fr"), 2),
            "the recipient's desk": (fr.restart, 1),
        }
        for name, (kill, hops) in kills.items():
            before = wire.total
            moving = asyncio.create_task(_sent(jp, fr, [source]))
            await asyncio.wait({moving, asyncio.create_task(wire.reaches(before + usual // 2))},
                               return_when=asyncio.FIRST_COMPLETED)  # fmt: skip
            await kill()
            await moving
            again, allowed = (wire.total - before - usual) / MIB, hops * _STREAMS * segment / MIB
            REPORT.add(f"files: sent again after {name} was killed", max(again, 0.01), "MiB", allowed)
            print(f"  killed in the middle, {name}: {again:.1f} MiB were sent again "
                  f"(goal {allowed:.0f}: a segment for each request under way)")  # fmt: skip


# --- Telling ---


def _rate(name: str, rates: list[float], floors: list[float], floor: str, goal: float | None) -> None:
    REPORT.add(name, median(rates), "MiB/s", median(floors), more_is_better=True)
    share = median([rate / most for rate, most in zip(rates, floors, strict=True)])
    told = f" (goal {goal})" if goal else ""
    print(f"{name} {median(rates):.0f} MiB/s; {floor} {median(floors):.0f}, {share:.2f} of it{told}")


def _against_curl(name: str, rates: list[float], peers: list[float], unit: str) -> None:
    if not peers:
        return
    REPORT.add_peer(CURL, name, median(peers), unit, more_is_better=True)
    share = median([rate / most for rate, most in zip(rates, peers, strict=True)])
    goal = " (goal 0.7)" if name == MOVING else ""
    print(f"  {COPIES} times {CURL} over TLS: {median(peers):.0f} {unit}, {share:.2f} of it{goal}")


@contextmanager
def _unless_missing() -> Iterator[None]:
    try:
        yield
    except NotInstalledError as problem:
        REPORT.missing[CURL] = str(problem)


def _file(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def _write(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(MIB))


if __name__ == "__main__":
    main()
