"""The operator's job: real nodes, the command that makes a code, a real browser, and what it says of what is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from typer.testing import CliRunner

from node.cli.main import app
from node.console.away import TAKES_NOTHING
from node.console.pages import PAGES
from node.console.partner_rows import PartnerLog, PartnerRow
from node.operations.history import History, PartnerPast
from node.server import Node
from protocol.errors import PeerFailedError, UnavailableError
from tests.worlds.browser import axe, browser, overflows, picture, window
from tests.worlds.nodes import World
from tests.worlds.processes import desk, request_draft, world

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]
PATHS = [page.path for page in PAGES if page.method == "GET" and "{" not in page.path]
LONG = "The Federated States of a Very Long Name that Nobody Shortens, with Islands and Dependencies"
ARABIC = "الجمهورية ذات الاسم الطويل جداً"


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
            await page.screenshot(path=picture("console-attention"), full_page=True)

            await node("backup", str(home), str(tmp_path / "backup"))
            checked = await node("backup-check", str(home), str(tmp_path / "backup"), "--drill")
            assert checked["drill"] is True
            await page.goto(f"{opened['address']}/backups")
            await expect(page.get_by_text(str(tmp_path / "backup")).first).to_be_visible()
            assert "never, as far as" not in await page.inner_text("main")

            await page.goto(f"{opened['address']}/partners/fr")
            await page.get_by_role("button", name="Test the way").click()
            await expect(page.get_by_text("not open")).to_be_visible()
            assert (await node("test-way", str(home), "fr", expect=4))["error"] == "unavailable"

            await made.start("fr")
            await page.get_by_role("button", name="Try now").click()
            # It renews itself: nobody reloads it.
            await expect(page.get_by_text("Waiting 0")).to_have_count(0)
            await page.goto(opened["address"])
            await expect(page.get_by_role("heading", level=1)).to_have_text(
                "Serving. Nothing needs you.", timeout=30_000
            )
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


def many(now: datetime) -> tuple[PartnerRow, ...]:
    """Partners with the longest names, some of them in trouble of each kind."""
    trouble = PartnerPast(
        answered_at=now, silent_since=now, failing_since=now - timedelta(hours=4), failed_at=now,
        code="peer-failed", detail="<b>an error of the partner</b> " * 6, cosigned_at=now - timedelta(days=2),
    )  # fmt: skip
    rows = [
        PartnerRow(
            "fr", LONG, "https://node.fr:8443", phones=("+33 1 40 97 84 47",), envelopes=14, receipts=200, file_sets=3,
            waiting_since=now - timedelta(hours=4), expires_at=now + timedelta(hours=20), next_at=now, attempts=99,
            past=trouble, log=PartnerLog(18_201, now - timedelta(hours=3)), witnesses=True, clock_offset_s=4_000.0,
            bytes_per_s=41_000_000, resumes=2,
        ),
        PartnerRow("gh", ARABIC, distrusted=True, relay="fr", log=PartnerLog(7, None)),
    ]  # fmt: skip
    well = PartnerPast(answered_at=now, taken_at=now)
    rows += [
        PartnerRow(f"n{number}", f"{LONG} {number}", "https://node.example", past=well, log=PartnerLog(number, now))
        for number in range(13)
    ]
    return tuple(rows)


async def test_every_page_is_accessible_in_width_height_and_dark_and_mirrored(tmp_path: Path, chrome: Browser) -> None:
    made = World.of(tmp_path, "jp", "fr", "gh")
    jp = await made.start("jp")
    try:
        now = made.clock()
        jp.history.failed("fr", PeerFailedError("down"))
        jp.history.refused("", "submit", "unauthenticated", 190)
        jp.relay.monitor.alarm("gh", await jp.context.store.reads.checkpoint())
        with patch("node.console.status.partner_rows", return_value=many(now)):
            await seen(chrome, jp, "en", [*PATHS, "/partners/fr", "/partners/gh", "/messages?id=zz"])
            await seen(chrome, jp, "ar", ["/", "/partners/fr", "/directory"], dark=True)
            await narrow(chrome, jp.console.address, jp.console.codes.make())
    finally:
        await made.close()


async def seen(chrome: Browser, of: Node, language: str, paths: Sequence[str], *, dark: bool = False) -> None:
    """axe-core finds nothing on any page, and none is wider than its window."""
    address = of.console.address
    async with window(chrome, language, dark=dark) as opened:
        page = await opened.new_page()
        await page.goto(f"{address}/sign-in")
        assert await axe(page) == []
        await page.locator("#code").fill(of.console.codes.make())
        await page.locator("main button").first.click()
        for path in paths:
            await page.goto(address + path)
            name = path.strip("/").partition("?")[0].replace("/", "-") or "now"
            await page.screenshot(path=picture(f"console-{language}-{name}"), full_page=True)
            assert await axe(page) == [], path
            assert not await overflows(page), path
            assert await page.locator("h1").count() == 1


async def narrow(chrome: Browser, address: str, code: str) -> None:
    """On a telephone, and without script: everything is there, and nothing is moved to the side."""
    async with window(chrome, width=360, script=False) as opened:
        page = await opened.new_page()
        await sign_in(page, address, code)
        for path in ("/", "/partners", "/partners/fr", "/log", "/refusals", "/machine"):
            await page.goto(address + path)
            name = path.strip("/").replace("/", "-") or "now"
            await page.screenshot(path=picture(f"console-360-{name}"), full_page=True)
            assert not await overflows(page), path
        await page.goto(f"{address}/directory")
        await page.get_by_role("button", name="Fetch the directory now").click()
        await expect(page.get_by_role("status")).to_have_text("The directory was fetched, and verifies.")
