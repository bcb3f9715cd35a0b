"""The operator's job: real nodes, the command that makes a code, a real browser, and what it says of what is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from typer.testing import CliRunner

from node.cli.main import app
from node.console.away import TAKES_NOTHING
from node.operations.history import History
from protocol.errors import UnavailableError
from tests.worlds.browser import browser, hides_values, overflows, window
from tests.worlds.console import full_console
from tests.worlds.processes import desk, request_draft, world

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chrome() -> AsyncIterator[Browser]:
    async with browser() as made:
        yield made


async def node(*arguments: str, expect: int = 0) -> Any:
    """What the command says; the node that it asks is another process."""
    ran = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--json"])
    assert ran.exit_code == expect, ran.output
    return json.loads(ran.stdout)


async def sign_in(page: Page, address: str, code: str) -> None:
    await page.goto(address)
    await page.get_by_label("Code").fill(code)
    await page.get_by_role("button", name="Sign in").click()


async def kept_history(file: Path, now: datetime, partner: str) -> None:
    """What a node remembers that tried a partner in vain for hours, and that began a month ago."""
    history = History(file, lambda: now - timedelta(days=30))
    history.failed(partner, UnavailableError(f"the node {partner} cannot be reached (Connection refused)"))
    past = history.past(partner)
    past.failing_since = past.silent_since = now - TAKES_NOTHING - timedelta(hours=3)
    await history.save(lambda *_: None)


async def test_an_operator_finds_out_why_and_does_what_is_to_do(tmp_path: Path, chrome: Browser) -> None:
    async with world(tmp_path) as made, desk(made, "jp") as jp:
        await made.kill("fr")
        await made.kill("jp")
        home = made.federation.node_home("jp")
        await kept_history(home / "history.cbor", datetime.now(UTC), "fr")
        await made.start("jp")
        sent = await jp.messages.send(request_draft())

        said = await node("status", str(home))
        titles = [one["title"] for one in said["needs_you"]]
        assert said["headline"] == "Serving. Things that need you: 2."
        assert said["status"] == "attention"
        assert any("has not taken anything for 3 h" in title for title in titles)
        assert "No backup was ever made" in titles
        opened = await node("console", "code", str(home))

        async with window(chrome) as in_window:
            page = await in_window.new_page()
            await sign_in(page, opened["address"], opened["code"])
            await expect(page.get_by_role("heading", level=1)).to_have_text(said["headline"])
            for title in titles:
                await expect(page.get_by_role("heading", level=2).filter(has_text=title[:20])).to_be_visible()

            await node("backup", str(home), str(tmp_path / "backup"))
            checked = await node("backup-check", str(home), str(tmp_path / "backup"), "--drill")
            assert checked["drill"] is True
            await page.goto(f"{opened['address']}/backups")
            await expect(page.get_by_text(str(tmp_path / "backup")).first).to_be_visible()
            await expect(page.locator("main")).not_to_contain_text("never, as far as")

            await page.goto(f"{opened['address']}/partners/fr")
            await page.get_by_role("button", name="Test the way").click()
            await expect(page.get_by_text("not open", exact=True)).to_be_visible()
            assert (await node("test-way", str(home), "fr", expect=4))["error"] == "unavailable"

            await made.start("fr")
            await page.get_by_role("button", name="Try now").click()
            # It renews itself: nobody reloads it.
            await expect(page.get_by_text("Waiting 0")).to_have_count(0)
            await page.goto(opened["address"])
            await expect(page.get_by_role("heading", level=1)).to_have_text("Serving. Nothing needs you.")
            await page.goto(f"{opened['address']}/messages?id={sent.id}")
            await expect(page.get_by_text("RelayAcceptance").first).to_be_visible()
            await page.get_by_role("button", name="Sign out").click()
            await page.goto(opened["address"])
            await expect(page.get_by_label("Code")).to_be_visible()
        assert (await node("status", str(home)))["headline"] == "Serving. Nothing needs you."
        assert (await node("retry", str(home), "fr"))["partner"] == "fr"
        assert (await node("test-way", str(home), "fr"))["ok"] is True
        assert (await node("refresh-directory", str(home)))["refreshed"] is True
        assert (await node("retry", str(home), "xx", expect=1))["error"]["code"] == "not-found"
        await made.kill("jp")
        assert (await node("status", str(home), expect=4))["error"]["code"] == "unavailable"


async def test_without_script_on_a_telephone_everything_is_there(tmp_path: Path, chrome: Browser) -> None:
    async with full_console(tmp_path, 13) as (jp, paths), window(chrome, width=360, script=False) as opened:
        page, address = await opened.new_page(), jp.console.address
        await sign_in(page, address, jp.console.codes.make())
        for path in paths:
            await page.goto(address + path)
            assert not await overflows(page), path
            assert not await hides_values(page), path
        await page.goto(f"{address}/directory")
        await page.get_by_role("button", name="Fetch the directory now").click()
        await expect(page.get_by_role("status")).to_have_text("The directory was fetched, and verifies.")
