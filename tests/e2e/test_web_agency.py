"""The way by the agency in a real browser, with a real provider at another site: who it is there, what opens here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.worlds.agency_desk import AgencyPages, agency_desk
from tests.worlds.browser import authenticator, axe, browser, overflows, picture, window
from tests.worlds.desks import World
from tests.worlds.identity_provider import identity_provider
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def jp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AgencyPages]:
    """A desk at which the agency says first who signs in; its page asks the person."""
    with identity_provider() as provider:
        async with agency_desk(World(tmp_path, monkeypatch), provider, required=True) as made:
            await made.says(page=True)
            yield made


async def by_the_agency(page: Page, desk: AgencyPages) -> None:
    await page.goto(f"{desk.pages.origin}/sign-in")
    await page.get_by_role("link", name="Let the agency say who I am").click()
    await page.get_by_role("button", name="Sign in at the agency").click()
    # Nothing of the answer stays in the address, nor in the history.
    await expect(page).to_have_url(f"{desk.pages.origin}/sign-in")


async def test_the_agency_says_who_it_is_and_the_passphrase_or_a_passkey_opens_the_desk(
    chrome: Browser, jp: AgencyPages
) -> None:
    async with window(chrome) as opened:
        page = await opened.new_page()
        await authenticator(page)
        await page.goto(f"{jp.pages.origin}/sign-in")
        assert await axe(page) == []
        await page.screenshot(path=picture("agency-asked"), full_page=True)
        await by_the_agency(page, jp)
        await expect(page.get_by_text("The agency says who you are. Your passphrase opens the desk.")).to_be_visible()
        assert jp.pages.desk.sessions.all() == []
        assert await axe(page) == []
        await page.screenshot(path=picture("agency-said"), full_page=True)
        await page.get_by_label("Passphrase").fill(OFFICER_PASSPHRASE.decode())
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", name="Add a second factor")).to_be_visible()
        await page.get_by_role("link", name="Add a passkey").click()
        await page.get_by_label("Name").fill("blue key")
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.get_by_text("opens your key", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        # The passkey alone is not offered before the agency said who it is.
        await expect(page.get_by_role("button", name="Sign in with a passkey")).to_have_count(0)
        await by_the_agency(page, jp)
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("heading", name="What needs somebody now")).to_be_visible()
        (session,) = jp.pages.desk.sessions.all()
        assert (session.officer, session.factor) == (OFFICER, "passkey")
        assert session.identity is not None
        # It is bound at the officers' page, which reads well.
        await page.goto(f"{jp.pages.origin}/officers")
        await page.get_by_text("Change", exact=True).first.click()
        await expect(page.get_by_role("button", name="Unbind the account")).to_be_visible()
        assert await axe(page) == []
        await page.screenshot(path=picture("agency-bound"), full_page=True)


@pytest.mark.parametrize("language", ["en", "ar"])
async def test_the_way_by_the_agency_does_without_script_on_a_telephone(
    chrome: Browser, jp: AgencyPages, language: str
) -> None:
    async with window(chrome, language, script=False, width=360, dark=True) as opened:
        page = await opened.new_page()
        await page.goto(f"{jp.pages.origin}/sign-in")
        await page.locator('a[href="/sign-in/agency"]').click()
        await page.get_by_role("button", name="Sign in at the agency").click()
        await expect(page).to_have_url(f"{jp.pages.origin}/sign-in")
        form = page.locator('form[action="/sign-in"]')
        await page.screenshot(path=picture(f"agency-said-{language}"), full_page=True)
        await form.locator("[name=passphrase]").fill(OFFICER_PASSPHRASE.decode())
        await form.locator("button").click()
        await expect(page).to_have_url(f"{jp.pages.origin}/settings/first")
        assert len(jp.pages.desk.sessions.all()) == 1
    async with window(chrome, language, width=360) as opened:
        page = await opened.new_page()
        await jp.says("account-of-nobody")
        await page.goto(f"{jp.pages.origin}/sign-in")
        await page.locator('a[href="/sign-in/agency"]').click()
        await expect(page.get_by_role("alert").first).to_contain_text("agency-unbound")
        assert await axe(page) == []
        assert not await overflows(page)
        await page.screenshot(path=picture(f"agency-refused-{language}"), full_page=True)
