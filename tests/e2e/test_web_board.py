"""The duty board and a case in a real browser: an emergency that arrives, is called back and answered; the answer grid
by the keyboard alone.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from exchange.office.officers import Login
from protocol.address import Address
from protocol.lifecycle.preservation import PreservationCase
from tests.unit.exchange.test_web_answer import FORGED, NUMBER, emergency, with_number
from tests.unit.exchange.test_web_case import Two, types
from tests.worlds.browser import axe, browser, window
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request
from tests.worlds.web_desk import Visitor, web_serving

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """Japan with pages, France with a desk; France asked for a preservation."""
    world = World(tmp_path, monkeypatch)
    with_number(world)
    async with AsyncExitStack() as stack:
        fr = await stack.enter_async_context(world.open(FR))
        pages = await stack.enter_async_context(web_serving(world, JP))
        jp = await pages.service.desk(Login())
        visitor: Visitor = await stack.enter_async_context(pages.visitor())
        made = Two(world, pages, visitor, fr, jp)
        made.asked = (await fr.messages.send(request(to=[str(JP)], own_reference="PARIS-2026-0471"))).id
        await made.exchange()
        yield made


@asynccontextmanager
async def signed_in(
    chrome: Browser, both: Two, language: str = "en", *, width: int = 1440, dark: bool = False
) -> AsyncIterator[Page]:
    async with window(chrome, language, width=width, dark=dark) as opened:
        page = await opened.new_page()
        await page.goto(f"{both.pages.origin}/sign-in")
        await page.fill("form[action='/sign-in'] [name=passphrase]", PASSPHRASE.decode())
        await page.press("form[action='/sign-in'] [name=passphrase]", "Enter")
        await page.wait_for_url(f"{both.pages.origin}/")
        yield page


async def listens(page: Page) -> None:
    """Return when a page heard how things are: what comes from now on is new to it."""
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.wait_for_function("sessionStorage.getItem('comity-emergencies') !== null")


async def test_an_emergency_arrives_rings_and_is_called_back_and_answered(chrome: Browser, both: Two) -> None:
    async with signed_in(chrome, both) as page:
        await listens(page)
        other = await page.context.new_page()  # the same officer reads a case meanwhile
        await other.goto(f"{both.pages.origin}/cases/{both.asked}")
        asked = await emergency(both)
        await expect(other).to_have_title("(1) NEW EMERGENCY · Preservation request from France · 24-7@jp")
        assert both.pages.desk.following.followers == {both.pages.desk.sessions.of(None)[0].name: 1}
        await other.close()
        # Nobody loads the page anew: the lane fills, the title says it, and it is read out.
        card = page.locator("#lane-emergencies + article, section:has(#lane-emergencies) article").first
        await expect(card.get_by_text("30 min left")).to_be_visible()
        await expect(page).to_have_title("(1) NEW EMERGENCY · Duty board · 24-7@jp")
        await expect(card.get_by_text(NUMBER)).to_be_visible()
        await expect(card.get_by_text("The message names another number: do not call it.")).to_be_visible()
        assert await axe(page) == []
        await card.get_by_role("link", name="I called: record it").click()
        await expect(page.locator("s", has_text=FORGED)).to_be_visible()
        assert await axe(page) == []
        await page.get_by_label("They said that it is theirs", exact=True).check()
        await page.get_by_label("Who answered the call").fill("Marc Petit")
        await page.get_by_role("button", name="Record the call").click()
        await expect(page.locator("#done")).to_have_text("Recorded.")
        await page.get_by_role("link", name="Answer", exact=True).click()
        await page.locator("[id='f.text']").fill("The subscriber is Jean Dupont, rue de Lyon 1.")
        assert await axe(page) == []
        await page.get_by_role("button", name="Send the answer").last.click()
        await expect(page.locator("#done")).to_contain_text("Sent.")
        assert await axe(page) == []
    assert "answer" in await types(both.jp, asked)


async def test_a_locked_page_rings_and_shows_references_and_clocks_alone(chrome: Browser, both: Two) -> None:
    async with signed_in(chrome, both) as page:
        await listens(page)
        await page.get_by_role("button", name="Lock").click()
        await expect(page.get_by_role("heading", name="Locked")).to_be_visible()
        await expect(page.get_by_text("PARIS-2026-0471")).to_be_visible()
        await emergency(both)
        await expect(page.get_by_text("P-9", exact=True)).to_be_visible()
        await expect(page).to_have_title("(1) NEW EMERGENCY · Locked · 24-7@jp")
        assert not await page.get_by_text("France").count()
        assert await axe(page) == []
        await page.goto(f"{both.pages.origin}/?wall=1")
        await expect(page.get_by_text("P-9", exact=True)).to_be_visible()
        assert await axe(page) == []


async def test_an_emergency_that_comes_between_a_page_and_its_streams_first_word_rings_once_on_every_kind_of_page(
    chrome: Browser, both: Two
) -> None:
    """The stream is held back until the emergency is there; then it rings, and on no page that is opened afterwards."""
    origin, held = both.pages.origin, asyncio.Event()
    async with signed_in(chrome, both) as page:
        await listens(page)

        async def late(route: Route) -> None:
            await held.wait()
            await route.continue_()

        await page.context.route("**/board/events", late)
        await page.context.add_init_script(_COUNTS)
        for path in ("/", f"/cases/{both.asked}", "/?wall=1", "/?lane=ours"):
            held.clear()
            await page.goto(f"{origin}{path}")
            await emergency(both)
            assert "NEW EMERGENCY" not in await page.title()
            held.set()
            await expect(page).to_have_title(re.compile(r"^\(1\) NEW EMERGENCY · "))
            # Once: not when the page is loaded anew, nor on another one, nor after the way back.
            for again in (path, f"/cases/{both.asked}"):
                await page.goto(f"{origin}{again}")
                await heard(page)
                assert "NEW EMERGENCY" not in await page.title()
            await page.go_back()
            await heard(page)
            assert "NEW EMERGENCY" not in await page.title()
        # Another tab is told by the one that listens, and rings for none of these when it listens itself.
        other = await page.context.new_page()
        await other.goto(f"{origin}/cases/{both.asked}")
        await told(other, 4)
        await page.close()
        await emergency(both)
        await expect(other).to_have_title(re.compile(r"^\(1\) NEW EMERGENCY · "))
        # A browser that was just opened is shown on the board what there is.
        await other.goto(f"{origin}/")
        await other.evaluate("sessionStorage.clear()")
        await other.goto(f"{origin}/")
        await heard(other)
        assert "NEW EMERGENCY" not in await other.title()


# How often a page heard from its stream: that it is open, then how things are.
_COUNTS = "window.heard = 0; document.addEventListener('comity:reach', () => { window.heard += 1; });"


async def heard(page: Page) -> None:
    """Return when a page that listens heard how things are."""
    await page.wait_for_function("() => window.heard > 1")


async def told(page: Page, count: int) -> None:
    """Return when a page knows of so many emergencies, by the stream's own word on it."""
    await page.wait_for_function(
        "count => (JSON.parse(sessionStorage.getItem('comity-emergencies')) ?? []).length === count", arg=count
    )


async def test_on_a_telephone_no_line_cuts_an_instant_of_an_identifier(chrome: Browser, both: Two) -> None:
    async with signed_in(chrome, both, width=360) as page:
        for path in (f"/cases/{both.asked}", f"/messages/{both.asked}"):
            await page.goto(f"{both.pages.origin}{path}")
            lines = await page.locator("code.id .date").evaluate_all(
                "all => all.map((one) => one.getClientRects().length)"
            )
            assert set(lines) <= {1}, path
        await page.goto(f"{both.pages.origin}/cases/{both.asked}")
        assert await page.locator("code.id .date").count() > 0


async def test_a_request_is_passed_on_to_an_office_of_our_own_state(chrome: Browser, both: Two) -> None:
    court = Address.parse("court@jp")
    both.world.enrol(court)
    async with signed_in(chrome, both) as page, both.world.open(court) as desk:
        await page.goto(f"{both.pages.origin}/cases/{both.asked}")
        await page.get_by_role("link", name="Pass on within our State").click()
        await page.get_by_label("To", exact=False).first.fill(str(court))
        await page.get_by_label("Reason", exact=False).first.fill("The court of Tokyo is competent.")
        await page.get_by_role("button", name="Pass it on and tell its maker").last.click()
        await expect(page.locator("#done")).to_contain_text("Sent.")
        assert [row.type for row in (await desk.messages.sync()).received] == ["forward"]
    await both.fr.messages.sync()
    assert {"forward", "misdirected"} <= {row.type for row in await both.fr.messages.inbox()}


async def test_all_targets_are_answered_with_the_keyboard_alone(chrome: Browser, both: Two) -> None:
    async with signed_in(chrome, both) as page:

        async def to(name: str) -> None:
            """Move on with the key alone until the focus is on what is called so."""
            for _ in range(80):
                await page.keyboard.press("Tab")
                focused = await page.evaluate(
                    "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
                )
                if focused.startswith(name):
                    return
            raise AssertionError(f"{name} cannot be reached")

        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")  # skip to the content
        await to("Acknowledge the request")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Where it stands")).to_be_visible()
        await to("Answer for the targets")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Answer for the targets")).to_be_visible()
        await to("Result for every target")
        await page.keyboard.type("Pres")
        await to("Fill it in")
        await page.keyboard.press("Enter")
        await expect(page.locator("[name='t2.result']")).to_have_value("preserved")
        await to("Our reference")
        await page.keyboard.type("NPA-77")
        await page.keyboard.press("Enter")
        await expect(page.locator("#done")).to_contain_text("Sent.")
    case = await both.jp.cases.case(both.asked)
    assert isinstance(case, PreservationCase)
    assert {str(target.state) for target in case.targets} == {"preserved"}
