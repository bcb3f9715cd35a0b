"""The main job in a real browser: two officers in two windows, two desks that run, and two real nodes between them.

Once in each language of the pages, once with the keyboard alone, and once without script. ``make test`` runs it in two
languages and without script; ``make web-long`` runs all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.web_job import Keys, main_job
from tests.e2e.web_offices import Offices, at_work, running_offices
from tests.worlds.browser import LONG, browser

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

LANGUAGES = ("en", "ar", "zh", "fr", "ru", "es") if LONG else ("en", "ar")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def offices(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Offices]:
    async with running_offices(tmp_path_factory.mktemp("offices")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest.mark.parametrize("language", LANGUAGES)
async def test_two_officers_do_the_main_job_in_their_language(chrome: Browser, offices: Offices, language: str) -> None:
    async with at_work(chrome, offices, language) as (tokyo, paris):
        await main_job(tokyo, paris, f"NPA-2026-{language}")
        assert await paris.page.evaluate("document.documentElement.lang") == language
        assert await paris.page.evaluate("document.documentElement.dir") == ("rtl" if language == "ar" else "ltr")


async def test_the_main_job_is_done_without_script(chrome: Browser, offices: Offices) -> None:
    async with at_work(chrome, offices, script=False) as (tokyo, paris):
        await main_job(tokyo, paris, "NPA-2026-no-script")


@pytest.mark.skipif(not LONG, reason="runs with COMITY_WEB=long")
async def test_the_main_job_is_done_with_the_keyboard_alone(chrome: Browser, offices: Offices) -> None:
    async with at_work(chrome, offices, hands=Keys) as (tokyo, paris):
        await main_job(tokyo, paris, "NPA-2026-keys")
