"""The ceremonies of a real network: seven governments, five nations, every holder with a folder of its own.

Nobody's private key is ever in the registry's folder: what travels are ceremony files. The founders sign at the same
time, each in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keys.ceremony.ceremony_file import CeremonyFile
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import MetadataRepository
from keys.directory.view import Directory
from node.cli.main import app
from protocol.errors import RevokedError

ROOT = Path(__file__).resolve().parents[2]
GOVERNMENTS = ("AR", "BR", "DE", "FR", "GR", "JP", "ZA")
NATIONS = ("ar", "br", "de", "fr", "jp")
OFFICES = ("justice", "interior", "police")


class Network:
    """All folders: ``directory`` is the registry's, ``holders/<name>`` belong to one holder each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.directory = root / "directory"
        self.passphrase = root / "passphrase"
        self.passphrase.write_text("a passphrase\n")
        self.passphrase.chmod(0o600)
        self.apart = False
        self._turn = asyncio.Lock()

    def home(self, holder: str) -> Path:
        folder = self.root / "holders" / holder.replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    async def run(self, *arguments: object, expect: int = 0, phrase: bool = True) -> Any:
        """What a command printed. While ``apart`` each is a process of its own, else they take turns in this one."""
        secret = ("--passphrase-file", str(self.passphrase)) if phrase else ()
        words = [*map(str, arguments), *secret, "--json"]
        if self.apart:
            code, out, errors = await self._run_apart(words)
        else:
            async with self._turn:
                ran = await asyncio.to_thread(CliRunner().invoke, app, words)
            code, out, errors = ran.exit_code, ran.stdout, ran.stderr
        assert code == expect, (words, out, errors)
        return json.loads(out)

    async def _run_apart(self, words: Sequence[str]) -> tuple[int | None, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "node.cli.main", *words),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await process.communicate()
        return process.returncode, out.decode(), errors.decode()

    async def make_key(self, holder: str) -> Path:
        """A holder makes its key and hands out the public part."""
        keystore, public = self.home(holder) / "keys.cbor", self.home(holder) / "public.json"
        made = await self.run("keys", "create", keystore, "--holder", holder, "--demonstration")
        public.write_text(json.dumps(made["keys"][0]))
        return public

    async def sign(self, role: str, holders: Iterable[str]) -> None:
        """Export a role; each holder signs its own copy at the same time; bring the copies back in reverse.

        What they compared is the digest that the registry was shown; each machine knows the federation by its first
        root, and computes the digest for itself.
        """
        draft = self.root / f"{role}.json"
        shown = await self.run("federation", "export", self.directory, role, "--out", draft, phrase=False)
        heard = ["--digest", shown["digest"], *self.first_root(draft)]
        copies = [Path(shutil.copy(draft, self.home(holder) / draft.name)) for holder in holders]
        await asyncio.gather(
            *(
                self.run("ceremony", "sign", copy, "--keys", copy.parent / "keys.cbor", "--key", name, *heard)
                for copy, name in zip(copies, holders, strict=True)
            )
        )
        await self.run("federation", "import", self.directory, *reversed(copies), phrase=False)

    def first_root(self, draft: Path) -> list[str]:
        """The option that names the federation's first root, published or, when it is being founded, proposed."""
        file = CeremonyFile.from_bytes(draft.read_bytes())
        first = file.roots[0] if file.roots else file.proposed
        return [] if first is None else ["--root-fingerprint", sha256(first).hexdigest()]

    async def publish(self, expect: int = 0) -> Any:
        keystore = self.home("registry") / "keys.cbor"
        return await self.run(
            "federation", "publish", self.directory, "--registry", "registry", "--keys", keystore, expect=expect
        )

    def read(self, now: datetime | None = None) -> Directory:
        """What a member sees that has known the first root only."""
        repository = MetadataRepository(self.directory)
        folder = self.root / "reader"
        folder.mkdir(exist_ok=True)
        with DirectoryClient(folder, repository.root_bytes(1), repository.read) as client:
            return client.refresh(now or datetime.now(UTC))

    async def admit(self, nation: str, governments: Sequence[str]) -> None:
        holders = [f"{nation} {office}" for office in OFFICES]
        publics = await asyncio.gather(*(self.make_key(holder) for holder in holders))
        keys = [word for public in publics for word in ("--key", public)]
        await self.run("nation", "admit", self.directory, nation, *keys, "--threshold", 2)
        await self.sign("targets", governments)
        home = self.root / f"node-{nation}"
        await self.run(
            *("init", home, "--node", nation, "--name", nation.upper(), "--url", "https://127.0.0.1:8443"),
            *("--federation", "test", "--demonstration"),
        )
        await self.stage_cards(nation, home / "card.json")
        await self.sign(f"nation-{nation}", holders[:2])

    async def stage_cards(self, nation: str, *cards: Path) -> None:
        await self.run("cards", "publish", self.directory, *cards)


@pytest.fixture
async def network(tmp_path: Path) -> Network:
    """A founded federation: seven holders of which four must sign. What founded it were programs of their own."""
    made = Network(tmp_path)
    publics = await asyncio.gather(*(made.make_key(holder) for holder in (*GOVERNMENTS, "registry")))
    holders = [word for public in publics[:-1] for word in ("--holder", public)]
    made.apart = True
    await made.run(
        *("federation", "create", made.directory, "--name", "test", "--threshold", 4, *holders),
        *("--registry", publics[-1]),
    )
    await made.sign("root", GOVERNMENTS[:4])
    await made.sign("targets", GOVERNMENTS[3:])
    await made.publish()
    made.apart = False  # from here on this process alone changes the directory
    return made


async def test_a_federation_lives_through_every_ceremony(network: Network) -> None:
    for nation in NATIONS:
        await network.admit(nation, GOVERNMENTS[1:5])
        await network.publish()
    assert network.read().nodes() == list(NATIONS)

    # Three of four governments are not enough, and the refusal says who is missing.
    await network.run("nation", "suspend", network.directory, "br", phrase=False)
    await network.sign("targets", GOVERNMENTS[:3])
    refused = await network.publish(expect=1)
    assert refused["published"] is False
    assert "3 of 4" in refused["missing"][0]
    await network.sign("targets", GOVERNMENTS[3:4])
    await network.publish()
    with pytest.raises(RevokedError):
        network.read().require_active("br", datetime.now(UTC))

    await network.run("nation", "readmit", network.directory, "br", phrase=False)
    await network.sign("targets", GOVERNMENTS[:4])
    await network.publish()
    network.read().require_active("br", datetime.now(UTC))

    before = datetime.now(UTC) - timedelta(seconds=2)
    await network.run("nation", "expel", network.directory, "ar", phrase=False)
    await network.sign("targets", GOVERNMENTS[3:])
    await network.publish()
    expelled = network.read()
    expelled.require_active("ar", before)
    with pytest.raises(RevokedError):
        expelled.require_active("ar", datetime.now(UTC))
    again = await network.run("nation", "readmit", network.directory, "ar", phrase=False, expect=1)
    assert "expelled" in again["error"]["detail"]

    # One government leaves, another comes, and five of seven must sign from now on.
    await network.make_key("SN")
    governments = (*GOVERNMENTS[1:], "SN")
    files = [word for name in governments for word in ("--holder", network.home(name) / "public.json")]
    await network.run("federation", "rotate-root", network.directory, "--threshold", 5, *files)
    await network.sign("root", governments[1:])  # five old and new ones, and SN, who is only new
    await network.sign("targets", governments[:5])
    await network.publish()
    network.read()
    gone = await refused_signature(network, "AR")
    assert "AR holds no key of targets" in gone["error"]["detail"]

    # A nation replaces all of its keys; its cards stay, signed by the new ones.
    holders = [f"de new {office}" for office in OFFICES]
    publics = await asyncio.gather(*(network.make_key(holder) for holder in holders))
    keys = [word for public in publics for word in ("--key", public)]
    await network.run("nation", "rotate-keys", network.directory, "de", *keys, "--threshold", 2)
    await network.sign("targets", governments[2:])
    await network.sign("nation-de", holders[1:])
    await network.publish()
    directory = network.read()
    assert directory.nodes() == list(NATIONS)
    assert not directory.problems


async def refused_signature(network: Network, holder: str) -> Any:
    """Let a holder who has no part in it sign the member list."""
    await network.run("nation", "suspend", network.directory, "jp", phrase=False)
    file = network.home(holder) / "targets.json"
    await network.run("federation", "export", network.directory, "targets", "--out", file, phrase=False)
    keystore = network.home(holder) / "keys.cbor"
    shown = await network.run("ceremony", "show", file, "--keys", keystore, phrase=False)
    refused = await network.run(
        *("ceremony", "sign", file, "--keys", keystore, "--key", holder, "--digest", shown["digest"]), expect=1
    )
    (network.directory / "staged" / "targets.json").unlink()
    return refused
