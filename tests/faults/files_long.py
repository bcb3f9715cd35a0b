"""A long file over two nodes, with kills at random: identical at the end, memory flat, every hop proved.

    python -m tests.faults.files_long [--gib 20] [--kills 12] [--seed 1] [--folder /var/tmp] [--open]

Both nodes and the programs of both desks are processes. Any of them is killed (SIGKILL) at random moments and begun
again, while the file is sent and fetched. At the end the file is verified at the recipient's desk, or opened
(``--open``) and compared, and the stand-alone verifier judges the bag of the sender with the sealed file beside it.

Disk: three times the sealed file, and the recipient's desk fetches only when the sender's node let its copy go, which
it does as soon as the next one has the whole. So there are never more than three: at the sender's desk and both nodes,
or at both desks and the recipient's node, or with ``--open`` at both desks and opened. The source has holes, takes
little, and is removed when it is sealed. What that needs is said first, and refused where it is not there.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path
from typing import Any

from exchange.demo.processes import variables
from keys.members.bootstrap import BootstrapFile
from protocol.files.sealed_file import sealed_length
from tests.worlds.processes import World, request_draft, world

GIB, MIB = 1 << 30, 1 << 20
# Beside the copies: what the nodes leave free on their disk, databases, and the source.
BESIDE_BYTES = 2 * GIB
# A node lets files go as soon as they are handed over.
LETTING_GO = "[files]\nretention_h = 0\n"
PROVED = {"FileAcceptance", "FileRelayAcceptance", "FileConsignment", "FileHandover"}
ROUNDS = 10_000
COPIES = 3
SLOWLY_FROM = 3 << 29
VERIFIER = Path(__file__).resolve().parents[2] / "exchange" / "verifiers" / "verify_bag.py"


def main() -> None:
    """Run it; the exit code says whether all held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=float, default=20)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--open", action="store_true")
    given = parser.parse_args()
    size = int(given.gib * GIB)
    needed, free = needed_bytes(size), shutil.disk_usage(given.folder).free
    print(
        f"{given.gib:g} GiB need {needed / GIB:.1f} GiB of disk in {given.folder}; {free / GIB:.1f} are free",
        flush=True,
    )
    if free < needed:
        raise SystemExit(
            f"not enough: {(needed - free) / GIB:.1f} GiB are missing. Free them, or give another folder (FOLDER=) or a"
            " smaller file (GIB=)"
        )
    with tempfile.TemporaryDirectory(dir=given.folder, prefix="comity-files-") as folder:
        asyncio.run(_run(Path(folder), size, given))


def needed_bytes(size: int) -> int:
    """How much disk a run with a file of this size takes at most."""
    return COPIES * sealed_length(size) + size // 64 + BESIDE_BYTES


class Run:
    """One run: the processes that may be killed now, and the most memory of each kind."""

    def __init__(self, made: World, seed: int, kills: int, size: int) -> None:
        self.made = made
        self.random = random.Random(seed)
        self.kills = kills
        self.pause = max(1.0, size / SLOWLY_FROM)  # kills fall on all of a long run
        self.done = 0
        self.most: dict[str, float] = {}
        self.idle: dict[str, float] = {}
        self.desks: dict[str, Process] = {}
        self._ended = threading.Event()

    def pids(self) -> dict[str, int]:
        """The processes by name."""
        found = {f"node {name}": node.process.pid for name, node in list(self.made.nodes.items())}
        return found | {f"desk {name}": process.pid for name, process in list(self.desks.items())}

    def sample(self) -> None:
        """Note the most memory (RssAnon, MB: what the kernel cannot drop), until the end."""
        while not self._ended.wait(0.1):
            for name, pid in self.pids().items():
                self.most[name] = max(self.most.get(name, 0.0), _anonymous_mb(pid))

    def end(self) -> None:
        """Sample no more."""
        self._ended.set()

    async def command(self, node: str, *arguments: str, killable: bool = False) -> Any:
        """A command of a desk: what it printed; None where it was killed or refused."""
        environment = {**os.environ, **variables(self.made.commands.passphrase_file)}
        home = ("--home", str(self.made.root / f"desk-{node}"), "--json")
        command = (sys.executable, "-m", "exchange.cli.main", *arguments, *home)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment
        )
        if killable:
            self.desks[node] = process
        try:
            printed, _ = await process.communicate()
        finally:
            if killable:
                self.desks.pop(node, None)
        with suppress(ValueError):
            return json.loads(printed)
        return None

    async def until_done(self, node: str, message: str) -> None:
        """Move the files of a message, again and again, until they are where they go."""
        for _ in range(ROUNDS):
            said = await self.command(node, "files", "resume", message, killable=True)
            if said is not None and "messages" in said and said["messages"][0]["state"] == "done":
                return
            if said is not None and "messages" in said and said["messages"][0]["state"] == "failed":
                raise SystemExit(f"given up at {node}: {said['messages'][0]['why']}")
            if said is not None and "messages" in said and said["messages"][0]["state"] == "waiting":
                await self.command(node, "inbox")  # the message itself has not left: its node was down
            await asyncio.sleep(0.2)
        raise SystemExit(f"the files did not arrive at {node}")

    async def kill_at_random(self) -> None:
        """Kill one of the processes now and then; a node is started again at once."""
        while self.done < self.kills:
            await asyncio.sleep(self.random.uniform(0.5, 6) * self.pause)
            victims = [*(f"node {name}" for name in self.made.nodes), *(f"desk {name}" for name in self.desks)]
            kind, name = self.random.choice(victims).split()
            self.done += 1
            print(f"  killed: the {kind} {name}", flush=True)
            if kind == "node":
                await self.made.restart(name)
            else:
                with suppress(ProcessLookupError, KeyError):
                    self.desks[name].kill()


async def _run(folder: Path, size: int, given: argparse.Namespace) -> None:
    source, draft = folder / "image.dd", folder / "draft.json"
    digest = await asyncio.to_thread(_write_source, source, size)
    draft.write_text(json.dumps(request_draft()), "utf-8")
    async with world(folder, more=LETTING_GO) as made:
        run = Run(made, given.seed, given.kills, size)
        run.idle = {name: _anonymous_mb(pid) for name, pid in run.pids().items()}
        sampling = threading.Thread(target=run.sample)
        sampling.start()
        killing = asyncio.create_task(run.kill_at_random())
        begun, before = time.monotonic(), _loopback_bytes()
        try:
            message = await _send(run, source, draft)
            source.unlink()
            await run.until_done("jp", message)
            await _let_go(folder, "jp")
            await _receive(run, message)
        finally:
            killing.cancel()
            await asyncio.gather(killing, return_exceptions=True)
            run.end()
            sampling.join()
        took, moved = time.monotonic() - begun, _loopback_bytes() - before
        await _judge(run, folder, message, (source, digest, given.open))
    print(f"{size / GIB:g} GiB in {took:.0f} s, {run.done} kills; {moved / GIB:.2f} GiB over loopback (three hops)")
    for name, most in sorted(run.most.items()):
        idle = run.idle.get(name, 0.0)
        print(f"  {name}: at most {most:.0f} MB not of files" + (f", {most - idle:.0f} above idle" if idle else ""))


async def _send(run: Run, source: Path, draft: Path) -> str:
    arguments = ("send", str(draft), "--attach", str(source), "--idempotency-key", "long")
    for _ in range(ROUNDS):
        said = await run.command("jp", *arguments, killable=True)
        if said is not None and "id" in said:
            return str(said["id"])
        sent = await run.command("jp", "inbox", "--sent")
        if sent and sent.get("messages"):
            return str(sent["messages"][0]["id"])
    raise SystemExit("the message was not sent")


async def _let_go(folder: Path, node: str) -> None:
    """Return when the node let its copy go: then whoever comes after it has the whole."""
    while any((folder / f"node-{node}" / "files").glob("*/*")):  # noqa: ASYNC110 - another process, and no event
        await asyncio.sleep(0.5)


async def _receive(run: Run, message: str) -> None:
    for _ in range(ROUNDS):
        said = await run.command("fr", "inbox", "--wait", "5")
        if said is not None and message in {row["id"] for row in said.get("messages", ())}:
            break
    await run.until_done("fr", message)


async def _judge(run: Run, folder: Path, message: str, wanted: tuple[Path, str, bool]) -> None:
    """What arrived is the source, and what is claimed is proved."""
    _source, digest, opened = wanted
    verified = await run.command("fr", "files", "verify", message)
    listed = await run.command("fr", "files", "list", message)
    if not verified["ok"] or listed["messages"][0]["listed"][0]["sha256"] != digest:
        raise SystemExit("what arrived is not what was sent")
    if opened:
        await _let_go(folder, "fr")
        got = await run.command("fr", "files", "get", message, "--to", str(folder / "out"))
        if _digest(Path(got["files"][0]["path"])) != digest:
            raise SystemExit("the opened file is not the source")
    for _ in range(ROUNDS):
        tracked = await run.command("jp", "track", message, "--wait", "5")
        if {hop["event"] for hop in tracked["files"]["hops"]} >= PROVED:
            break
    bag, sealed = folder / "evidence.zip", folder / "desk-jp" / "files" / "out"
    given = ("--disclose", "--to", "A court", "--purpose", "proceedings", "--out", str(bag))
    await run.command("jp", "evidence", "bag", message, *given)
    bootstrap = BootstrapFile.from_bytes(await asyncio.to_thread((folder / "bootstrap-jp.json").read_bytes))
    root, program = hashlib.sha256(bootstrap.root).hexdigest(), VERIFIER
    command = (sys.executable, str(program), str(bag), "--root-sha256", root, "--files", str(sealed))
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    said, wrong = await process.communicate()
    print((said + wrong).decode()[-2_000:])
    if process.returncode not in {0, 6}:
        raise SystemExit("the stand-alone verifier does not find it proved")


def _write_source(path: Path, size: int) -> str:
    """A file with holes: a random MiB in every 64. Its SHA-256."""
    with path.open("wb") as file:
        file.truncate(size)
        for at in range(0, size - MIB, 64 * MIB):
            file.seek(at)
            file.write(os.urandom(MIB))
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _anonymous_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text("ascii")
    except OSError:
        return 0.0
    return int(status.partition("RssAnon:")[2].split()[0]) / 1024 if "RssAnon:" in status else 0.0


def _loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text("ascii").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    return 0


if __name__ == "__main__":
    main()
