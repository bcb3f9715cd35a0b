"""What an officer types is never lost half-written, and every control is one that a keyboard works."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, expect

from exchange.office.officers import Login
from exchange.settings import AuthoritySettings, WebSettings
from tests.worlds.browser import browser, chromium, window
from tests.worlds.desks import JP, PASSPHRASE, World, request
from tests.worlds.patience import WITHIN_S
from tests.worlds.web_desk import Pages, web_serving

pytestmark = [pytest.mark.outside, pytest.mark.skipif(chromium() is None, reason="no Chromium")]

UNSAVED = "Not saved: the desk cannot be reached. What you typed is still on this page."
UNSENT = "Not sent: the desk cannot be reached. What you typed is still on this page."


@pytest.fixture
async def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    world = World(tmp_path, monkeypatch)
    # A network may come back: where the address stays, a page tries again.
    web = WebSettings(address="stays")
    world.change_settings(JP, authority=AuthoritySettings(telephone="+81350000247"), web=web)
    async with web_serving(world, JP) as made:
        yield made


async def signed_in(pages: Pages, context: BrowserContext) -> Page:
    """A page of a window in which the desk's passphrase signed in."""
    page = await context.new_page()
    await page.goto(f"{pages.origin}/sign-in")
    await page.fill('[name="passphrase"]', PASSPHRASE.decode())
    await page.press('[name="passphrase"]', "Enter")
    await page.wait_for_url(f"{pages.origin}/")
    return page


@asynccontextmanager
async def draft(pages: Pages, chrome: Any) -> AsyncIterator[Page]:
    """A page of a new preservation request, with the nation named."""
    # A browser without a way to the desk says so on its console.
    async with window(chrome, expected=("net::ERR_INTERNET_DISCONNECTED", "htmx:sendError")) as context:
        page = await signed_in(pages, context)
        await page.goto(f"{pages.origin}/new")
        await page.click('button[value="preservation.request"]')
        await page.check('[name="to"][value="24-7@fr"]')
        await page.fill('[name="own_reference"]', "NPA-2026-17")
        await page.click("aside button.primary")
        await page.wait_for_selector('[name="facts"]')
        yield page


async def test_a_saving_that_fails_is_said_and_tried_again_and_leaving_asks_first(pages: Pages) -> None:
    async with browser() as chrome, draft(pages, chrome) as page:
        await page.context.set_offline(True)
        await page.fill('[name="facts"]', "Somebody entered the payment system.")
        await page.press('[name="facts"]', "Tab")
        await expect(page.locator("#unsaved")).to_have_text(UNSAVED)
        asked: list[str] = []

        async def stay(dialog: Any) -> None:
            asked.append(dialog.type)
            await dialog.dismiss()

        page.on("dialog", stay)
        await page.evaluate("setTimeout(() => location.assign('/'), 0)")
        await page.wait_for_function("document.visibilityState === 'visible'")
        # A form that is sent stays where it is.
        await page.click("aside button.primary")
        await expect(page.locator("#unsent")).to_have_text(UNSENT)
        assert await page.input_value('[name="facts"]') == "Somebody entered the payment system."
        await page.context.set_offline(False)
        await expect(page.locator("#unsaved")).to_be_hidden()
        await page.reload()
        assert await page.input_value('[name="facts"]') == "Somebody entered the payment system."
        assert "beforeunload" in asked


async def test_every_field_for_files_opens_by_the_keyboard_alone(pages: Pages) -> None:
    async with browser() as chrome, draft(pages, chrome) as page:
        base = re.sub(r"/[a-z]+$", "", page.url)
        page.on("filechooser", lambda _chooser: None)  # from now on: else each wait begins to listen beside the key
        for path, field in (("targets", "table"), ("files", "upload")):
            for key in ("Enter", "Space"):
                await page.goto(f"{base}/{path}")  # a browser may hold a second dialog of one page back
                await page.focus("main")
                for _ in range(80):
                    await page.keyboard.press("Tab")
                    if await page.evaluate("document.activeElement?.id") == field:
                        break
                async with page.expect_file_chooser():
                    await page.keyboard.press(key)


async def test_a_question_that_an_answer_makes_necessary_stands_behind_it_at_once(pages: Pages) -> None:
    async with browser() as chrome, draft(pages, chrome) as page:
        await page.check('[name="urgency"][value="urgent"]')
        reason = page.locator('[name="urgency_reason"]')
        await expect(reason).to_be_visible()
        await reason.fill("They go tomorrow.")
        # A second one takes nothing away of the first.
        await page.check('[name="do_not_notify"][value="yes"]')
        await expect(page.locator('[name="do_not_notify_reason"]')).to_be_visible()
        await expect(reason).to_have_value("They go tomorrow.")
        await expect(page.locator('#f-urgency-at + .asked [name="urgency_reason"]')).to_be_visible()
        behind = page.locator('#f-do_not_notify-at + .asked [name="do_not_notify_reason"]')
        await expect(behind).to_be_visible()
        # Without an answer it goes with the question; with one it stays.
        await page.check('[name="do_not_notify"][value="no"]')
        await expect(page.locator('[name="do_not_notify_reason"]')).to_have_count(0)
        order = "() => [...document.querySelectorAll('#draft-form [name=_field]')].map(one => one.value)"
        before = await page.evaluate(order)
        await page.reload()
        assert await page.evaluate(order) == before


async def test_leaving_at_once_keeps_the_last_word(pages: Pages) -> None:
    async with browser() as chrome, draft(pages, chrome) as page:
        here = page.url
        await page.fill('[name="facts"]', "The last word.")
        await page.goto(f"{pages.origin}/cases")
        said = ""
        async with asyncio.timeout(WITHIN_S):  # it goes beside the page that follows
            while not said:
                await page.goto(here)
                said = await page.input_value('[name="facts"]')
        assert said == "The last word."


async def test_what_is_typed_on_a_page_that_is_left_or_locked_comes_back_however_long(pages: Pages) -> None:
    async with browser() as chrome, draft(pages, chrome) as page:
        await page.goto(f"{pages.origin}/unproved")
        await page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        await page.fill('[name="text"]', "Half-written")
        await page.goto(f"{pages.origin}/cases")
        said = ""
        async with asyncio.timeout(WITHIN_S):  # it goes beside the page that follows
            while not said:
                await page.goto(f"{pages.origin}/unproved")
                said = await page.input_value('[name="text"]')
        assert said == "Half-written"
        await expect(page.locator("#kept-back")).to_be_focused()
        # More than a browser sends from a page that is left: the lock waits until the desk has it.
        long = "203.0.113.9 " * 10_000
        await page.fill('[name="text"]', long)
        await page.click('form[action="/lock"] button')
        await page.wait_for_url("**/unlock?*")
        await page.fill('[name="passphrase"]', PASSPHRASE.decode())
        await page.press('[name="passphrase"]', "Enter")
        await page.wait_for_url("**/unproved")
        assert await page.input_value('[name="text"]') == long
        (session,) = pages.desk.sessions.all()
        assert len(session.kept) == 1


async def test_where_the_address_stays_what_is_typed_outlives_a_service_that_began_anew_and_knows_nobody(
    pages: Pages,
) -> None:
    """Also where the text is longer than a desk takes of somebody whom it does not know."""
    for text in ("Half of a note", "Half of a long note. " * 5_000):
        async with browser() as chrome, window(chrome, expected=("401", "413", "ERR_")) as context:
            page = await context.new_page()
            await page.goto(f"{pages.origin}/sign-in")
            await page.fill('[name="passphrase"]', PASSPHRASE.decode())
            await page.press('[name="passphrase"]', "Enter")
            await page.wait_for_url(f"{pages.origin}/")
            await page.goto(f"{pages.origin}/unproved")
            await page.fill('main [name="text"]', text)
            pages.desk.sessions.end_all()
            await page.get_by_role("button", name="Lock").click()
            await expect(page.locator("#forgotten")).to_be_visible()
            await expect(page.locator("main")).to_be_hidden()
            await page.get_by_role("button", name="Show what was typed").click()
            assert await page.locator("#forgotten textarea").first.input_value() == text


async def test_no_part_of_a_page_that_comes_anew_brings_a_style_with_it(pages: Pages) -> None:
    # A field that somebody made larger has a style of its own; the window fails where the policy is violated.
    async with browser() as chrome, draft(pages, chrome) as page:
        await page.evaluate("document.querySelector('[name=facts]').style.height = '300px'")
        field = "<textarea id='f-facts' name='facts' hx-swap-oob='true'></textarea>"
        await page.evaluate("field => htmx.swap(document.body, field, { swapStyle: 'none' })", field)
        await page.wait_for_function("document.querySelector('[name=facts]').value === ''")
        await page.wait_for_function("!document.querySelector('.htmx-settling')")
        assert await page.locator("style").count() == 0


async def test_who_goes_back_to_a_form_and_sends_it_again_sends_it_once_and_a_changed_one_is_asked_about(
    pages: Pages,
) -> None:
    desk = await pages.service.desk(Login())
    sent = await desk.messages.send(request())

    async def said() -> int:
        return len(await desk.cases.thread(sent.id))

    before = await said()
    async with browser() as chrome, window(chrome) as context:
        page = await signed_in(pages, context)
        await page.goto(f"{pages.origin}/cases/{sent.id}/do/send-note")
        await page.fill('main [name="text"]', "The provider opens at eight.")
        await page.click("main .acts button.primary")
        await page.wait_for_url("**/cases/*?done=*")
        await page.go_back()
        assert await page.input_value('main [name="text"]') == "The provider opens at eight."
        await page.click("main .acts button.primary")
        await page.wait_for_url("**/cases/*?done=*")
        assert await said() == before + 1
        await page.go_back()
        await page.fill('main [name="text"]', "It opens at nine.")
        await page.click("main .acts button.primary")
        await expect(page.locator("#refusal")).to_contain_text("send it again")
        assert await said() == before + 1
        await page.click("main .acts button.primary")
        await page.wait_for_url("**/cases/*?done=*")
        assert await said() == before + 2
