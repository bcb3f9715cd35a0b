"""What evidence files cost: sealing, moving over two nodes, many small ones, memory, and messages meanwhile.

    python -m benchmarks.files [--mib 64] [--small 200] [--rounds 3] [--json]

``--mib 1024 --small 10000 --rounds 5`` is the full run. Every floor is of the same run and the same bytes:

- sealing: SHA-256 of the plaintext, AES-256-GCM, SHA-256 of the ciphertext, on two threads, nothing read or written;
  ``age`` and ``openssl enc -aes-256-ctr`` are printed beside it, where they are installed;
- desk, node, node, desk, each verified and durable: three ``curl`` PUT to nginx over TLS at the same time, each synced;
  where nginx is not installed, the floor is three copies on this disk at the same time, each synced, which is faster.

Memory is sampled of every process twenty times a second: resident, and not of files (what the kernel cannot drop).
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from queue import Queue
from statistics import median, quantiles

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from benchmarks._figures import Report, add_json_option
from exchange.desk.desk import Desk
from exchange.files.given import attaching
from exchange.files.progress import Meter
from exchange.files.sealing import FileSealing, WantedFile
from exchange.files.shelf import Shelf
from tests.worlds.processes import PASSPHRASE, World, desk, request_draft, world

MIB = 1 << 20
REPORT = Report("files")
_CHUNK = 16 * 1024
_SMALL_BYTES = 10_000
_A_SET = 1_000
_MESSAGES = 40


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=64, help="size of the large file")
    parser.add_argument("--small", type=int, default=200, help="how many small files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work; it needs some ten times the large file")
    add_json_option(parser)
    given = parser.parse_args()
    with REPORT.shown(given.json), tempfile.TemporaryDirectory(dir=given.folder) as folder:
        source = Path(folder) / "image.dd"
        with source.open("wb") as file:
            for _ in range(given.mib):
                file.write(os.urandom(MIB))
        _sealing(source, given.rounds)
        asyncio.run(_moving(Path(folder), source, given.small, given.rounds))


# --- Sealing ---


def _sealing(source: Path, rounds: int) -> None:
    mib = source.stat().st_size / MIB
    rates, floors, peers = list[float](), list[float](), dict[str, list[float]]()
    for _ in range(rounds):
        floors.append(mib / _timed(lambda: _sealing_floor(int(mib))))
        with tempfile.TemporaryDirectory(dir=source.parent) as folder:
            sealing = FileSealing(Shelf(Path(folder) / "files"), threading.Event())
            rates.append(mib / _timed(partial(sealing.seal, WantedFile(source), Meter("sealing", 0))))
        for name, command in _peers(source):
            peers.setdefault(name, []).append(mib / _timed(partial(subprocess.run, command, check=True)))
    REPORT.add("sealing", median(rates), "MiB/s", median(floors), more_is_better=True)
    print(f"sealing {median(rates):.0f} MiB/s, floor {median(floors):.0f}, {median(rates) / median(floors):.2f} of it")
    for name, found in peers.items():
        REPORT.add(f"sealing, {name}", median(found), "MiB/s", more_is_better=True)
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


def _peers(source: Path) -> Iterator[tuple[str, list[str]]]:
    if shutil.which("openssl"):
        out = str(source.with_suffix(".openssl"))
        key = ["-K", "00" * 32, "-iv", "00" * 16]
        yield "openssl aes-256-ctr", ["openssl", "enc", "-aes-256-ctr", *key, "-in", str(source), "-out", out]
    if shutil.which("age") and shutil.which("age-keygen"):
        keys = source.with_suffix(".age-key")
        if not keys.exists():
            subprocess.run(["age-keygen", "-o", str(keys)], check=True, capture_output=True)
        public = subprocess.run(["age-keygen", "-y", str(keys)], check=True, capture_output=True, text=True).stdout
        yield "age", ["age", "-r", public.strip(), "-o", str(source.with_suffix(".age")), str(source)]


def _timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


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


@asynccontextmanager
async def _receiving(made: World) -> AsyncIterator[asyncio.subprocess.Process]:
    """The desk of fr in a process of its own."""
    command = (sys.executable, "-m", "benchmarks._files_desk", str(made.root / "desk-fr"), PASSPHRASE.decode())
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    assert (await process.stdout.readline()).strip() == b"ready"
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def _moving(folder: Path, source: Path, small: int, rounds: int) -> None:
    async with world(folder) as made, desk(made, "jp") as jp, _receiving(made) as fr:
        await _sent(jp, fr, [_file(folder, "first", 1000)])
        processes = {"desk jp": os.getpid(), "desk fr": fr.pid}
        processes |= {f"node {name}": node.process.pid for name, node in made.nodes.items()}
        idle = {name: _memory_of(pid) for name, pid in processes.items()}
        rates, floors, sealing = list[float](), list[float](), list[float]()
        mib = await asyncio.to_thread(lambda: source.stat().st_size) / MIB
        with _sampled(processes) as memory:
            for _ in range(rounds):
                floors.append(mib / await asyncio.to_thread(_copying_floor, folder, source))
                sealed, moved = await _sent(jp, fr, [source])
                sealing.append(mib / sealed)
                rates.append(mib / moved)
        REPORT.add("desk to desk over two nodes", median(rates), "MiB/s", median(floors), more_is_better=True)
        share = median(rates) / median(floors)
        print(f"desk to desk {median(rates):.0f} MiB/s, {_floor_name()} {median(floors):.0f}, {share:.2f} of it")
        for name, (resident, anonymous) in memory.most.items():
            more = resident - idle[name][0], anonymous - idle[name][1]
            REPORT.add(f"memory above idle, {name}", more[0], "MB")
            print(f"  {name}: {more[0]:.0f} MB above idle resident, {more[1]:.0f} MB of it not of files")
        await _small(jp, fr, folder, small)
        await _messages(jp, fr, source)


async def _sent(jp: Desk, fr: asyncio.subprocess.Process, paths: list[Path]) -> tuple[float, float]:
    """Send files; seconds of sealing and sending, and of moving until they are whole at the other desk."""
    assert fr.stdout is not None
    begun = time.perf_counter()
    with attaching([WantedFile(path) for path in paths]):
        sent = await jp.messages.send(request_draft())
    moving = time.perf_counter()
    while True:
        if (await jp.files.resume(sent.id)).state == "done":
            break
        await asyncio.sleep(0.05)
    while (await fr.stdout.readline()).strip() != str(sent.id).encode():
        pass
    return moving - begun, time.perf_counter() - moving


async def _small(jp: Desk, fr: asyncio.subprocess.Process, folder: Path, count: int) -> None:
    many = folder / "many"
    many.mkdir()
    paths = [_file(many, f"{number:06}.bin", _SMALL_BYTES) for number in range(count)]
    begun = time.perf_counter()
    for at in range(0, count, _A_SET):
        await _sent(jp, fr, paths[at : at + _A_SET])
    rate = count / (time.perf_counter() - begun)
    REPORT.add("small files, sealed to received", rate, "files/s", more_is_better=True)
    print(f"{count} files of {_SMALL_BYTES} bytes: {rate:.0f} files/s")


async def _messages(jp: Desk, fr: asyncio.subprocess.Process, source: Path) -> None:
    """How long sending a message takes, alone and while files move."""
    idle = await _latencies(jp, _MESSAGES)
    moving = asyncio.create_task(_sent(jp, fr, [source]))
    busy = list[float]()
    while not moving.done() or len(busy) < _MESSAGES // 4:
        busy += await _latencies(jp, 4)
    await moving
    alone, meanwhile = _p99(idle), _p99(busy)
    REPORT.add("message p99 while files move", meanwhile, "ms", alone)
    print(f"message p99 {alone:.0f} ms alone, {meanwhile:.0f} ms while files move ({meanwhile / alone:.1f} times)")


async def _latencies(jp: Desk, count: int) -> list[float]:
    found = []
    for _ in range(count):
        begun = time.perf_counter()
        await jp.messages.send(request_draft())
        found.append((time.perf_counter() - begun) * 1000)
    return found


def _p99(found: list[float]) -> float:
    return quantiles(found, n=100)[98]


def _file(folder: Path, name: str, size: int) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


# --- The floor of moving ---


def _floor_name() -> str:
    return "three curl PUT to nginx" if shutil.which("nginx") else "three synced copies (nginx is not installed)"


def _copying_floor(folder: Path, source: Path) -> float:
    """Seconds of three durable copies at the same time."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        if shutil.which("nginx") and shutil.which("curl"):
            with _nginx(Path(place)) as port:
                return _timed(lambda: _at_once(3, lambda number: _put(Path(place), source, port, number)))
        return _timed(lambda: _at_once(3, lambda number: _copy(source, Path(place) / str(number))))


def _at_once(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as read, target.open("wb") as write:
        shutil.copyfileobj(read, write, MIB)
        write.flush()
        os.fsync(write.fileno())


def _put(place: Path, source: Path, port: int, number: int) -> None:
    url = f"https://127.0.0.1:{port}/{number}"
    subprocess.run(["curl", "-ksS", "-T", str(source), "-o", os.devnull, url], check=True)
    descriptor = os.open(place / "www" / str(number), os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


@contextmanager
def _nginx(place: Path) -> Iterator[int]:
    """An nginx on loopback that takes PUT over TLS, into ``www``; its port."""
    from exchange.demo._ports import free_port

    port = free_port()
    for name in ("www", "temp"):
        (place / name).mkdir()
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    subprocess.run([*made, *names], check=True, capture_output=True)
    (place / "nginx.conf").write_text(
        f"daemon off; pid {place}/pid; error_log {place}/error.log; worker_processes 2;\n"
        "events { worker_connections 64; }\n"
        f"http {{ access_log off; client_max_body_size 0; client_body_temp_path {place}/temp;\n"
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {place}/cert.pem;\n"
        f"ssl_certificate_key {place}/key.pem; location / {{ root {place}/www; dav_methods PUT; }} }} }}\n"
    )
    process = subprocess.Popen(["nginx", "-p", str(place), "-c", str(place / "nginx.conf")])
    try:
        for _ in range(100):
            if (place / "pid").exists():
                break
            time.sleep(0.05)  # nginx says by a file that it listens, and not otherwise
        yield port
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
