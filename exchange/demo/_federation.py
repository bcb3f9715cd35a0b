"""The demonstration's federation, made as operators make one: by ``comity-node`` alone, each keystore with its holder.

Three governments found it, two of them needed; two or three nations join with a node each. In a real federation each
keystore lies on another machine, and the folder of the directory is carried between them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from exchange.demo._ports import free_port
from exchange.demo.processes import Commands
from keys.local.files import write_file

FEDERATION = "comity-demo"
NATIONS = {"jp": "Japan", "fr": "France"}
THIRD_NATION = {"gh": "Ghana"}
HOLDERS = ("government of A", "government of B", "UN")
OFFICES = ("justice", "interior")


@dataclass(frozen=True, slots=True)
class DemoFederation:
    """The folders and keystores of the demonstration, and the steps of those who hold the keys."""

    root: Path
    commands: Commands
    nations: Mapping[str, str] = field(default_factory=lambda: NATIONS)

    def node_home(self, node: str) -> Path:
        """The home folder of a node."""
        return self.root / f"node-{node}"

    def bootstrap(self, node: str) -> Path:
        """The bootstrap file for the desks of ``node``."""
        return self.root / f"bootstrap-{node}.json"

    async def found(self) -> None:
        """The holders and the registry make their keys and found the federation; raises ``DemoStepError``."""
        await asyncio.gather(self._keys("root", HOLDERS), self._keys("registry", ("registry",)))
        await self.commands.node(
            *("federation", "create", self._directory, "--name", FEDERATION, "--threshold", "2"),
            *("--keys", self._keystore("root"), *_each("--holder", HOLDERS)),
            *("--registry", self._public("registry", "registry")),
        )
        await self._publish()

    async def admit_nations(self) -> None:
        """Each nation makes its keys and its node, is admitted, publishes the node's card, and the node joins."""
        await asyncio.gather(*(self._make_nation(node, name) for node, name in self.nations.items()))
        for node in self.nations:
            await self.commands.node(
                *("nation", "admit", self._directory, node, "--threshold", "2"),
                *_each("--key", [self._public(node, office) for office in OFFICES]),
            )
        await self._sign_members()
        for node in self.nations:
            await self.sign_cards(node, [self.node_home(node) / "card.json"])
        await self._publish()
        await asyncio.gather(*map(self._join, self.nations))

    async def enrol(self, enrolments: dict[str, list[Path]]) -> None:
        """Each nation signs the cards in its desks' enrolment requests; the registry publishes them.

        Each also lets the other's auditor read its whole log, so that tools of others can verify both mirrors.
        """
        for node, files in enrolments.items():
            await self.sign_cards(node, files)
        await self._publish()
        for node in enrolments:
            others = [f"audit@{other}" for other in self.nations if other != node]
            await self.commands.node(
                *("cards", "auditors", self._directory, node, *others, "--reads", "all", "--registry", "registry"),
                *("--keys", self._keystore(node), *_each("--key", OFFICES)),
            )
        await self._publish()

    async def sign_cards(self, node: str, files: Sequence[Path]) -> None:
        """The nation's two offices sign the cards in ``files``."""
        await self.commands.node(
            *("cards", "publish", self._directory, *map(str, files), "--registry", "registry"),
            *("--keys", self._keystore(node), *_each("--key", OFFICES)),
            *("--root-fingerprint", self._root_fingerprint()),
        )

    async def _sign_members(self) -> None:
        """Two governments sign the member list by the digest of all that changes, which they read to each other."""
        shown = await self.commands.node(
            *("federation", "export", self._directory, "targets", "--out", str(self.root / "targets.json"))
        )
        await self.commands.node(
            *("federation", "sign", self._directory, "targets", "--keys", self._keystore("root")),
            *("--digest", shown["digest"], *_each("--key", HOLDERS[:2])),
        )

    def _root_fingerprint(self) -> str:
        """What the nations hear by telephone."""
        return sha256((self.root / "directory" / "metadata" / "1.root.json").read_bytes()).hexdigest()

    @property
    def _directory(self) -> str:
        return str(self.root / "directory")

    def _keystore(self, owner: str) -> str:
        return str(self.root / f"keys-{owner}.cbor")

    def _public(self, owner: str, holder: str) -> str:
        return str(self.root / f"key-{owner}-{holder}.json")

    async def _keys(self, owner: str, holders: Sequence[str]) -> None:
        # A cheap derivation: these keystores guard nothing, and guesses at them cost nobody anything.
        made = await self.commands.node(
            "keys", "create", self._keystore(owner), *_each("--holder", holders), "--demonstration"
        )
        for key in made["keys"]:
            write_file(Path(self._public(owner, key["holder"])), json.dumps(key).encode())

    async def _make_nation(self, node: str, name: str) -> None:
        await self._keys(node, OFFICES)
        port, admin_port = free_port(), free_port()
        await self.commands.node(
            *("init", str(self.node_home(node)), "--node", node, "--name", name, "--country", node.upper()),
            *("--federation", FEDERATION, "--url", f"https://127.0.0.1:{port}", "--listen", f"127.0.0.1:{port}"),
            *(
                "--allow-network",
                "127.0.0.0/8",
                "--admin",
                f"127.0.0.1:{admin_port}",
                "--directory-folder",
                self._directory,
                "--demonstration",
            ),
        )

    async def _join(self, node: str) -> None:
        bundle = str(self.bootstrap(node))
        await self.commands.node("federation", "bootstrap", self._directory, node, "--out", bundle)
        await self.commands.node("join", str(self.node_home(node)), bundle)

    async def _publish(self) -> None:
        await self.commands.node(
            *("federation", "publish", self._directory, "--keys", self._keystore("registry"), "--registry", "registry")
        )


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [word for value in values for word in (option, value)]
