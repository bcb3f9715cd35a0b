"""A new officer sends a valid request by the browser in few steps, and what is typed saves itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from exchange.office.officers import Login
from exchange.settings import AuthoritySettings
from tests.e2e.web_job import Newcomer, first_request
from tests.e2e.web_job import Officer as Employee
from tests.worlds.browser import browser, is_known, whole, window
from tests.worlds.desks import JP, PASSPHRASE, World
from tests.worlds.web_desk import Pages, web_serving

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

MOST_STEPS = 40
# What is typed, pressed and read between the address and a first request that is sent.
MOST = {"fields": 8, "clicks": 24, "pages": 10}
PASTE = "203.0.113.9:51544 2026-11-21 12:12:45\nj.doe@example.fr\n2001:db8::7334 2026-11-21T03:15:02.1234567Z"
_VIOLATIONS = "document.addEventListener('securitypolicyviolation', e => console.error('CSP ' + e.violatedDirective))"


@dataclass
class Officer:
    """Somebody at a browser, each of whose clicks, keys and fields is counted."""

    page: Page
    steps: int = 0
    said: list[str] = field(default_factory=list)

    async def open(self, address: str) -> None:
        self.steps += 1
        await self.page.goto(address)

    async def click(self, what: str) -> None:
        self.steps += 1
        await self.page.click(what)

    async def tick(self, name: str, value: str) -> None:
        self.steps += 1
        await self.page.check(f'[name="{name}"][value="{value}"]')

    async def write(self, name: str, text: str) -> None:
        self.steps += 1
        await self.page.fill(f'[name="{name}"]', text)

    async def sign_in(self, pages: Pages) -> None:
        await self.open(f"{pages.origin}/sign-in")
        await self.write("passphrase", PASSPHRASE.decode())
        self.steps += 1
        await self.page.press('[name="passphrase"]', "Enter")
        await self.page.wait_for_url(f"{pages.origin}/")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    world = World(tmp_path, monkeypatch)
    world.publish(world.cards[JP].model_copy(update={"time_zone": "Asia/Tokyo", "updated_at": world.clock()}))
    world.change_settings(JP, authority=AuthoritySettings(telephone="+81350000247"))
    async with web_serving(world, JP) as made:
        yield made


async def officer_at(context: Any) -> Officer:
    page = await context.new_page()
    await page.add_init_script(_VIOLATIONS)
    officer = Officer(page)
    page.on("console", lambda message: is_known(message.text) or officer.said.append(message.text))
    page.on("pageerror", lambda problem: officer.said.append(str(problem)))
    return officer


async def test_a_new_officer_sends_a_valid_request_in_few_steps_and_nothing_typed_waits_for_a_button(
    chrome: Browser, pages: Pages, tmp_path: Path
) -> None:
    async with window(chrome) as context:
        officer = await officer_at(context)
        page = officer.page
        await officer.sign_in(pages)
        await officer.click('a[href="/new"]')
        await officer.click('button[value="preservation.request"]')
        await officer.tick("to", "24-7@fr")
        await officer.write("own_reference", "NPA-2026-17")
        await officer.click("aside button.primary")
        await officer.tick("offences", "8")
        await officer.write("facts", "Somebody entered the payment system.")
        await officer.write("necessity", "The logs are kept for seven days.")
        await officer.tick("mutual_assistance.declared", "yes")
        await officer.tick("do_not_notify", "no")
        await officer.tick("urgency", "urgent")
        # A question that an answer makes necessary comes by itself, and what was typed saves itself.
        await page.wait_for_selector('[name="urgency_reason"]')
        assert await page.input_value('[name="facts"]') == "Somebody entered the payment system."
        await page.reload()
        assert await page.input_value('[name="facts"]') == "Somebody entered the payment system."
        await officer.write("urgency_reason", "They go tomorrow.")
        await officer.click("aside button.primary")
        await officer.write("paste", PASTE)
        await officer.click('button[value="read"].primary')
        await page.screenshot(path=tmp_path / "targets.png", full_page=True)
        await expect(page.locator("#targets")).to_contain_text("2026-11-21 12:15:02.1234567+09:00")
        await officer.click('button[value="zone:1:Asia/Tokyo"]')
        await officer.click('button[value="protocol:1:tcp"]')
        await officer.tick("each.data_categories", "subscriber")
        await officer.write("each.time_window", "2026-11-20 to 2026-11-22")
        await officer.write("each.relation", "The session came from there.")
        await officer.write("each.custodian", "Example Hosting SAS, France")
        await officer.click("aside button.primary")
        await page.wait_for_url("**/check")
        await expect(page.locator("main")).to_contain_text("Nothing is missing.")
        await officer.click('nav.parts a[href$="/files"]')
        file = {"name": "order.pdf", "mimeType": "application/pdf", "buffer": b"x" * 2_000_000}
        await page.set_input_files("#upload", [file])
        await officer.click("form[data-upload] button.primary")
        await page.wait_for_selector("#files :text('order.pdf')")
        await officer.click("aside a.primary")
        await officer.click('form[action$="/send"] button')
        await page.wait_for_url("**/sent")
        assert officer.steps <= MOST_STEPS, officer.steps
        assert officer.said == []
    desk = await pages.service.desk(Login())
    (row,) = await desk.messages.inbox(sent=True)
    content = json.loads((await desk.messages.read(row.id)).content)
    assert [one["identifier"]["kind"] for one in content["targets"]] == ["email", "ipv6", "ipv4"]
    assert content["urgency_reason"] == "They go tomorrow."
    assert [one["name"] for one in content["attachments"]] == ["order.pdf"]


async def test_a_newcomer_has_sent_a_request_of_their_own_within_three_minutes(chrome: Browser, pages: Pages) -> None:
    """From the address and the code with which the demonstration ends; how long a person takes is counted, not waited
    for.
    """
    made: Any = pages.service.acts["web-code"]({"officer": None, "seed": ""})
    async with window(chrome) as context:
        hands = Newcomer(await context.new_page())
        await first_request(Employee(hands, pages.origin, ""), made["code"])
        counted = {"fields": hands.fields, "clicks": hands.clicks, "pages": hands.pages}
        assert all(number <= MOST[name] for name, number in counted.items()), counted
        assert hands.takes_s <= 180, (hands.takes_s, hands.keys, counted)
    (row,) = await (await pages.service.desk(Login())).messages.inbox(sent=True)
    assert row.type == "preservation.request"


async def test_the_pages_hold_on_a_telephone_and_in_a_language_that_runs_the_other_way(
    chrome: Browser, pages: Pages
) -> None:
    for language, width in (("ar", 1440), ("zh", 360), ("en", 360)):
        async with window(chrome, language, width=width) as context:
            officer = await officer_at(context)
            await officer.sign_in(pages)
            await officer.open(f"{pages.origin}/new")
            await officer.click('button[value="emergency.request"]')
            await officer.write("paste", PASTE + "\n" + "x" * 400)
            await officer.click('button[value="read"].primary')
            await whole(officer.page)
            assert await officer.page.get_attribute("html", "dir") == ("rtl" if language == "ar" else "ltr")
            wide = await officer.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert wide <= 0, (language, width, wide)
            assert officer.said == []


async def test_a_file_is_attached_and_the_whole_goes_without_script(chrome: Browser, pages: Pages) -> None:
    async with window(chrome, script=False) as context:
        officer = await officer_at(context)
        page = officer.page
        await officer.sign_in(pages)
        await officer.open(f"{pages.origin}/new")
        await officer.click('button[value="emergency.request"]')
        await officer.tick("to", "24-7@fr")
        await officer.write("own_reference", "NPA-2026-18")
        await officer.tick("threatened_good", "child_safety")
        for name in ("facts", "urgency_reason", "relation"):
            await officer.write(name, "A child is missing since noon.")
        await officer.tick("do_not_notify", "no")
        await officer.write("paste", "kim@example.fr")
        await officer.click('button[value="read"].primary')
        await officer.tick("each.data_categories", "subscriber")
        await officer.write("each.relation", "It is the child's account.")
        await officer.write("each.custodian", "Example Hosting SAS, France")
        await officer.click("aside button.primary")
        await page.wait_for_url("**/check")
        await officer.click('nav.parts a[href$="/files"]')
        file = {"name": "../../order.pdf", "mimeType": "application/pdf", "buffer": b"x" * 2_000_000}
        await page.set_input_files("#upload", [file])
        await officer.click("form[data-upload] button.primary")
        await expect(page.locator("#files")).to_contain_text("order.pdf")
        await officer.click('nav.parts a[href$="/check"]')
        await officer.click('form[action$="/send"] button')
        await page.wait_for_url("**/sent")
        await expect(page.locator("main")).to_contain_text("Now call them")
