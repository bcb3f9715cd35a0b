"""Signing in in a real browser: passkeys that open the officer's key, codes of an app, and nothing lost by a lock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from exchange.demo._pages import desk_pages
from exchange.demo.processes import Commands
from exchange.service.run_folder import is_owned
from tests.worlds.browser import LONG, authenticator, axe, browser, overflows, window
from tests.worlds.desks import JP, PASSPHRASE, World
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE, Pages, with_officers

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def jp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with with_officers(World(tmp_path, monkeypatch), JP) as made:
        yield made


async def sign_in(page: Page, pages: Pages) -> None:
    await page.goto(f"{pages.origin}/sign-in")
    await page.get_by_label("Officer", exact=True).first.fill(OFFICER)
    await page.get_by_label("Passphrase").fill(OFFICER_PASSPHRASE.decode())
    # The page looks first whether its desk is still there.
    async with page.expect_navigation():
        await page.get_by_role("button", name="Sign in", exact=True).click()


async def test_a_passkey_opens_the_officers_key_and_a_lost_one_opens_nothing(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as opened:
        page = await opened.new_page()
        await authenticator(page)
        await sign_in(page, jp)
        await expect(page.get_by_role("heading", name="Add a second factor")).to_be_visible()
        assert await axe(page) == []
        await page.get_by_role("link", name="Add a passkey").click()
        await page.get_by_label("Name").fill("blue key")
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.get_by_text("opens your key", exact=True)).to_be_visible()
        assert await axe(page) == []
        await page.get_by_role("button", name="Sign out").click()
        # The passphrase alone is no longer enough.
        await sign_in(page, jp)
        await expect(page.get_by_role("alert").first).to_contain_text("wrong")
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_role("heading", name="What needs somebody now")).to_be_visible()
        (session,) = jp.desk.sessions.all()
        assert (session.officer, session.factor) == (OFFICER, "passkey")
        await page.get_by_role("button", name="Lock").click()
        await expect(page.get_by_role("button", name="Unlock with a passkey")).to_be_visible()
        assert await axe(page) == []
        await page.get_by_role("button", name="Unlock with a passkey").click()
        await expect(page.get_by_role("heading", name="What needs somebody now")).to_be_visible()
        await page.goto(f"{jp.origin}/settings")
        await page.get_by_role("button", name="Remove, such as when it was lost").click()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_text("The passkey did not sign you in.")).to_be_visible()
        # Where a factor was lost the passphrase alone does not do: the way on is open.
        await expect(page.locator('form[action="/sign-in/code"]')).to_be_visible()


async def test_an_authenticator_that_does_not_verify_its_holder_adds_nothing(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as opened:
        page = await opened.new_page()
        await authenticator(page, verified=False)
        await sign_in(page, jp)
        await page.goto(f"{jp.origin}/settings/passkeys/new")
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.get_by_text("The passkey was not added.")).to_be_visible()
        assert jp.desk.sessions.all()[0].factor == "passphrase"


async def test_a_passkey_that_keeps_no_key_is_asked_for_beside_the_passphrase(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as opened:
        page = await opened.new_page()
        await authenticator(page, prf=False)
        await sign_in(page, jp)
        await page.goto(f"{jp.origin}/settings/passkeys/new")
        await page.get_by_role("button", name="Add a passkey").click()
        await expect(page.get_by_text("asked for beside the passphrase", exact=True)).to_be_visible()
        await page.get_by_role("button", name="Sign out").click()
        await page.get_by_role("button", name="Sign in with a passkey").click()
        await expect(page.get_by_text("The passkey is right.")).to_be_visible()
        await page.get_by_label("Passphrase").fill(OFFICER_PASSPHRASE.decode())
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.get_by_role("heading", name="What needs somebody now")).to_be_visible()
        assert jp.desk.sessions.all()[0].factor == "passphrase+passkey"


@pytest.mark.parametrize("language", ["en", "ar", "zh"] if LONG else ["ar"])
async def test_signing_in_reads_in_each_script_on_a_telephone_and_without_script(
    chrome: Browser, jp: Pages, language: str
) -> None:
    async with window(chrome, language, width=360) as opened:
        page = await opened.new_page()
        await page.goto(f"{jp.origin}/sign-in")
        assert await axe(page) == []
        assert not await overflows(page)
    async with window(chrome, language, script=False, dark=True) as opened:
        page = await opened.new_page()
        await page.goto(f"{jp.origin}/sign-in")
        form = page.locator('form[action="/sign-in"]')
        await form.locator("[name=officer]").fill(OFFICER)
        await form.locator("[name=passphrase]").fill(OFFICER_PASSPHRASE.decode())
        await form.locator("button").click()
        await page.goto(f"{jp.origin}/settings/totp")
        secret = await page.locator("[name=secret]").input_value()
        await page.locator("[name=totp]").fill(pyotp.TOTP(secret).at(jp.now))
        await page.locator('form[action="/settings/totp"] button').click()
        await expect(page.locator("#done")).to_be_visible()
        assert (await page.evaluate("document.documentElement.dir")) == ("rtl" if language == "ar" else "ltr")


async def test_what_was_typed_comes_back_after_the_page_locked_itself(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        await page.goto(f"{jp.origin}/settings")
        await page.get_by_label("Time zone").fill("Asia/To")
        await page.get_by_role("button", name="Lock").click()
        await page.get_by_label("Passphrase").fill(OFFICER_PASSPHRASE.decode())
        await page.get_by_role("button", name="Unlock", exact=True).click()
        await expect(page.get_by_label("Time zone")).to_have_value("Asia/To")


async def test_the_demonstrations_desk_is_entered_by_its_code_and_ends_with_it(
    chrome: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = World(tmp_path, monkeypatch).home(JP)
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    async with desk_pages(Commands(passphrase), home) as shown, window(chrome) as opened:
        page = await opened.new_page()
        await page.goto(shown.address)
        await page.get_by_text("With a one-time code").click()
        await page.get_by_label("One-time code").fill(shown.code.lower())
        await page.get_by_role("button", name="Sign in with the code").click()
        await expect(page.get_by_role("heading", name="What needs somebody now")).to_be_visible()
    assert not is_owned(home)


async def test_a_page_that_nobody_uses_locks_itself_and_the_keyboard_alone_unlocks_it(
    chrome: Browser, jp: Pages
) -> None:
    async with window(chrome) as opened:
        page = await opened.new_page()
        await sign_in(page, jp)
        await expect(page.get_by_role("heading", name="Add a second factor")).to_be_visible()
        await opened.clock.install()
        await page.goto(f"{jp.origin}/settings")
        zone = page.get_by_label("Time zone")
        await zone.focus()
        await page.keyboard.type("Asia/Dhaka")
        await opened.clock.run_for((jp.desk.sessions.idle_s + 1) * 1_000)
        await page.wait_for_url("**/unlock?*")
        (session,) = jp.desk.sessions.all()
        assert (session.locked, len(session.kept)) == (True, 1)
        await page.go_back()
        await page.wait_for_url("**/unlock?*")
        while not await page.get_by_label("Passphrase").evaluate("one => one === document.activeElement"):
            await page.keyboard.press("Tab")
        await page.keyboard.type(OFFICER_PASSPHRASE.decode())
        await page.keyboard.press("Enter")
        await expect(zone).to_have_value("Asia/Dhaka")
        await expect(page.get_by_text("What you had typed is back in the form.")).to_be_visible()
        await expect(page.locator("#kept-back")).to_be_focused()
        # Keys lead everywhere, and none of one letter works while somebody types.
        await zone.focus()
        await page.keyboard.type("n")
        assert page.url.endswith("/settings")
        await page.locator("body").click(position={"x": 5, "y": 5})
        await page.keyboard.press("g")
        await page.keyboard.press("b")
        await expect(page.get_by_role("heading", name="What needs somebody now")).to_be_visible()
        await page.keyboard.press("?")
        await expect(page.get_by_role("heading", name="Keyboard")).to_be_visible()


async def test_who_works_on_one_page_of_a_desk_is_not_locked_out_by_another(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as opened:
        page, board = await opened.new_page(), await opened.new_page()
        await sign_in(page, jp)
        await expect(page.get_by_role("heading", name="Add a second factor")).to_be_visible()
        await opened.clock.install()
        await page.goto(f"{jp.origin}/settings")
        await board.goto(f"{jp.origin}/")
        await board.evaluate(
            "window.heard = 0; new BroadcastChannel('comity-session').onmessage = () => { heard += 1; }"
        )
        await page.get_by_label("Time zone").focus()
        for number in range(1, 4):  # each of them nearly as long as a page waits, together far longer
            await page.keyboard.type("A")
            await board.wait_for_function(f"heard >= {number}")
            await opened.clock.run_for(800_000)
        assert (board.url, page.url) == (f"{jp.origin}/", f"{jp.origin}/settings")
        (session,) = jp.desk.sessions.all()
        assert not session.locked


async def test_locking_one_page_locks_all_and_what_was_typed_on_another_comes_back(chrome: Browser, jp: Pages) -> None:
    async with window(chrome) as opened:
        board, page = await opened.new_page(), await opened.new_page()
        await sign_in(page, jp)
        await expect(page.get_by_role("heading", name="Add a second factor")).to_be_visible()
        await page.goto(f"{jp.origin}/settings")
        await board.goto(f"{jp.origin}/")
        await page.get_by_label("Time zone").fill("Asia/Dhaka")
        await board.get_by_role("button", name="Lock").click()
        await board.wait_for_url("**/unlock?*")
        await page.wait_for_url("**/unlock?*")
        await board.get_by_label("Passphrase").fill(OFFICER_PASSPHRASE.decode())
        await board.get_by_role("button", name="Unlock", exact=True).click()
        await expect(board.get_by_role("heading", name="What needs somebody now")).to_be_visible()
        await page.wait_for_url("**/settings")
        await expect(page.get_by_label("Time zone")).to_have_value("Asia/Dhaka")
