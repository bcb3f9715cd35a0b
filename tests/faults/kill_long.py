"""Two nodes and two desks under load that are killed, stopped and refused at random: nothing lost, doubled or forked.

    python -m tests.faults.kill_long [--kills 770] [--seed 1] [--folder FOLDER]

Both desks send to each other all the time. Meanwhile a process, chosen at random, is killed (SIGKILL) and begun again,
stands still for a while (SIGSTOP), or is a node that refuses every connection for a while. Every checkpoint that a node
wrote down is collected while it lasts, and at the end every one that a desk was shown in a receipt. Then:

- each message that a program was told of is at the other side once, with all its receipts verified;
- each node's log has each of its events once;
- each checkpoint collected is a state that the log went through: none is of a fork, none smaller than one before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from exchange.desk.desk import Desk
from node.log.checkpoint_file import CheckpointFile
from protocol.errors import CheckpointFileDamagedError
from protocol.event import EventName
from protocol.log.checkpoint import Checkpoint, parse_checkpoint
from protocol.log.frontier import Frontier
from protocol.log.merkle import leaf_hash
from tests.worlds.desks import in_thread
from tests.worlds.processes import World, desk, world

PAIRS = {"jp": "fr", "fr": "jp"}
NODE_KILLED, DESK_KILLED, STOPPED, REFUSING = "node killed", "desk killed", "stood still", "refused connections"
# How often each happens, of ten.
SHARES = {NODE_KILLED: 4, DESK_KILLED: 3, STOPPED: 2, REFUSING: 1}
LOOK_EVERY_S = 0.005
RECEIPTS = {
    EventName.SubmissionAcceptance,
    EventName.RelayAcceptance,
    EventName.ContentConsignment,
    EventName.ContentHandover,
}
MOST = 1_000_000


@dataclass(slots=True)
class Campaign:
    """One run. ``seen``: by node, the checkpoints that its file held, in the order of time."""

    made: World
    folder: Path
    chance: random.Random
    desks: dict[str, Process] = field(default_factory=dict)
    happened: Counter[str] = field(default_factory=Counter)
    seen: dict[str, list[Checkpoint]] = field(default_factory=lambda: {node: [] for node in PAIRS})
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def stop(self) -> Path:
        """The file by which the programs of the desks know that they send nothing new."""
        return self.folder / "stop"

    def journal(self, node: str) -> Path:
        """The ids of the messages of which a desk's program was told, a batch a line."""
        return self.folder / f"sent-{node}"

    async def begin_desk(self, node: str) -> None:
        """Begin the program of a desk, or begin it again."""
        home, to = self.made.root / f"desk-{node}", f"24-7@{PAIRS[node]}"
        with (self.folder / f"desk-{node}.log").open("ab") as log:
            self.desks[node] = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.kill_desk", str(home), to, str(self.journal(node)), str(self.stop),
                stdin=DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def harm(self, times: int, pause_s: float) -> None:
        """Do harm so often, each time after a random pause."""
        for number in range(times):
            await asyncio.sleep(self.chance.expovariate(1 / pause_s))
            what = self.chance.choices(list(SHARES), list(SHARES.values()))[0]
            self.happened[what] += 1
            await self._do(what, self.chance.choice(list(PAIRS)))
            if number % 50 == 49:
                print(f"  {number + 1} of {times}: {dict(self.happened)}", flush=True)

    async def _do(self, what: str, victim: str) -> None:
        if what == NODE_KILLED:
            await self.made.restart(victim)
        elif what == REFUSING:
            await self.made.kill(victim)
            await asyncio.sleep(self.chance.uniform(0.2, 2))
            await self.made.start(victim)
        elif what == DESK_KILLED:
            await self.end_desk(victim)
            await self.begin_desk(victim)
        else:
            still = self.chance.choice([self.made.nodes[victim].process, self.desks[victim]])
            still.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.chance.uniform(0.1, 2))
            still.send_signal(signal.SIGCONT)

    async def end_desk(self, node: str) -> None:
        """Kill the program of a desk; raises :class:`SystemExit` where it had ended by itself."""
        program = self.desks.pop(node)
        if program.returncode is not None:
            raise SystemExit(f"the program of {node} ended: {(self.folder / f'desk-{node}.log').read_text()[-2000:]}")
        program.kill()
        await program.wait()

    def collect(self) -> None:
        """Collect the checkpoints that the nodes write down, until the end."""
        files = {node: CheckpointFile(self.made.federation.node_home(node) / "log-checkpoint") for node in PAIRS}
        before: dict[str, tuple[int, int]] = {}
        while not self.ended.wait(LOOK_EVERY_S):
            for node, file in files.items():
                with suppress(OSError, CheckpointFileDamagedError):  # read while it was written
                    status = os.stat(file.path)
                    if before.get(node) == (status.st_ino, status.st_size):
                        continue
                    note = file.read()
                    before[node] = (status.st_ino, status.st_size)
                    if note is not None:
                        self.seen[node].append(parse_checkpoint(note))

    def told(self, node: str) -> list[str]:
        """The ids of all messages of which a desk's program was told."""
        return [one for line in self.journal(node).read_text("utf-8").splitlines() for one in json.loads(line)]


async def run(folder: Path, harms: int, seed: int, pause_s: float = 0.5) -> str:
    """One campaign; the line that says what was seen. Raises :class:`SystemExit` where something does not hold."""
    began = time.monotonic()
    async with world(folder) as made:
        campaign = Campaign(made, folder, random.Random(seed))
        collecting = threading.Thread(target=campaign.collect)
        collecting.start()
        try:
            for node in PAIRS:
                campaign.journal(node).touch()
                await campaign.begin_desk(node)
            await campaign.harm(harms, pause_s)
            campaign.stop.touch()
            for node in PAIRS:
                await campaign.end_desk(node)
            shown = await _settled(campaign)
        finally:
            for program in campaign.desks.values():
                with suppress(ProcessLookupError):
                    program.kill()
                await program.wait()
            campaign.ended.set()
            collecting.join()
    count = sum(len(campaign.told(node)) for node in PAIRS)
    states = {node: judge_log(campaign, node, shown[node]) for node in PAIRS}
    return (
        f"{harms} harms {dict(campaign.happened)}, {count} messages in {time.monotonic() - began:.0f} s:"
        f" 0 lost, 0 doubled; {sum(states.values())} checkpoints, 0 of a fork"
    )


async def _settled(campaign: Campaign) -> dict[str, list[Checkpoint]]:
    """Both desks take all there is, and what they have is judged; by node, the checkpoints that they were shown."""
    shown: dict[str, list[Checkpoint]] = {node: [] for node in PAIRS}
    async with desk(campaign.made, "jp") as jp, desk(campaign.made, "fr") as fr:
        opened = {"jp": jp, "fr": fr}
        for node, one in opened.items():
            other = opened[PAIRS[node]]
            waiting = set(campaign.told(node)) | await _ids(one, sent=True)
            while await one.messages.queued() or not waiting <= await _ids(other):
                await one.messages.sync(0)
                await other.messages.sync(1)
            names = Counter(row.own_reference for row in await other.messages.inbox(limit=MOST))
            if twice := [name for name, times in names.items() if times > 1]:
                raise SystemExit(f"doubled at {PAIRS[node]}: {twice[:5]}")
            if await other.messages.quarantine():
                raise SystemExit(f"{PAIRS[node]} holds something in quarantine")
            for row in await one.messages.inbox(sent=True, limit=MOST):
                for note in await _receipts(one, row.id):
                    checkpoint = parse_checkpoint(note)
                    shown[checkpoint.origin.rpartition("/")[2]].append(checkpoint)
    return shown


async def _ids(one: Desk, *, sent: bool = False) -> set[str]:
    return {str(row.id) for row in await one.messages.inbox(sent=sent, limit=MOST)}


async def _receipts(one: Desk, message: UUID) -> list[bytes]:
    """The checkpoints under which the receipts of a message are proved, when all have come."""
    while True:
        rows = await one.messages.receipts(message)
        if wrong := [row.error for row in rows if not row.verified]:
            raise SystemExit(f"a receipt of {message} does not verify: {wrong}")
        if {row.event for row in rows} >= {event.value for event in RECEIPTS}:
            break
        await one.messages.sync(1)
    store = one._works.context.store
    digest = (await in_thread(one, store.messages.head, message)).head.digest
    return [each.receipt.checkpoint for each in await in_thread(one, store.receipts.of, digest)]


def judge_log(campaign: Campaign, node: str, shown: list[Checkpoint]) -> int:
    """Hold all checkpoints of a node against its log, which stands still now; how many different ones."""
    database = campaign.made.federation.node_home(node) / "node.sqlite"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        entries = connection.execute("SELECT leaf, name, message, recipient FROM event ORDER BY idx").fetchall()
    once = Counter((name, message, recipient) for _, name, message, recipient in entries if message is not None)
    wanted = {event.value for event in RECEIPTS}
    if twice := [key for key, times in once.items() if times > 1 and key[0] in wanted]:
        raise SystemExit(f"twice in the log of {node}: {twice[:5]}")
    roots, tree = [Frontier().root()], Frontier()
    for leaf, *_ in entries:
        tree = tree.append(leaf_hash(leaf))
        roots.append(tree.root())
    sizes = [checkpoint.size for checkpoint in campaign.seen[node]]
    if not sizes or sizes != sorted(sizes):
        raise SystemExit(f"the log of {node} went back")
    collected = {(checkpoint.size, checkpoint.root) for checkpoint in (*campaign.seen[node], *shown)}
    if forked := [size for size, root in collected if size >= len(roots) or roots[size] != root]:
        raise SystemExit(f"checkpoints of {node} that its log never went through: sizes {sorted(forked)[:5]}")
    return len(collected)


def main() -> None:
    """Run it; the exit code says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=770)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=given.folder, prefix="comity-kill-"))
    print(asyncio.run(run(folder, given.kills, given.seed)))
    shutil.rmtree(folder)  # kept where something did not hold


if __name__ == "__main__":
    main()
