"""The main job in a real browser: two officers in two windows, two desks that run, and two real nodes between them.

Once in each language of the pages, once with the keyboard alone, once without script, and once on a telephone.
``make test`` runs it in Arabic, and in English without script; ``make web-long`` runs all.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.e2e.web_job import Keys, Newcomer, Officer, first_request, main_job
from tests.e2e.web_offices import TOKYO, Offices, at_work, running_offices
from tests.worlds.browser import LONG, browser, only_long, window

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

LANGUAGES = ("ar", "en", "es", "fr", "ru", "zh") if LONG else ("ar",)


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


@only_long
async def test_the_main_job_is_done_on_a_telephone(chrome: Browser, offices: Offices) -> None:
    async with at_work(chrome, offices, width=360) as (tokyo, paris):
        await main_job(tokyo, paris, "NPA-2026-telephone")


@only_long
async def test_the_main_job_is_done_with_the_keyboard_alone(chrome: Browser, offices: Offices) -> None:
    async with at_work(chrome, offices, hands=Keys) as (tokyo, paris):
        await main_job(tokyo, paris, "NPA-2026-keys")


@only_long
async def test_a_newcomer_with_a_persons_pauses_has_sent_a_request_within_three_minutes(
    chrome: Browser, offices: Offices
) -> None:
    code = await offices.code(TOKYO)
    async with window(chrome) as opened:
        hands = Newcomer(await opened.new_page(), pauses=True)
        began = time.perf_counter()
        await first_request(Officer(hands, offices.addresses[TOKYO.node], TOKYO.officer), code)
        took = time.perf_counter() - began
        print(
            f"\na newcomer's first request: {took:.0f} s with a person's pauses ({hands.takes_s:.0f} s of them); "
            f"fields {hands.fields}, keys {hands.keys}, clicks {hands.clicks}, pages {hands.pages}",
            end="",
        )
        assert hands.takes_s < 180
