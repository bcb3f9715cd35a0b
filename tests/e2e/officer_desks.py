"""The offices in which an officer follows the guide: desks and nodes, and how a command is typed there."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.demo.processes import Commands
from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import DeskSettings, Home, OfficerSettings
from keys.directory.legal_profile import parse_profile
from keys.directory.metadata.repository import nation_role
from keys.local import translation
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST
from protocol.address import Address
from tests.worlds.patience import WITHIN_S
from tests.worlds.processes import PASSPHRASE, World, make_homes
from tests.worlds.pseudo_terminal import COMITY, terminal

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs" / "officer-guide.md").read_text("utf-8")
READ_AT = datetime.fromisoformat("2026-11-23T12:00:00Z")  # when the guide's story happens
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d)")
ID = re.compile(r"^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}): (?:submitted|proposed|saved)", re.M)
# Every command of the guide is a program of its own at a pseudo-terminal then (make guide-long), and takes so long.
AT_A_TERMINAL = os.environ.get("COMITY_TYPED_AT") == "terminal"
WIDE = 1_000  # so that a text that is looked for stands in one line
JP, FR, THIRD = "jp", "fr", "third"


def blocks() -> list[tuple[str, str]]:
    """The guide's fenced blocks in order: their language (often none) and what stands in them."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE, re.M | re.S)


def commands() -> list[str]:
    """The guide's commands in order."""
    lines = [line for _, block in blocks() for line in block.splitlines()]
    return [line for line in lines if line.startswith("comity ")]


@dataclass
class Office:
    """The desks, and what the officers know: the ids of messages by what they are called in :data:`STEPS`."""

    world: World
    now: datetime
    ids: dict[str, str] = field(default_factory=dict)

    def folder(self, desk: str) -> Path:
        """Where an officer of ``desk`` works; the desk's home lies in it."""
        return self.world.root / desk

    def file(self, desk: str, name: str) -> Path:
        return self.folder(desk) / name

    def open(self, desk: str) -> Any:
        """The desk, as a program opens it, for what happens between the guide's commands."""
        return Desk.open(self.folder(desk) / "home", PASSPHRASE)

    def today(self, text: str) -> str:
        """``text`` with its instants as far from now as they are from the guide's day."""
        return INSTANT.sub(
            lambda found: (datetime.fromisoformat(found[0]) + (self.now - READ_AT)).isoformat(timespec="seconds"), text
        )

    async def arrived(self, desk: str, name: str) -> None:
        """Fetch until the message that is called ``name`` is at ``desk``."""
        async with self.open(desk) as opened, asyncio.timeout(WITHIN_S):
            while UUID(self.ids[name]) not in {row.id for row in await opened.messages.inbox()}:
                await opened.messages.sync(2)

    def environment(self, desk: str) -> dict[str, str]:
        """The variables by which a command finds the desk and its passphrases; in English."""
        secret = str(self.world.commands.passphrase_file)
        return {
            "COMITY_HOME": str(self.folder(desk) / "home"),
            "COMITY_PASSPHRASE_FILE": secret,
            "COMITY_OFFICER_PASSPHRASE_FILE": secret,
            "LANGUAGE": "en",
        }

    async def type(
        self, desk: str, line: str, *, code: int = 0, language: str = "en", extra: tuple[str, ...] = ()
    ) -> str:
        """Type ``line`` at ``desk``; what it printed, on both outputs. Nothing but the exit code ``code`` will do."""
        words = [*shlex.split(line)[1:], *extra]
        env = {**self.environment(desk), "LANGUAGE": language}

        def type_at_a_terminal() -> str:
            with terminal([*COMITY, *words], env, self.folder(desk), columns=WIDE) as typed:
                assert typed.end(120) == code, f"{line}\n{typed.shown}"
            return typed.shown

        if AT_A_TERMINAL:
            return await asyncio.to_thread(type_at_a_terminal)

        def invoke() -> str:
            with patch.dict(os.environ, env):
                translation._current.cache_clear()
                os.chdir(self.folder(desk))
                done = CliRunner().invoke(app, words, catch_exceptions=False)
            assert done.exit_code == code, f"{line}\n{done.output}"
            return done.output

        return await asyncio.to_thread(invoke)


Before = Callable[[Office], Awaitable[None]]


@dataclass(frozen=True)
class Step:
    """One command of the guide.

    ``by`` is the desk; ``ids`` says which message the guide's ids stand for here, ``keep`` what the message is called
    that the command made; ``before`` brings about what the text around the command takes for granted; ``says`` are
    texts that its output has; ``extra`` are words that only the test needs.
    """

    line: str
    by: str = JP
    ids: Mapping[str, str] = field(default_factory=dict)
    keep: str | None = None
    before: Before | None = None
    says: tuple[str, ...] = ()
    code: int = 0
    extra: tuple[str, ...] = ()
    run: Callable[[Office, str], Awaitable[None]] | None = None

    async def take(self, office: Office) -> None:
        """Type it; or do what ``run`` does instead."""
        if self.run is not None:
            await self.run(office, self.line)
            return
        if self.before is not None:
            await self.before(office)
        line = office.today(self.line)
        for written, name in self.ids.items():
            assert written in line
            line = line.replace(written, office.ids[name])
        # The federation of the tests has two nations; the third office is one more of the second.
        line = line.replace("24-7@gh", "lab@fr").replace("/media/usb", str(office.world.root)).replace("--wait 20", "")
        said = await office.type(self.by, line, code=self.code, extra=self.extra)
        for text in self.says:
            assert text in said, f"{line}\n{said}"
        if self.keep is not None:
            found = ID.search(said)
            assert found is not None, f"{line}\n{said}"
            office.ids[self.keep] = found[1]


def make_desk(office: Office, desk: str, address: str, **card: Any) -> None:
    """The desks that the guide is not about: made by the function behind ``comity init``."""
    bundle = BootstrapFile.from_bytes(office.world.federation.bootstrap(address.partition("@")[2]).read_bytes())
    office.folder(desk).mkdir()
    home = office.folder(desk) / "home"
    officer = OfficerSettings(name="Luc Martin", role="duty officer", telephone="+33123456789")
    new = NewDesk(
        Address.parse(address), "OFAC", "Police nationale", languages=("fr", "en"), officer=officer, card_fields=card
    )
    create_desk(home, new, PASSPHRASE, bundle, office.now, derivation=FAST)
    office.world.federation.enrol(Home(home).enrolment, office.now)


def publish_law(office: Office) -> None:
    """The second nation publishes what its law allows, by the example of the operator guide."""
    made = office.world.federation
    made.ceremony.stage_profile("fr", parse_profile((ROOT / "examples/legal-profile.json").read_bytes()), office.now)
    for signer in made.nations["fr"]:
        made.ceremony.sign(nation_role("fr"), signer)
    made.ceremony.release(office.now, made.registry)


@asynccontextmanager
async def two_nations(root: Path) -> AsyncIterator[Office]:
    """Two nations with a node each; the first has no desk yet, the second has two. Nodes are stopped at the end."""
    passphrase_file = root / "passphrase"
    write_file(passphrase_file, PASSPHRASE, mode=0o600)
    now = datetime.now(UTC)
    federation = make_homes(root, PASSPHRASE, passphrase_file)
    office = Office(World(root, Commands(passphrase_file), federation), now)
    office.folder(JP).mkdir()
    office.file(JP, "bootstrap-jp.json").write_bytes(federation.bootstrap("jp").read_bytes())
    write_file(office.file(JP, "passphrase"), PASSPHRASE, mode=0o600)
    make_desk(office, FR, "24-7@fr", country="FR", phones=("+33123456789",))
    make_desk(office, THIRD, "lab@fr")
    publish_law(office)
    try:
        yield office
    finally:
        for running in office.world.nodes.values():
            await running.stop()


def set_up(office: Office, tables: str) -> None:
    """Put the guide's tables into the desk's settings. Who is told outside is only read: nobody is told in a test."""
    path = Home(office.folder(JP) / "home").settings
    before = DeskSettings.load(path).model_dump(exclude_none=True)
    changed = DeskSettings.model_validate({**before, **tomllib.loads(tables)})
    if changed.email is None:
        changed.save(path)
