"""The work of an office of several officers in a real browser: what one writes another releases, what was wrong is
corrected, a shift is handed over, lists are printed; and an auditor follows what was sent through both logs.
"""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.worlds.audit_view import audit_view, lose_entries, mirror
from tests.worlds.browser import axe, browser, window
from tests.worlds.desks import FR, World, request
from tests.worlds.web_desk import Pages
from tests.worlds.web_office import acting, fill, secret, staffed_desk

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest.fixture(scope="module")
def patched() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        made.setenv("TZ", "Asia/Tokyo")
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, patched: pytest.MonkeyPatch) -> World:
    return World(Path(tmp_path_factory.mktemp("office")), patched)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def jp(world: World) -> AsyncIterator[Pages]:
    async with staffed_desk(world) as made:
        await fill(world, made)
        yield made


async def sign_in(page: Page, pages: Pages, officer: str = "lee") -> None:
    await page.goto(f"{pages.origin}/sign-in")
    form = page.locator('form[action="/sign-in"]')
    await form.locator("[name=officer]").fill(officer)
    await form.locator("[name=passphrase]").fill(secret(officer).decode())
    async with page.expect_navigation():  # with a script the page looks first whether its desk is still there
        await form.locator("button").first.click()


async def test_a_draft_is_released_and_a_shift_taken_by_keyboard_and_without_script(chrome: Browser, jp: Pages) -> None:
    async with window(chrome, script=False) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        await page.goto(f"{jp.origin}/release")
        await page.locator("main a[href^='/release/']").last.press("Enter")
        await expect(page.get_by_text("What changed since it was given back")).to_be_visible()
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
    (last, *_others) = await (await acting(jp, "kim")).office.handovers()
    assert (last.giver, last.taker, last.taken_at is not None) == ("lee", "kim", True)


async def test_what_is_printed_has_the_lists_and_no_buttons(chrome: Browser, jp: Pages) -> None:
    async with window(chrome, dark=True) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        await page.emulate_media(media="print")
        for path in ("/hand-over", "/statistics", "/directory/24-7@fr"):
            await page.goto(jp.origin + path)
            assert not await page.locator("button:visible").count()
            assert await page.locator("h1:visible").count() == 1


@dataclass
class Two:
    """Kim, who drafts, and Lee, who releases: each at a browser of their own."""

    kim: Page
    lee: Page
    origin: str

    async def proposed(self) -> str:
        """The draft that waits for Lee: its id, with its page open before them."""
        await self.lee.goto(f"{self.origin}/release")
        await self.lee.locator("main a[href^='/release/']").last.click()
        await expect(self.lee.get_by_role("heading", name="Your decision")).to_be_visible()
        return self.lee.url.rpartition("/")[2]

    async def release(self) -> None:
        """Lee releases it."""
        await self.lee.get_by_role("button", name="Release to France").click()
        await expect(self.lee.get_by_text("Released: the message is on its way.")).to_be_visible()


@pytest_asyncio.fixture(loop_scope="module")
async def two(chrome: Browser, jp: Pages) -> AsyncIterator[Two]:
    async with AsyncExitStack() as stack:
        pages = []
        for officer in ("kim", "lee"):
            pages.append(await (await stack.enter_async_context(window(chrome))).new_page())
            await sign_in(pages[-1], jp, officer)
        yield Two(*pages, jp.origin)


async def test_what_one_officer_writes_another_gives_back_and_releases_when_it_is_right(two: Two, jp: Pages) -> None:
    kim = await acting(jp, "kim")
    draft = await kim.messages.save_draft(request(own_reference="NPA-2026-200"))
    await two.kim.goto(f"{jp.origin}/drafts/{draft.id}/check")
    await two.kim.get_by_role("button", name="Propose for release").click()
    await two.kim.wait_for_url("**/sent")
    assert await two.proposed() == str(draft.id)
    await two.lee.get_by_label("What must be corrected").fill("Say what was stolen.")
    await two.lee.get_by_role("button", name="Send back to its drafter").click()
    await two.kim.goto(f"{jp.origin}/drafts")
    await expect(two.kim.get_by_text("Say what was stolen.")).to_be_visible()
    await two.kim.goto(f"{jp.origin}/drafts/{draft.id}/what")
    await two.kim.locator("[name=facts]").fill("4,200,000 yen were stolen.")
    await two.kim.locator("nav.parts button[value='go:check']").click()
    await two.kim.wait_for_url("**/check")
    await two.kim.get_by_role("button", name="Propose for release").click()
    await two.kim.wait_for_url("**/sent")
    assert await two.proposed() == str(draft.id)
    await expect(two.lee.locator("main")).to_contain_text("What changed since it was given back")
    await expect(two.lee.locator("dd", has_text="4,200,000 yen were stolen.")).to_be_visible()
    assert await axe(two.lee) == []
    await two.release()
    answer = await two.kim.goto(f"{jp.origin}/drafts/{draft.id}/sent")
    assert answer is not None
    assert answer.status == 200
    sent = (await kim.messages.saved_draft(str(draft.id))).message
    assert sent is not None
    shown = await kim.messages.read(sent)
    assert shown.message.model_dump()["facts"] == "4,200,000 yen were stolen."


async def test_a_number_that_was_wrong_is_corrected_and_nobody_goes_on_with_it(
    two: Two, jp: Pages, world: World
) -> None:
    sent = await _sent(jp, "NPA-2026-201")
    wrong = request()["targets"][0]["identifier"]["port"]
    await two.kim.goto(f"{jp.origin}/cases/{sent}")
    await two.kim.locator(f"main a[href='/messages/{sent}/correct']").first.click()
    await two.kim.get_by_label("Why it is corrected").fill("The port was wrong.")
    await two.kim.locator("[name='f.targets.0.identifier.port']").fill("51545")
    await two.kim.get_by_role("button", name="Send the correction").last.click()
    await expect(two.kim.locator("#done")).to_contain_text("another officer must release it")
    await two.proposed()
    await two.release()
    await two.kim.goto(f"{jp.origin}/cases/{sent}")
    await expect(two.kim.locator("table.stands")).to_contain_text(":51545 ")
    await expect(two.kim.locator("table.stands")).not_to_contain_text(f":{wrong} ")
    async with world.open(FR) as fr:
        await fr.messages.sync()
        assert "correction" in [row.type for row in await fr.cases.thread(sent)]


async def test_an_auditor_follows_a_message_through_both_logs_and_is_told_when_one_is_partial(
    chrome: Browser, jp: Pages, world: World, tmp_path: Path
) -> None:
    sent = await _sent(jp, "NPA-2026-202")
    await asyncio.to_thread(mirror, world, tmp_path)
    kim = await acting(jp, "kim")
    async with audit_view(world, tmp_path, kim.directory) as site, window(chrome) as opened:
        page = await opened.new_page()
        await page.goto(site.origin)
        await page.get_by_label("Code").fill(site.codes.make())
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Verified as far as the mirrors go")).to_be_visible()
        await page.get_by_role("link", name="Log of jp").click()
        await page.locator("[name=event]").select_option("SubmissionAcceptance")
        await page.locator("main form button").first.click()
        await page.locator(f"main a[href='/message?id={sent}']").first.click()
        way = page.locator("main tbody tr")
        for step in ("SubmissionAcceptance", "RelayAcceptance", "ContentConsignment"):
            await expect(way.locator("td:nth-child(3) code").filter(has_text=step).first).to_be_visible()
        async with page.expect_download() as coming:
            await page.get_by_role("link", name="All entries with their proofs").click()
        names = await asyncio.to_thread(_names, Path(await (await coming.value).path()))
        assert {name.partition("-")[0] for name in names} == {"jp", "fr"}
        await way.locator("a").first.click()
        await expect(page.locator("main h1")).to_be_visible()
        assert await axe(page) == []
        await page.goto(f"{site.origin}/reconcile?pair=jp:fr")
        await expect(page.get_by_text("Both logs tell the same.")).to_be_visible()
        async with page.expect_download() as coming:
            await page.goto(site.origin)
            await page.get_by_role("link", name="Report (PDF)").click()
        report = Path(await (await coming.value).path())
        assert (await asyncio.to_thread(report.read_bytes)).startswith(b"%PDF-")
        await asyncio.to_thread(lose_entries, site, tmp_path, "fr")
        await page.get_by_role("button", name="Verify the mirrors again").click()
        await expect(page.get_by_text("The mirror of fr is partial.").first).to_be_visible()
        await page.get_by_role("link", name="Findings").first.click()
        await expect(page.get_by_text("missing-entries").first).to_be_visible()


async def _sent(jp: Pages, reference: str) -> UUID:
    """A request that Kim wrote and Lee released."""
    kim, lee = await acting(jp, "kim"), await acting(jp, "lee")
    proposal = await kim.messages.propose(request(own_reference=reference))
    return (await lee.office.release(str(proposal.id))).id


def _names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()
