"""A watch that runs as a process of its own tells what arrives over a real node, and ends when it is asked to."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from exchange.demo._stage import PASSPHRASE, Stage, example
from exchange.desk.desk import Desk


@pytest.mark.parametrize("ended_by", [signal.SIGINT, signal.SIGTERM])
async def test_a_running_watch_tells_of_a_message_as_it_arrives_and_ends_in_order(
    tmp_path: Path, ended_by: signal.Signals
) -> None:
    stage = Stage(tmp_path, quiet=True)
    async with stage.running():
        watching = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "exchange.cli.main", "watch", "--json", "--home", str(stage.paris)),
            stdout=PIPE,
            stderr=PIPE,
            env={**os.environ, "COMITY_PASSPHRASE_FILE": str(tmp_path / "passphrase")},
        )
        assert watching.stdout is not None
        async with Desk.open(stage.seoul, PASSPHRASE) as seoul, asyncio.timeout(60):
            sent = await seoul.send(json.loads(example("preservation-request.json").read_text("utf-8")))
            told: dict[str, object] = {}
            while told.get("received") != [str(sent.id)]:
                told = json.loads(await watching.stdout.readline())
                assert told["event"] in {"arrived", "due"}
        watching.send_signal(ended_by)
        async with asyncio.timeout(30):
            _, said = await watching.communicate()
        assert (watching.returncode, said) == (128 + ended_by, b"")
