"""The processes of the demonstration: nodes that run, commands that end. Only what is started here is stopped here."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from protocol.errors import DemoStepError, PeerFailedError, UnavailableError

READY_TIMEOUT_S = 60
COMMAND_TIMEOUT_S = 120
STOP_TIMEOUT_S = 20


def variables(passphrase_file: Path) -> dict[str, str]:
    """The environment of the demonstration's commands, nodes and desks alike."""
    return {
        "COMITY_PASSPHRASE_FILE": str(passphrase_file),
        "COMITY_NODE_PASSPHRASE_FILE": str(passphrase_file),
        # The memory between two starts of a node goes when the demonstration goes.
        "COMITY_NODE_LOG__BOOT_FOLDER": str(passphrase_file.parent),
    }


async def _ended(process: Process) -> None:
    """Kill a process if it still runs, and wait for it."""
    if process.returncode is None:
        process.kill()
        await process.wait()


@dataclass(frozen=True, slots=True)
class Commands:
    """Runs ``comity`` and ``comity-node`` with the demonstration's passphrase file."""

    passphrase_file: Path

    async def comity(self, home: Path, *arguments: str, codes: Sequence[int] = (0,)) -> Any:
        """The JSON object that the command printed; raises :class:`DemoStepError` for another exit code."""
        return await self._run("exchange.cli.main", (*arguments, "--home", str(home), "--json"), codes)

    async def node(self, *arguments: str) -> Any:
        """As :meth:`comity`, for the operator's command."""
        return await self._run("node.cli.main", (*arguments, "--json"), (0,))

    async def _run(self, module: str, arguments: Sequence[str], codes: Sequence[int]) -> Any:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=self._environment()
        )
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                printed, said = await process.communicate()
        except TimeoutError:
            raise DemoStepError(f"{arguments[0]} did not end within {COMMAND_TIMEOUT_S} s") from None
        finally:
            await _ended(process)
        if process.returncode not in codes:
            text = (printed or said).decode("utf-8", "replace").strip()[-600:]
            raise DemoStepError(f"{' '.join(arguments[:2])} ended with {process.returncode}: {text}")
        try:
            return json.loads(printed)
        except ValueError:
            raise DemoStepError(f"{' '.join(arguments[:2])} did not print JSON") from None

    async def start_node(self, home: Path) -> RunningNode:
        """Start the node in ``home`` and wait until it says that it is ready."""
        return await self._start("node", home, "node.cli.main", "run", str(home))

    async def start_desk(self, home: Path) -> RunningNode:
        """Start the desk in ``home`` as a service, and wait until it says that it runs."""
        return await self._start("desk", home, "exchange.cli.main", "desk", "run", "--home", str(home), "--json")

    async def _start(self, what: str, home: Path, module: str, *arguments: str) -> RunningNode:
        with (home / f"{what}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *arguments,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                env=self._environment(),
            )
        ready: dict[str, Any] | None = None
        try:
            ready = await self._ready(process, what, home)
        finally:
            # One that nobody was given, nobody stops.
            if ready is None:
                await _ended(process)
        return RunningNode(process, ready)

    async def _ready(self, process: Process, what: str, home: Path) -> dict[str, Any]:
        if process.stdout is None:
            raise PeerFailedError(f"the {what}'s process has no output")
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                said = await process.stdout.readline()
        except TimeoutError:
            raise UnavailableError(f"the {what} in {home} was not ready within {READY_TIMEOUT_S} s") from None
        if not said:
            await process.wait()
            log_file = home / f"{what}.log"
            raise UnavailableError(f"the {what} in {home} ended with {process.returncode}; see {log_file}")
        parsed: dict[str, Any] = json.loads(said)
        return parsed

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COMITY_")}
        return {**kept, **variables(self.passphrase_file)}


@dataclass(frozen=True, slots=True)
class RunningNode:
    """The process of a node, or of a desk's service, and what it said when it was ready."""

    process: Process
    ready: dict[str, Any]

    async def stop(self) -> int:
        """Ask it to stop and wait; its exit code. One that does not stop in time is killed."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
        return await self.process.wait()
