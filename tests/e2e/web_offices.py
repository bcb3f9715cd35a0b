"""Two offices whose officers work in browsers: real nodes, desks that run as services, and officers with keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import Browser

from exchange.demo.processes import Commands
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import OfficerSettings
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST
from protocol.address import Address
from tests.e2e.web_job import Hands, Officer
from tests.worlds.browser import window
from tests.worlds.processes import PASSPHRASE, World, make_homes


@dataclass(frozen=True)
class Office:
    """A contact point of the federation, and the officer who works there."""

    node: str
    office: str
    agency: str
    zone: str
    telephone: str
    officer: str
    name: str


TOKYO = Office(
    "jp", "24/7 Contact Point", "National Police Agency", "Asia/Tokyo", "+81350000247", "a-tanaka", "Aiko Tanaka"
)
PARIS = Office(
    "fr", "Point de contact 24/7", "Police judiciaire", "Europe/Paris", "+33140000247", "m-petit", "Marc Petit"
)


@dataclass
class Offices:
    """Both desks, which run as services, and where their pages are."""

    world: World
    addresses: dict[str, str]

    async def code(self, office: Office) -> str:
        """A code by which the office's officer signs in, made at a terminal."""
        made = await self.world.commands.comity(
            home_of(self.world.root, office), "web", "code", *by_officer(self.world, office)
        )
        assert made["address"] == self.addresses[office.node]
        return str(made["code"])


def home_of(root: Path, office: Office) -> Path:
    """The home folder of an office's desk."""
    return root / f"desk-{office.node}"


def by_officer(world: World, office: Office) -> list[str]:
    """The options by which the officer acts at a terminal."""
    return ["--officer", office.officer, "--officer-passphrase-file", str(world.commands.passphrase_file)]


def _make_desk(world: World, office: Office) -> None:
    new = NewDesk(
        Address("24-7", office.node),
        office=office.office,
        agency=office.agency,
        officer=OfficerSettings(name=office.name, role="Inspector", telephone=office.telephone),
        card_fields={"time_zone": office.zone, "phones": (office.telephone,)},
    )
    bundle = BootstrapFile.from_bytes(world.federation.bootstrap(office.node).read_bytes())
    now = datetime.now(UTC)
    create_desk(home_of(world.root, office), new, PASSPHRASE, bundle, now, derivation=FAST)
    world.federation.enrol(home_of(world.root, office) / "enrolment.json", now)


async def _add_officer(world: World, office: Office) -> None:
    roles = [word for role in ("administrator", "drafter", "releaser") for word in ("--role", role)]
    await world.typed.comity(
        home_of(world.root, office),
        *("officer", "add", office.officer, "--name", office.name, "--job-title", "Inspector", *roles),
        *("--new-passphrase-file", str(world.commands.passphrase_file), "--quick-derivation"),
    )


@asynccontextmanager
async def running_offices(root: Path) -> AsyncIterator[Offices]:
    """A federation in ``root`` whose two nodes and two desks run."""
    passphrase_file = root / "passphrase"
    write_file(passphrase_file, PASSPHRASE, mode=0o600)
    world = World(root, Commands(passphrase_file), make_homes(root, PASSPHRASE, passphrase_file))
    async with AsyncExitStack() as stack:
        made = Offices(world, {})
        for office in (TOKYO, PARIS):
            _make_desk(world, office)
        # Those that run at the end: a test may have started one anew.
        stack.push_async_callback(world.stop)
        for office in (TOKYO, PARIS):
            await world.start(office.node)
        for office in (TOKYO, PARIS):
            await _add_officer(world, office)
            running = await world.commands.start_desk(home_of(root, office))
            stack.push_async_callback(running.stop)
            (made.addresses[office.node],) = running.ready["pages"]
        yield made


@asynccontextmanager
async def at_work(
    chrome: Browser,
    offices: Offices,
    language: str = "en",
    hands: type[Hands] = Hands,
    *,
    script: bool = True,
    width: int = 1280,
) -> AsyncIterator[tuple[Officer, Officer]]:
    """Tokyo and Paris, each in a window of their own and signed in by a code of the terminal.

    A script that fails, or a policy of a page that is violated, fails the test.
    """
    async with AsyncExitStack() as stack:
        at: list[Officer] = []
        for office in (TOKYO, PARIS):
            opened = await stack.enter_async_context(window(chrome, language, script=script, width=width))
            page = await opened.new_page()
            at.append(Officer(hands(page), offices.addresses[office.node], office.officer, reloads=not script))
            await at[-1].sign_in(await offices.code(office))
        yield at[0], at[1]
