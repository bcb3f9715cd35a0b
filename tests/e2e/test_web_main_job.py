"""The main job in a real browser: two officers in two windows, two desks that run, and two real nodes between them.

Once in each language of the pages, once with the keyboard alone, and once without script. ``make test`` runs it in two
languages and without script; ``make web-long`` runs all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from exchange.demo.processes import Commands
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import OfficerSettings
from keys.local.files import write_file
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST
from protocol.address import Address
from tests.e2e.web_job import Hands, Keys, Officer, main_job
from tests.worlds.browser import LONG, browser, window
from tests.worlds.processes import PASSPHRASE, World, make_homes

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

LANGUAGES = ("en", "ar", "zh", "fr", "ru", "es") if LONG else ("en", "ar")


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
        made = await self.world.commands.comity(_home(self.world.root, office), "web", "code", *_by(self.world, office))
        assert made["address"] == self.addresses[office.node]
        return str(made["code"])


def _home(root: Path, office: Office) -> Path:
    return root / f"desk-{office.node}"


def _by(world: World, office: Office) -> list[str]:
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
    create_desk(_home(world.root, office), new, PASSPHRASE, bundle, now, derivation=FAST)
    world.federation.enrol(_home(world.root, office) / "enrolment.json", now)


async def _add_officer(world: World, office: Office) -> None:
    roles = [word for role in ("administrator", "drafter", "releaser") for word in ("--role", role)]
    await world.typed.comity(
        _home(world.root, office),
        *("officer", "add", office.officer, "--name", office.name, "--job-title", "Inspector", *roles),
        *("--new-passphrase-file", str(world.commands.passphrase_file), "--quick-derivation"),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def offices(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Offices]:
    root = tmp_path_factory.mktemp("offices")
    passphrase_file = root / "passphrase"
    write_file(passphrase_file, PASSPHRASE, mode=0o600)
    world = World(root, Commands(passphrase_file), make_homes(root, PASSPHRASE, passphrase_file))
    async with AsyncExitStack() as stack:
        made = Offices(world, {})
        for office in (TOKYO, PARIS):
            _make_desk(world, office)
        for office in (TOKYO, PARIS):
            await world.start(office.node)
            stack.push_async_callback(world.nodes[office.node].stop)
        for office in (TOKYO, PARIS):
            await _add_officer(world, office)
            running = await world.commands.start_desk(_home(root, office))
            stack.push_async_callback(running.stop)
            (made.addresses[office.node],) = running.ready["pages"]
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


async def _done(
    chrome: Browser, offices: Offices, language: str, hands: type[Hands] = Hands, *, script: bool = True
) -> None:
    """Do the main job; a script that fails, or a policy that is violated, fails it."""
    async with AsyncExitStack() as stack:
        at: list[Officer] = []
        by = {}
        for office in (TOKYO, PARIS):
            opened = await stack.enter_async_context(window(chrome, language, script=script, width=1280))
            page = await opened.new_page()
            at.append(Officer(hands(page), offices.addresses[office.node], office.officer, reloads=not script))
            by[office.officer] = office

        async def code_of(officer: Officer) -> str:
            return await offices.code(by[officer.name])

        tokyo, paris = at
        await main_job(tokyo, paris, f"NPA-2026-{language}-{hands.__name__}-{script:d}", code_of)
        assert await paris.page.evaluate("document.documentElement.lang") == language
        assert await paris.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")


@pytest.mark.parametrize("language", LANGUAGES)
async def test_two_officers_do_the_main_job_in_their_language(chrome: Browser, offices: Offices, language: str) -> None:
    await _done(chrome, offices, language)


async def test_the_main_job_is_done_without_script(chrome: Browser, offices: Offices) -> None:
    await _done(chrome, offices, "en", script=False)


@pytest.mark.skipif(not LONG, reason="runs with COMITY_WEB=long")
async def test_the_main_job_is_done_with_the_keyboard_alone(chrome: Browser, offices: Offices) -> None:
    await _done(chrome, offices, "en", Keys)
