"""Two real nodes on loopback with a desk each: processes, TLS and databases as in production."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from typer import Typer
from typer.testing import CliRunner

from exchange.cli.main import app as officers_app
from exchange.demo._ports import free_port, is_free
from exchange.demo.processes import Commands, RunningNode, variables
from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import Home, OfficerSettings
from exchange.views import ReceiptRow
from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import ContactPointCard, parse_contact_point_card
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.members.federation import bootstrap_file_of
from keys.secrets.keystore import FAST
from node.cli.main import app as operators_app
from protocol.address import Address
from protocol.errors import DemoStepError, UnavailableError
from tests.worlds.federation import Federation, make_node_home, signers
from tests.worlds.moulds import copied

FEDERATION = "comity-demo"
NATIONS = {"jp": "Japan", "fr": "France"}
PASSPHRASE = b"end to end"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "preservation-request.json"


def request_draft() -> dict[str, Any]:
    """The example request."""
    draft: dict[str, Any] = json.loads(EXAMPLE.read_text("utf-8"))
    return draft


@dataclass(slots=True)
class NodeHomes:
    """The homes of both nodes in ``root``, as their operators left them, and who signs the directory."""

    root: Path
    federation: Federation

    @property
    def ceremony(self) -> Ceremony:
        return self.federation.ceremony

    @property
    def registry(self) -> list[DirectorySigner]:
        return self.federation.registry

    @property
    def holders(self) -> list[DirectorySigner]:
        return self.federation.holders

    @property
    def nations(self) -> dict[str, list[DirectorySigner]]:
        return self.federation.nations

    def node_home(self, node: str) -> Path:
        """The home folder of a node."""
        return self.root / f"node-{node}"

    def bootstrap(self, node: str) -> Path:
        """The bootstrap file for the desks of ``node``."""
        return self.root / f"bootstrap-{node}.json"

    def enrol(self, enrolment: Path, now: datetime) -> ContactPointCard:
        """Sign a contact point's card into the directory, as its nation does."""
        card = parse_contact_point_card(enrolment.read_bytes())
        self.federation.publish(now, card)
        return card


@dataclass(frozen=True, slots=True)
class Founded:
    """What was made with the homes, beside the files."""

    federation: Federation
    ports: Mapping[str, tuple[int, int]]


def make_homes(root: Path, passphrase: bytes, passphrase_file: Path, *desks: str, more: str = "") -> NodeHomes:
    """A federation in ``root`` (2 of 3 root holders, 2 of 2 keys a nation) with both nodes' homes, and desks of these.

    ``more`` stands at the end of the settings of both nodes.

    It is a copy of one that was founded once. Ports are those of the first: its nodes are stopped by now.
    """
    founded = copied(
        root,
        _found,
        passphrase,
        *desks,
        usable=lambda made: all(is_free(p) for pair in made.ports.values() for p in pair),
    )
    made = NodeHomes(root, founded.federation.copied(root / "directory"))
    for node, (port, admin_port) in founded.ports.items():
        settings = (
            f'node = "{node}"\n'
            f'listen = "127.0.0.1:{port}"\n'
            f'admin = "127.0.0.1:{admin_port}"\n'
            'allow_networks = ["127.0.0.0/8"]\n'
            f'passphrase_file = "{passphrase_file}"\n'
            "[directory]\n"
            f'folder = "{root / "directory"}"\n'
            "refresh_s = 1\n"
            "[log]\n"
            f'boot_folder = "{root}"\n'
            "[delivery]\n"
            "first_backoff_s = 0.05\n"
            "max_backoff_s = 1\n"
            f"{more}"
        )
        write_file(made.node_home(node) / "node.toml", settings.encode())
    return made


def _found(root: Path, passphrase: bytes, *desks: str) -> Founded:
    now = datetime.now(UTC)
    holders = signers("government of A", "government of B", "UN")
    federation = Federation.found(root / "directory", now, name=FEDERATION, holders=holders, threshold=2)
    made = NodeHomes(root, federation)
    ports = {node: (free_port(), free_port()) for node in NATIONS}
    for node, name in NATIONS.items():
        offices = signers(f"{name} justice", f"{name} interior")
        urls = [f"https://127.0.0.1:{ports[node][0]}"]
        keys, card = federation.admit_node(node, offices, now, name=name, urls=urls)
        assert federation.directory is not None
        bundle = bootstrap_file_of(federation.directory, federation.repository, node)
        write_file(made.bootstrap(node), bundle.to_bytes())
        make_node_home(made.node_home(node), passphrase, keys, card, now)
        write_file(made.node_home(node) / "bootstrap.json", bundle.to_bytes())
    for node in desks:
        _make_desk(made, node, now)
    return Founded(federation, ports)


def _make_desk(homes: NodeHomes, node: str, now: datetime) -> Path:
    home = homes.root / f"desk-{node}"
    create_desk(
        home,
        NewDesk(
            Address("24-7", node),
            office="office",
            agency="agency",
            officer=OfficerSettings(name="Duty Officer", role="duty officer", telephone="+33123456789"),
        ),
        PASSPHRASE,
        BootstrapFile.from_bytes(homes.bootstrap(node).read_bytes()),
        now,
        derivation=FAST,
    )
    homes.enrol(Home(home).enrolment, now)
    return home


@dataclass(frozen=True, slots=True)
class Typed:
    """As :class:`Commands`, in this process: for commands of which it does not matter that they are programs."""

    passphrase_file: Path

    async def comity(self, home: Path, *arguments: str, codes: Sequence[int] = (0,)) -> Any:
        """What the officer's command printed."""
        return await self._run(officers_app, (*arguments, "--home", str(home)), codes)

    async def node(self, *arguments: str) -> Any:
        """What the operator's command printed."""
        return await self._run(operators_app, arguments, (0,))

    async def _run(self, app: Typer, arguments: Sequence[str], codes: Sequence[int]) -> Any:
        runner = CliRunner(env=variables(self.passphrase_file))
        ran = await asyncio.to_thread(runner.invoke, app, [*arguments, "--json"], catch_exceptions=False)
        if ran.exit_code not in codes:
            raise DemoStepError(f"{' '.join(arguments[:2])} ended with {ran.exit_code}: {ran.output}")
        return json.loads(ran.stdout)


@dataclass(slots=True)
class World:
    """The federation in ``root``; ``nodes`` are those that run now."""

    root: Path
    commands: Commands
    federation: NodeHomes
    nodes: dict[str, RunningNode] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def typed(self) -> Typed:
        """Commands that run in this process."""
        return Typed(self.commands.passphrase_file)

    async def start(self, node: str) -> None:
        """Start a node and wait until it is ready."""
        self.nodes[node] = await self.commands.start_node(self.federation.node_home(node))
        self.changed.set()

    async def kill(self, node: str) -> None:
        """End a node's process with SIGKILL: it gets no chance to tidy up."""
        running = self.nodes.pop(node)
        running.process.kill()
        await running.process.wait()

    async def restart(self, node: str) -> None:
        """Kill a node and start it again."""
        await self.kill(node)
        await self.start(node)

    async def stop(self) -> None:
        """Stop the nodes that run now."""
        while self.nodes:
            _node, running = self.nodes.popitem()
            await running.stop()

    def make_desk(self, node: str) -> Path:
        """Make and enrol the desk 24-7@``node``; its home folder."""
        return _make_desk(self.federation, node, datetime.now(UTC))


@asynccontextmanager
async def world(root: Path, *, more: str = "") -> AsyncIterator[World]:
    """A federation whose two nodes run, with ``more`` settings; they are stopped at the end."""
    passphrase_file = root / "passphrase"
    write_file(passphrase_file, PASSPHRASE, mode=0o600)
    made = World(root, Commands(passphrase_file), make_homes(root, PASSPHRASE, passphrase_file, "jp", "fr", more=more))
    try:
        for node in ("jp", "fr"):
            await made.start(node)
        yield made
    finally:
        await made.stop()


def desk(made: World, node: str) -> Any:
    """The opened desk of a node, as an asynchronous context."""
    return Desk.open(made.root / f"desk-{node}", PASSPHRASE)


async def sync(made: World, opened: Desk, wait: float = 2) -> Any:
    """Synchronise; None when the node could not be reached, then only after a node was started (or two seconds)."""
    made.changed.clear()
    try:
        return await opened.messages.sync(wait)
    except UnavailableError:
        with suppress(TimeoutError):
            async with asyncio.timeout(2):
                await made.changed.wait()
        return None


def proved(receipts: list[ReceiptRow]) -> set[tuple[str, str]]:
    """(event, node) of the receipts; all must be verified."""
    assert all(receipt.verified for receipt in receipts), [receipt.error for receipt in receipts]
    return {(receipt.event, receipt.node) for receipt in receipts}
