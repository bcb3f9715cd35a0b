"""A watch that runs as a process of its own tells what arrives over a real node, and ends when it is asked to."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import desk, request_draft, world


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
async def test_a_running_watch_tells_of_a_message_as_it_arrives_and_ends_in_order(
    tmp_path: Path, ended_by: signal.Signals
) -> None:
    async with world(tmp_path) as made:
        watching = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exchange.cli.main", "watch", "--json", "--home", str(made.root / "desk-fr")),
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "COMITY_PASSPHRASE_FILE": str(made.commands.passphrase_file)},
        )
        assert watching.stdout is not None
        async with desk(made, "jp") as tokyo, asyncio.timeout(WITHIN_S):
            sent = await tokyo.messages.send(request_draft())
            told: dict[str, object] = {}
            while told.get("received") != [str(sent.id)]:
                told = json.loads(await watching.stdout.readline())
                assert told["event"] in {"arrived", "due"}
        watching.send_signal(ended_by)
        async with asyncio.timeout(WITHIN_S):
            _, said = await watching.communicate()
        assert (watching.returncode, said) == (128 + ended_by, b"")
