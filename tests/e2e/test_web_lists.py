"""Lists in a real browser: each page in three scripts, wide and on a telephone, light and dark, and printed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.worlds.browser import axe, browser, overflows, picture, window
from tests.worlds.desks import World
from tests.worlds.web_desk import Pages
from tests.worlds.web_office import acting, fill, secret, staffed_desk

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

PATHS = (
    *("/cases?side=ours", "/search?q=NPA", "/messages?box=sent", "/drafts", "/release", "/unproved", "/parents"),
    *("/directory?nation=fr", "/directory/24-7@fr", "/directory/tests", "/hand-over", "/records", "/statistics"),
    *("/calendar", "/erasure", "/officers"),
)
# All pages in each language are looked at by `COMITY_WEB=long`.
LONG = os.environ.get("COMITY_WEB") == "long"
SOME = ("/cases?side=ours", "/directory/24-7@fr", "/hand-over", "/statistics", "/calendar")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        made.setenv("TZ", "Asia/Tokyo")
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jp(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    world = World(Path(tmp_path_factory.mktemp("lists")), patched)
    async with staffed_desk(world) as made:
        await fill(world, made)
        yield made


async def sign_in(page: Page, pages: Pages, officer: str = "lee") -> None:
    await page.goto(f"{pages.origin}/sign-in")
    form = page.locator('form[action="/sign-in"]')
    await form.locator("[name=officer]").fill(officer)
    await form.locator("[name=passphrase]").fill(secret(officer).decode())
    await form.locator("button").first.click()


def name_of(path: str, *more: str) -> str:
    return "-".join(("lists", path.strip("/").partition("?")[0].replace("/", "-").replace("@", "-"), *more))


@pytest.mark.parametrize(("language", "dark"), [("en", False), ("ar", True), ("zh", False)])
async def test_every_list_reads_in_each_script(chrome: Browser, jp: Pages, language: str, dark: bool) -> None:
    async with window(chrome, language, dark=dark) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        for path in PATHS if language == "en" or LONG else SOME:
            answer = await page.goto(jp.origin + path)
            assert answer is not None
            assert answer.status == 200, path
            await expect(
                page.locator("svg.chart").first if path == "/statistics" else page.locator("h1")
            ).to_be_visible()
            await page.screenshot(path=picture(name_of(path, language)), full_page=True)
            assert await axe(page) == [], path


@pytest.mark.parametrize("language", ["en", "ar"] if LONG else ["ar"])
async def test_no_list_is_wider_than_a_telephone(chrome: Browser, jp: Pages, language: str) -> None:
    async with window(chrome, language, width=360) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        for path in PATHS if LONG else SOME:
            await page.goto(jp.origin + path)
            await page.screenshot(path=picture(name_of(path, language, "360")), full_page=True)
            assert not await overflows(page), path


async def test_a_draft_is_released_and_a_shift_taken_by_keyboard_and_without_script(chrome: Browser, jp: Pages) -> None:
    async with window(chrome, script=False) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        await page.goto(f"{jp.origin}/release")
        await page.locator("main a[href^='/release/']").last.press("Enter")
        await expect(page.get_by_text("What changed since it was given back")).to_be_visible()
        await page.screenshot(path=picture("lists-release-one"), full_page=True)
        await page.get_by_role("button", name="Release to France").press("Enter")
        await expect(page.get_by_text("Released: the message is on its way.")).to_be_visible()
        await page.goto(f"{jp.origin}/hand-over")
        await page.get_by_role("button", name="I take over, under my name").press("Enter")
        await expect(page.get_by_text("the cases are yours")).to_be_visible()
    lee = await acting(jp, "lee")
    assert [case.owner for case in (await lee.cases.listing()).cases].count("lee") == 2


async def test_a_shift_is_handed_over_under_one_name_and_taken_under_another(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as gives, window(chrome) as takes:
        lee, kim = await gives.new_page(), await takes.new_page()
        await sign_in(lee, jp, "lee")
        await lee.goto(f"{jp.origin}/hand-over")
        await lee.get_by_label("Who takes over").select_option("kim")
        await lee.get_by_label("What they must know").fill("The judge decides at noon.")
        await lee.get_by_role("button", name="Hand over, under my name").click()
        await expect(lee.locator("#done")).to_be_visible()
        await sign_in(kim, jp, "kim")
        await kim.goto(f"{jp.origin}/hand-over")
        await expect(kim.get_by_text("The judge decides at noon.").first).to_be_visible()
        await kim.get_by_role("button", name="I take over, under my name").click()
        await expect(kim.locator("#done")).to_contain_text("the cases are yours")
        await kim.screenshot(path=picture("lists-hand-over-taken"), full_page=True)
    (last, *_others) = await (await acting(jp, "kim")).office.handovers()
    assert (last.giver, last.taker, last.taken_at is not None) == ("lee", "kim", True)


async def test_what_is_printed_has_the_lists_and_no_buttons(chrome: Browser, jp: Pages) -> None:
    async with window(chrome, dark=True) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        await page.emulate_media(media="print")
        for path in ("/hand-over", "/statistics", "/directory/24-7@fr"):
            await page.goto(jp.origin + path)
            await page.screenshot(path=picture(name_of(path, "print")), full_page=True)
            assert not await page.locator("button:visible").count()
            assert await page.locator("h1:visible").count() == 1
