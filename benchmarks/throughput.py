"""Throughput, idle latency and memory of the whole system on this machine, and the floor of its parts in the same run.

Two nodes and two desks, four processes, real TLS and databases. A *leg* is one sealed message of about 2 KB through
both nodes with the destination's receipts verified by the sender's desk (and here also the handover's). A *cycle* is a
leg and the recipient's sealed acknowledgement leg back.

    python -m benchmarks.throughput [--messages N] [--cycles N] [--batch N] [--pings N] [--json]

``--soak N`` sends N more messages and prints the nodes' memory after every tenth of them; its slope is theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks._figures import Report, add_json_option, home_bytes
from benchmarks.floor import handover_floor, leg_floor, request
from exchange.demo.processes import Commands, RunningNode
from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import Home, OfficerSettings
from keys.local.files import write_file
from keys.local.terminal import OBJECTS_BETWEEN_LOOKS
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST
from protocol.address import Address
from tests.worlds.processes import NodeHomes, make_homes

PASSPHRASE = b"benchmark"
CORES = 2
WARM_UP_PINGS = 5
IDLE_S = 0.2
# So many batches of a sender are on their way at once: it composes the next while the node answers the last.
IN_FLIGHT = 3
# Names by which peers are compared.
LEGS = "legs: sealed message with verified receipts"
CYCLES = "cycles: sealed message, sealed reply"
RECEIPTS_PER_LEG = 4  # RelayAcceptance of both nodes, ContentConsignment, ContentHandover
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def memory_mb(pid: int) -> float:
    """Resident memory of a process, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


# --- The desks' processes -----------------------------------------------------------------------------------------


async def send_all(desk: Desk, count: int, batch: int) -> float:
    """Send ``count`` messages and take their receipts; seconds until the last was verified."""
    one = request()
    started = time.perf_counter()
    receipts = 0

    async def collect() -> None:
        nonlocal receipts
        while receipts < count * RECEIPTS_PER_LEG:
            result = await desk.messages.sync(wait=5)
            if result.unverified_receipts:
                raise RuntimeError("a receipt did not verify")
            receipts += result.receipts

    room = asyncio.Semaphore(IN_FLIGHT)

    async def send(size: int) -> None:
        async with room:
            sent = await desk.messages.send_many([one] * size)
        if any(item.status != "submitted" for item in sent):
            raise RuntimeError(f"a message was not submitted: {sent[0].error}")

    async with asyncio.TaskGroup() as group:
        group.create_task(collect())
        for at in range(0, count, batch):
            group.create_task(send(min(batch, count - at)))
    return time.perf_counter() - started


async def receive_all(desk: Desk, count: int, *, acknowledge: bool) -> None:
    """Take ``count`` messages; acknowledge each when asked to."""
    received = 0
    while received < count:
        result = await desk.messages.sync(wait=5)
        received += len(result.received)
        if acknowledge and result.received:
            await desk.messages.send_many(
                [
                    await desk.replies.acknowledgement_draft(
                        row.id, will_answer="yes", form="message", eta=row.expires_at
                    )
                    for row in result.received
                ]
            )


async def derive_due(desk: Desk) -> float:
    """CPU seconds of deriving what is due in the threads that changed, which a desk puts off until it is quiet."""
    started = time.process_time()
    await desk.cases.agenda()
    return time.process_time() - started


async def await_messages(desk: Desk, count: int) -> None:
    """Synchronise until ``count`` messages came in."""
    received = 0
    while received < count:
        received += len((await desk.messages.sync(wait=5)).received)


async def sender(home: Path, pipe: Connection) -> None:
    """The sending desk: takes (kind, number, batch) and answers with seconds."""
    async with Desk.open(home, PASSPHRASE) as desk:
        pipe.send("ready")
        while (order := await asyncio.to_thread(pipe.recv)) is not None:
            kind, count, batch = order
            if kind == "legs":
                pipe.send(await send_all(desk, count, batch))
            elif kind == "due":
                pipe.send(await derive_due(desk))
            elif kind == "cycles":
                started = time.perf_counter()
                waiting = asyncio.create_task(await_messages(desk, count))
                for at in range(0, count, batch):
                    await desk.messages.send_many([request()] * min(batch, count - at))
                await waiting
                pipe.send(time.perf_counter() - started)
            else:
                at_s = time.time()
                await desk.messages.send(request())
                pipe.send(at_s)


async def open_each(desk: Desk, count: int, pipe: Connection, opened: Callable[[], object]) -> None:
    """Open ``count`` messages, each as soon as it is there; says when it listens for one, and calls ``opened``."""
    listening = desk.messages.listen()
    for _ in range(count):
        pipe.send("listening")
        async for result in listening:
            if result.received:
                break
        await desk.messages.show(result.received[0].id)
        opened()
    await listening.aclose()


async def recipient(home: Path, pipe: Connection) -> None:
    """The receiving desk: takes (kind, number) and says when it is done; for pings, when it opened the message."""
    async with Desk.open(home, PASSPHRASE) as desk:
        pipe.send("ready")
        while (order := await asyncio.to_thread(pipe.recv)) is not None:
            kind, count = order
            if kind == "due":
                pipe.send(await derive_due(desk))
            elif kind == "pings":
                await open_each(desk, count, pipe, lambda: pipe.send(time.time()))
            else:
                await receive_all(desk, count, acknowledge=kind == "cycles")
                pipe.send("done")


def run_desk(role: Callable[[Path, Connection], Any], home: Path, pipe: Connection) -> None:
    """The entry point of a desk's process."""
    import uvloop

    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)  # as the program sets it
    uvloop.run(role(home, pipe))


# --- The measurement ----------------------------------------------------------------------------------------------


class Bench:
    """The running federation."""

    def __init__(self, root: Path) -> None:
        self.root = root
        passphrase_file = root / "passphrase"
        write_file(passphrase_file, PASSPHRASE, mode=0o600)
        self.commands = Commands(passphrase_file)
        self.federation: NodeHomes = make_homes(root, PASSPHRASE, passphrase_file)
        for node in ("jp", "fr"):
            self._fast_limits(node)
        self.homes = {node: self._desk(node) for node in ("jp", "fr")}
        self.nodes: dict[str, RunningNode] = {}
        self.pids: dict[str, int] = {}
        context = multiprocessing.get_context("spawn")
        self.pipes: dict[str, Connection] = {}
        self.processes = []
        for name, role, node in (("sender", sender, "jp"), ("recipient", recipient, "fr")):
            ours, theirs = context.Pipe()
            self.pipes[name] = ours
            self.processes.append(context.Process(target=run_desk, args=(role, self.homes[node], theirs), name=name))

    def _fast_limits(self, node: str) -> None:
        path = self.federation.node_home(node) / "node.toml"
        path.write_text(
            path.read_text() + "[limits]\ndesk_requests_per_s = 100000\ndesk_burst = 100000\n"
            "partner_requests_per_s = 100000\npartner_burst = 100000\n"
        )

    def _desk(self, node: str) -> Path:
        home = self.root / f"desk-{node}"
        bundle = BootstrapFile.from_bytes(self.federation.bootstrap(node).read_bytes())
        officer = OfficerSettings(name="Bench", role="duty officer", telephone="+33123456789")
        create_desk(
            home,
            NewDesk(Address("24-7", node), office="bench", agency="bench", officer=officer),
            PASSPHRASE,
            bundle,
            datetime.now(UTC),
            derivation=FAST,
        )
        self.federation.enrol(Home(home).enrolment, datetime.now(UTC))
        return home

    def all_homes(self) -> dict[str, Path]:
        """The folders that nodes and desks write, by the names of their processes."""
        nodes = {f"node {node}": self.federation.node_home(node) for node in ("jp", "fr")}
        return {**nodes, "sender": self.homes["jp"], "recipient": self.homes["fr"]}

    async def start(self) -> None:
        """Start the nodes, then the desks."""
        for node in ("jp", "fr"):
            self.nodes[node] = await self.commands.start_node(self.federation.node_home(node))
            self.pids[f"node {node}"] = self.nodes[node].process.pid
        for process in self.processes:
            process.start()
            assert process.pid is not None  # it was begun
            self.pids[process.name] = process.pid
        for name in self.pipes:
            self.expect(name)

    def expect(self, name: str) -> Any:
        """What the desk's process says next."""
        if not self.pipes[name].poll(600):
            raise RuntimeError(f"{name} said nothing for ten minutes")
        return self.pipes[name].recv()

    async def stop(self) -> None:
        """Stop everything that was started."""
        for pipe in self.pipes.values():
            pipe.send(None)
        for process in self.processes:
            process.join(20)
            if process.is_alive():
                process.kill()
        for node in self.nodes.values():
            await node.stop()

    def legs(self, count: int, batch: int) -> tuple[float, dict[str, float]]:
        """Seconds for ``count`` legs, and CPU microseconds per leg by process."""
        before = {name: cpu_s(pid) for name, pid in self.pids.items()}
        self.pipes["recipient"].send(("legs", count))
        self.pipes["sender"].send(("legs", count, batch))
        seconds = self.expect("sender")
        self.expect("recipient")
        return seconds, {name: (cpu_s(pid) - before[name]) / count * 1e6 for name, pid in self.pids.items()}

    def due(self) -> dict[str, float]:
        """CPU seconds of what each desk put off under load."""
        for name in ("sender", "recipient"):
            self.pipes[name].send(("due", 0, 0) if name == "sender" else ("due", 0))
        return {name: float(self.expect(name)) for name in ("sender", "recipient")}

    def cycles(self, count: int, batch: int) -> float:
        """Seconds for ``count`` cycles."""
        self.pipes["recipient"].send(("cycles", count))
        self.pipes["sender"].send(("cycles", count, batch))
        seconds = self.expect("sender")
        self.expect("recipient")
        return float(seconds)

    def pings(self, count: int) -> list[float]:
        """Milliseconds from handing a message to the sending desk until it is open at the other, one at a time."""
        self.pipes["recipient"].send(("pings", count))
        took = []
        for _ in range(count):
            self.expect("recipient")
            time.sleep(IDLE_S)  # until what the last one left to do is done
            self.pipes["sender"].send(("ping", 1, 1))
            sent = self.expect("sender")
            took.append((self.expect("recipient") - sent) * 1000)
        return took


def percentile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(arguments: argparse.Namespace, report: Report) -> float:
    """Run everything and print the figures; the legs per second."""
    with tempfile.TemporaryDirectory(prefix="comity-bench-") as folder:
        bench = Bench(Path(folder))
        await bench.start()
        try:
            bench.pings(WARM_UP_PINGS)
            took = bench.pings(arguments.pings)
            print(f"idle, submit to opened: p50 {statistics.median(took):.1f} ms, p99 {percentile(took, 0.99):.1f} ms")
            bench.legs(min(200, arguments.messages), arguments.batch)
            memory = {name: memory_mb(bench.pids[name]) for name in ("node jp", "node fr")}
            homes = bench.all_homes()
            disk = {name: home_bytes(home) for name, home in homes.items()}
            bench.due()
            seconds, cpu = bench.legs(arguments.messages, arguments.batch)
            due = {name: s / arguments.messages * 1e6 for name, s in bench.due().items()}
            rate: float = arguments.messages / seconds
            report.slopes |= {f"CPU µs a message, {name}": us for name, us in cpu.items()}
            # Not a part of the leg: its own row.
            report.add("what is due of a leg, derived once the desks are quiet", sum(due.values()), "µs CPU")
            for name, home in homes.items():
                report.slopes[f"disk bytes a message, {name}"] = (home_bytes(home) - disk[name]) / arguments.messages
            for name, pid in bench.pids.items():
                report.slopes[f"memory MB, {name}"] = memory_mb(pid)
            report.add("idle, submit to opened, p50", statistics.median(took), "ms")
            report.add("idle, submit to opened, p99", percentile(took, 0.99), "ms")
            print(f"legs: {rate:.0f}/s ({arguments.messages} messages, {arguments.batch} a request)")
            for name, us in cpu.items():
                print(f"  CPU per leg, {name}: {us:.0f} µs")
            for name, us in due.items():
                print(f"  CPU per leg put off until the desk is quiet, {name}: {us:.0f} µs")
            for name, before in memory.items():
                print(f"  memory, {name}: {before:.0f} MB before, {memory_mb(bench.pids[name]):.0f} MB after")
            if arguments.cycles:
                cycles = arguments.cycles / bench.cycles(arguments.cycles, arguments.batch)
                print(f"cycles: {cycles:.0f}/s")
                report.add(CYCLES, cycles, "/s", more_is_better=True)
            if arguments.soak:
                for name, slope in soak(bench, arguments.soak, arguments.batch).items():
                    report.slopes[f"memory bytes a message, {name}"] = slope
        finally:
            await bench.stop()
    return rate


def soak(bench: Bench, count: int, batch: int) -> dict[str, float]:
    """Send ``count`` messages, and print what the nodes' memory does meanwhile; the bytes that a message adds to each.

    The slope is the median of the slopes between all pairs of instants, so that no single one decides it.
    """
    seen: dict[str, list[tuple[int, float]]] = {name: [] for name in ("node jp", "node fr")}
    for part in range(10):
        seconds, _ = bench.legs(count // 10, batch)
        for name, samples in seen.items():
            samples.append(((part + 1) * (count // 10), memory_mb(bench.pids[name])))
        memory = ", ".join(f"{name} {samples[-1][1]:.0f} MB" for name, samples in seen.items())
        print(
            f"after {(part + 1) * (count // 10)} more messages: {memory} ({count // 10 / seconds:.0f} legs/s)",
            flush=True,
        )
    return {
        name: statistics.median(
            (later[1] - earlier[1]) * 2**20 / (later[0] - earlier[0])
            for earlier, later in itertools.combinations(samples, 2)
        )
        for name, samples in seen.items()
    }


def print_floor(rate: float, batch: int, report: Report) -> None:
    """The floor of the parts, and how near ``rate`` is to it."""
    for per_request in sorted({1, 16, batch}):
        parts = leg_floor(per_request)
        print_ceiling(f"floor of a bare leg, {per_request} a request", parts["total"], rate)
    print_parts(parts)
    handover = handover_floor()
    print_ceiling(
        f"floor with the messages and the handover, {batch} a request", parts["total"] + handover["total"], rate
    )
    print_parts(handover)
    least = parts["total"] + handover["total"]
    spent = sum(us for name, us in report.slopes.items() if name.startswith("CPU µs a message"))
    report.add(LEGS, rate, "/s", CORES / least * 1e6, more_is_better=True)
    report.add("a leg, message and handover", spent, "µs CPU", least)


def print_ceiling(what: str, us: float, rate: float) -> None:
    """What a floor would allow, and the share of it that was measured."""
    ceiling = CORES / us * 1e6
    print(f"{what}: {us:.0f} µs a leg: {ceiling:.0f} legs/s on {CORES} cores; measured / ceiling: {rate / ceiling:.0%}")


def print_parts(parts: dict[str, float]) -> None:
    """Each part of a floor."""
    for name, us in parts.items():
        if name != "total":
            print(f"  {name}: {us:.0f} µs")


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--cycles", type=int, default=300)
    parser.add_argument("--batch", type=int, default=64, help="messages given to the desk at once")
    parser.add_argument("--pings", type=int, default=50)
    parser.add_argument("--soak", type=int, default=5000, help="more messages, for the slope of memory; 0 for none")
    add_json_option(parser)
    arguments = parser.parse_args()
    report = Report("throughput")
    with report.shown(arguments.json):
        print_floor(asyncio.run(measure(arguments, report)), arguments.batch, report)


if __name__ == "__main__":
    main()
