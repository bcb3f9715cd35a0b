"""Programs that move evidence files are killed at each stage: nothing is lost, doubled, or taken for whole."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.demo.processes import variables
from protocol.files.sealed_file import sealed_length
from tests.worlds.processes import World, request_draft, world

pytestmark = pytest.mark.outside
MIB = 1 << 20
SIZE = 24 * MIB


async def begun(made: World, node: str, *arguments: str) -> Process:
    """A command of the desk of ``node`` in a process of its own, which goes on."""
    environment = {**os.environ, **variables(made.commands.passphrase_file)}
    home = ("--home", str(made.root / f"desk-{node}"))
    command = (sys.executable, "-m", "exchange.cli.main", *arguments, *home)
    return await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment)


async def killed_when(process: Process, seen: Callable[[], bool]) -> bool:
    """Kill a process as soon as something is seen; False where it ended before."""
    while process.returncode is None:
        if seen():
            process.kill()
            await process.communicate()
            return True
        await asyncio.sleep(0.002)
    await process.communicate()
    return False


async def typed(made: World, node: str, *arguments: str) -> Any:
    """A command to its end, at last in a process of its own: what it printed as JSON."""
    return await made.commands.comity(made.root / f"desk-{node}", *arguments, codes=(0, 7))


async def moved(made: World, node: str, message: str) -> None:
    """Have the files of a message moved to their end: a busy machine may hold them up midway."""
    async with asyncio.timeout(300):
        while (await typed(made, node, "files", "resume", message))["messages"][0]["state"] != "done":
            pass


def whole(desk: Path) -> set[Path]:
    """The sealed files of a desk that have their name."""
    return {path for path in desk.glob("out/*") if path.suffix == ""}


def any_of(folder: Path, pattern: str, least: int = 1) -> Callable[[], bool]:
    """Whether a file of that pattern has so many bytes."""

    def look() -> bool:
        for path in folder.glob(pattern):
            try:
                if path.stat().st_size >= least:
                    return True
            except FileNotFoundError:
                continue
        return False

    return look


async def test_a_file_survives_a_kill_while_it_is_sealed_sent_fetched_and_opened(tmp_path: Path) -> None:
    async with world(tmp_path) as made:
        source, draft, out = tmp_path / "image.dd", tmp_path / "draft.json", tmp_path / "out"
        source.write_bytes(os.urandom(SIZE))
        draft.write_text(json.dumps(request_draft()), "utf-8")
        jp, fr = (tmp_path / f"desk-{node}" / "files" for node in ("jp", "fr"))
        send = ("send", str(draft), "--attach", str(source), "--idempotency-key", "one")

        await killed_when(await begun(made, "jp", *send), any_of(jp, "out/*.part"))
        # Where the kill came late, it had been sealed to its end: only so it has a name.
        late = whole(jp)
        assert all(path.stat().st_size == sealed_length(SIZE) for path in late)
        await killed_when(await begun(made, "jp", *send), any_of(tmp_path / "node-jp", "files/**/*"))
        late |= whole(jp)
        sent = await typed(made, "jp", *send)
        await moved(made, "jp", sent["id"])
        messages = (await typed(made, "jp", "inbox", "--sent"))["messages"]
        assert [one["id"] for one in messages] == [sent["id"]]
        assert len(late) <= 2
        assert len(whole(jp) - late) <= 1, "none is sealed once more for the same message"

        while not (await typed(made, "fr", "inbox", "--wait", "5"))["messages"]:
            pass
        # The running desk fetches by itself; it is killed meanwhile, and so is the command that goes on.
        await killed_when(await begun(made, "fr", "desk", "run"), any_of(fr, "in/*/*"))
        out.mkdir()
        get = ("files", "get", sent["id"], "--to", str(out))
        await killed_when(await begun(made, "fr", *get), any_of(out, ".comity-*.part"))
        named = [path for path in out.iterdir() if not path.name.startswith(".comity-")]
        assert all(path.stat().st_size == SIZE for path in named)
        await moved(made, "fr", sent["id"])
        opened = await typed(made, "fr", *get)
        (found,) = [path for path in out.iterdir() if not path.name.startswith(".comity-")]
        assert str(found) == opened["files"][0]["path"]
        assert found.read_bytes() == source.read_bytes()
        assert (await typed(made, "fr", "files", "verify", sent["id"]))["ok"]
        await it_survives_kills_on_a_carried_disk_too(made, source)


async def it_survives_kills_on_a_carried_disk_too(made: World, source: Path) -> None:
    """A second file goes from desk to node, and from node to desk, on a disk; what carries it is killed each time."""
    folder, officer, operator = made.root, made.typed.comity, made.typed.node
    jp, fr = folder / "desk-jp", folder / "desk-fr"
    up, down = folder / "disk-up", folder / "disk-down"
    running = made.nodes.pop("jp")
    await running.stop()
    sent = await officer(jp, "send", str(folder / "draft.json"), "--attach", str(source), codes=(0, 7))
    export = ("bundle", "export", str(folder / "for-node"), "--files", str(up))
    await killed_when(await begun(made, "jp", *export), any_of(up, "*/*/*/*"))
    (folder / "for-node").unlink(missing_ok=True)  # it may have been done before
    exported = await officer(jp, *export)
    assert exported["carried"]["segments"] + exported["carried"]["already"] == SIZE // MIB + 1
    await made.start("jp")
    home = str(made.federation.node_home("jp"))
    taken = await operator("bundle", "import", home, str(folder / "for-node"), "--files", str(up))
    assert taken["carried"]["segments"] == SIZE // MIB + 1

    while True:
        await officer(fr, "inbox", "--wait", "1")
        to = ("--to", "24-7@fr", "--files", str(down))
        bundle = folder / "for-desk"
        bundle.unlink(missing_ok=True)
        exported = await operator("bundle", "export", str(made.federation.node_home("fr")), str(bundle), *to)
        # Segments reach the node in any order: the disk goes on its way when it has every one.
        if exported["carried"]["segments"] + exported["carried"]["already"] == SIZE // MIB + 1:
            break
    take = ("bundle", "import", "--files", str(down))
    await killed_when(await begun(made, "fr", *take), any_of(fr / "files", "in/*/*.part"))
    await officer(fr, *take)
    assert (await officer(fr, "files", "verify", sent["id"]))["ok"]
    (custody,) = (await officer(fr, "files", "custody", source.name, "--message", sent["id"]))["files"]
    hands = [(step["by"], step["detail"]) for step in custody["steps"] if step["what"] == "carried"]
    assert set(hands) == {("24-7@jp", "to jp, on a disk"), ("fr", "to 24-7@fr, on a disk")}
