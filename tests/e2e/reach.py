"""Six nations with five nodes, in processes of their own on loopback; three of them cannot be reached as usual.

jp, de, fr listen. la listens nowhere: it pulls from fr, and its desk reaches it by files. ki has no network: it trades
bundles with de, and listens for its own desk alone. va has no node: de hosts its contact point.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from exchange.demo._ports import free_port
from exchange.demo.processes import Commands, RunningNode
from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import OfficerSettings
from keys.directory.cards import Card, Hosting
from keys.local.bundle_files import read_parts
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.members.federation import log_origin, node_card
from keys.members.identity import NodeKeys, generate_node_keys
from keys.secrets.keystore import FAST
from protocol.address import Address
from tests.worlds.federation import Federation, make_node_home, signers
from tests.worlds.processes import Typed

PASSPHRASE = b"reach"
FEDERATION = "Reach"
OPEN = ("jp", "de", "fr")
NODES = (*OPEN, "la", "ki")
NATIONS = (*NODES, "va")
RELAYS = {"la": "fr", "ki": "de"}
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "preservation-request.json"


def draft(to: str) -> dict[str, Any]:
    """The example request, to the desk of ``to``."""
    return {**json.loads(EXAMPLE.read_text("utf-8")), "to": [f"24-7@{to}"]}


def serving(nation: str) -> str:
    """The node that serves the nation's desk."""
    return "de" if nation == "va" else nation


@dataclass
class Reach:
    """The federation below ``root``; ``nodes`` are those that run."""

    root: Path
    commands: Commands
    keys: Mapping[str, NodeKeys]
    nodes: dict[str, RunningNode] = field(default_factory=dict)
    files: Any = field(default_factory=count)

    @property
    def typed(self) -> Typed:
        """Commands that run in this process; the nodes are processes of their own."""
        return Typed(self.commands.passphrase_file)

    def home(self, node: str) -> Path:
        return self.root / f"node-{node}"

    def desk_home(self, nation: str) -> Path:
        return self.root / f"desk-{nation}"

    async def start(self, node: str) -> None:
        self.nodes[node] = await self.commands.start_node(self.home(node))

    async def kill(self, node: str) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        running = self.nodes.pop(node)
        running.process.kill()
        await running.process.wait()

    def file(self) -> Path:
        """A fresh name on the USB stick."""
        return self.root / f"carried-{next(self.files)}"

    async def carry(self, source: str, destination: str) -> dict[str, Any]:
        """One bundle from node to node, as two operators do it."""
        written = await self.typed.node(
            "bundle", "export", str(self.home(source)), str(self.file()), "--to", destination
        )
        done: dict[str, Any] = await self.typed.node("bundle", "import", str(self.home(destination)), *written["files"])
        return done

    async def carry_files(self, source: str, destination: str) -> dict[str, Any]:
        """One bundle from node to node, and evidence files on the same disk."""
        disk = str(self.root / f"disk-{source}-{destination}")
        to = ("--to", destination, "--files", disk)
        written = await self.typed.node("bundle", "export", str(self.home(source)), str(self.file()), *to)
        home = str(self.home(destination))
        done: dict[str, Any] = await self.typed.node("bundle", "import", home, *written["files"], "--files", disk)
        return done

    async def carry_desk_files(self, nation: str, desk: Desk) -> None:
        """As :meth:`carry_desk`, with evidence files on the same disk."""
        up, down = self.root / f"disk-from-{nation}", self.root / f"disk-to-{nation}"
        await desk.files.export_carried(up)
        await self.carry_desk(nation, desk)
        home = str(self.home(nation))
        await self.typed.node("bundle", "import", home, "--files", str(up))
        await self.typed.node(
            "bundle", "export", home, str(self.file()), "--to", str(desk.address), "--files", str(down)
        )
        await desk.files.import_carried(down)

    async def carry_desk(self, nation: str, desk: Desk) -> None:
        """The desk's bundle to its node, and the node's to the desk."""
        up = self.file()
        for part in await desk.messages.export_bundle():
            write_file(up, part)
        await self.typed.node("bundle", "import", str(self.home(nation)), str(up))
        down = await self.typed.node(
            "bundle", "export", str(self.home(nation)), str(self.file()), "--to", str(desk.address)
        )
        for part, _data in read_parts([Path(name) for name in down["files"]], str(desk.address)):
            await desk.messages.import_bundle(part)


@asynccontextmanager
async def reach(root: Path) -> AsyncIterator[Reach]:
    """The federation with all nodes running."""
    passphrase_file = root / "passphrase"
    write_file(passphrase_file, PASSPHRASE, mode=0o600)
    made = Reach(root, Commands(passphrase_file), _found(root, passphrase_file))
    try:
        for node in (*OPEN, "la"):
            await made.start(node)
        # ki never had a directory: it begins with the one that de's bundle carries.
        await made.carry("de", "ki")
        await made.start("ki")
        yield made
    finally:
        for running in made.nodes.values():
            await running.stop()


@asynccontextmanager
async def desks(made: Reach) -> AsyncIterator[dict[str, Desk]]:
    """The opened desk of every nation."""
    async with AsyncExitStack() as stack:
        opened: dict[str, Desk] = {}
        for nation in NATIONS:
            carried = None
            if nation == "la":
                down = await made.typed.node(
                    "bundle", "export", str(made.home("la")), str(made.file()), "--to", "24-7@la"
                )
                ((part, _data),) = read_parts([Path(name) for name in down["files"]], "24-7@la")
                carried = part.contents.directory
            opened[nation] = await stack.enter_async_context(
                Desk.open(made.desk_home(nation), PASSPHRASE, carried=carried)
            )
        yield opened


def _found(root: Path, passphrase_file: Path) -> Mapping[str, NodeKeys]:
    now = datetime.now(UTC)
    federation = Federation.found(root / "directory", now, name=FEDERATION, holders=signers("root"))
    keys = {node: generate_node_keys(node, ["127.0.0.1"], now) for node in NODES}
    ports = {node: free_port() for node in NODES}
    urls = {node: f"https://127.0.0.1:{ports[node]}" for node in NODES}
    for nation in NATIONS:
        federation.admit(nation, signers(nation), now)
        cards: list[Card] = []
        if nation in NODES:
            more: dict[str, Any] = {"relay": RELAYS.get(nation)}
            if nation == "ki":
                more["tls_certificates"] = (keys["ki"].tls.certificate,)
            listed = [urls[nation]] if nation in OPEN else []
            origin = log_origin(FEDERATION, nation)
            node = node_card(nation, keys[nation], origin, now, name=nation, urls=listed, **more)
            cards.append(node)
        host = serving(nation)
        first = "fr" if nation == "la" else host
        bundle = BootstrapFile(
            federation=FEDERATION,
            root=federation.repository.root_bytes(1),
            node=first,
            url=urls[first],
            tls_certificates=(keys[first].tls.certificate,),
        )
        if nation in NODES:
            make_node_home(root / f"node-{nation}", PASSPHRASE, keys[nation], node, now)
            _set_up(root, nation, ports[nation], bundle, passphrase_file)
        cards.append(
            create_desk(
                root / f"desk-{nation}",
                NewDesk(
                    Address("24-7", nation),
                    office="office",
                    agency="agency",
                    officer=OfficerSettings(name="Duty Officer", role="duty officer", telephone="+33123456789"),
                    node_url=urls["ki"] if nation == "ki" else None,
                    transport="file" if nation == "la" else "https",
                    card_fields={"hosting": () if host == nation else (Hosting(node=host, since=now),)},
                ),
                PASSPHRASE,
                bundle,
                now,
                derivation=FAST,
            )
        )
        federation.publish(now, *cards)
    return keys


def _set_up(root: Path, node: str, port: int, bundle: BootstrapFile, passphrase_file: Path) -> None:
    home = root / f"node-{node}"
    write_file(home / "bootstrap.json", bundle.to_bytes())
    settings = [
        f'node = "{node}"',
        'listen = ""' if node == "la" else f'listen = "127.0.0.1:{port}"',
        'admin = ""',
        'allow_networks = ["127.0.0.0/8"]',
        f'passphrase_file = "{passphrase_file}"',
        f"offline = {'true' if node == 'ki' else 'false'}",
        "[directory]",
        "refresh_s = 1",
    ]
    if node in OPEN:
        settings.append(f'folder = "{root / "directory"}"')
    settings += ["[log]", f'boot_folder = "{root}"']
    settings += ["[delivery]", "first_backoff_s = 0.05", "max_backoff_s = 1"]
    write_file(home / "node.toml", "\n".join(settings).encode())
