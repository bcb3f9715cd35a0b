"""Where an idle message waits: from handing it to the sending desk until it is open at the other, stage by stage.

Two nodes and two desks, four processes, real TLS and databases, one message at a time. Each process notes when the
stages of the message begin and end (:mod:`benchmarks.traced`); the table has the 10th, 50th and 99th percentile
of each stage, in the order in which they follow each other. The floor is the same number of commits, files and HTTP
round trips, one after the other, with nothing else done, in the same run.

    python -m benchmarks.latency [--json] [--pings N] [--idle SECONDS] [--floor N] [--counts]

With ``--counts`` it says what each process does for a message until all its receipts are there: signatures, statements,
commits, flushes, requests, changes of threads. No load on the machine changes them; the times are then those of
processes that count.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from benchmarks import traced
from benchmarks._figures import Report, add_json_option
from benchmarks.floor import request
from benchmarks.throughput import IDLE_S, PASSPHRASE, WARM_UP_PINGS, Bench, open_each, percentile
from exchange.demo.processes import READY_TIMEOUT_S, Commands, RunningNode
from exchange.desk.desk import Desk
from keys.local.terminal import OBJECTS_BETWEEN_LOOKS
from keys.transport.tls import client_context, make_certificate, server_context

# The stages in their order, and the words for the time until each from the line before.
PATH = (
    ("sender", "ping", ""),
    ("sender", "compose<", "desk: draft checked against law, case and directory"),
    ("sender", "seal<", "desk: sealed, signed and durable"),
    ("sender", "submit>", "desk: thread to event loop"),
    ("jp", "submit head>", "request signed and sent, node woken"),
    ("jp", "submit head<", "node: request's signature"),
    ("jp", "accept>", "node: body read, envelope checked"),
    ("jp", "write>", "node: event loop to writer's thread"),
    ("jp", "commit<", "node: rows, leaves, checkpoint signed, commit"),
    ("jp", "write<", "node: checkpoint file, queue to the partner read"),
    ("jp", "due>", "node: writer's thread to event loop"),
    ("jp", "transfer>", "node: delivery began"),
    ("fr", "transfer head>", "request signed and sent, node woken"),
    ("fr", "transfer head<", "partner: request's signature"),
    ("fr", "accept>", "partner: body read, envelope checked"),
    ("fr", "write>", "partner: event loop to writer's thread"),
    ("fr", "commit<", "partner: rows, leaves, checkpoint signed, commit"),
    ("fr", "write<", "partner: checkpoint file, mailbox read"),
    ("fr", "page<", "partner: writer's thread to event loop, long poll woken"),
    ("recipient", "mailbox<", "answer written, sent and read"),
    ("recipient", "take in thread>", "desk: event loop to thread"),
    ("recipient", "take<", "desk: verified, opened, durable"),
    ("recipient", "show>", "desk: told to whoever listens"),
    ("recipient", "shown", "desk: noted as opened, shown"),
)
ENVELOPE_BYTES = 2_700
BOOT_FOLDER = Path("/dev/shm") / f"comity-latency-{os.getpid()}"  # noqa: S108 - as nodes do by default


# --- The four processes ---------------------------------------------------------------------------------------------


class TracedCommands(Commands):
    """Starts nodes that note their stages, and remember the boot's checkpoint in memory, as a node does by default."""

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "COMITY_NODE_LOG__BOOT_FOLDER": str(BOOT_FOLDER)}

    async def start_node(self, home: Path) -> RunningNode:
        """See :meth:`exchange.demo.processes.Commands.start_node`."""
        command = (
            sys.executable,
            "-m",
            "benchmarks.traced",
            str(home / "trace.json"),
            "node.cli.main",
            "run",
            str(home),
        )
        with (home / "node.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=DEVNULL, stdout=PIPE, stderr=log, env=self._environment()
            )
        assert process.stdout is not None
        async with asyncio.timeout(READY_TIMEOUT_S):
            ready = await process.stdout.readline()
        if not ready:
            raise RuntimeError(f"the node ended: {(home / 'node.log').read_text()[-600:]}")
        return RunningNode(process, json.loads(ready))


async def sender(home: Path, pipe: Connection) -> None:
    """Sends one message whenever it is told to."""
    async with Desk.open(home, PASSPHRASE) as desk:
        pipe.send("ready")
        while await asyncio.to_thread(pipe.recv) is not None:
            traced.note("ping")
            await desk.messages.send(request())
            pipe.send("sent")


async def recipient(home: Path, pipe: Connection) -> None:
    """Opens each message as soon as it is there."""

    def shown() -> None:
        traced.note("shown")
        pipe.send("opened")

    async with Desk.open(home, PASSPHRASE) as desk:
        pipe.send("ready")
        while (count := await asyncio.to_thread(pipe.recv)) is not None:
            await open_each(desk, count, pipe, shown)


def run_desk(role: Any, home: Path, pipe: Connection) -> None:
    """The entry point of a desk's process."""
    import uvloop

    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)  # as the program sets it
    traced.wrap_all(traced.STAGES_OF_A_DESK)
    if os.environ.get(traced.COUNTING):
        traced.count_all()
    uvloop.run(role(home, pipe))
    traced.save(home / "trace.json")


class TracedBench(Bench):
    """The running federation, with its stages noted."""

    idle_s = IDLE_S

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.commands = TracedCommands(root / "passphrase")
        context = multiprocessing.get_context("spawn")
        self.pipes, self.processes = {}, []
        for name, role, node in (("sender", sender, "jp"), ("recipient", recipient, "fr")):
            self.pipes[name], theirs = context.Pipe()
            self.processes.append(context.Process(target=run_desk, args=(role, self.homes[node], theirs), name=name))

    def pings(self, count: int) -> list[float]:
        """See :meth:`benchmarks.throughput.Bench.pings`; the times come from the traces."""
        self.pipes["recipient"].send(count)
        for _ in range(count):
            self.expect("recipient")
            time.sleep(self.idle_s)
            self.pipes["sender"].send("ping")
            self.expect("sender")
            self.expect("recipient")
        return []

    def traces(self) -> dict[str, list[tuple[int, str]]]:
        """What each process noted; after :meth:`stop`."""
        homes = {node: self.federation.node_home(node) for node in ("jp", "fr")}
        homes |= {"sender": self.homes["jp"], "recipient": self.homes["fr"]}
        return {name: json.loads((home / "trace.json").read_text("utf-8")) for name, home in homes.items()}


# --- The traces ----------------------------------------------------------------------------------------------------


def follow(traces: Mapping[str, Sequence[tuple[int, str]]]) -> list[list[int]]:
    """For each message the times of :data:`PATH`: of each stage the first one after the stage before."""
    times: dict[tuple[str, str], list[int]] = {}
    for process, notes in traces.items():
        for at, stage in sorted((when, what) for when, what in notes):
            times.setdefault((process, stage), []).append(at)
    followed = []
    for began in times[PATH[0][:2]]:
        way = [began]
        for process, stage, _ in PATH[1:]:
            known = times.get((process, stage), [])
            at = bisect_left(known, way[-1])
            if at == len(known):
                break
            way.append(known[at])
        if len(way) == len(PATH):
            followed.append(way)
    return followed


def print_stages(followed: list[list[int]]) -> None:
    """The table of stages, and the whole."""
    print(f"{'p10 ms':>8} {'p50 ms':>8} {'p99 ms':>8}  stage")
    for number, (process, _, words) in enumerate(PATH):
        if number:
            took = [(way[number] - way[number - 1]) / 1e6 for way in followed]
            print(f"{shares(took)}  {process:9} {words}")
    whole = [(way[-1] - way[0]) / 1e6 for way in followed]
    print(f"{shares(whole)}  submit to opened, {len(whole)} messages")


def print_counts(traces: dict[str, list[tuple[int, str]]], followed: list[list[int]]) -> None:
    """What each process does for a message, from the first measured message until the last one begins."""
    begins, ends, messages = followed[0][0], followed[-1][0], len(followed) - 1
    found = {
        name: Counter(what[1:] for at, what in notes if what[0] == "#" and begins <= at < ends)
        for name, notes in traces.items()
    }
    print(f"{'for a message':26}" + "".join(f"{name:>11}" for name in found))
    for what in sorted(set().union(*found.values())):
        print(f"{what:26}" + "".join(f"{counts[what] / messages:11.2f}" for counts in found.values()))


def shares(took: list[float]) -> str:
    """The tenth, the median and the 99th percentile: the first is near what a machine does that is not disturbed."""
    return f"{percentile(took, 0.1):8.2f} {statistics.median(took):8.2f} {percentile(took, 0.99):8.2f}"


# --- The floor ------------------------------------------------------------------------------------------------------


class Kept:
    """What a party keeps of a message: a row, durably; a node also a note in a file beside it."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "checkpoint", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._database = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute("CREATE TABLE row (id INTEGER PRIMARY KEY, body BLOB) STRICT")

    def row(self, body: bytes) -> None:
        """Commit one row."""
        self._database.execute("INSERT INTO row (body) VALUES (?)", (body,))

    def node(self, body: bytes) -> None:
        """Commit one row, and append to the file."""
        self.row(body)
        os.write(self._file, body)
        os.fdatasync(self._file)


def floor_node(folder: Path, onward: str | None, pipe: Connection) -> None:
    """A process that keeps what it is sent; then sends it ``onward``, or answers who polls for it."""
    import uvloop

    uvloop.run(_floor_node(folder, onward, pipe))


async def _floor_node(folder: Path, onward: str | None, pipe: Connection) -> None:
    kept, waiting = Kept(folder), asyncio.Queue[bytes]()
    identity = make_certificate("floor", ["127.0.0.1"], datetime.now(UTC))
    # The certificate of the next one is not what is measured.
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False))
    passing: set[asyncio.Task[Any]] = set()

    async def take(asked: web.Request) -> web.Response:
        body = await asked.read()
        kept.node(body)
        if onward is None:
            waiting.put_nowait(body)
        else:
            passing.add(task := asyncio.create_task(session.post(onward, data=body)))
            task.add_done_callback(passing.discard)
        return web.Response(body=body)

    async def poll(asked: web.Request) -> web.Response:
        return web.Response(body=await waiting.get())

    app = web.Application()
    app.router.add_post("/", take)
    app.router.add_get("/", poll)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(
        runner, "127.0.0.1", 0, ssl_context=server_context(identity.certificate, identity.key_pem)
    ).start()
    host, port = runner.addresses[0][:2]
    pipe.send((f"https://{host}:{port}/", identity.certificate))
    await asyncio.to_thread(pipe.recv)
    await session.close()
    await runner.cleanup()


async def floor(root: Path, count: int) -> list[float]:
    """Milliseconds of ``count`` messages that are only kept and passed on: by two desks and two nodes."""
    context = multiprocessing.get_context("spawn")
    started, onward = [], None
    for name in ("b", "a"):
        (root / name).mkdir()
        ours, theirs = context.Pipe()
        process = context.Process(target=floor_node, args=(root / name, onward, theirs))
        process.start()
        onward, certificate = ours.recv()
        started.append((process, ours, onward, certificate))
    (root / "sender").mkdir()
    (root / "recipient").mkdir()
    sends, opens = Kept(root / "sender"), Kept(root / "recipient")
    took: list[float] = []
    connector = aiohttp.TCPConnector(ssl=client_context([certificate for *_, certificate in started]))
    async with aiohttp.ClientSession(connector=connector) as session:

        async def polled() -> bytes:
            return await (await session.get(started[0][2])).read()

        for _ in range(count + WARM_UP_PINGS):
            polling = asyncio.create_task(polled())
            await asyncio.sleep(IDLE_S)
            began, body = time.perf_counter(), os.urandom(ENVELOPE_BYTES)
            sends.row(body)
            submitted = asyncio.create_task(session.post(started[1][2], data=body))
            opens.row(await polling)
            opens.row(b"opened")
            took.append((time.perf_counter() - began) * 1000)
            await (await submitted).read()
    for process, pipe, *_ in started:
        pipe.send(None)
        process.join(10)
        if process.is_alive():
            process.kill()
    return took[WARM_UP_PINGS:]


async def measure(arguments: argparse.Namespace, report: Report) -> None:
    """Run both, print the tables, and report the whole beside its floor."""
    least: list[float] = []
    with tempfile.TemporaryDirectory(prefix="comity-latency-") as folder:
        root = Path(folder)
        if arguments.floor:
            least = await floor(root, arguments.floor)
            print(f"{shares(least)}  floor")
        (root / "federation").mkdir()
        BOOT_FOLDER.mkdir()
        bench = TracedBench(root / "federation")
        await bench.start()
        try:
            bench.pings(WARM_UP_PINGS)
            bench.idle_s = arguments.idle
            bench.pings(arguments.pings)
        finally:
            await bench.stop()
            shutil.rmtree(BOOT_FOLDER)
        traces = bench.traces()
        followed = follow(traces)[WARM_UP_PINGS:]
        print_stages(followed)
        if os.environ.get(traced.COUNTING):
            print_counts(traces, followed)
        whole = [(way[-1] - way[0]) / 1e6 for way in followed]
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            known = percentile(least, share) if least else None
            report.add(f"latency, submit to opened, {name}", percentile(whole, share), "ms", known)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pings", type=int, default=100)
    parser.add_argument("--idle", type=float, default=IDLE_S, help="seconds of silence before each message")
    parser.add_argument("--floor", type=int, default=50, help="messages of the floor, 0 for none")
    parser.add_argument("--counts", action="store_true", help="count what each process does for a message")
    add_json_option(parser)
    arguments = parser.parse_args()
    if arguments.counts:
        os.environ[traced.COUNTING] = "1"
    report = Report("latency")
    with report.shown(arguments.json):
        asyncio.run(measure(arguments, report))


if __name__ == "__main__":
    main()
