"""A desk that runs as a process serves its local API, and its events, before and after it is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.worlds.local_api import Program
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import request_draft, world

pytestmark = pytest.mark.outside


async def run_desk(home: Path, folder: Path, secret: Path) -> Process:
    """``comity desk run``, ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange.cli.main", "desk", "run", "--json"),
        *("--home", str(home), "--run-folder", str(folder)),
        stdout=PIPE,
        env={**os.environ, "COMITY_PASSPHRASE_FILE": str(secret)},
        start_new_session=True,
    )
    assert process.stdout is not None
    while json.loads(await process.stdout.readline())["event"] != "running":
        pass
    return process


async def typed(home: Path, *words: str) -> tuple[int | None, list[Any]]:
    """A command of its own; its exit code and the objects that it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange.cli.main", *words, "--home", str(home), "--json"), stdout=PIPE
    )
    printed, _ = await process.communicate()
    return process.returncode, [json.loads(line) for line in printed.decode().splitlines() if line.startswith("{")]


async def test_a_program_that_asks_again_after_the_desk_was_killed_gets_the_same_message_and_misses_no_event(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("run")
    async with world(tmp_path) as made, asyncio.timeout(120):
        home, secret = made.root / "desk-jp", made.commands.passphrase_file
        draft = request_draft()
        body = {"drafts": [draft]}
        running = await run_desk(home, folder, secret)
        try:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "api.sock"))) as session:
                program = Program(session)
                sent = await program.post("/v1/messages", body, Idempotency_Key="k1")
                seen = (await program.get("/v1/health"))["last_event"]
            running.send_signal(signal.SIGKILL)
            await running.wait()
            assert (await typed(home, "desk", "events", "--once"))[0] == 4
            running = await run_desk(home, folder, secret)
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(folder / "api.sock"))) as session:
                program = Program(session)
                again = await program.post("/v1/messages", body, Idempotency_Key="k1")
                assert again["messages"][0]["id"] == sent["messages"][0]["id"]
                assert len((await program.get("/v1/messages?box=sent"))["messages"]) == 1
                other = await program.post("/v1/messages", body)
                assert other["messages"][0]["id"] != sent["messages"][0]["id"]
            code, events = await typed(home, "desk", "events", "--once", "--after", "0")
            assert code == 0
            assert [one["sequence"] for one in events] == list(range(1, len(events) + 1))
            assert [one["event"] for one in events].count("message.submitted") == 2
            assert len(events) > seen
            running.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(running.wait(), WITHIN_S) == 0
            assert not (folder / "api.sock").exists()
        finally:
            if running.returncode is None:
                running.kill()
                await running.wait()
