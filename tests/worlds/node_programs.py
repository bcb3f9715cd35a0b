"""Nodes of a :class:`tests.worlds.nodes.World` as programs of their own, to be killed as the system kills one."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.members.federation import bootstrap_file_of
from tests.worlds.nodes import World
from tests.worlds.patience import WITHIN_S

_NODE = "from node.cli.main import main; main()"


def _toml(values: dict[str, Any]) -> str:
    """Plain values and one level of tables, as the settings have them."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in values.items() if not isinstance(value, dict)]
    tables = [f"[{name}]\n{_toml(value)}" for name, value in values.items() if isinstance(value, dict)]
    return "\n".join([*plain, *tables])


@dataclass
class NodePrograms:
    """The processes of a world's nodes. A node that is killed and started again finds its own home."""

    world: World
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def configure(self, name: str, **settings: Any) -> None:
        """Write what the node needs to run, and what its commands need while it does not."""
        world, home = self.world, self.world.home(name)
        assert world.directory is not None
        bundle = bootstrap_file_of(world.directory, world.found().repository, next(iter(world.nations)))
        home.bootstrap.write_bytes(bundle.to_bytes())
        secret = home.path / "passphrase"
        secret.write_text("test\n")
        secret.chmod(0o600)
        values: dict[str, Any] = {
            "node": name,
            "listen": f"127.0.0.1:{world.ports[name]}",
            "admin": "",
            "allow_networks": ["127.0.0.0/8"],
            "passphrase_file": str(secret),
            "directory": {"folder": str(world.folder)},
            "log": {"boot_folder": str(world.path), "ask_witnesses_at_start": False},
            "delivery": {"first_backoff_s": 0.02, "max_backoff_s": 0.2, "timeout_s": WITHIN_S, "cosign_s": 3600},
            "files": {"reserve_bytes": 0},
            "housekeeping_s": 0.2,
        }
        home.settings.write_text(_toml(values | settings))

    async def start(self, name: str, **settings: Any) -> None:
        """Run the node; returns when it serves."""
        self.configure(name, **settings)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _NODE,
            "run",
            str(self.world.home(name).path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        self.processes[name] = process
        assert process.stdout is not None
        line = await process.stdout.readline()
        assert line, f"the node {name} did not start"

    async def kill(self, name: str) -> None:
        """SIGKILL: nothing is finished, nothing is said."""
        process = self.processes.pop(name)
        process.kill()
        await process.wait()

    async def restart(self, name: str, **settings: Any) -> None:
        """Kill it, and run it again."""
        await self.kill(name)
        await self.start(name, **settings)

    async def command(self, *arguments: str) -> asyncio.subprocess.Process:
        """An operator's command that begins, in a process of its own, with its answer as JSON."""
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _NODE,
            *arguments,
            "--json",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def done(self, *arguments: str) -> Any:
        """An operator's command to its end: what it answered."""
        process = await self.command(*arguments)
        said, wrong = await process.communicate()
        assert process.returncode == 0, (said + wrong).decode()
        return json.loads(said)

    async def close(self) -> None:
        """End those that run, and the world."""
        for name in list(self.processes):
            await self.kill(name)
        await self.world.close()

    def segments_at(self, name: str, digest: bytes) -> int:
        """How many segments of a message lie in the node's folder."""
        folder: Path = self.world.home(name).path / "files" / digest.hex()
        return sum(not path.name.startswith(".") for path in folder.iterdir()) if folder.is_dir() else 0
